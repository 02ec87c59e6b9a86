//! A datagram on its way through a media thread: source, format, counters, tap, peer.

use std::time::Duration;

use media::{
    Event, g711,
    rtp::{Header, Packet},
};

use super::{leg::Leg, source::Received, thread::RtpThread};

/// Datagrams read at one readiness while the source is checked one by one.
const MOST_CHECKED_AT_ONCE: usize = 64;
/// A key's end is looked for so long after its last packet.
const KEY_WATCH: Duration = Duration::from_millis(300);

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Voice,
    Key,
}

/// A packet in the thread's buffer.
#[derive(Clone, Copy, Debug)]
struct Arrived {
    header: Header,
    content: Content,
    payload_at: usize,
    payload_bytes: usize,
}

impl RtpThread {
    /// An RTP socket is readable.
    ///
    /// A settled socket gives one packet per readiness: a second system call, only to hear that nothing more
    /// is there, would be wasted nearly always, and epoll (level-triggered) reports again what is left.
    pub(super) fn receive(&mut self, slot: u32) {
        let Some(mut leg) = self.legs.take(slot) else {
            return;
        };
        let most = if leg.socket.is_settled() {
            1
        } else {
            MOST_CHECKED_AT_ONCE
        };
        for _ in 0..most {
            match leg.socket.receive(&mut self.buffer[..], self.now) {
                Received::Confirmed(length) => self.accept(&mut leg, slot, length),
                Received::Candidate(length, source) => {
                    self.try_candidate(&mut leg, slot, length, source);
                }
                Received::Refused => leg.refuse_source(),
                Received::Unreachable => {}
                Received::Empty => break,
            }
        }
        self.legs.restore(slot, leg);
    }

    /// RTCP is not evaluated: it is read so that the counter shows that it comes.
    pub(super) fn drop_rtcp(&mut self, slot: u32) {
        if let Some(leg) = self.legs.at(slot) {
            let flags = rustix::net::RecvFlags::DONTWAIT;
            if rustix::net::recv(&leg.rtcp, &mut self.buffer[..], flags).is_ok() {
                self.counted.rtcp += 1;
            }
        }
    }

    fn try_candidate(
        &mut self,
        leg: &mut Leg,
        slot: u32,
        length: usize,
        source: std::net::SocketAddr,
    ) {
        // Only media confirms: a stray datagram from the right host does not bind the leg to its port.
        if self.read(leg, length).is_none() {
            self.refuse(leg, length);
            return;
        }
        if leg.socket.confirm(source, self.now).is_err() {
            leg.refuse_source();
            return;
        }
        self.events.send(Event::Confirmed {
            leg: leg.key,
            source,
        });
        self.accept(leg, slot, length);
    }

    fn accept(&mut self, leg: &mut Leg, slot: u32, length: usize) {
        let Some(arrived) = self.read(leg, length) else {
            self.refuse(leg, length);
            return;
        };
        self.counted.packets += 1;
        leg.accept(&arrived.header, arrived.payload_bytes, self.now);
        match arrived.content {
            Content::Voice => {
                self.tap(leg, arrived);
                self.listen_for_keys(leg, slot, arrived);
            }
            Content::Key => self.note_key(leg, slot, arrived),
        }
        if leg.room.is_some() {
            self.confer_voice(leg, arrived);
        } else if leg.echoes() {
            let at = (arrived.payload_at, arrived.payload_bytes);
            leg.send_back(
                self.now,
                &arrived.header,
                (&mut self.buffer[..], at.0, at.1),
            );
        } else {
            self.forward(leg, arrived);
        }
    }

    /// Keeps the voice for the next beat of the conference. Keys are for us only; what a held leg sends is its music.
    fn confer_voice(&self, leg: &mut Leg, arrived: Arrived) {
        let (Some(playout), Some(remote)) = (&mut leg.playout, &leg.remote) else {
            return;
        };
        if arrived.content == Content::Voice && !leg.held {
            let end = arrived.payload_at + arrived.payload_bytes;
            let payload = &self.buffer[arrived.payload_at..end];
            playout.put(&arrived.header, remote.codec, payload);
        }
    }

    fn refuse(&mut self, leg: &mut Leg, length: usize) {
        if is_rtcp(&self.buffer[..length]) {
            self.counted.rtcp += 1;
        } else {
            leg.refuse_format();
        }
    }

    fn read(&self, leg: &Leg, length: usize) -> Option<Arrived> {
        let remote = leg.remote.as_ref()?;
        let packet = Packet::parse(self.buffer.get(..length)?).ok()?;
        let payload_type = packet.header.payload_type;
        let content = if payload_type == remote.codec.payload_type() {
            Content::Voice
        } else if Some(payload_type) == remote.dtmf_payload_type {
            Content::Key
        } else {
            return None;
        };
        Some(Arrived {
            header: packet.header,
            content,
            payload_at: packet.payload_at,
            payload_bytes: packet.payload.len(),
        })
    }

    fn note_key(&mut self, leg: &mut Leg, slot: u32, arrived: Arrived) {
        let payload = &self.buffer[arrived.payload_at..arrived.payload_at + arrived.payload_bytes];
        for press in leg.dtmf.receive(self.now, &arrived.header, payload) {
            self.events.send(Event::Dtmf {
                leg: leg.key,
                digit: press.digit,
                duration_ms: press.duration_ms,
            });
        }
        self.watch_keys(leg, slot);
    }

    fn listen_for_keys(&mut self, leg: &mut Leg, slot: u32, arrived: Arrived) {
        let payload = &self.buffer[arrived.payload_at..arrived.payload_at + arrived.payload_bytes];
        let (key, events) = (leg.key, &mut self.events);
        leg.listen_for_keys(self.now, payload, |press| {
            events.send(Event::Dtmf {
                leg: key,
                digit: press.digit,
                duration_ms: press.duration_ms,
            });
        });
        if leg.is_pressed_in_band() {
            self.watch_keys(leg, slot);
        }
    }

    fn watch_keys(&mut self, leg: &mut Leg, slot: u32) {
        if leg.watch_keys_until.is_none() {
            self.pressed.push(slot);
        }
        leg.watch_keys_until = Some(self.now + KEY_WATCH);
    }

    /// What a held leg sends is its own music, not part of the conversation.
    fn tap(&mut self, leg: &Leg, arrived: Arrived) {
        let (Some(place), Some(remote)) = (leg.tap, &leg.remote) else {
            return;
        };
        if leg.held {
            return;
        }
        let payload = &self.buffer[arrived.payload_at..arrived.payload_at + arrived.payload_bytes];
        self.taps
            .write(place, self.now, &arrived.header, remote.codec, payload);
    }

    /// Hands a packet to the other leg of the bridge. The header is rewritten in place.
    fn forward(&mut self, leg: &Leg, arrived: Arrived) {
        let Some(peer) = leg.peer.and_then(|slot| self.legs.at(slot)) else {
            return;
        };
        let (Some(from), Some(to)) = (&leg.remote, &peer.remote) else {
            return;
        };
        let payload_type = match arrived.content {
            Content::Voice => Some(to.codec.payload_type()),
            Content::Key => to.dtmf_payload_type,
        };
        let hears_peer = to.receiving && peer.bucket.is_none() && !peer.held;
        let Some(payload_type) = payload_type.filter(|_| hears_peer) else {
            peer.out.leave_out(&arrived.header);
            return;
        };
        let payload_end = arrived.payload_at + arrived.payload_bytes;
        if arrived.content == Content::Voice {
            if let Some(table) = g711::conversion(from.codec, to.codec) {
                for code in &mut self.buffer[arrived.payload_at..payload_end] {
                    *code = table[usize::from(*code)];
                }
            }
        }
        let header = peer.out.forward(self.now, &arrived.header, payload_type);
        if let Ok(packet) = header.write_before(
            &mut self.buffer[..],
            arrived.payload_at,
            arrived.payload_bytes,
        ) {
            peer.send(packet);
        }
    }
}

/// RTCP multiplexed on the RTP port: packet types 192–223 where RTP has marker and payload type (RFC 5761 §4).
fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.len() >= 8
        && datagram[0] >> 6 == 2
        && datagram
            .get(1)
            .is_some_and(|packet_type| (192..=223).contains(packet_type))
}
