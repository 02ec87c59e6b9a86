//! Sound for hundreds of calls: one thread sends 20 ms of G.711 to every leg in batches, one more counts what comes.
//!
//! It looks at its sockets every few milliseconds instead of sleeping in them: the kernel would charge waking it for
//! every packet to whoever sends, and a telephone at the other end of a wire costs the side under measurement nothing.
//!
//! All callers hear at one socket and all agents at another; the side under measurement tells the legs apart by its
//! own ports, as it does with any far end.

use std::{
    io::IoSlice,
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recv, sendmmsg, setsockopt, sockopt};

/// Bytes of an RTP header (RFC 3550 §5.1) and of 20 ms of G.711.
const HEADER: usize = 12;
const PAYLOAD: usize = 160;
/// Sending is spread over the packet time as it is with independent telephones.
const SLICES: u32 = 10;
const SLICE: Duration = Duration::from_millis(20 / SLICES as u64);
/// Messages per system call.
const BATCH: usize = 64;
const RECEIVE_BUFFER: usize = 8 << 20;
/// How often the counting thread looks.
const LOOK: Duration = Duration::from_millis(5);

/// Gives a socket a receive buffer that survives a few missed time slices; without privileges what the system allows.
pub fn deepen(socket: &UdpSocket) {
    if setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        // The system's limit then holds, and losses are counted as such.
        let _ = setsockopt(socket, sockopt::RcvBuf, &RECEIVE_BUFFER);
    }
}

/// One direction of one call.
#[derive(Debug)]
struct Leg {
    to: SockaddrIn,
    packet: [u8; HEADER + PAYLOAD],
    /// Which of the two sockets sends.
    side: usize,
}

/// The far ends of all calls.
#[derive(Debug)]
pub struct Sound {
    sockets: [UdpSocket; 2],
    received: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// What was sent and what came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    /// Packets sent to all legs.
    pub sent: u64,
    /// Packets that came to the far ends.
    pub received: u64,
    /// The longest that the sender was behind its clock: above 20 ms the machine was too busy.
    pub late: Duration,
}

impl Sound {
    /// Opens the two far ends.
    pub fn open(addresses: [SocketAddr; 2]) -> Self {
        let sockets = addresses.map(|address| {
            let socket =
                UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
            deepen(&socket);
            socket
        });
        let (received, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let thread = {
            let sockets = sockets
                .each_ref()
                .map(|socket| socket.try_clone().expect("a socket can be shared"));
            let (received, stop) = (Arc::clone(&received), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let count: u64 = sockets.iter().map(drain).sum();
                    received.fetch_add(count, Ordering::Relaxed);
                    std::thread::sleep(LOOK);
                }
            })
        };
        Self {
            sockets,
            received,
            stop,
            thread,
        }
    }

    /// Talks for `length` from the first far end to `callers` and from the second to `agents`.
    pub fn talk(&self, [callers, agents]: [&[SocketAddr]; 2], length: Duration) -> Heard {
        let (mut legs, before) = (legs(callers, agents), self.received.load(Ordering::Relaxed));
        let mut heard = Heard::default();
        let begun = Instant::now();
        let slices = u32::try_from(length.as_millis() / SLICE.as_millis()).unwrap_or(u32::MAX);
        for slice in 0..slices {
            let at = begun + SLICE * slice;
            let now = Instant::now();
            heard.late = heard.late.max(now.saturating_duration_since(at));
            std::thread::sleep(at.saturating_duration_since(now));
            let part = slice % SLICES;
            let packet = slice / SLICES;
            for side in 0..2 {
                heard.sent += self.send(&mut legs, side, part, packet);
            }
        }
        // What is still in a queue of the side under measurement.
        std::thread::sleep(Duration::from_millis(100));
        heard.received = self.received.load(Ordering::Relaxed) - before;
        heard
    }

    fn send(&self, legs: &mut [Leg], side: usize, part: u32, packet: u32) -> u64 {
        let mine = |(place, leg): &(usize, &mut Leg)| {
            leg.side == side && u32::try_from(place / 2).unwrap_or(0) % SLICES == part
        };
        let mut due: Vec<&mut Leg> = legs
            .iter_mut()
            .enumerate()
            .filter(mine)
            .map(|(_, leg)| leg)
            .collect();
        for leg in &mut due {
            let number = packet.to_be_bytes();
            leg.packet[1] = if packet == 0 { 0x88 } else { 8 };
            leg.packet[2..4].copy_from_slice(&number[2..]);
            leg.packet[4..8].copy_from_slice(&(packet * 160).to_be_bytes());
        }
        let mut sent = 0;
        for batch in due.chunks(BATCH) {
            let slices: Vec<[IoSlice<'_>; 1]> = batch
                .iter()
                .map(|leg| [IoSlice::new(&leg.packet)])
                .collect();
            let addresses: Vec<Option<SockaddrIn>> = batch.iter().map(|leg| Some(leg.to)).collect();
            let mut headers = MultiHeaders::<SockaddrIn>::preallocate(batch.len(), None);
            let result = sendmmsg(
                self.sockets[side].as_raw_fd(),
                &mut headers,
                &slices,
                &addresses,
                [],
                MsgFlags::empty(),
            );
            // What cannot be sent is missing among what is received.
            sent += result.map_or(0, |results| results.count() as u64);
        }
        sent
    }

    /// Ends the counting thread.
    pub fn close(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the counting thread ends well");
    }
}

/// Takes what has come; how many packets of sound.
fn drain(socket: &UdpSocket) -> u64 {
    let mut buffer = [0; 2_048];
    let mut count = 0;
    while let Ok(length) = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
        count += u64::from(length > HEADER);
    }
    count
}

fn legs(callers: &[SocketAddr], agents: &[SocketAddr]) -> Vec<Leg> {
    let sides = [callers, agents];
    let mut legs = Vec::new();
    for place in 0..callers.len().max(agents.len()) {
        for (side, addresses) in sides.iter().enumerate() {
            let Some(SocketAddr::V4(to)) = addresses.get(place) else {
                continue;
            };
            let mut packet = [0; HEADER + PAYLOAD];
            packet[0] = 0x80;
            let ssrc = u32::try_from(place * 2 + side + 1).unwrap_or(1);
            packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
            for (sample, byte) in packet[HEADER..].iter_mut().enumerate() {
                // A-law of something loud and uneven; its sound does not matter, only that it is not silence.
                *byte = u8::try_from((sample * 37 + place) % 256).unwrap_or(0xD5);
            }
            legs.push(Leg {
                to: SockaddrIn::from(*to),
                packet,
                side,
            });
        }
    }
    legs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_received_and_counted() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let sound = Sound::open([any, any]);
        let [one, other] = [0, 1].map(|side: usize| sound.sockets[side].local_addr().unwrap());
        let heard = sound.talk([&[other; 3], &[one; 3]], Duration::from_millis(200));
        sound.close();
        assert_eq!(heard.sent, 2 * 3 * 10);
        assert_eq!(heard.received, heard.sent);
    }
}
