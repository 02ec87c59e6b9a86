//! One leg on a media thread: its sockets, its far end, its bridge and its counters.

use std::{io, os::fd::OwnedFd, time::Duration};

use media::{
    Codec, LegKey, LegStats, Remote,
    dtmf::{DtmfReceiver, Press},
    in_band::InBandReceiver,
    mixing::{self, Frame, Playout},
    rtp::{HEADER_BYTES, Header, Reception},
    sound::{MusicPlayer, Sound, SoundPlayer},
    tone::{FRAME_SAMPLES, ToneGenerator},
};

use super::{
    source::{RtpSocket, Sent},
    stream::OutStream,
    tap::TapPlace,
};

/// Header and 20 ms of G.711.
const FRAME_BYTES: usize = HEADER_BYTES + FRAME_SAMPLES;

/// What a leg hears from us instead of its peer.
#[derive(Debug)]
pub(crate) enum Program {
    Tone(ToneGenerator),
    Sounds(SoundPlayer),
}

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
    /// The conference it is in, by its number on this thread, and its voice there.
    pub(crate) room: Option<u32>,
    pub(crate) playout: Option<Playout>,
    /// The far end has put us on hold.
    pub(crate) held: bool,
    /// It hears itself.
    echoes: bool,
    program: Option<Program>,
    music: MusicPlayer,
    /// Its bucket on the wheel, while we make frames for it.
    pub(crate) bucket: Option<u8>,
    pub(crate) tap: Option<TapPlace>,
    pub(crate) dtmf: DtmfReceiver,
    in_band: InBandReceiver,
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
    pub(crate) fn new(
        key: LegKey,
        rtp: OwnedFd,
        rtcp: OwnedFd,
        music: Sound,
        now: Duration,
    ) -> Self {
        Self {
            key,
            socket: RtpSocket::new(rtp),
            rtcp,
            remote: None,
            peer: None,
            room: None,
            playout: None,
            held: false,
            echoes: false,
            program: None,
            music: MusicPlayer::new(music),
            bucket: None,
            tap: None,
            dtmf: DtmfReceiver::default(),
            in_band: InBandReceiver::default(),
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

    /// Another program, or none: the one before ends without a report. Sounds are listened to by somebody who should
    /// be heard too, so they begin to be watched; announcements on and on do not put the timeout off.
    pub(crate) fn hear(&mut self, program: Option<Program>, now: Duration) {
        let was_watched = self.is_watched();
        if !matches!(program, Some(Program::Sounds(_))) {
            self.music.pause();
            self.in_band = InBandReceiver::default();
        }
        self.program = program;
        self.echoes = false;
        if self.is_watched() && !was_watched {
            self.restart_timeout(now);
        }
    }

    /// It hears itself from now on, and nothing else.
    pub(crate) fn begin_echo(&mut self, now: Duration) {
        self.hear(None, now);
        self.echoes = true;
        self.out.change_source();
        self.restart_timeout(now);
    }

    /// Sends a packet back; its voice or key begins at `payload_at`.
    pub(crate) fn send_back(
        &mut self,
        now: Duration,
        header: &Header,
        (buffer, payload_at, payload_bytes): (&mut [u8], usize, usize),
    ) {
        let receiving = self.remote.as_ref().is_some_and(|remote| remote.receiving);
        if !receiving {
            return self.out.leave_out(header);
        }
        let header = self.out.forward(now, header, header.payload_type);
        if let Ok(packet) = header.write_before(buffer, payload_at, payload_bytes) {
            self.send(packet);
        }
    }

    /// Whether it hears itself.
    pub(crate) fn echoes(&self) -> bool {
        self.echoes
    }

    /// Whether it hears a tone or sounds.
    pub(crate) fn hears_program(&self) -> bool {
        self.program.is_some()
    }

    /// No frames are made for the leg any more.
    pub(crate) fn end_own_frames(&mut self) {
        self.bucket = None;
        self.music.pause();
        self.out.change_source();
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
        let expected = self.is_watched()
            && !self.held
            && self.remote.as_ref().is_some_and(|remote| remote.sending);
        if !expected || self.timed_out || now.saturating_sub(self.quiet_since) < timeout {
            return false;
        }
        self.timed_out = true;
        true
    }

    fn is_watched(&self) -> bool {
        self.peer.is_some() || self.room.is_some() || self.echoes || self.hears_sounds()
    }

    fn hears_sounds(&self) -> bool {
        matches!(self.program, Some(Program::Sounds(_)))
    }

    /// Looks for keys in the leg's voice, where they are worth something and cannot come as events.
    pub(crate) fn listen_for_keys(
        &mut self,
        now: Duration,
        payload: &[u8],
        tell: impl FnMut(Press),
    ) {
        if !self.hears_sounds() {
            return;
        }
        if let Some(remote) = &self.remote {
            if remote.dtmf_payload_type.is_none() {
                self.in_band.receive(now, remote.codec, payload, tell);
            }
        }
    }

    /// Whether a key is down in the leg's voice.
    pub(crate) fn is_pressed_in_band(&self) -> bool {
        self.in_band.is_pressed()
    }

    /// The press whose end got lost.
    pub(crate) fn expire_key(&mut self, now: Duration) -> Option<Press> {
        self.dtmf.expire(now).or_else(|| self.in_band.expire(now))
    }

    /// Sends a complete packet.
    pub(crate) fn send(&mut self, packet: &[u8]) {
        if self.socket.send(packet) == Sent::Yes {
            self.stats.sent += 1;
            self.stats.bytes_sent += (packet.len() - HEADER_BYTES) as u64;
        }
    }

    /// Sends the next 20 ms of the leg's tone or sounds, or of music. True: its sounds have now been played. While
    /// nobody can hear it, it stands still.
    pub(crate) fn send_own_frame(&mut self, now: Duration) -> bool {
        let Some(codec) = self.codec_heard() else {
            // Time passes for the listener all the same.
            self.out.change_source();
            return false;
        };
        let mut frame = [0; FRAME_SAMPLES];
        let mut played = false;
        match &mut self.program {
            Some(Program::Tone(tone)) => tone.next_frame(codec, &mut frame),
            Some(Program::Sounds(sounds)) => {
                played = sounds.next_frame(&mut self.music, codec, &mut frame);
            }
            None => self.music.next_frame(codec, &mut frame),
        }
        self.send_frame(now, codec, &frame);
        played
    }

    /// Sends 20 ms of a conference.
    pub(crate) fn send_mixed(&mut self, now: Duration, heard: &Frame) {
        self.music.pause();
        let Some(codec) = self.codec_heard() else {
            return self.out.change_source();
        };
        let mut frame = [0; FRAME_SAMPLES];
        mixing::encode(codec, heard, &mut frame);
        self.send_frame(now, codec, &frame);
    }

    /// Sends the next 20 ms of music, because everybody else in the conference holds.
    pub(crate) fn send_music(&mut self, now: Duration) {
        self.send_own_frame(now);
    }

    fn send_frame(&mut self, now: Duration, codec: Codec, frame: &[u8; FRAME_SAMPLES]) {
        let mut packet = [0; FRAME_BYTES];
        let Some((head, body)) = packet.split_first_chunk_mut::<HEADER_BYTES>() else {
            return;
        };
        body.copy_from_slice(frame);
        let header = self
            .out
            .own(now, codec.payload_type(), FRAME_SAMPLES as u32);
        if header.write(head).is_ok() {
            self.send(&packet);
        }
    }

    /// It is in no conference any more; in which it was.
    pub(crate) fn leave_room(&mut self) -> Option<u32> {
        let room = self.room.take()?;
        self.playout = None;
        self.music.pause();
        self.out.change_source();
        Some(room)
    }

    /// The codec of whoever listens; none if nobody does or nothing can be sent there.
    fn codec_heard(&self) -> Option<Codec> {
        let remote = self.remote.as_ref().filter(|remote| remote.receiving)?;
        self.socket.has_target().then_some(remote.codec)
    }

    /// What the leg did in its life.
    pub(crate) fn stats(&self) -> LegStats {
        LegStats {
            lost: self.reception.lost(),
            ..self.stats
        }
    }
}
