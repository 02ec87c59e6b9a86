//! The simulated telephones and callers on real sockets and the real clock.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::{
    connection::Connection,
    daemon::PATIENCE,
    sim::{Caller, Intent, chance::Chance, message::Message, phone::Phone},
};

/// What a live party must be able to do.
pub trait Party: Send + 'static {
    /// A datagram came.
    fn receive(&mut self, now: Duration, message: Message);
    /// Time has passed.
    fn timer(&mut self, now: Duration);
    /// What goes on the wire.
    fn out(&mut self) -> Vec<Message>;
}

impl Party for Phone {
    fn receive(&mut self, now: Duration, message: Message) {
        Phone::receive(self, now, message);
    }

    fn timer(&mut self, now: Duration) {
        Phone::timer(self, now);
    }

    fn out(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.reliable.out)
    }
}

impl Party for Caller {
    fn receive(&mut self, now: Duration, message: Message) {
        Caller::receive(self, now, message);
    }

    fn timer(&mut self, now: Duration) {
        Caller::timer(self, now);
    }

    fn out(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.reliable.out)
    }
}

/// What carries a party's messages.
#[derive(Debug)]
enum Wire {
    Udp(UdpSocket),
    Tcp(Connection),
}

impl Wire {
    /// What came within a moment.
    fn receive(&mut self, buffer: &mut [u8]) -> Option<Message> {
        match self {
            Self::Udp(socket) => {
                let length = socket.recv(buffer).ok()?;
                Message::parse(&buffer[..length])
            }
            Self::Tcp(connection) => connection.receive(buffer),
        }
    }

    /// What cannot be sent is as good as lost.
    fn send(&mut self, bytes: &[u8], switch: SocketAddr) {
        match self {
            Self::Udp(socket) => {
                let _ = socket.send_to(bytes, switch);
            }
            Self::Tcp(connection) => connection.send(bytes),
        }
    }
}

#[derive(Debug)]
struct Shared<P> {
    party: Mutex<P>,
    wire: Mutex<Vec<(Instant, bool, Message)>>,
    moved: Condvar,
    stop: AtomicBool,
    /// A party on a connection shall have one.
    connected: AtomicBool,
}

/// A party with a socket and a thread.
#[derive(Debug)]
pub struct Live<P> {
    shared: Arc<Shared<P>>,
    begun: Instant,
    thread: Option<JoinHandle<()>>,
}

/// A telephone that registers at once.
pub fn phone(address: SocketAddr, switch: SocketAddr, user: &str, secret: &str) -> Live<Phone> {
    Live::start(
        Phone::new(address, switch, user, secret, own_chance()),
        Wire::Udp(bound(address)),
        switch,
    )
}

/// A telephone company's side of a trunk, which takes calls to clients.
pub fn gateway(address: SocketAddr, switch: SocketAddr) -> Live<Phone> {
    Live::start(
        Phone::gateway(address, switch, own_chance()),
        Wire::Udp(bound(address)),
        switch,
    )
}

/// An agent who dials `number` at once from a telephone with this account.
pub fn dialler(
    address: SocketAddr,
    switch: SocketAddr,
    (user, secret): (&str, &str),
    number: &str,
    intent: Intent,
) -> Live<Caller> {
    let numbers = (number, number);
    let caller = Caller::new(
        Duration::ZERO,
        address,
        switch,
        numbers,
        intent,
        own_chance(),
    );
    Live::start(
        caller.with_account(user, secret),
        Wire::Udp(bound(address)),
        switch,
    )
}

/// A telephone that registers over a TCP connection.
pub fn phone_over_tcp(switch: SocketAddr, user: &str, secret: &str) -> Live<Phone> {
    let connection = Connection::open(switch);
    let phone = Phone::new(connection.local(), switch, user, secret, own_chance());
    Live::start(phone, Wire::Tcp(connection), switch)
}

fn bound(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    socket
        .set_read_timeout(Some(Duration::from_millis(5)))
        .expect("a timeout can be set");
    socket
}

/// A caller who dials `line` at once.
pub fn caller(
    address: SocketAddr,
    switch: SocketAddr,
    numbers: (&str, &str),
    intent: Intent,
) -> Live<Caller> {
    let caller = Caller::new(
        Duration::ZERO,
        address,
        switch,
        numbers,
        intent,
        own_chance(),
    );
    Live::start(caller, Wire::Udp(bound(address)), switch)
}

/// Tags and branches that nobody else on the machine has.
fn own_chance() -> Chance {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let process = u64::from(std::process::id()) << 32;
    Chance::new(process | NEXT.fetch_add(1, Ordering::Relaxed))
}

impl<P: Party> Live<P> {
    fn start(party: P, wire: Wire, switch: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            party: Mutex::new(party),
            wire: Mutex::default(),
            moved: Condvar::new(),
            stop: AtomicBool::new(false),
            connected: AtomicBool::new(true),
        });
        let begun = Instant::now();
        let its = Arc::clone(&shared);
        let thread = std::thread::spawn(move || run(&its, wire, switch, begun));
        Self {
            shared,
            begun,
            thread: Some(thread),
        }
    }

    /// Breaks the connection of a party that has one, or gives it a new one.
    pub fn set_connected(&self, connected: bool) {
        self.shared.connected.store(connected, Ordering::Relaxed);
    }

    /// Looks at the party or makes it do something.
    pub fn with<T>(&self, act: impl FnOnce(&mut P, Duration) -> T) -> T {
        let mut party = self
            .shared
            .party
            .lock()
            .expect("nobody panics with the party");
        act(&mut party, self.begun.elapsed())
    }

    /// Waits until the party satisfies.
    pub fn wait(&self, what: &str, satisfies: impl Fn(&P) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut party = self
            .shared
            .party
            .lock()
            .expect("nobody panics with the party");
        while !satisfies(&party) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(party);
                panic!(
                    "waited in vain until {what}; on the wire:\n{}",
                    self.wire().join("\n")
                );
            }
            party = self
                .shared
                .moved
                .wait_timeout(party, left)
                .expect("nobody panics with the party")
                .0;
        }
    }

    /// When the first message with this beginning came.
    pub fn came_at(&self, start: &str) -> Option<Instant> {
        let wire = self
            .shared
            .wire
            .lock()
            .expect("nobody panics with the wire");
        wire.iter()
            .find(|(_, incoming, message)| *incoming && message.start.starts_with(start))
            .map(|(at, ..)| *at)
    }

    /// How many different messages with this beginning came; repetitions count once.
    pub fn came(&self, start: &str) -> usize {
        let wire = self
            .shared
            .wire
            .lock()
            .expect("nobody panics with the wire");
        let mut seen = Vec::new();
        for (_, incoming, message) in wire.iter() {
            if *incoming && message.start.starts_with(start) && !seen.contains(&message) {
                seen.push(message);
            }
        }
        seen.len()
    }

    /// The last message with this beginning that came.
    pub fn message(&self, start: &str) -> Option<Message> {
        let wire = self
            .shared
            .wire
            .lock()
            .expect("nobody panics with the wire");
        wire.iter()
            .rev()
            .find(|(_, incoming, m)| *incoming && m.start.starts_with(start))
            .map(|(.., m)| m.clone())
    }

    /// First line and CSeq of everything on the wire.
    pub fn wire(&self) -> Vec<String> {
        let wire = self
            .shared
            .wire
            .lock()
            .expect("nobody panics with the wire");
        let line = |(_, incoming, message): &(Instant, bool, Message)| {
            format!(
                "{} {} [{}]",
                if *incoming { "<--" } else { "-->" },
                message.start,
                message.text("CSeq")
            )
        };
        wire.iter().map(line).collect()
    }
}

impl Live<Caller> {
    /// Gives up or hangs up.
    pub fn leave(&self) {
        self.with(Caller::leave);
    }

    /// Waits until the caller's call is over.
    pub fn wait_for_end(&self) -> crate::sim::Outcome {
        self.wait("the call is over", |caller| caller.outcome.is_some());
        self.with(|caller, _| caller.outcome.expect("it is over"))
    }

    /// Waits until somebody answers.
    pub fn wait_for_answer(&self) {
        self.wait("somebody answers", |caller| caller.talk.is_some());
    }
}

fn run<P: Party>(shared: &Shared<P>, mut wire: Wire, switch: SocketAddr, begun: Instant) {
    let mut buffer = vec![0; 65_536];
    while !shared.stop.load(Ordering::Relaxed) {
        if let Wire::Tcp(connection) = &mut wire {
            connection.keep(shared.connected.load(Ordering::Relaxed));
        }
        let came = wire.receive(&mut buffer);
        let mut party = shared.party.lock().expect("nobody panics with the party");
        let now = begun.elapsed();
        let log = |incoming: bool, message: &Message| {
            let mut wire = shared.wire.lock().expect("nobody panics with the wire");
            wire.push((Instant::now(), incoming, message.clone()));
        };
        if let Some(message) = came {
            log(true, &message);
            party.receive(now, message);
        }
        party.timer(now);
        for message in party.out() {
            log(false, &message);
            wire.send(&message.bytes(), switch);
        }
        drop(party);
        shared.moved.notify_all();
    }
}

impl<P> Drop for Live<P> {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

/// Where the sound of whoever called is to go, once we have answered.
pub fn remote_media(caller: &Live<Caller>) -> Option<SocketAddr> {
    caller.wait_for_answer();
    caller.with(|caller, _| caller.talk.as_ref().and_then(|talk| talk.remote_media))
}
