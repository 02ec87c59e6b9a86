//! A small SIP user agent over a real UDP socket: one account, one call at a time.
//!
//! It serves two roles: the telephone of a manager, and a caller out in the world whom the trunk brings in.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rand::RngExt as _;
use sip::{
    Message, Method, Name, Request, Response, Uri,
    transaction::{ClientKey, Event, Limits, Output, Path, ServerKey, TimerTable, Transactions},
};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{sleep_until, timeout},
};

use super::{
    leg::Leg,
    registration::{Account, Registration},
    voice::{Heard, Speech},
};

/// What it does with a call that comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Answers after ringing for so long.
    Answers(Duration),
    /// Rings until the caller gives up.
    Rings,
    /// Declines at once.
    Declines,
}

/// What it says in a call.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) speech: Speech,
    /// Silence before the first word.
    pub(super) pause: Duration,
    /// Hangs up when everything is said.
    pub(super) hangs_up: bool,
}

/// What others may ask of it.
#[derive(Debug)]
pub(super) enum Order {
    Register(Account),
    Unregister,
    Behave(Manner, Part),
    Call {
        from: String,
        to: String,
        part: Part,
    },
    HangUp,
    /// Press a key.
    Press(char),
}

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The registrar's last answer to REGISTER.
    pub(super) registered: Option<u16>,
    /// The calls, in their order.
    pub(super) calls: Vec<CallFacts>,
}

/// What happened in one call.
#[derive(Clone, Debug)]
pub(super) struct CallFacts {
    /// When the INVITE came or left.
    pub(super) begun: Instant,
    /// A 180 came or left.
    pub(super) rang: bool,
    /// When a 200 came or left.
    pub(super) answered: Option<Instant>,
    pub(super) ended: Option<Ended>,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    /// The final status of the INVITE; 200 for a call that was answered.
    pub(super) status: u16,
    pub(super) heard: Heard,
}

/// A running user agent; it stops when this is dropped.
#[derive(Debug)]
pub(super) struct UserAgent {
    orders: mpsc::Sender<Order>,
    facts: watch::Receiver<Facts>,
    task: JoinHandle<()>,
}

impl UserAgent {
    /// Starts one on `local` (port 0: any) that sends everything to `server`.
    pub(super) async fn start(local: SocketAddr, server: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind(local)
            .await
            .with_context(|| format!("no UDP socket on {local}"))?;
        let local = socket.local_addr()?;
        let (orders, taken) = mpsc::channel(16);
        let (facts, seen) = watch::channel(Facts::default());
        let mut seed = [0; 32];
        rand::rng().fill(&mut seed);
        let line = Line {
            transactions: Transactions::new(TimerTable::default(), seed, Limits::default()),
            path: Path::udp(local, server),
            born: Instant::now(),
            facts,
        };
        let silence = Part {
            speech: Speech::from([]),
            pause: Duration::ZERO,
            hangs_up: false,
        };
        let agent = Running {
            line,
            socket,
            registration: None,
            leg: None,
            manner: (Manner::Declines, silence),
        };
        Ok(Self {
            orders,
            facts: seen,
            task: tokio::spawn(agent.run(taken)),
        })
    }

    /// Asks for something.
    pub(super) async fn order(&self, order: Order) -> Result<()> {
        self.orders
            .send(order)
            .await
            .ok()
            .context("a virtual telephone has stopped")
    }

    /// What has happened so far.
    pub(super) fn facts(&self) -> Facts {
        self.facts.borrow().clone()
    }

    /// Waits until `holds` of the facts; none when it does not within `patience`.
    pub(super) async fn until(
        &self,
        patience: Duration,
        mut holds: impl FnMut(&Facts) -> bool,
    ) -> Option<Facts> {
        let mut facts = self.facts.clone();
        let found = timeout(patience, facts.wait_for(|facts| holds(facts))).await;
        found.ok()?.ok().map(|facts| facts.clone())
    }
}

impl Drop for UserAgent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The transaction layer with its way out, and the notebook of facts.
pub(super) struct Line {
    pub(super) transactions: Transactions,
    pub(super) path: Path,
    born: Instant,
    facts: watch::Sender<Facts>,
}

impl Line {
    pub(super) fn now(&self) -> Duration {
        self.born.elapsed()
    }

    pub(super) fn request(&mut self, request: Request) -> ClientKey {
        self.transactions.request(self.now(), self.path, request)
    }

    pub(super) fn respond(&mut self, server: ServerKey, response: Response) {
        self.transactions.respond(self.now(), server, response);
    }

    /// Our Contact for `user`.
    pub(super) fn contact(&self, user: &str) -> Uri {
        let local = self.path.local;
        Uri::sip(Some(user), &local.ip().to_string(), Some(local.port()))
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Facts)) {
        self.facts.send_modify(change);
    }

    pub(super) fn note_call(&self, change: impl FnOnce(&mut CallFacts)) {
        self.note(|facts| {
            if let Some(call) = facts.calls.last_mut() {
                change(call);
            }
        });
    }

    pub(super) fn begin_call(&self) {
        let call = CallFacts {
            begun: Instant::now(),
            rang: false,
            answered: None,
            ended: None,
        };
        self.note(|facts| facts.calls.push(call));
    }
}

struct Running {
    line: Line,
    socket: UdpSocket,
    registration: Option<Registration>,
    leg: Option<Leg>,
    manner: (Manner, Part),
}

impl Running {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut datagram = vec![0; 65_536];
        loop {
            self.drain().await;
            let wake = self.wake();
            tokio::select! {
                received = self.socket.recv_from(&mut datagram) => {
                    if let Ok((bytes, from)) = received {
                        self.receive(&datagram[..bytes], from);
                    }
                }
                order = orders.recv() => match order {
                    Some(order) => self.carry_out(order).await,
                    None => return,
                },
                () = sleep_until(wake.into()) => self.on_time().await,
            }
        }
    }

    fn wake(&self) -> Instant {
        let timer = self
            .line
            .transactions
            .next_timer()
            .map(|at| self.line.born + at);
        let leg = self.leg.as_ref().and_then(Leg::wake);
        let renewal = self.registration.as_ref().and_then(Registration::wake);
        let soonest = [timer, leg, renewal].into_iter().flatten().min();
        soonest.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600))
    }

    async fn on_time(&mut self) {
        let now = self.line.now();
        self.line.transactions.handle_timers(now);
        if let Some(registration) = &mut self.registration {
            registration.on_time(&mut self.line);
        }
        if let Some(leg) = &mut self.leg {
            leg.on_time(&mut self.line);
        }
        self.bury().await;
    }

    fn receive(&mut self, datagram: &[u8], from: SocketAddr) {
        // What is no SIP is none of a telephone's business.
        if let Ok(message) = Message::parse(datagram) {
            let path = Path::udp(self.line.path.local, from);
            let now = self.line.now();
            self.line.transactions.receive(now, path, message);
        }
    }

    async fn drain(&mut self) {
        while let Some(output) = self.line.transactions.poll() {
            match output {
                Output::Send { path, bytes } => {
                    // A datagram that the system does not take is a lost datagram: it is sent again.
                    let _ = self.socket.send_to(&bytes, path.remote).await;
                }
                Output::Event(event) => self.take(event).await,
            }
        }
        self.bury().await;
    }

    async fn carry_out(&mut self, order: Order) {
        match order {
            Order::Register(account) => {
                self.registration = Some(Registration::begin(&mut self.line, account));
            }
            Order::Unregister => {
                if let Some(registration) = &mut self.registration {
                    registration.end(&mut self.line);
                }
            }
            Order::Behave(manner, part) => self.manner = (manner, part),
            Order::Call { from, to, part } if self.leg.is_none() => {
                self.leg = Leg::call(&mut self.line, &from, &to, part).await;
            }
            Order::Call { .. } => {}
            Order::HangUp => {
                if let Some(leg) = &mut self.leg {
                    leg.hang_up(&mut self.line);
                }
            }
            Order::Press(key) => {
                if let Some(leg) = &mut self.leg {
                    leg.press(&mut self.line, key);
                }
            }
        }
    }

    async fn take(&mut self, event: Event) {
        match event {
            Event::Request {
                server,
                request,
                path,
            } => self.requested(server, request, path).await,
            Event::Response {
                client, response, ..
            } => self.answered(client, &response),
            Event::Timeout { client } | Event::Unreachable { client } => {
                if let Some(leg) = &mut self.leg {
                    leg.failed(client, 408, &self.line);
                }
            }
            Event::Cancel { server, .. } => {
                if let Some(leg) = &mut self.leg {
                    leg.cancelled(server, &mut self.line);
                }
            }
            Event::NoAck { server } => {
                if let Some(leg) = self.leg.as_mut().filter(|leg| leg.is_answered_by(server)) {
                    leg.hang_up(&mut self.line);
                }
            }
            Event::Ack { .. } => {}
        }
    }

    async fn requested(&mut self, server: ServerKey, request: Request, path: Path) {
        let in_dialog = request.to().is_some_and(|to| to.tag().is_some());
        match (&request.method, in_dialog, &mut self.leg) {
            (Method::Options, false, _) => self.line.respond(server, request.reply(200)),
            (Method::Invite, false, None) => {
                let (manner, part) = self.manner.clone();
                self.leg = Leg::ring(&mut self.line, (server, path), request, manner, part).await;
            }
            (Method::Invite, false, Some(_)) => self.line.respond(server, request.reply(486)),
            (_, true, Some(leg)) => leg.requested(&mut self.line, server, &request),
            (_, true, None) => self.line.respond(server, request.reply(481)),
            _ => {
                let mut response = request.reply(405);
                response
                    .headers
                    .push(Name::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS");
                self.line.respond(server, response);
            }
        }
    }

    fn answered(&mut self, client: ClientKey, response: &Response) {
        if let Some(registration) = self
            .registration
            .as_mut()
            .filter(|one| one.sent() == Some(client))
        {
            registration.answered(&mut self.line, response);
        } else if let Some(leg) = &mut self.leg {
            leg.answered(client, response, &mut self.line);
        }
    }

    /// Notes what was heard in a call that has ended, and forgets it.
    async fn bury(&mut self) {
        if let Some(leg) = self.leg.take_if(|leg| leg.status().is_some()) {
            let (status, heard) = leg.into_end().await;
            self.line
                .note_call(|call| call.ended = Some(Ended { status, heard }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::voice::sounding;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn part(samples: usize, hangs_up: bool) -> Part {
        let speech = (0..samples)
            .map(|n| if n % 16 < 8 { 8_000 } else { -8_000 })
            .collect();
        Part {
            speech,
            pause: Duration::ZERO,
            hangs_up,
        }
    }

    /// A telephone, and a caller who reaches it without an exchange in between.
    async fn pair(manner: Manner) -> (UserAgent, UserAgent) {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = UdpSocket::bind(any).await.unwrap().local_addr().unwrap();
        let telephone = UserAgent::start(address, any).await.unwrap();
        telephone
            .order(Order::Behave(manner, part(4_000, false)))
            .await
            .unwrap();
        (telephone, UserAgent::start(any, address).await.unwrap())
    }

    async fn call(caller: &UserAgent) {
        let (from, to) = ("79160000001".to_owned(), "74950000001".to_owned());
        caller
            .order(Order::Call {
                from,
                to,
                part: part(4_000, true),
            })
            .await
            .unwrap();
    }

    async fn end(agent: &UserAgent) -> (CallFacts, Ended) {
        let ended = |facts: &Facts| facts.calls.last().is_some_and(|call| call.ended.is_some());
        let facts = agent.until(PATIENCE, ended).await.expect("the call ends");
        let call = facts.calls.last().unwrap().clone();
        (call.clone(), call.ended.unwrap())
    }

    #[tokio::test]
    async fn a_caller_and_a_telephone_talk_and_hear_each_other() {
        let (telephone, caller) = pair(Manner::Answers(Duration::from_millis(50))).await;
        call(&caller).await;
        for agent in [&caller, &telephone] {
            let (call, ended) = end(agent).await;
            assert!(call.rang && call.answered.is_some());
            assert_eq!(ended.status, 200);
            assert!(ended.heard.packets > 0);
            assert!(sounding(&ended.heard.samples) > Duration::from_millis(300));
        }
    }

    #[tokio::test]
    async fn a_caller_who_gives_up_leaves_neither_side_waiting() {
        let (telephone, caller) = pair(Manner::Rings).await;
        call(&caller).await;
        let rang = |facts: &Facts| facts.calls.last().is_some_and(|call| call.rang);
        caller.until(PATIENCE, rang).await.expect("it rings");
        caller.order(Order::HangUp).await.unwrap();
        assert_eq!(end(&caller).await.1.status, 487);
        assert_eq!(end(&telephone).await.1.status, 487);
        assert!(end(&telephone).await.0.answered.is_none());
    }

    #[tokio::test]
    async fn a_telephone_that_declines_does_not_ring() {
        let (telephone, caller) = pair(Manner::Declines).await;
        call(&caller).await;
        assert_eq!(end(&caller).await.1.status, 603);
        assert!(!end(&telephone).await.0.rang);
    }
}
