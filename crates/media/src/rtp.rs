//! RTP packets (RFC 3550): reading, writing headers in place, and counting by sequence number.

use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};
use thiserror::Error;

/// Length of a header without contributing sources and extension, as we write it.
pub const HEADER_BYTES: usize = 12;
/// Most payload that the plane handles: 200 ms of G.711. Longer packets are refused.
pub const MAX_PAYLOAD_BYTES: usize = 1600;

/// Why a datagram is no RTP for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RtpError {
    /// Not version 2, or a length that does not fit its own fields.
    #[error("the datagram is not RTP version 2 or its lengths contradict each other")]
    Malformed,
    /// The payload is over [`MAX_PAYLOAD_BYTES`].
    #[error("the RTP payload has {0} bytes, at most {MAX_PAYLOAD_BYTES} are taken")]
    TooLong(usize),
    /// The target buffer is too short, or the payload type has more than seven bits.
    #[error("the RTP header does not fit its buffer or its payload type has more than seven bits")]
    Unwritable,
}

/// The fields of a header that mean something to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Payload type, 7 bits.
    pub payload_type: u8,
    /// Marker: the first packet of a talk spurt or of an event (RFC 3551 §4.1, RFC 4733 §2.5.1.1).
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in samples, 8000 a second for all our payload types.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

/// A received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its header.
    pub header: Header,
    /// Where the payload begins in the datagram; at least [`HEADER_BYTES`].
    pub payload_at: usize,
    /// The payload without padding.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a datagram; version, lengths, extension and padding are checked.
    ///
    /// # Errors
    /// [`RtpError::Malformed`] or [`RtpError::TooLong`].
    pub fn parse(datagram: &'a [u8]) -> Result<Self, RtpError> {
        let reader = RtpReader::new(datagram).map_err(|_| RtpError::Malformed)?;
        let payload = reader.payload();
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(RtpError::TooLong(payload.len()));
        }
        let header = Header {
            payload_type: reader.payload_type(),
            marker: reader.mark(),
            sequence: reader.sequence_number().into(),
            timestamp: reader.timestamp(),
            ssrc: reader.ssrc(),
        };
        Ok(Self {
            header,
            payload_at: reader.payload_offset(),
            payload,
        })
    }
}

impl Header {
    /// Writes the header to the first [`HEADER_BYTES`] of `target`. Nothing is allocated.
    ///
    /// # Errors
    /// [`RtpError::Unwritable`].
    pub fn write(&self, target: &mut [u8]) -> Result<(), RtpError> {
        let target = target.get_mut(..HEADER_BYTES).ok_or(RtpError::Unwritable)?;
        RtpPacketBuilder::new()
            .payload_type(self.payload_type)
            .marked(self.marker)
            .sequence(Seq::from(self.sequence))
            .timestamp(self.timestamp)
            .ssrc(self.ssrc)
            .build_into(target)
            .map(|_| ())
            .map_err(|_| RtpError::Unwritable)
    }

    /// Writes the header right before a payload that stands in a received datagram, so that the packet can be
    /// forwarded without a copy. Contributing sources, extension and padding stay behind.
    ///
    /// # Errors
    /// [`RtpError::Unwritable`], also when there is no room before the payload.
    pub fn write_before<'a>(
        &self,
        datagram: &'a mut [u8],
        payload_at: usize,
        payload_len: usize,
    ) -> Result<&'a [u8], RtpError> {
        let start = payload_at
            .checked_sub(HEADER_BYTES)
            .ok_or(RtpError::Unwritable)?;
        let end = payload_at
            .checked_add(payload_len)
            .ok_or(RtpError::Unwritable)?;
        let packet = datagram.get_mut(start..end).ok_or(RtpError::Unwritable)?;
        self.write(packet)?;
        Ok(packet)
    }
}

/// How far `to` is after `from`, around the wrap (RFC 3550 appendix A.1): negative if it is before.
#[must_use]
pub const fn sequence_step(from: u16, to: u16) -> i16 {
    to.wrapping_sub(from) as i16
}

/// How far `to` is after `from` in samples, around the wrap.
#[must_use]
pub const fn timestamp_step(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}

/// Counts received and missing packets of one source after another (RFC 3550 appendix A.3).
#[derive(Clone, Copy, Debug, Default)]
pub struct Reception {
    current: Option<Run>,
    received: u64,
    lost_before: u64,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    ssrc: u32,
    highest: u16,
    expected: u64,
    received: u64,
}

impl Run {
    fn lost(self) -> u64 {
        self.expected.saturating_sub(self.received)
    }
}

/// A step in sequence numbers from which on the source is taken for restarted (RFC 3550 appendix A.1, `MAX_DROPOUT`).
const MAX_DROPOUT: u16 = 3000;

impl Reception {
    /// Notes a packet. Another SSRC or a jump of 3000 numbers begins a new count, with nothing lost between.
    pub fn note(&mut self, ssrc: u32, sequence: u16) {
        self.received += 1;
        if let Some(run) = self.current.as_mut().filter(|run| run.ssrc == ssrc) {
            let step = sequence_step(run.highest, sequence);
            if step.unsigned_abs() < MAX_DROPOUT {
                if step > 0 {
                    run.highest = sequence;
                    run.expected += u64::from(step.unsigned_abs());
                }
                run.received += 1;
                return;
            }
        }
        self.lost_before = self.lost();
        self.current = Some(Run {
            ssrc,
            highest: sequence,
            expected: 1,
            received: 1,
        });
    }

    /// Packets noted.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Packets missing so far; repeated ones can hide missing ones (RFC 3550 §6.4.1).
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost_before + self.current.map_or(0, Run::lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const HEADER: Header = Header {
        payload_type: 8,
        marker: true,
        sequence: 65535,
        timestamp: 0x8000_0001,
        ssrc: 7,
    };

    fn datagram(payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        HEADER.write(&mut bytes).unwrap();
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn a_written_packet_is_read_as_the_same() {
        let bytes = datagram(&[1, 2, 3]);
        assert_eq!(bytes[..4], [0x80, 0x88, 0xff, 0xff]);
        assert_eq!(
            Packet::parse(&bytes),
            Ok(Packet {
                header: HEADER,
                payload_at: 12,
                payload: &[1, 2, 3]
            })
        );
    }

    #[test]
    fn contributing_sources_extension_and_padding_are_taken_off() {
        let mut bytes = datagram(&[0; 4]);
        bytes[0] |= 0x20 | 0x10 | 1;
        // The four payload bytes become the contributing source; then the extension of one word.
        bytes.extend_from_slice(&[0xbe, 0xde, 0, 1, 9, 9, 9, 9]);
        bytes.extend_from_slice(&[5, 6, 7, 0, 2]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!((packet.payload_at, packet.payload), (24, &[5, 6, 7][..]));

        let forwarded = Header {
            payload_type: 0,
            ..HEADER
        }
        .write_before(&mut bytes, 24, 3)
        .unwrap();
        assert_eq!(forwarded.len(), 15);
        assert_eq!(Packet::parse(forwarded).unwrap().payload, [5, 6, 7]);
    }

    #[rstest]
    #[case::short(&[0x80; 11])]
    #[case::version_1(&[0x40; 12])]
    #[case::no_room_for_sources(&[0x8f; 12])]
    #[case::no_room_for_the_extension(&[0x90, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xbe, 0xde, 0, 9])]
    #[case::padding_of_zero(&[0xa0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]
    #[case::padding_over_the_header(&[0xa0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2])]
    fn contradictions_are_refused(#[case] bytes: &[u8]) {
        assert_eq!(Packet::parse(bytes), Err(RtpError::Malformed));
    }

    #[test]
    fn a_payload_over_the_bound_is_refused() {
        assert_eq!(
            Packet::parse(&datagram(&[0; 1601])),
            Err(RtpError::TooLong(1601))
        );
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        assert_eq!(HEADER.write(&mut [0; 11]), Err(RtpError::Unwritable));
        assert_eq!(
            Header {
                payload_type: 128,
                ..HEADER
            }
            .write(&mut [0; 12]),
            Err(RtpError::Unwritable)
        );
        assert_eq!(
            HEADER.write_before(&mut [0; 20], 11, 2),
            Err(RtpError::Unwritable)
        );
        assert_eq!(
            HEADER.write_before(&mut [0; 20], 12, usize::MAX),
            Err(RtpError::Unwritable)
        );
    }

    #[test]
    fn steps_go_around_the_wrap() {
        assert_eq!(sequence_step(65535, 1), 2);
        assert_eq!(sequence_step(1, 65535), -2);
        assert_eq!(timestamp_step(u32::MAX, 159), 160);
    }

    #[test]
    fn missing_packets_are_counted_over_the_wrap_and_late_ones_are_taken_back() {
        let mut reception = Reception::default();
        for sequence in [65533, 65534, 0, 3] {
            reception.note(1, sequence);
        }
        assert_eq!((reception.received(), reception.lost()), (4, 3));
        reception.note(1, 65535);
        assert_eq!(reception.lost(), 2);
    }

    #[test]
    fn another_source_or_a_restart_loses_nothing() {
        let mut reception = Reception::default();
        for (ssrc, sequence) in [(1, 10), (1, 12), (2, 40000), (2, 40001), (2, 9), (2, 10)] {
            reception.note(ssrc, sequence);
        }
        assert_eq!((reception.received(), reception.lost()), (6, 1));
    }

    proptest! {
        #[test]
        fn no_datagram_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(packet) = Packet::parse(&bytes) {
                prop_assert!(packet.payload_at >= HEADER_BYTES);
                prop_assert_eq!(packet.payload, &bytes[packet.payload_at..packet.payload_at + packet.payload.len()]);
            }
        }
    }
}
