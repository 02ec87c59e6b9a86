//! A transaction layer, its clock, and what came out of it.

use std::time::Duration;

use sip::transaction::{
    ClientKey, Counters, Event, Limits, Output, Path, ServerKey, TimerTable, Transactions,
    Transport,
};
use sip::{Message, Method, Request, Response, Uri};

/// What was sent: when, to where, and what.
pub(crate) struct Sent {
    pub(crate) at: Duration,
    pub(crate) path: Path,
    pub(crate) message: Message,
}

pub(crate) struct Stage {
    pub(crate) layer: Transactions,
    pub(crate) now: Duration,
    pub(crate) sent: Vec<Sent>,
    pub(crate) events: Vec<Event>,
}

pub(crate) fn path() -> Path {
    Path::udp(
        "192.0.2.1:5060".parse().unwrap(),
        "198.51.100.7:40000".parse().unwrap(),
    )
}

pub(crate) fn tcp() -> Path {
    Path {
        transport: Transport::Tcp,
        flow: 3,
        ..path()
    }
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        let layer = Transactions::new(TimerTable::default(), [1; 32], limits);
        Self {
            layer,
            now: ms(1_000),
            sent: Vec::new(),
            events: Vec::new(),
        }
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.layer.poll() {
            match output {
                Output::Send { path, bytes } => {
                    let message = Message::parse(&bytes).expect("what we send can be read");
                    self.sent.push(Sent {
                        at: self.now,
                        path,
                        message,
                    });
                }
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    /// Lets this much time pass, each timer at its own moment.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.layer.next_timer().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.layer.handle_timers(self.now);
            self.drain();
        }
        self.now = end;
    }

    pub(crate) fn receive(&mut self, message: impl Into<Message>) {
        self.receive_by(path(), message);
    }

    pub(crate) fn receive_by(&mut self, path: Path, message: impl Into<Message>) {
        self.layer.receive(self.now, path, message.into());
        self.drain();
    }

    pub(crate) fn request(&mut self, request: Request) -> ClientKey {
        let key = self.layer.request(self.now, path(), request);
        self.drain();
        key
    }

    pub(crate) fn cancel(&mut self, key: ClientKey) {
        self.layer.cancel(self.now, key);
        self.drain();
    }

    pub(crate) fn respond(&mut self, key: ServerKey, response: Response) {
        self.layer.respond(self.now, key, response);
        self.drain();
    }

    /// The events since the last look.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The one event since the last look.
    pub(crate) fn event(&mut self) -> Event {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// What was sent since the last look, by method or status.
    pub(crate) fn sent(&mut self) -> Vec<String> {
        std::mem::take(&mut self.sent)
            .iter()
            .map(|sent| name(&sent.message))
            .collect()
    }

    /// Milliseconds from the start of the look to each sending.
    pub(crate) fn sent_times(&mut self, from: Duration) -> Vec<u64> {
        std::mem::take(&mut self.sent)
            .iter()
            .map(|sent| (sent.at - from).as_millis() as u64)
            .collect()
    }

    /// The one message sent since the last look.
    pub(crate) fn sent_one(&mut self) -> Message {
        assert_eq!(
            self.sent.len(),
            1,
            "{:?}",
            self.sent
                .iter()
                .map(|sent| name(&sent.message))
                .collect::<Vec<_>>()
        );
        self.sent.remove(0).message
    }

    /// The last request that was sent.
    pub(crate) fn last_request(&self) -> Request {
        let requests = self
            .sent
            .iter()
            .rev()
            .filter_map(|sent| match &sent.message {
                Message::Request(request) => Some(request.clone()),
                Message::Response(_) => None,
            });
        requests.into_iter().next().expect("a request was sent")
    }

    /// Receives a new request and returns its transaction and the request as reported.
    pub(crate) fn begin(&mut self, message: impl Into<Message>) -> (ServerKey, Request) {
        self.receive(message);
        match self.event() {
            Event::Request {
                server, request, ..
            } => (server, request),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        self.layer.counters()
    }

    /// Lets every timer run out and checks that nothing is left.
    pub(crate) fn must_end(&mut self) {
        self.pass(Duration::from_secs(600));
        assert!(
            self.layer.is_idle(),
            "{} transactions are left",
            self.layer.len()
        );
        assert_eq!(self.layer.next_timer(), None);
    }
}

pub(crate) fn name(message: &Message) -> String {
    match message {
        Message::Request(request) => request.method.to_string(),
        Message::Response(response) => response.status.to_string(),
    }
}

/// A request as a peer sends it, with this Via line and To tag.
pub(crate) fn incoming_with(method: &Method, via: &str, to_tag: Option<&str>) -> Request {
    let tag = to_tag.map(|tag| format!(";tag={tag}")).unwrap_or_default();
    // An ACK and a CANCEL have the number of their INVITE.
    let number = if matches!(method, Method::Invite | Method::Ack | Method::Cancel) {
        1
    } else {
        2
    };
    let text = format!(
        "{method} sip:100@192.0.2.1 SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: <sip:200@example.org>;tag=them\r\n\
         To: <sip:100@example.org>{tag}\r\nCall-ID: call-1\r\nCSeq: {number} {method}\r\nContact: <sip:200@10.0.0.5>\r\nContent-Length: 0\r\n\r\n"
    );
    match Message::parse(text.as_bytes()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// A request as a phone behind a NAT sends it.
pub(crate) fn incoming(method: &Method, branch: &str, to_tag: Option<&str>) -> Request {
    incoming_with(
        method,
        &format!("SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bK{branch};rport"),
        to_tag,
    )
}

/// A request of ours, as the user of the layer gives it.
pub(crate) fn outgoing(method: &Method) -> Request {
    let mut request = Request::new(method.clone(), Uri::parse("sip:200@198.51.100.7").unwrap());
    let number = if *method == Method::Invite { 1 } else { 2 };
    for (name, value) in [
        ("Max-Forwards", "70"),
        ("From", "<sip:100@example.org>;tag=us"),
        ("To", "<sip:200@example.org>"),
        ("Call-ID", "call-2"),
        ("CSeq", &format!("{number} {method}")),
        ("Route", "<sip:proxy.example.org;lr>"),
    ] {
        request.headers.push(sip::Name::parse(name), value);
    }
    request
}

/// An answer to a request that we sent.
pub(crate) fn answer(request: &Request, status: u16, to_tag: &str) -> Response {
    let mut response = request.reply(status);
    if !to_tag.is_empty() {
        response.set_to_tag(to_tag);
    }
    response
}

/// The ACK that the user of the layer gives for a 2xx with that To tag.
pub(crate) fn ack(to_tag: &str) -> Request {
    let mut ack = outgoing(&Method::Ack);
    ack.headers.set(
        sip::Name::To,
        &format!("<sip:200@example.org>;tag={to_tag}"),
    );
    ack.headers.set(sip::Name::CSeq, "1 ACK");
    ack
}
