//! Keys as RTP events (RFC 4733): one press for a burst of packets, however many are lost or repeated.

use std::time::Duration;

use crate::rtp::{Header, timestamp_step};

/// Length of the payload of an event.
pub const EVENT_BYTES: usize = 4;

/// A pressed key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Press {
    /// `0`–`9`, `*`, `#`, `A`–`D`.
    pub digit: char,
    /// How long it was held, in milliseconds.
    pub duration_ms: u32,
}

/// The payload of one event packet (RFC 4733 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPayload {
    /// Event code; 0–15 are keys (§3.2).
    pub event: u8,
    /// Whether the key is up again.
    pub end: bool,
    /// Level in −dBm0, 0–63.
    pub volume: u8,
    /// Samples since the packet's timestamp.
    pub duration: u16,
}

impl EventPayload {
    /// Reads the first event of a payload; `None` if it is shorter than four bytes.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &[event, flags, high, low] = payload.first_chunk::<EVENT_BYTES>()?;
        Some(Self {
            event,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    /// The payload's bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; EVENT_BYTES] {
        let [high, low] = self.duration.to_be_bytes();
        [
            self.event,
            (self.end as u8) << 7 | (self.volume & 0x3f),
            high,
            low,
        ]
    }

    /// The key, if the event is one.
    #[must_use]
    pub fn digit(self) -> Option<char> {
        KEYS.get(usize::from(self.event))
            .map(|&key| char::from(key))
    }

    /// The payload for a key; `None` if there is no such key.
    #[must_use]
    pub fn for_digit(digit: char, end: bool, duration: u16) -> Option<Self> {
        let event =
            KEYS.iter()
                .position(|&key| char::from(key) == digit.to_ascii_uppercase())? as u8;
        Some(Self {
            event,
            end,
            volume: 10,
            duration,
        })
    }
}

const KEYS: &[u8; 16] = b"0123456789*#ABCD";
/// An event of which nothing came for so long is over, its end packets were lost (§2.5.2.3 leaves it to us).
const LOST_END_AFTER: Duration = Duration::from_millis(200);
/// How far back a timestamp counts as an old packet rather than as a sender that began anew: 5 s.
const OLD_SAMPLES: i32 = 40_000;

/// Makes presses of the event packets of one leg.
#[derive(Clone, Copy, Debug, Default)]
pub struct DtmfReceiver {
    current: Option<Current>,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    ssrc: u32,
    timestamp: u32,
    event: u8,
    /// Samples of earlier segments of a very long press (§2.5.1.3).
    segments: u32,
    duration: u16,
    last_arrival: Duration,
    reported: bool,
}

impl Current {
    fn press(&self) -> Option<Press> {
        let digit = char::from(*KEYS.get(usize::from(self.event))?);
        Some(Press {
            digit,
            duration_ms: (self.segments + u32::from(self.duration)) / 8,
        })
    }

    fn report(&mut self) -> Option<Press> {
        if self.reported {
            return None;
        }
        self.reported = true;
        self.press()
    }
}

impl DtmfReceiver {
    /// Takes an event packet. Two presses come at once only when the end of the one before was lost.
    pub fn receive(
        &mut self,
        arrival: Duration,
        header: &Header,
        payload: &[u8],
    ) -> impl Iterator<Item = Press> + use<> {
        let presses = match EventPayload::parse(payload) {
            Some(event) => self.take(arrival, header, event),
            None => [None, None],
        };
        presses.into_iter().flatten()
    }

    /// The press whose end got lost, once nothing of it has come for 200 ms.
    pub fn expire(&mut self, now: Duration) -> Option<Press> {
        let current = self.current.as_mut()?;
        if now.saturating_sub(current.last_arrival) < LOST_END_AFTER {
            return None;
        }
        current.report()
    }

    fn take(
        &mut self,
        arrival: Duration,
        header: &Header,
        event: EventPayload,
    ) -> [Option<Press>; 2] {
        let mut lost_end = None;
        if let Some(current) = self
            .current
            .as_mut()
            .filter(|current| current.ssrc == header.ssrc)
        {
            let step = timestamp_step(current.timestamp, header.timestamp);
            let continues = step > 0
                && !current.reported
                && event.event == current.event
                && !header.marker
                && step.unsigned_abs() == u32::from(current.duration);
            if continues {
                current.segments = current.segments.saturating_add(u32::from(current.duration));
                current.timestamp = header.timestamp;
                current.duration = 0;
            } else if (-OLD_SAMPLES..0).contains(&step) {
                return [None, None];
            }
            if continues || step == 0 {
                current.last_arrival = arrival;
                current.duration = current.duration.max(event.duration);
                return [if event.end { current.report() } else { None }, None];
            }
        }
        if let Some(current) = &mut self.current {
            lost_end = current.report();
        }
        let mut current = Current {
            ssrc: header.ssrc,
            timestamp: header.timestamp,
            event: event.event,
            segments: 0,
            duration: event.duration,
            last_arrival: arrival,
            reported: false,
        };
        let ended = if event.end { current.report() } else { None };
        self.current = Some(current);
        [lost_end, ended]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Phone {
        receiver: DtmfReceiver,
        now: Duration,
        ssrc: u32,
    }

    impl Phone {
        fn new() -> Self {
            Self {
                receiver: DtmfReceiver::default(),
                now: Duration::ZERO,
                ssrc: 1,
            }
        }

        fn packet(
            &mut self,
            digit: char,
            timestamp: u32,
            duration: u16,
            end: bool,
            marker: bool,
        ) -> Vec<Press> {
            self.now += Duration::from_millis(20);
            let header = Header {
                payload_type: 101,
                marker,
                sequence: 0,
                timestamp,
                ssrc: self.ssrc,
            };
            let payload = EventPayload::for_digit(digit, end, duration)
                .unwrap()
                .bytes();
            self.receiver.receive(self.now, &header, &payload).collect()
        }
    }

    fn press(digit: char, duration_ms: u32) -> Press {
        Press { digit, duration_ms }
    }

    #[test]
    fn a_payload_is_laid_out_as_in_the_rfc() {
        let payload = EventPayload {
            event: 11,
            end: true,
            volume: 10,
            duration: 1760,
        };
        assert_eq!(payload.bytes(), [11, 0x8a, 6, 0xe0]);
        assert_eq!(EventPayload::parse(&payload.bytes()), Some(payload));
        assert_eq!(payload.digit(), Some('#'));
        assert_eq!(EventPayload::parse(&[1, 2, 3]), None);
    }

    #[test]
    fn a_burst_with_three_end_packets_is_one_press() {
        let mut phone = Phone::new();
        for duration in [160, 320, 480] {
            assert!(
                phone
                    .packet('5', 1000, duration, false, duration == 160)
                    .is_empty()
            );
        }
        assert_eq!(phone.packet('5', 1000, 640, true, false), [press('5', 80)]);
        assert!(phone.packet('5', 1000, 640, true, false).is_empty());
        assert!(phone.packet('5', 1000, 640, true, false).is_empty());
        assert_eq!(phone.receiver.expire(Duration::from_secs(9)), None);
    }

    #[test]
    fn the_same_key_twice_is_two_presses() {
        let mut phone = Phone::new();
        assert_eq!(phone.packet('1', 1000, 800, true, true).len(), 1);
        assert_eq!(phone.packet('1', 3000, 800, true, true), [press('1', 100)]);
    }

    #[test]
    fn a_lost_end_is_made_up_for_by_the_next_press_or_by_time() {
        let mut phone = Phone::new();
        assert!(phone.packet('1', 1000, 400, false, true).is_empty());
        assert_eq!(
            phone.packet('2', 3000, 800, true, true),
            [press('1', 50), press('2', 100)]
        );
        assert!(phone.packet('3', 5000, 320, false, true).is_empty());
        assert_eq!(
            phone
                .receiver
                .expire(phone.now + Duration::from_millis(199)),
            None
        );
        assert_eq!(
            phone
                .receiver
                .expire(phone.now + Duration::from_millis(200)),
            Some(press('3', 40))
        );
        assert!(phone.packet('3', 5000, 480, true, false).is_empty());
    }

    #[test]
    fn only_an_end_packet_arriving_is_enough() {
        assert_eq!(
            Phone::new().packet('*', 77, 800, true, false),
            [press('*', 100)]
        );
    }

    #[test]
    fn a_late_packet_of_the_press_before_changes_nothing() {
        let mut phone = Phone::new();
        assert_eq!(phone.packet('1', 1000, 800, true, true).len(), 1);
        assert!(phone.packet('2', 3000, 160, false, true).is_empty());
        assert!(phone.packet('1', 1000, 800, true, false).is_empty());
        assert_eq!(phone.packet('2', 3000, 640, true, false), [press('2', 80)]);
    }

    #[test]
    fn a_press_longer_than_eight_seconds_comes_in_segments_and_is_one() {
        let mut phone = Phone::new();
        assert!(phone.packet('0', 1000, 65535, false, true).is_empty());
        assert!(phone.packet('0', 66535, 160, false, false).is_empty());
        assert_eq!(
            phone.packet('0', 66535, 465, true, false),
            [press('0', 8250)]
        );
    }

    #[test]
    fn events_that_are_no_keys_are_passed_over() {
        let mut receiver = DtmfReceiver::default();
        let header = Header {
            payload_type: 101,
            marker: true,
            sequence: 1,
            timestamp: 1,
            ssrc: 1,
        };
        assert_eq!(
            receiver
                .receive(Duration::ZERO, &header, &[16, 0x80, 1, 0])
                .count(),
            0
        );
    }

    #[test]
    fn a_sender_that_begins_anew_is_heard() {
        let mut phone = Phone::new();
        assert_eq!(phone.packet('7', 5_000_000, 800, true, true).len(), 1);
        assert_eq!(phone.packet('7', 100, 800, true, true), [press('7', 100)]);
        phone.ssrc = 2;
        assert_eq!(phone.packet('7', 90, 800, true, true), [press('7', 100)]);
    }

    proptest! {
        #[test]
        fn whatever_is_lost_or_repeated_each_press_is_told_once(
            digits in proptest::collection::vec(0..16_usize, 1..12),
            fates in proptest::collection::vec(0..4_u8, 96),
        ) {
            let mut phone = Phone::new();
            let (mut told, mut fates) = (Vec::new(), fates.into_iter());
            for (i, &key) in digits.iter().enumerate() {
                for part in 0..8_u16 {
                    // The fourth packet always arrives, once; the others zero to two times.
                    let times = if part == 3 { 1 } else { fates.next().map_or(1, |fate| fate.min(2)) };
                    for _ in 0..times {
                        let digit = char::from(KEYS[key]);
                        told.extend(phone.packet(digit, i as u32 * 4000, 160 * (part.min(5) + 1), part >= 5, part == 0));
                    }
                }
            }
            told.extend(phone.receiver.expire(phone.now + Duration::from_secs(1)));
            let told: Vec<_> = told.iter().map(|press| press.digit).collect();
            let pressed: Vec<_> = digits.iter().map(|&key| char::from(KEYS[key])).collect();
            prop_assert_eq!(told, pressed);
        }
    }
}
