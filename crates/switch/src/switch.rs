//! The switch itself: every event goes to the part that it belongs to, and what the parts want comes
//! out in order. No part is called from here in any other way.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use call::{Command, EffectEnd, EffectId, Notice, OrderId};
use media::{LegKey, ports::PortPool};
use model::{CallId, IdMaker, Now};
use routing::plan::NumberPlan;
use sip::{
    Message, Method, Request,
    dialog::{Dialog, DialogKey},
    digest::Challenger,
    registrar::Registrar,
    transaction::{self, Event, Path, ServerKey, Tokens, Transactions},
};

use crate::{
    calls::Calls,
    control::Controls,
    directory::Index,
    io::{Input, Output, Resources},
    leg::Legs,
    media_paths::PORT_REST,
    names::Names,
    refusal::method_not_allowed,
    settings::Settings,
    stranded::Stranded,
    trunk_watch::TrunkWatch,
};

/// The parts among which events are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// REGISTER: who may register, and where they are.
    Registration,
    /// An INVITE that begins a call: may it come in, and to which line; or may it go out, and to whom.
    Screening,
    /// Requests within a dialog, and OPTIONS.
    Dialogs,
    /// The caller's leg.
    CallerLeg,
    /// Answers to requests of ours, or their absence.
    Answers,
    /// Nobody: refused with 405.
    Refusal,
}

/// Which part a message or timer of SIP goes to: the whole table.
fn part_of(event: &Event) -> Part {
    match event {
        Event::Request { request, .. } => part_of_request(request),
        Event::Ack { .. } | Event::Cancel { .. } | Event::NoAck { .. } => Part::CallerLeg,
        Event::Response { .. } | Event::Timeout { .. } | Event::Unreachable { .. } => Part::Answers,
    }
}

fn part_of_request(request: &Request) -> Part {
    let in_dialog = Dialog::key_of_request(request).is_some();
    match (&request.method, in_dialog) {
        (Method::Register, _) => Part::Registration,
        (Method::Invite, false) => Part::Screening,
        (Method::Invite | Method::Update | Method::Bye | Method::Options, _)
        | (Method::Refer | Method::Info | Method::Prack, true) => Part::Dialogs,
        _ => Part::Refusal,
    }
}

/// The whole PBX.
pub struct Switch {
    pub(crate) settings: Settings,
    pub(crate) ids: IdMaker,
    pub(crate) tokens: Tokens,
    pub(crate) transactions: Transactions,
    pub(crate) challenger: Challenger,
    pub(crate) registrar: Registrar,
    pub(crate) directory: Index,
    pub(crate) agents: routing::Agents,
    pub(crate) waiting: routing::WaitingRoom,
    pub(crate) calls: Calls,
    pub(crate) legs: Legs,
    pub(crate) ports: PortPool,
    /// Ports of legs whose media is being closed.
    pub(crate) closing_ports: BTreeMap<LegKey, u16>,
    /// Dialogs from before a crash or a broken connection that got their BYE: at most one for every INVITE that was taken up again.
    pub(crate) ended_unclaimed: BTreeSet<DialogKey>,
    pub(crate) stranded: Stranded,
    pub(crate) trunk_watch: TrunkWatch,
    pub(crate) names: Names,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) plan: NumberPlan,
    /// Our own addresses.
    pub(crate) listening: Vec<SocketAddr>,
    /// Ordered calls that are not in the journal yet.
    pub(crate) orders: BTreeMap<CallId, OrderId>,
    pub(crate) controls: Controls,
    pub(crate) draining: bool,
    /// The present, as of the last input.
    pub(crate) last: Now,
}

impl Switch {
    /// An exchange without lines, agents or calls; give it a [`Input::Directory`] first.
    ///
    /// The seed makes tags, branches and nonces: secret, random and new for every start.
    pub fn new(settings: Settings, seed: [u8; 32], now: Now) -> Self {
        let part = |n: u8| {
            let mut seed = seed;
            seed[0] ^= n;
            seed[31] = seed[31].wrapping_add(n);
            seed
        };
        let limits = transaction::Limits {
            transactions: settings.limits.transactions,
            retry_after_secs: settings.limits.retry_after_secs,
            ..Default::default()
        };
        let mut ids = IdMaker::new(settings.node);
        ids.make(now.utc);
        let mut switch = Self {
            ids,
            tokens: Tokens::new(part(1)),
            transactions: Transactions::new(settings.timers, part(2), limits),
            challenger: Challenger::new(
                &settings.realm,
                part(3),
                settings.nonce_lifetime,
                settings.limits.nonces,
            ),
            registrar: crate::registration::registrar(&settings),
            directory: Index::default(),
            agents: routing::Agents::new(),
            waiting: routing::WaitingRoom::new(),
            calls: Calls::default(),
            legs: Legs::default(),
            ports: PortPool::new(settings.rtp_ports.clone(), PORT_REST),
            closing_ports: BTreeMap::new(),
            ended_unclaimed: BTreeSet::new(),
            stranded: Stranded::default(),
            trunk_watch: TrunkWatch::new(part(4)),
            names: Names::default(),
            outputs: VecDeque::new(),
            plan: NumberPlan::new(&settings.region).unwrap_or_else(NumberPlan::worldwide),
            listening: Vec::new(),
            orders: BTreeMap::new(),
            controls: Controls::default(),
            draining: false,
            last: now,
            settings,
        };
        let addresses = switch.settings.addresses.clone();
        switch.transactions.set_addresses(addresses);
        switch
    }

    /// Takes what happened; then drain [`Switch::poll`] until it says when to wake.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.last = now;
        match input {
            Input::Datagram { path, bytes } => self.datagram(now, path, &bytes),
            Input::Listening(addresses) => self.listening = addresses,
            Input::FlowClosed { path } => self.flow_closed(now, &path),
            Input::Command(command) => self.command(now, &command),
            Input::Media(event) => self.media_event(now, event),
            Input::EffectEnd { id, end } => self.effect_end(now, id, end),
            Input::Directory(directory) => self.set_directory(now, directory),
            Input::Bindings(bindings) => self.load_bindings(now, bindings),
            Input::Recover(open) => self.recover(now, &open),
            Input::Resolved { proxy, places } => self.resolved(now, &proxy, places),
            Input::Timer => self.timers(now),
        }
        self.settle(now);
    }

    /// The next output, in the order in which they arose; `WakeAt` when there is no other.
    pub fn poll(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| self.wake())
    }

    /// What is held at this moment.
    pub fn resources(&self) -> Resources {
        let busy = self.agents.states().filter(|agent| {
            use model::AgentState::{Reserved, Ringing, Talking};
            matches!(
                agent.state,
                Reserved { .. } | Ringing { .. } | Talking { .. }
            )
        });
        Resources {
            calls: self.calls.len(),
            legs: self.legs.len(),
            dialogs: self.legs.dialogs(),
            transactions: self.transactions.len(),
            ports: self.ports.in_use(),
            reservations: busy.count(),
            effects: self.calls.open_effects(),
            waiting: self.waiting.len(),
        }
    }

    fn datagram(&mut self, now: Now, path: Path, bytes: &[u8]) {
        match Message::parse(bytes) {
            Ok(message) => self.transactions.receive(now.mono, path, message),
            Err(rejected) => {
                // RFC 3261 §16.3 and §18.3: what can be answered is answered, without any state.
                if let Some(reply) = rejected.reply {
                    self.report_malformed(path, &reply);
                    self.outputs.push_back(Output::Send {
                        path,
                        bytes: reply.to_bytes(),
                    });
                }
            }
        }
    }

    /// Lets the layers below and the agents have their say until nobody has any more.
    fn settle(&mut self, now: Now) {
        loop {
            while let Some(output) = self.transactions.poll() {
                match output {
                    transaction::Output::Send { path, bytes } => {
                        self.outputs.push_back(Output::Send { path, bytes });
                    }
                    transaction::Output::Event(event) => self.sip_event(now, event),
                }
            }
            while let Some(changed) = self.agents.poll() {
                self.waiting.agent_changed(&changed);
                let changed = Notice::Agent(changed);
                self.outputs.push_back(Output::Notice(changed));
            }
            match self.waiting.next(now.mono, &self.agents) {
                Some(call) => self.tell_call(now, call, call::Input::Freed),
                None => break,
            }
        }
        let over = self.draining && self.calls.is_empty() && self.trunk_watch.may_go(now);
        if over && !self.calls.told_drained() {
            self.outputs.push_back(Output::Notice(Notice::Drained));
        }
    }

    fn sip_event(&mut self, now: Now, event: Event) {
        let part = part_of(&event);
        match event {
            Event::Request {
                server,
                request,
                path,
            } => {
                let from = (server, path);
                match part {
                    Part::Registration => self.register(now, from, &request),
                    Part::Screening => self.screen(now, from, request),
                    Part::Dialogs => self.in_dialog(now, from, &request),
                    _ => self.refuse_method(now, from, &request),
                }
            }
            Event::Ack { server, request } => self.caller_acked(now, server, &request),
            Event::Cancel { server, .. } => self.caller_cancelled(now, server),
            Event::NoAck { server } => self.caller_never_acked(now, server),
            Event::Response {
                client,
                response,
                path,
            } => self.answered(now, client, &response, path),
            Event::Timeout { client } => self.unanswered(now, client),
            Event::Unreachable { client } => self.unreachable(now, client),
        }
    }

    fn refuse_method(&mut self, now: Now, (server, _): (ServerKey, Path), request: &Request) {
        let response = method_not_allowed(request);
        self.respond(now.mono, server, response);
    }

    fn command(&mut self, now: Now, command: &Command) {
        match command {
            Command::SetAway { agent, away } => self.agents.set_away(now, *agent, *away),
            Command::EndWrapUp { agent } => self.agents.end_wrap_up(now, *agent),
            Command::Call {
                order,
                agent,
                number,
            } => self.order_call(now, *order, *agent, number),
            Command::Control(control) => self.control(now, control),
            Command::Drain => self.draining = true,
            Command::Shutdown => {
                self.draining = true;
                self.leave_trunks(now);
                for call in self.calls.ids() {
                    self.tell_call(now, call, call::Input::Shutdown);
                }
            }
        }
    }

    fn effect_end(&mut self, now: Now, id: EffectId, end: EffectEnd) {
        if end == EffectEnd::Committed {
            self.confirm_order(id.call);
            self.confirm_control(id);
        }
        let number = id.number;
        let ended = call::Input::EffectEnded { number, end };
        self.tell_call(now, id.call, ended);
    }

    fn timers(&mut self, now: Now) {
        self.transactions.handle_timers(now.mono);
        self.agents.handle_timers(now);
        self.waiting.handle_timers(now.mono);
        self.expire_bindings(now);
        self.watch_timers(now);
        self.leg_timers(now);
        while let Some(call) = self.calls.due(now.mono) {
            self.tell_call(now, call, call::Input::Timer);
        }
    }

    fn wake(&self) -> Output {
        let timers: [(Option<Duration>, &'static str); 7] = [
            (self.transactions.next_timer(), "transaction"),
            (self.agents.next_timer(), "wrap-up"),
            (self.waiting.next_timer(), "queue"),
            (self.calls.next_wake(), "call"),
            (self.binding_expiry(), "registration"),
            (self.next_trunk_timer(), "trunk"),
            (self.legs.next_wake(), "session"),
        ];
        let next = timers
            .into_iter()
            .filter_map(|(at, reason)| Some((at?, reason)))
            .min();
        let (at, reason) = next.map_or((None, "idle"), |(at, reason)| (Some(at), reason));
        Output::WakeAt { at, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of events and parts, as the architecture page shows it.
    #[test]
    fn every_event_goes_to_one_part() {
        let request = |method: &str, tag: &str| {
            let text = format!(
                "{method} sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1\r\n\
                 From: <sip:b@c>;tag=1\r\nTo: <sip:a@192.0.2.1>{tag}\r\nCall-ID: x\r\n\
                 CSeq: 1 {method}\r\nMax-Forwards: 70\r\nContact: <sip:b@192.0.2.2>\r\n\r\n"
            );
            match Message::parse(text.as_bytes()).unwrap() {
                Message::Request(request) => request,
                Message::Response(_) => unreachable!(),
            }
        };
        let mut table = String::new();
        let methods = [
            "REGISTER",
            "INVITE",
            "UPDATE",
            "BYE",
            "OPTIONS",
            "REFER",
            "INFO",
            "PRACK",
            "SUBSCRIBE",
            "X",
        ];
        for method in methods {
            let outside = part_of_request(&request(method, ""));
            let inside = part_of_request(&request(method, ";tag=2"));
            table.push_str(&format!("{method:<10} {outside:?} / {inside:?}\n"));
        }
        println!("method     outside / inside a dialog\n{table}");
        assert_eq!(
            table,
            "REGISTER   Registration / Registration\n\
             INVITE     Screening / Dialogs\n\
             UPDATE     Dialogs / Dialogs\n\
             BYE        Dialogs / Dialogs\n\
             OPTIONS    Dialogs / Dialogs\n\
             REFER      Refusal / Dialogs\n\
             INFO       Refusal / Dialogs\n\
             PRACK      Refusal / Dialogs\n\
             SUBSCRIBE  Refusal / Refusal\n\
             X          Refusal / Refusal\n"
        );
    }
}
