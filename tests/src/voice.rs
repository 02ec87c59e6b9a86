//! A stream of RTP in both directions from the side of a telephone: speaks a WAV file, keeps what it hears.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::audio::Law;

/// 20 ms at 8000 Hz.
const FRAME: usize = 160;
const TICK: Duration = Duration::from_millis(20);
/// Packets of a key that is held, and of its end.
const KEY_TICKS: u16 = 5;
const KEY_ENDS: u16 = 3;

/// One received packet.
#[derive(Clone, Debug)]
pub struct Packet {
    /// When it came.
    pub at: Instant,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in samples.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Payload type.
    pub payload_type: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// What a stream did in its life.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Everything that came, in order of arrival.
    pub packets: Vec<Packet>,
    /// When the first and the last packet of ours left.
    pub spoke: Option<(Instant, Instant)>,
    /// How many packets of ours left.
    pub sent: u64,
}

impl Heard {
    /// Samples of the voice packets by their timestamps; what is missing is silence.
    pub fn samples(&self) -> Vec<i16> {
        let mut samples = Vec::new();
        let mut base: Option<(u32, u32, usize)> = None;
        for packet in self
            .packets
            .iter()
            .filter(|packet| matches!(packet.payload_type, 0 | 8))
        {
            let law = if packet.payload_type == 8 {
                Law::A
            } else {
                Law::Mu
            };
            let (_, first, offset) = *match &base {
                Some(known) if known.0 == packet.ssrc => base.insert(*known),
                _ => base.insert((packet.ssrc, packet.timestamp, samples.len())),
            };
            let ahead = packet.timestamp.wrapping_sub(first);
            // More than ten minutes ahead is a straggler from before the first.
            if ahead > 4_800_000 {
                continue;
            }
            let start = offset + ahead as usize;
            if samples.len() < start + packet.payload.len() {
                samples.resize(start + packet.payload.len(), 0);
            }
            for (place, byte) in packet.payload.iter().enumerate() {
                samples[start + place] = law.decode(*byte);
            }
        }
        samples
    }
}

/// A running stream.
#[derive(Debug)]
pub struct Voice {
    /// Where it listens.
    pub local: SocketAddr,
    remote: Arc<Mutex<Option<SocketAddr>>>,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
    pressed: Arc<Mutex<Option<u8>>>,
    thread: Option<JoinHandle<Heard>>,
}

impl Voice {
    /// Listens at `local`; speaks the samples, over and over, as soon as it knows to whom.
    pub fn open(local: SocketAddr, law: Law, words: Vec<i16>) -> Self {
        let socket = UdpSocket::bind(local).unwrap_or_else(|error| panic!("{local}: {error}"));
        socket
            .set_nonblocking(true)
            .expect("a socket need not block");
        let remote = Arc::new(Mutex::new(None));
        let stop = Arc::new(AtomicBool::new(false));
        let (count, received) = (Arc::default(), Arc::default());
        let pressed = Arc::default();
        let stream = Stream {
            socket,
            law,
            words,
            remote: Arc::clone(&remote),
            stop: Arc::clone(&stop),
            count: Arc::clone(&count),
            received: Arc::clone(&received),
            pressed: Arc::clone(&pressed),
        };
        let thread = Some(std::thread::spawn(move || stream.run()));
        Self {
            local,
            remote,
            stop,
            count,
            received,
            pressed,
            thread,
        }
    }

    /// Waits until so many more packets have been sent and so many more received.
    pub fn wait_for(&self, sent: u64, received: u64) {
        let deadline = Instant::now() + crate::daemon::PATIENCE;
        let counts = || {
            (
                self.count.load(Ordering::Relaxed),
                self.received.load(Ordering::Relaxed),
            )
        };
        let before = counts();
        let enough = |now: (u64, u64)| now.0 >= before.0 + sent && now.1 >= before.1 + received;
        while !enough(counts()) {
            assert!(
                Instant::now() < deadline,
                "the stream stands still: {before:?}, {:?}",
                counts()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Speaks to this address from now on, or is silent.
    pub fn speak_to(&self, remote: Option<SocketAddr>) {
        *self.remote.lock().expect("nobody panics with the address") = remote;
    }

    /// Presses a digit for 100 ms (RFC 4733, payload type 101), and is silent meanwhile.
    pub fn press(&self, digit: u8) {
        *self.pressed.lock().expect("nobody panics with the key") = Some(digit);
    }

    /// Ends the stream.
    pub fn close(mut self) -> Heard {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .take()
            .expect("it runs")
            .join()
            .expect("a stream does not panic")
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Stream {
    socket: UdpSocket,
    law: Law,
    words: Vec<i16>,
    remote: Arc<Mutex<Option<SocketAddr>>>,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
    pressed: Arc<Mutex<Option<u8>>>,
}

impl Stream {
    fn run(self) -> Heard {
        let mut heard = Heard::default();
        let mut buffer = [0; 2_048];
        let port = self.socket.local_addr().map_or(1, |local| local.port());
        let ssrc = u32::from(port) << 8 | 0x5A;
        let frames: Vec<Vec<u8>> = self.frames();
        let (mut sequence, mut timestamp) = (1_000_u16, 40_000_u32);
        let mut next = Instant::now();
        let mut key: Option<(u8, u16)> = None;
        while !self.stop.load(Ordering::Relaxed) {
            while let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
                heard.packets.extend(read(&buffer[..length]));
                self.received.fetch_add(1, Ordering::Relaxed);
            }
            let now = Instant::now();
            if now < next {
                std::thread::sleep((next - now).min(Duration::from_millis(1)));
                continue;
            }
            next += TICK;
            let to = *self.remote.lock().expect("nobody panics with the address");
            let Some(to) = to.filter(|_| !frames.is_empty()) else {
                continue;
            };
            let pressed = self
                .pressed
                .lock()
                .expect("nobody panics with the key")
                .take();
            key = pressed.map(|digit| (digit, 0)).or(key);
            let payload = match &mut key {
                Some((digit, ticks)) => {
                    *ticks += 1;
                    event(*digit, *ticks)
                }
                None => frames[usize::try_from(heard.sent).unwrap_or(0) % frames.len()].clone(),
            };
            let kind = match key {
                Some(_) => 101,
                None => self.law.payload_type(),
            };
            // The packets of a key have the timestamp at which it was pressed.
            let held = key.map_or(0, |(_, ticks)| u32::from(ticks - 1) * FRAME as u32);
            let mut packet = vec![0x80, kind];
            packet.extend(sequence.to_be_bytes());
            packet.extend(timestamp.wrapping_sub(held).to_be_bytes());
            packet.extend(ssrc.to_be_bytes());
            packet.extend(payload);
            key = key.filter(|(_, ticks)| *ticks < KEY_TICKS + KEY_ENDS);
            // A refusal is counted by nobody: the other side may be gone.
            let _ = self.socket.send_to(&packet, to);
            let at = Instant::now();
            heard.spoke = Some((heard.spoke.map_or(at, |(first, _)| first), at));
            heard.sent += 1;
            self.count.store(heard.sent, Ordering::Relaxed);
            sequence = sequence.wrapping_add(1);
            timestamp = timestamp.wrapping_add(FRAME as u32);
        }
        heard
    }

    /// The words in frames of 20 ms, encoded once.
    fn frames(&self) -> Vec<Vec<u8>> {
        let codes: Vec<u8> = (i16::MIN..=i16::MAX)
            .step_by(16)
            .map(|sample| self.law.encode(sample))
            .collect();
        let code =
            |sample: &i16| codes[usize::try_from((i32::from(*sample) + 32_768) >> 4).unwrap_or(0)];
        self.words
            .chunks_exact(FRAME)
            .map(|frame| frame.iter().map(code).collect())
            .collect()
    }
}

/// The n-th packet of a key: event, end bit and volume, duration so far.
fn event(digit: u8, ticks: u16) -> Vec<u8> {
    let end = if ticks > KEY_TICKS { 0x80 } else { 0 };
    let duration = ticks.min(KEY_TICKS) * FRAME as u16;
    let mut payload = vec![digit, end | 10];
    payload.extend(duration.to_be_bytes());
    payload
}

fn read(bytes: &[u8]) -> Option<Packet> {
    let header = bytes.get(..12).filter(|header| header[0] >> 6 == 2)?;
    Some(Packet {
        at: Instant::now(),
        sequence: u16::from_be_bytes([header[2], header[3]]),
        timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        payload_type: header[1] & 0x7F,
        payload: bytes[12 + usize::from(header[0] & 15) * 4..].to_vec(),
    })
}
