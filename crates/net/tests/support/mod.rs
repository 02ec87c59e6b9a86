//! A plane on real loopback sockets, and phones that are nothing but sockets and a clock.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses another part of it"
)]

pub mod exchange;
pub mod wav;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use media::{
    Codec, Command, ConversationKey, Event, LegKey, LegStats, RecordingSummary, Remote, SourceRule,
    dtmf::EventPayload,
    g711,
    rtp::{HEADER_BYTES, Header, Packet},
};
use net::media::{MediaEvents, MediaPlane, MediaSettings};
use tempfile::TempDir;

pub const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Nothing on a loopback takes so long unless it is broken.
pub const DEADLINE: Duration = Duration::from_secs(10);
pub const FRAME: Duration = Duration::from_millis(20);
pub const KEYS: u8 = 101;

pub struct TestPlane {
    pub plane: MediaPlane,
    pub events: MediaEvents,
    pub folder: TempDir,
    pub passed: Vec<Event>,
    next_leg: u64,
    /// Media tests run one after another, whatever the test runner does.
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

/// Waits until no other test of this binary moves media.
pub fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TestPlane {
    pub fn start(threads: usize) -> Self {
        Self::start_with(threads, |_| {})
    }

    pub fn start_with(threads: usize, adjust: impl FnOnce(&mut MediaSettings)) -> Self {
        let turn = turn();
        let folder = tempfile::tempdir().unwrap();
        let mut settings = MediaSettings::new(folder.path().to_owned());
        settings.threads = threads;
        adjust(&mut settings);
        let (plane, events) = MediaPlane::start(settings).unwrap();
        Self {
            plane,
            events,
            folder,
            passed: Vec::new(),
            next_leg: 1,
            _turn: turn,
        }
    }

    pub fn order(&mut self, command: Command) {
        self.plane.send(command);
    }

    /// The next event that `wanted` picks; others are kept in `passed`.
    pub fn wait<T>(&mut self, what: &str, wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let found = self.wait_within(DEADLINE, wanted);
        found.unwrap_or_else(|| panic!("no {what}; passed: {:?}", self.passed))
    }

    /// The same, or `None` after `patience`.
    pub fn wait_within<T>(
        &mut self,
        patience: Duration,
        mut wanted: impl FnMut(&Event) -> Option<T>,
    ) -> Option<T> {
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let event = self.events.wait(left)?;
            if let Some(found) = wanted(&event) {
                return Some(found);
            }
            self.passed.push(event);
        }
    }

    /// Opens a leg on free ports.
    pub fn open(&mut self) -> (LegKey, SocketAddr) {
        let leg = LegKey(self.next_leg);
        self.next_leg += 1;
        let port = free_port_pair();
        self.order(Command::Open {
            leg,
            local_ip: LOCALHOST,
            port,
        });
        self.wait("Opened", |event| {
            (*event == Event::Opened { leg }).then_some(())
        });
        (leg, SocketAddr::new(LOCALHOST, port))
    }

    /// A leg towards a phone on this machine.
    pub fn open_to(&mut self, phone: &mut Phone) -> LegKey {
        let (leg, address) = self.open();
        phone.plane = Some(address);
        let remote = phone.remote();
        self.order(Command::SetRemote { leg, remote });
        leg
    }

    pub fn start_recording(
        &mut self,
        conversation: u64,
        client: LegKey,
        agent: LegKey,
        law: Codec,
    ) -> PathBuf {
        let conversation = ConversationKey(conversation);
        let file = format!("2026/05/01/{}.wav", conversation.0);
        self.order(Command::StartRecording {
            conversation,
            client,
            agent: Some(agent),
            file: file.clone(),
            law,
        });
        self.wait("RecordingStarted", |event| {
            (*event == Event::RecordingStarted { conversation }).then_some(())
        });
        self.folder.path().join(file)
    }

    pub fn wait_recorded(&mut self, conversation: u64) -> RecordingSummary {
        let key = ConversationKey(conversation);
        self.wait("RecordingClosed", |event| match event {
            Event::RecordingClosed {
                conversation,
                summary,
            } if *conversation == key => Some(summary.clone()),
            _ => None,
        })
    }

    pub fn stop_recording(&mut self, conversation: u64) -> RecordingSummary {
        self.order(Command::StopRecording {
            conversation: ConversationKey(conversation),
        });
        self.wait_recorded(conversation)
    }

    pub fn join(&mut self, a: LegKey, b: LegKey) {
        self.order(Command::Join {
            a,
            b,
            conversation: ConversationKey(1),
        });
    }

    pub fn close(&mut self, leg: LegKey) -> LegStats {
        self.order(Command::Close { leg });
        self.wait("Closed", |event| match event {
            Event::Closed { leg: closed, stats } if *closed == leg => Some(*stats),
            _ => None,
        })
    }

    /// Events that are there already.
    pub fn drain(&mut self) -> &[Event] {
        while let Some(event) = self.events.pop() {
            self.passed.push(event);
        }
        &self.passed
    }
}

/// An even port whose odd neighbour is free too.
pub fn free_port_pair() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test binaries run one after another, but other programs have ports too.
    let base = 34_000 + u16::try_from(std::process::id() % 400).unwrap() * 50;
    for _ in 0..2000 {
        let port = base + NEXT.fetch_add(2, Ordering::Relaxed) % 10_000;
        let both = UdpSocket::bind((LOCALHOST, port)).and_then(|rtp| {
            let rtcp = UdpSocket::bind((LOCALHOST, port + 1))?;
            Ok((rtp, rtcp))
        });
        if both.is_ok() {
            return port;
        }
    }
    panic!("no free pair of ports");
}

/// What a phone heard.
#[derive(Clone, Debug)]
pub struct Heard {
    pub header: Header,
    pub payload: Vec<u8>,
    pub at: Instant,
    pub from: SocketAddr,
}

/// A telephone: one socket, one stream.
pub struct Phone {
    pub socket: UdpSocket,
    /// Where it sends.
    pub plane: Option<SocketAddr>,
    pub codec: Codec,
    pub keys: Option<u8>,
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
}

impl Phone {
    pub fn new(codec: Codec, ssrc: u32) -> Self {
        Self::at(LOCALHOST, codec, ssrc)
    }

    pub fn at(ip: IpAddr, codec: Codec, ssrc: u32) -> Self {
        Self {
            socket: UdpSocket::bind((ip, 0)).unwrap(),
            plane: None,
            codec,
            keys: Some(KEYS),
            ssrc,
            sequence: 65_500,
            timestamp: u32::MAX - 1000,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// What its SDP says, with the rule for peers of the local network.
    pub fn remote(&self) -> Remote {
        Remote {
            rtp: self.address(),
            codec: self.codec,
            dtmf_payload_type: self.keys,
            source: SourceRule::Sdp,
            sending: true,
            receiving: true,
        }
    }

    pub fn packet(&self, payload_type: u8, marker: bool, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        Header {
            payload_type,
            marker,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        }
        .write(&mut bytes)
        .unwrap();
        bytes.extend_from_slice(payload);
        bytes
    }

    fn emit(&mut self, bytes: &[u8]) {
        // An ICMP error of an earlier packet must not count as this one's.
        for _ in 0..3 {
            if self.socket.send_to(bytes, self.plane.unwrap()).is_ok() {
                break;
            }
        }
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Sends 20 ms of voice.
    pub fn speak(&mut self, payload: &[u8]) {
        let packet = self.packet(self.codec.payload_type(), false, payload);
        self.emit(&packet);
        self.timestamp = self.timestamp.wrapping_add(payload.len() as u32);
    }

    /// Presses a key for 80 ms (RFC 4733): two updates and three ends.
    pub fn press(&mut self, digit: char) {
        for (duration, end) in [
            (160, false),
            (320, false),
            (640, true),
            (640, true),
            (640, true),
        ] {
            let payload = EventPayload::for_digit(digit, end, duration)
                .unwrap()
                .bytes();
            let packet = self.packet(self.keys.unwrap(), duration == 160, &payload);
            self.emit(&packet);
        }
        self.timestamp = self.timestamp.wrapping_add(640);
    }

    /// The next packet, or `None` after `patience`.
    pub fn hear_within(&self, patience: Duration) -> Option<Heard> {
        let end = Instant::now() + patience;
        let mut buffer = [0; 2048];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            self.socket
                .set_read_timeout(Some(left.max(Duration::from_micros(1))))
                .unwrap();
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    let packet = Packet::parse(&buffer[..length]).unwrap();
                    return Some(Heard {
                        header: packet.header,
                        payload: packet.payload.to_vec(),
                        at: Instant::now(),
                        from,
                    });
                }
                Err(_) if left.is_zero() => return None,
                Err(_) => {}
            }
        }
    }

    pub fn hear(&self) -> Heard {
        self.hear_within(DEADLINE).expect("nothing is heard")
    }

    /// Everything that is there already.
    pub fn heard_so_far(&self) -> Vec<Heard> {
        std::iter::from_fn(|| self.hear_within(Duration::ZERO)).collect()
    }
}

/// Two bridged phones that have heard each other once.
pub fn bridged(plane: &mut TestPlane, a: &mut Phone, b: &mut Phone) -> (LegKey, LegKey) {
    let leg_a = plane.open_to(a);
    let leg_b = plane.open_to(b);
    plane.join(leg_a, leg_b);
    meet(plane, a, leg_a);
    meet(plane, b, leg_b);
    settle(a, b);
    settle(b, a);
    (leg_a, leg_b)
}

/// Speaks until the plane has confirmed the phone: what comes before the plane knows the phone's
/// address is dropped.
pub fn meet(plane: &mut TestPlane, phone: &mut Phone, leg: LegKey) {
    let end = Instant::now() + DEADLINE;
    let source = loop {
        phone.speak(&[phone.codec.silence(); 160]);
        let confirmed = plane.wait_within(FRAME, |event| confirmation(event, leg));
        if let Some(source) = confirmed {
            break source;
        }
        assert!(Instant::now() < end, "the phone is not confirmed");
    };
    assert_eq!(source, phone.address());
}

fn confirmation(event: &Event, leg: LegKey) -> Option<SocketAddr> {
    match event {
        Event::Confirmed {
            leg: confirmed,
            source,
        } if *confirmed == leg => Some(*source),
        _ => None,
    }
}

/// Speaks until the other hears it, and until nothing of that is under way any more.
pub fn settle(from: &mut Phone, to: &Phone) {
    let end = Instant::now() + DEADLINE;
    let heard =
        |packet: &Heard| packet.payload.len() == 160 && packet.payload[0] != to.codec.silence();
    loop {
        from.speak(&[0x11; 160]);
        if to.hear_within(FRAME).is_some_and(|packet| heard(&packet)) {
            break;
        }
        assert!(Instant::now() < end, "the bridge carries nothing");
    }
    // One that arrives is behind all that were spoken before; an unreachable moment may cost some.
    for mark in 0x20..0x50 {
        let mut last = [mark; 160];
        from.speak(&last);
        g711::convert(from.codec, to.codec, &mut last);
        while let Some(packet) = to.hear_within(FRAME * 5) {
            if packet.payload == last {
                return;
            }
        }
    }
    panic!("the bridge carries nothing more");
}

/// Beats every 20 ms on the generator's own clock.
pub struct Beat {
    next: Instant,
}

impl Beat {
    pub fn start() -> Self {
        Self {
            next: Instant::now(),
        }
    }

    /// Waits for the next beat.
    pub fn wait(&mut self) {
        self.next += FRAME;
        std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
    }
}
