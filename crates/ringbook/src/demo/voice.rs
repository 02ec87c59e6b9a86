//! The sound of a virtual telephone: G.711 in packets of 20 ms over a real socket, in real time.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use media::{
    Codec, g711,
    rtp::{self, Header, Packet},
};
use tokio::{
    net::UdpSocket,
    sync::oneshot,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

/// Samples per second.
pub(super) const RATE_HZ: u32 = 8_000;
/// Samples of one packet.
const PACKET: usize = 160;
const PACKET_LENGTH: Duration = Duration::from_millis(20);
/// Most of what is heard that is kept: two minutes.
const MOST_HEARD: usize = 120 * RATE_HZ as usize;
/// A packet with a mean square above this is speech and not silence (about −44 dB of full scale).
const SOUND: i64 = 200 * 200;

/// Spoken words, 8 kHz, one channel.
pub(super) type Speech = Arc<[i16]>;

/// Reads spoken words from a WAV file.
pub(super) fn read_speech(file: &Path) -> Result<Speech> {
    let context = || format!("{} cannot be read", file.display());
    let mut reader = hound::WavReader::open(file).with_context(context)?;
    let spec = reader.spec();
    ensure!(
        spec.sample_rate == RATE_HZ && spec.channels == 1 && spec.bits_per_sample == 16,
        "{} is not 8 kHz, 16 bit, one channel; make it anew with tests/scripts/speech.sh",
        file.display()
    );
    reader
        .samples::<i16>()
        .collect::<Result<Vec<_>, _>>()
        .map(Into::into)
        .with_context(context)
}

/// How long `samples` last.
pub(super) fn length(samples: usize) -> Duration {
    Duration::from_micros(samples as u64 * 1_000_000 / u64::from(RATE_HZ))
}

/// How much of `samples` is sound rather than silence.
pub(super) fn sounding(samples: &[i16]) -> Duration {
    let loud = samples.chunks_exact(PACKET).filter(|packet| {
        let squares: i64 = packet.iter().map(|&sample| i64::from(sample).pow(2)).sum();
        squares / PACKET as i64 > SOUND
    });
    PACKET_LENGTH * u32::try_from(loud.count()).unwrap_or(u32::MAX)
}

/// What a telephone heard in one conversation.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    /// Packets that arrived.
    pub(super) packets: u64,
    /// Their sound.
    pub(super) samples: Vec<i16>,
}

impl Heard {
    /// Writes it to a WAV file.
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: RATE_HZ,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let context = || format!("{} cannot be written", file.display());
        let mut writer = hound::WavWriter::create(file, spec).with_context(context)?;
        for &sample in &self.samples {
            writer.write_sample(sample).with_context(context)?;
        }
        writer.finalize().with_context(context)
    }
}

/// The media socket of one call.
#[derive(Debug)]
pub(super) struct Voice {
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    talking: Option<(oneshot::Sender<()>, JoinHandle<Heard>)>,
}

/// Where the sound goes and what is said.
#[derive(Clone, Debug)]
pub(super) struct Talk {
    pub(super) remote: SocketAddr,
    pub(super) codec: Codec,
    pub(super) speech: Speech,
    /// Silence before the first word.
    pub(super) pause: Duration,
}

impl Voice {
    /// A socket for a call, on a port of the system's choice.
    pub(super) async fn bind(ip: IpAddr) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind((ip, 0)).await?);
        let local = socket.local_addr()?;
        Ok(Self {
            socket,
            local,
            talking: None,
        })
    }

    /// Where we want RTP.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Begins to talk and to listen.
    pub(super) fn start(&mut self, talk: Talk) {
        if self.talking.is_none() {
            let (stop, stopped) = oneshot::channel();
            let task = tokio::spawn(converse(Arc::clone(&self.socket), talk, stopped));
            self.talking = Some((stop, task));
        }
    }

    /// Ends it; what was heard.
    pub(super) async fn stop(self) -> Heard {
        let Some((stop, task)) = self.talking else {
            return Heard::default();
        };
        // A task that is over already needs no word to stop.
        let _ = stop.send(());
        task.await.unwrap_or_default()
    }
}

async fn converse(socket: Arc<UdpSocket>, talk: Talk, mut stopped: oneshot::Receiver<()>) -> Heard {
    let mut beat = interval(PACKET_LENGTH);
    beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut mouth = Mouth::new(&talk);
    let mut heard = Heard::default();
    let mut datagram = [0; 2_048];
    loop {
        tokio::select! {
            _ = &mut stopped => return heard,
            _ = beat.tick() => {
                // A packet that the system does not take is a lost packet.
                let _ = socket.send_to(mouth.next_packet(), talk.remote).await;
            }
            received = socket.recv_from(&mut datagram) => {
                let Ok((bytes, from)) = received else { continue };
                if from.ip() == talk.remote.ip() {
                    listen(&mut heard, &datagram[..bytes], talk.codec);
                }
            }
        }
    }
}

fn listen(heard: &mut Heard, datagram: &[u8], codec: Codec) {
    let Ok(packet) = Packet::parse(datagram) else {
        return;
    };
    if packet.header.payload_type != codec.payload_type() {
        return;
    }
    heard.packets += 1;
    let room = MOST_HEARD.saturating_sub(heard.samples.len());
    heard.samples.extend(
        packet
            .payload
            .iter()
            .take(room)
            .map(|&code| g711::decode(codec, code)),
    );
}

/// Makes the packets of what is said, then silence.
struct Mouth<'a> {
    talk: &'a Talk,
    header: Header,
    silent_packets: u32,
    said: usize,
    packet: [u8; rtp::HEADER_BYTES + PACKET],
}

impl<'a> Mouth<'a> {
    fn new(talk: &'a Talk) -> Self {
        let silent = talk.pause.as_millis() / PACKET_LENGTH.as_millis();
        let header = Header {
            payload_type: talk.codec.payload_type(),
            marker: true,
            sequence: rand::random(),
            timestamp: rand::random(),
            ssrc: rand::random(),
        };
        let silent_packets = u32::try_from(silent).unwrap_or(u32::MAX);
        Self {
            talk,
            header,
            silent_packets,
            said: 0,
            packet: [0; _],
        }
    }

    fn next_packet(&mut self) -> &[u8] {
        let samples = match self.silent_packets.checked_sub(1) {
            Some(left) => {
                self.silent_packets = left;
                &[]
            }
            None => {
                let from = self.said.min(self.talk.speech.len());
                self.said = (from + PACKET).min(self.talk.speech.len());
                &self.talk.speech[from..self.said]
            }
        };
        let (head, payload) = self.packet.split_at_mut(rtp::HEADER_BYTES);
        // The buffer is long enough and payload types of G.711 have seven bits.
        let _ = self.header.write(head);
        for (place, code) in payload.iter_mut().enumerate() {
            *code = g711::encode(self.talk.codec, samples.get(place).copied().unwrap_or(0));
        }
        self.header.marker = false;
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(PACKET as u32);
        &self.packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(samples: usize) -> Speech {
        (0..samples)
            .map(|n| if n % 16 < 8 { 8_000 } else { -8_000 })
            .collect()
    }

    #[test]
    fn sound_is_told_from_silence() {
        let mut samples = tone(8_000).to_vec();
        samples.extend([0; 4_000]);
        assert_eq!(sounding(&samples), Duration::from_secs(1));
        assert_eq!(length(samples.len()), Duration::from_millis(1_500));
    }

    #[test]
    fn packets_follow_each_other_and_carry_the_words_after_the_pause() {
        let talk = Talk {
            remote: SocketAddr::from(([127, 0, 0, 1], 4_000)),
            codec: Codec::Pcma,
            speech: tone(PACKET * 2 + 40),
            pause: PACKET_LENGTH * 3,
        };
        let mut mouth = Mouth::new(&talk);
        let (first_header, mut heard) = (mouth.header, Heard::default());
        for number in 0..8_u16 {
            let datagram = mouth.next_packet();
            let header = Packet::parse(datagram).unwrap().header;
            assert_eq!(header.sequence, first_header.sequence.wrapping_add(number));
            assert_eq!(
                header.timestamp,
                first_header.timestamp.wrapping_add(u32::from(number) * 160)
            );
            assert_eq!(header.marker, number == 0);
            listen(&mut heard, datagram, Codec::Pcma);
        }
        assert_eq!(heard.packets, 8);
        assert_eq!(sounding(&heard.samples[..PACKET * 3]), Duration::ZERO);
        assert_eq!(sounding(&heard.samples), PACKET_LENGTH * 3);
        assert!(
            heard.samples[PACKET * 5 + 40..]
                .iter()
                .all(|sample| sample.abs() < 20)
        );
    }
}
