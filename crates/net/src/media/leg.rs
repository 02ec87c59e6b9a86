//! One leg on a media thread: its sockets, its far end, its bridge and its counters.

use std::{io, os::fd::OwnedFd, time::Duration};

use media::{
    LegKey, LegStats, Remote,
    dtmf::DtmfReceiver,
    rtp::{HEADER_BYTES, Header, Reception},
    tone::{FRAME_SAMPLES, ToneGenerator},
};

use super::{
    source::{RtpSocket, Sent},
    stream::OutStream,
    tap::TapPlace,
};

/// Header and 20 ms of G.711.
const FRAME_BYTES: usize = HEADER_BYTES + FRAME_SAMPLES;

/// A leg, owned by exactly one media thread at a time.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) key: LegKey,
    pub(crate) socket: RtpSocket,
    /// Bound so that nobody else gets the port; what arrives is dropped and counted.
    pub(crate) rtcp: OwnedFd,
    pub(crate) remote: Option<Remote>,
    /// The other leg of the bridge, by its slot on this thread.
    pub(crate) peer: Option<u32>,
    /// The far end has put us on hold.
    pub(crate) held: bool,
    /// What the leg hears instead of its peer.
    pub(crate) tone: Option<ToneGenerator>,
    /// Its bucket on the wheel, while we make frames for it.
    pub(crate) bucket: Option<u8>,
    pub(crate) tap: Option<TapPlace>,
    pub(crate) dtmf: DtmfReceiver,
    /// A key is or was just down; the thread looks for a lost end until then.
    pub(crate) watch_keys_until: Option<Duration>,
    pub(crate) out: OutStream,
    reception: Reception,
    stats: LegStats,
    /// Since when nothing has come, or since when something should come.
    quiet_since: Duration,
    timed_out: bool,
}

impl Leg {
    pub(crate) fn new(key: LegKey, rtp: OwnedFd, rtcp: OwnedFd, now: Duration) -> Self {
        Self {
            key,
            socket: RtpSocket::new(rtp),
            rtcp,
            remote: None,
            peer: None,
            held: false,
            tone: None,
            bucket: None,
            tap: None,
            dtmf: DtmfReceiver::default(),
            watch_keys_until: None,
            out: OutStream::new(rand::random(), rand::random(), rand::random()),
            reception: Reception::default(),
            stats: LegStats::default(),
            quiet_since: now,
            timed_out: false,
        }
    }

    /// The far end is known, or known anew.
    pub(crate) fn expect(&mut self, remote: Remote, now: Duration) -> io::Result<()> {
        let was_sending = self.remote.as_ref().is_some_and(|remote| remote.sending);
        let changed = self.socket.expect(remote.rtp, &remote.source, now)?;
        if changed || (remote.sending && !was_sending) {
            self.restart_timeout(now);
        }
        self.remote = Some(remote);
        Ok(())
    }

    /// Notes an accepted packet.
    pub(crate) fn accept(&mut self, header: &Header, payload_bytes: usize, now: Duration) {
        self.reception.note(header.ssrc, header.sequence);
        self.stats.received += 1;
        self.stats.bytes_received += payload_bytes as u64;
        self.restart_timeout(now);
    }

    pub(crate) fn refuse_source(&mut self) {
        self.stats.refused_source += 1;
    }

    pub(crate) fn refuse_format(&mut self) {
        self.stats.refused_format += 1;
    }

    /// The RTP timeout counts from now.
    pub(crate) fn restart_timeout(&mut self, now: Duration) {
        self.quiet_since = now;
        self.timed_out = false;
    }

    /// Whether the leg has been silent for too long, told once.
    pub(crate) fn times_out(&mut self, now: Duration, timeout: Duration) -> bool {
        let expected = self.peer.is_some()
            && !self.held
            && self.remote.as_ref().is_some_and(|remote| remote.sending);
        if !expected || self.timed_out || now.saturating_sub(self.quiet_since) < timeout {
            return false;
        }
        self.timed_out = true;
        true
    }

    /// Sends a complete packet.
    pub(crate) fn send(&mut self, packet: &[u8]) {
        if self.socket.send(packet) == Sent::Yes {
            self.stats.sent += 1;
            self.stats.bytes_sent += (packet.len() - HEADER_BYTES) as u64;
        }
    }

    /// Sends the next 20 ms of the leg's tone, or of silence.
    pub(crate) fn send_own_frame(&mut self, now: Duration) {
        let Some(remote) = self.remote.as_ref().filter(|remote| remote.receiving) else {
            return;
        };
        let mut packet = [0; FRAME_BYTES];
        let Some((head, frame)) = packet.split_first_chunk_mut::<HEADER_BYTES>() else {
            return;
        };
        match (&mut self.tone, frame.first_chunk_mut::<FRAME_SAMPLES>()) {
            (Some(tone), Some(frame)) => tone.next_frame(remote.codec, frame),
            _ => frame.fill(remote.codec.silence()),
        }
        let header = self
            .out
            .own(now, remote.codec.payload_type(), FRAME_SAMPLES as u32);
        if header.write(head).is_ok() {
            self.send(&packet);
        }
    }

    /// What the leg did in its life.
    pub(crate) fn stats(&self) -> LegStats {
        LegStats {
            lost: self.reception.lost(),
            ..self.stats
        }
    }
}
