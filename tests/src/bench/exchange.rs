//! The telephones and the callers: two sockets and two small user agents that answer at once, so that what is measured
//! is the daemon's time.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{scenery::client_number, way::Way};
use crate::{
    company::LINE,
    daemon::PATIENCE,
    sim::{
        digest,
        message::{Message, sdp, tag_of, uri_of},
    },
};

/// RFC 3261 §17.1.1.1.
const T1: Duration = Duration::from_millis(500);
/// Every trunk counts from a place of its own, so that no two calls have the same name.
static EARLIER: AtomicUsize = AtomicUsize::new(0);
/// No trunk counts so far.
const FEWER: usize = 100_000_000;
/// Registrations outlive the measurement, so that no refreshing is measured.
const EXPIRES: &str = "3600";

fn open(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    super::rtp::deepen(&socket);
    socket
}

/// All telephones behind one address, told apart by the user part of their contacts.
#[derive(Debug)]
pub struct Telephones {
    media: Arc<Mutex<Vec<SocketAddr>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Telephones {
    /// Registers them all, then answers every call at once with 180 and 200.
    pub fn register(
        address: SocketAddr,
        media: SocketAddr,
        switch: SocketAddr,
        accounts: &[(String, String)],
    ) -> Self {
        let socket = open(address);
        socket
            .set_read_timeout(Some(T1))
            .expect("a timeout can be set");
        for (place, (user, secret)) in accounts.iter().enumerate() {
            register(&socket, switch, place, (user, secret));
        }
        let telephones = Self {
            media: Arc::default(),
            stop: Arc::default(),
            thread: None,
        };
        let stop = Arc::clone(&telephones.stop);
        let theirs = Arc::clone(&telephones.media);
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            let mut known = BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let Some(request) = Message::parse(&buffer[..length]) else {
                    continue;
                };
                if request.method() == "INVITE" && request.is_request() {
                    let call = request.text("Call-ID").to_owned();
                    if known.insert(call) {
                        let mut theirs = theirs.lock().expect("nobody panics with the list");
                        theirs.extend(request.media());
                    }
                }
                for answer in answers(&request, address, media) {
                    // What cannot be sent is as good as lost: the daemon asks again.
                    let _ = socket.send_to(&answer.bytes(), from);
                }
            }
        });
        Self {
            thread: Some(thread),
            ..telephones
        }
    }
}

impl Telephones {
    /// Where the daemon wants to hear the agents whom it has called since this was asked last.
    pub fn take_media(&self) -> Vec<SocketAddr> {
        std::mem::take(&mut *self.media.lock().expect("nobody panics with the list"))
    }

    /// Hangs the telephones up and waits for their thread.
    pub fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the telephones' thread ends well");
        }
    }
}

fn answers(request: &Message, address: SocketAddr, media: SocketAddr) -> Vec<Message> {
    let contact = format!("<sip:x@{address}>");
    match request.method() {
        _ if !request.is_request() => Vec::new(),
        "INVITE" => {
            let ringing = Message::response(request, 180, "t").with("Contact", contact.clone());
            let answer = Message::response(request, 200, "t").with("Contact", contact);
            vec![ringing, answer.with_sdp(sdp(media, 1, "sendrecv"))]
        }
        "ACK" => Vec::new(),
        _ => vec![Message::response(request, 200, "t")],
    }
}

fn register(socket: &UdpSocket, switch: SocketAddr, place: usize, (user, secret): (&str, &str)) {
    let address = socket.local_addr().expect("a bound socket has an address");
    let host = switch.ip();
    let aor = format!("<sip:{user}@{host}>");
    let request = |cseq: u32| {
        Message::request(
            "REGISTER",
            &format!("sip:{host}"),
            address,
            &format!("z9hG4bKr{place}x{cseq}"),
        )
        .with("From", format!("{aor};tag=r{place}"))
        .with("To", aor.clone())
        .with("Call-ID", format!("register-{place}"))
        .with("CSeq", format!("{cseq} REGISTER"))
        .with("Contact", format!("<sip:{user}@{address}>"))
        .with("Expires", EXPIRES)
    };
    let first = request(1);
    let challenge = ask(socket, switch, &first);
    let answer = digest::authorization(&challenge, &request(2), user, secret)
        .unwrap_or_else(|| panic!("REGISTER {user}: {}", challenge.start));
    let welcome = ask(socket, switch, &request(2).with("Authorization", answer));
    assert_eq!(welcome.status(), Some(200), "REGISTER {user}");
}

fn ask(socket: &UdpSocket, switch: SocketAddr, request: &Message) -> Message {
    let deadline = Instant::now() + PATIENCE;
    let mut buffer = vec![0; 65_536];
    while Instant::now() < deadline {
        socket
            .send_to(&request.bytes(), switch)
            .expect("loopback takes datagrams");
        while let Ok(length) = socket.recv(&mut buffer) {
            let response = Message::parse(&buffer[..length]);
            let final_one = response.filter(|response| {
                response.branch() == request.branch() && response.status() >= Some(200)
            });
            if let Some(response) = final_one {
                return response;
            }
        }
    }
    panic!("no answer to {}", request.start)
}

/// One call from the caller's side.
#[derive(Debug)]
struct Call {
    number: String,
    dialled: Instant,
    ringing: Option<Duration>,
    /// The 200 to our INVITE.
    answer: Option<Message>,
    hang_up: Option<Instant>,
    /// What has no final answer yet, and when to say it again.
    unanswered: Option<(Message, Instant)>,
    ended: bool,
}

/// The callers behind the trunk.
#[derive(Debug)]
pub struct Trunk {
    /// The number that is dialled.
    pub line: &'static str,
    /// Requests that had to be repeated.
    pub repeated: usize,
    /// Calls refused, with the status.
    pub refused: Vec<String>,
    way: Way,
    address: SocketAddr,
    media: SocketAddr,
    switch: SocketAddr,
    calls: BTreeMap<String, Call>,
    /// Hanging up and repeating, in order of time.
    due: BTreeMap<(Instant, usize), String>,
    counter: usize,
    callers: usize,
    buffer: Vec<u8>,
}

impl Trunk {
    /// Callers at `address` who hear at `media`.
    pub fn open(address: SocketAddr, media: SocketAddr, switch: SocketAddr) -> Self {
        Self::over(Way::Datagrams(open(address)), address, media, switch)
    }

    /// The same by another way.
    pub fn over(way: Way, address: SocketAddr, media: SocketAddr, switch: SocketAddr) -> Self {
        Self {
            line: LINE,
            repeated: 0,
            refused: Vec::new(),
            way,
            address,
            media,
            switch,
            calls: BTreeMap::new(),
            due: BTreeMap::new(),
            counter: EARLIER.fetch_add(FEWER, Ordering::Relaxed),
            callers: 0,
            buffer: vec![0; 65_536],
        }
    }

    /// Dials `calls` times at a fixed rate, callers taken from the clients in turn. `hold` is none if the callers
    /// stay until [`Trunk::hang_up`]. Returns when every call is answered or refused, and over if they do not stay.
    pub fn dial(&mut self, calls: usize, rate: f64, hold: Option<Duration>, persons: usize) {
        let begun = Instant::now();
        let mut dialled = 0;
        while dialled < calls {
            #[expect(clippy::cast_precision_loss, reason = "counts are small")]
            let at = begun + Duration::from_secs_f64(dialled as f64 / rate);
            if at <= Instant::now() {
                self.invite(persons);
                dialled += 1;
            } else {
                self.listen(at, hold);
            }
        }
        let waiting = |trunk: &Self| match hold {
            Some(_) => trunk.calls.values().any(|call| !call.ended),
            None => trunk
                .calls
                .values()
                .any(|call| !call.ended && call.answer.is_none()),
        };
        let deadline = Instant::now() + hold.unwrap_or_default() + PATIENCE;
        while waiting(self) && Instant::now() < deadline {
            self.listen(Instant::now() + Duration::from_millis(50), hold);
        }
    }

    /// Everybody who still talks hangs up.
    pub fn hang_up(&mut self) {
        let talking = self.calls.iter().filter(|(_, call)| !call.ended);
        let talking: Vec<String> = talking.map(|(id, _)| id.clone()).collect();
        for call in talking {
            self.bye(&call);
            // A burst of hundreds would overrun the daemon's receive buffer, which no trunk does.
            self.listen(Instant::now() + Duration::from_millis(5), None);
        }
        let deadline = Instant::now() + PATIENCE;
        while self.calls.values().any(|call| !call.ended) && Instant::now() < deadline {
            self.listen(Instant::now() + Duration::from_millis(50), None);
        }
    }

    /// One after the other waits for the only agent of `line`, of whom the assigned manager is that agent (every
    /// `agents`-th client): who talks hangs up, and the next one is to get the agent. When the agent became free for whom.
    pub fn queue(
        &mut self,
        rounds: usize,
        agents: usize,
        telephones: &Telephones,
    ) -> BTreeMap<String, Instant> {
        let mut freed = BTreeMap::new();
        telephones.take_media();
        let mut talking: Option<String> = None;
        for round in 0..=rounds {
            let number = client_number(round * agents);
            let id = self.invite_from(number.clone());
            self.until(|trunk| trunk.calls[&id].answer.is_some());
            if let Some(before) = talking.replace(id.clone()) {
                freed.insert(number, Instant::now());
                self.bye(&before);
                self.until(|trunk| trunk.calls[&before].ended);
            }
            self.until(|_| !telephones.take_media().is_empty());
        }
        self.hang_up();
        freed
    }

    fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) && Instant::now() < deadline {
            self.listen(Instant::now() + Duration::from_millis(5), None);
        }
    }

    /// Where the daemon wants to hear the callers.
    pub fn remote_media(&self) -> Vec<SocketAddr> {
        let talking = self.calls.values().filter(|call| !call.ended);
        talking
            .filter_map(|call| call.answer.as_ref()?.media())
            .collect()
    }

    /// From INVITE to 180 in milliseconds, of every call.
    pub fn ringing_ms(&self) -> Vec<f64> {
        let delays = self.calls.values().filter_map(|call| call.ringing);
        delays.map(|delay| delay.as_secs_f64() * 1e3).collect()
    }

    /// When which number was dialled.
    pub fn dialled(&self) -> BTreeMap<String, Instant> {
        let dialled = self.calls.values();
        dialled
            .map(|call| (call.number.clone(), call.dialled))
            .collect()
    }

    /// Forgets the calls that are over, so that the next measurement counts its own.
    pub fn forget(&mut self) {
        self.calls.clear();
        self.due.clear();
    }

    fn send(&mut self, message: &Message) {
        self.way.send(message, self.switch);
    }

    fn at(&mut self, at: Instant, call: &str) {
        self.counter += 1;
        self.due.insert((at, self.counter), call.to_owned());
    }

    fn invite(&mut self, persons: usize) {
        let number = client_number(self.callers % persons);
        self.callers += 1;
        self.invite_from(number);
    }

    /// The id of the call.
    fn invite_from(&mut self, number: String) -> String {
        self.counter += 1;
        let (n, ip, switch) = (self.counter, self.address.ip(), self.switch.ip());
        let (id, uri) = (format!("bench-{n}"), format!("sip:{}@{switch}", self.line));
        let invite = Message::request("INVITE", &uri, self.address, &format!("z9hG4bKi{n}"))
            .with("From", format!("<sip:{number}@{ip}>;tag=c{n}"))
            .with("To", format!("<{uri}>"))
            .with("Call-ID", &id)
            .with("CSeq", "1 INVITE")
            .with("Contact", format!("<sip:{number}@{}>", self.address))
            .with_sdp(sdp(self.media, 1, "sendrecv"));
        let dialled = Instant::now();
        self.send(&invite);
        self.at(dialled + T1, &id);
        let call = Call {
            number,
            dialled,
            ringing: None,
            answer: None,
            hang_up: None,
            unanswered: Some((invite, dialled + T1)),
            ended: false,
        };
        self.calls.insert(id.clone(), call);
        id
    }

    fn bye(&mut self, id: &str) {
        let (address, now) = (self.address, Instant::now());
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let Some(answer) = call.answer.as_ref().filter(|_| call.unanswered.is_none()) else {
            return;
        };
        call.hang_up = None;
        let bye = in_dialog("BYE", 2, answer, address).with("CSeq", "2 BYE");
        call.unanswered = Some((bye.clone(), now + T1));
        self.send(&bye);
        self.at(now + T1, id);
    }

    fn listen(&mut self, until: Instant, hold: Option<Duration>) {
        let now = Instant::now();
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let id = entry.remove();
            self.time(&id, now);
        }
        let next = self
            .due
            .keys()
            .next()
            .map_or(until, |(at, _)| *at)
            .min(until);
        let wait = next.saturating_duration_since(now);
        let wait = wait.max(Duration::from_micros(100));
        if let Some((message, came)) = self.way.receive(&mut self.buffer, wait) {
            self.receive(came, &message, hold);
        }
    }

    fn time(&mut self, id: &str, now: Instant) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        if call.hang_up.is_some_and(|at| at <= now) {
            return self.bye(id);
        }
        if let Some((request, _)) = call.unanswered.as_ref().filter(|(_, at)| *at <= now) {
            let request = request.clone();
            call.unanswered = Some((request.clone(), now + T1));
            self.repeated += 1;
            self.send(&request);
            self.at(now + T1, id);
        }
    }

    fn receive(&mut self, came: Instant, message: &Message, hold: Option<Duration>) {
        let Some(status) = message.status() else {
            let answer = Message::response(message, 200, "c");
            if message.method() != "ACK" {
                self.send(&answer);
            }
            return;
        };
        let id = message.text("Call-ID").to_owned();
        let address = self.address;
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        match (message.method(), status) {
            ("INVITE", 100..200) => {
                // RFC 3261 §17.1.1.2: a provisional response ends the repeating.
                if call.answer.is_none() {
                    call.unanswered = None;
                }
                if status == 180 {
                    call.ringing.get_or_insert(came - call.dialled);
                }
            }
            ("INVITE", 200..300) => {
                let ack = in_dialog("ACK", 1, message, address).with("CSeq", "1 ACK");
                if call.answer.is_none() {
                    call.answer = Some(message.clone());
                    call.unanswered = None;
                    call.hang_up = hold.map(|hold| came + hold);
                }
                let hang_up = call.hang_up;
                self.send(&ack);
                if let Some(at) = hang_up {
                    self.at(at, &id);
                }
            }
            ("INVITE", _) => {
                (call.ended, call.unanswered) = (true, None);
                let refused = format!("{} to {}", message.start, call.number);
                let mut ack = Message::new(format!(
                    "ACK sip:{}@{} SIP/2.0",
                    self.line,
                    self.switch.ip()
                ));
                for name in ["Via", "From", "To", "Call-ID"] {
                    ack = ack.with(name, message.text(name));
                }
                self.send(&ack.with("CSeq", "1 ACK"));
                self.refused.push(refused);
            }
            ("BYE", 200..) => (call.ended, call.unanswered) = (true, None),
            _ => {}
        }
    }
}

/// A request within the dialog that `answer` made.
fn in_dialog(method: &str, number: u32, answer: &Message, address: SocketAddr) -> Message {
    debug_assert!(tag_of(answer.text("To")).is_some(), "a 200 has a tag");
    let id = answer.text("Call-ID");
    let branch = format!("z9hG4bK{}{number}{id}", method.to_ascii_lowercase());
    Message::request(method, uri_of(answer.text("Contact")), address, &branch)
        .with("From", answer.text("From"))
        .with("To", answer.text("To"))
        .with("Call-ID", id)
}
