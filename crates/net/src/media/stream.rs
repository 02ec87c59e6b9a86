//! The outgoing RTP stream of a leg: one SSRC for its whole life, whoever speaks on it.

use std::time::Duration;

use media::rtp::{Header, timestamp_step};

/// Samples per second of every codec of the plane.
const SAMPLE_RATE_HZ: u64 = 8000;
/// A source whose timestamp steps further than this is anchored anew: 10 s.
const FURTHEST_STEP: i32 = 80_000;

/// Where the packets of the stream come from at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feed {
    /// Nobody has spoken, or the speaker changed and nothing was sent since.
    None,
    /// Packets of this SSRC are forwarded with these offsets.
    Forwarded {
        ssrc: u32,
        sequence_offset: u16,
        timestamp_offset: u32,
        last_timestamp: u32,
    },
    /// We make the packets ourselves.
    Own,
}

/// Numbers outgoing packets without a seam, while their sources change.
#[derive(Clone, Debug)]
pub(crate) struct OutStream {
    ssrc: u32,
    /// Highest sequence number sent.
    sequence: u16,
    /// Timestamp of the latest packet.
    timestamp: u32,
    sent_at: Option<Duration>,
    feed: Feed,
}

impl OutStream {
    /// SSRC and first numbers are random (RFC 3550 §5.1).
    pub(crate) fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Self {
            ssrc,
            sequence,
            timestamp,
            sent_at: None,
            feed: Feed::None,
        }
    }

    /// Another source will speak: its first packet is marked and follows the last one without a gap.
    pub(crate) fn change_source(&mut self) {
        self.feed = Feed::None;
    }

    /// The header under which a received packet goes out. Order, gaps and pauses of the source are kept.
    pub(crate) fn forward(&mut self, now: Duration, from: &Header, payload_type: u8) -> Header {
        let known = match self.feed {
            Feed::Forwarded {
                ssrc,
                sequence_offset,
                timestamp_offset,
                last_timestamp,
            } if ssrc == from.ssrc
                && timestamp_step(last_timestamp, from.timestamp).unsigned_abs()
                    <= FURTHEST_STEP.unsigned_abs() =>
            {
                Some((sequence_offset, timestamp_offset))
            }
            _ => None,
        };
        let (sequence_offset, timestamp_offset) = known.unwrap_or_else(|| {
            let next = self.timestamp_at(now);
            (
                self.sequence.wrapping_add(1).wrapping_sub(from.sequence),
                next.wrapping_sub(from.timestamp),
            )
        });
        self.feed = Feed::Forwarded {
            ssrc: from.ssrc,
            sequence_offset,
            timestamp_offset,
            last_timestamp: from.timestamp,
        };
        let sequence = from.sequence.wrapping_add(sequence_offset);
        let timestamp = from.timestamp.wrapping_add(timestamp_offset);
        if media::rtp::sequence_step(self.sequence, sequence) > 0 {
            self.sequence = sequence;
            self.timestamp = timestamp;
            self.sent_at = Some(now);
        }
        Header {
            payload_type,
            marker: from.marker || known.is_none(),
            sequence,
            timestamp,
            ssrc: self.ssrc,
        }
    }

    /// A packet of the forwarded source was left out on purpose: the peer shall not take it for lost.
    pub(crate) fn leave_out(&mut self, from: &Header) {
        if let Feed::Forwarded {
            ssrc,
            sequence_offset,
            ..
        } = &mut self.feed
        {
            if *ssrc == from.ssrc {
                *sequence_offset = sequence_offset.wrapping_sub(1);
            }
        }
    }

    /// The header of a frame that we make ourselves, `samples` after the one before.
    pub(crate) fn own(&mut self, now: Duration, payload_type: u8, samples: u32) -> Header {
        let first = self.feed != Feed::Own;
        self.timestamp = if first {
            self.timestamp_at(now)
        } else {
            self.timestamp.wrapping_add(samples)
        };
        self.feed = Feed::Own;
        self.sequence = self.sequence.wrapping_add(1);
        self.sent_at = Some(now);
        Header {
            payload_type,
            marker: first,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        }
    }

    /// The timestamp that belongs to `now` when the stream goes on from another source: time passes in it too.
    fn timestamp_at(&self, now: Duration) -> u32 {
        let Some(sent_at) = self.sent_at else {
            return self.timestamp;
        };
        let micros = now.saturating_sub(sent_at).as_micros();
        let samples = micros * u128::from(SAMPLE_RATE_HZ) / 1_000_000;
        // Rounded to whole frames, and at least one: two packets of one moment must not share a timestamp.
        let frames = ((samples + 80) / 160).max(1);
        self.timestamp
            .wrapping_add((frames * 160 % (1 << 32)) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn header(ssrc: u32, sequence: u16, timestamp: u32) -> Header {
        Header {
            payload_type: 8,
            marker: false,
            sequence,
            timestamp,
            ssrc,
        }
    }

    #[test]
    fn order_gaps_and_pauses_of_a_source_are_kept_over_the_wrap() {
        let mut stream = OutStream::new(9, 65_535, u32::MAX);
        let first = stream.forward(at(0), &header(1, 100, 1000), 0);
        assert_eq!(
            (first.ssrc, first.sequence, first.timestamp),
            (9, 0, u32::MAX)
        );
        assert!(first.marker);
        let third = stream.forward(at(40), &header(1, 102, 1320), 0);
        let second = stream.forward(at(41), &header(1, 101, 1160), 0);
        assert_eq!((third.sequence, third.timestamp), (2, 319));
        assert_eq!((second.sequence, second.timestamp), (1, 159));
        assert!(!third.marker && !second.marker);
    }

    #[test]
    fn another_source_follows_without_a_gap_and_is_marked() {
        let mut stream = OutStream::new(9, 0, 0);
        stream.forward(at(0), &header(1, 5, 0), 8);
        stream.forward(at(20), &header(1, 6, 160), 8);
        let tone = stream.own(at(1020), 8, 160);
        assert_eq!((tone.sequence, tone.timestamp), (3, 160 + 8000));
        assert!(tone.marker);
        let more = stream.own(at(1040), 8, 160);
        assert_eq!((more.sequence, more.timestamp), (4, 160 + 8160));
        assert!(!more.marker);
        let back = stream.forward(at(1060), &header(2, 40_000, 7), 8);
        assert_eq!((back.sequence, back.timestamp), (5, 160 + 8320));
        assert!(back.marker);
    }

    #[test]
    fn what_is_left_out_is_no_loss_for_the_peer() {
        let mut stream = OutStream::new(9, 0, 0);
        let before = stream.forward(at(0), &header(1, 5, 0), 8);
        stream.leave_out(&header(1, 6, 160));
        let after = stream.forward(at(40), &header(1, 7, 320), 8);
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        assert_eq!(after.timestamp, before.timestamp + 320);
    }

    #[test]
    fn a_source_that_restarts_its_clock_is_anchored_anew() {
        let mut stream = OutStream::new(9, 0, 0);
        let before = stream.forward(at(0), &header(1, 5, 0), 8);
        let after = stream.forward(at(20), &header(1, 6, 3_000_000_000), 8);
        assert_eq!(after.sequence, before.sequence + 1);
        assert_eq!(after.timestamp, before.timestamp + 160);
        assert!(after.marker);
    }
}
