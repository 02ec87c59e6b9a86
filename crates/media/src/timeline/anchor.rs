//! Where the packets of one stream lie on the timeline, in frames of 1/8000 s.
//!
//! RTP timestamps order the samples of a stream, arrival times fix them to the daemon's clock. One late packet
//! must not move the stream, a stream that is off for good must move: so an offset counts only when it holds.

use crate::rtp::{sequence_step, timestamp_step};

/// Packets over which an offset must hold before the stream is moved: a second of 20 ms packets.
const WINDOW: u32 = 50;
/// An offset that is moved at once when it holds for [`FAR_PACKETS`] packets at their usual pace: 200 ms.
const FAR: i64 = 1600;
const FAR_PACKETS: u32 = 5;
/// A packet further ahead of its time than this can only be a new anchor: 400 ms.
const AHEAD: i64 = 3200;
/// A timestamp that fits neither its sequence number nor its arrival within 100 ms has jumped.
const JUMP: i64 = 800;
/// A sequence number so far back is a sender that began anew (RFC 3550 appendix A.1), not a late packet.
const RESTART: i16 = -3000;
/// A usual packet, 20 ms; shorter ones are no reason to be stricter.
const USUAL_PACKET: i64 = 160;

/// The anchor of one side.
#[derive(Clone, Debug, Default)]
pub(super) struct Anchor {
    stream: Option<Stream>,
    /// The frame after the last one of this side, once there is one.
    end: Option<i64>,
    /// Frames before this one belong to an earlier anchor.
    floor: i64,
}

#[derive(Clone, Debug)]
struct Stream {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// Where `timestamp` lies.
    frame: i64,
    arrival: i64,
    packet: i64,
    far: u32,
    window: Window,
}

/// Least and greatest lateness of the packets since the window began.
#[derive(Clone, Debug)]
struct Window {
    count: u32,
    least: i64,
    greatest: i64,
}

impl Window {
    const NEW: Self = Self {
        count: 0,
        least: i64::MAX,
        greatest: i64::MIN,
    };

    /// The offset that all packets of a full window share, if it is over the bounds.
    fn note(&mut self, late: i64, packet: i64) -> i64 {
        self.least = self.least.min(late);
        self.greatest = self.greatest.max(late);
        self.count += 1;
        if self.count < WINDOW {
            return 0;
        }
        let (least, greatest) = (self.least, self.greatest);
        *self = Self::NEW;
        if least > packet {
            least
        } else if greatest < -packet / 2 {
            // Ahead, the packet's own length comes on top: half of it keeps the file within two packets.
            greatest
        } else {
            0
        }
    }
}

/// What is known of a packet besides its samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    /// Arrival in frames from the start of the timeline.
    pub(super) at: i64,
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    /// Length in frames.
    pub(super) length: i64,
}

/// The frames of a packet: `from` is where its first sample would lie, only those from `floor` on are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) from: i64,
    pub(super) floor: i64,
}

impl Anchor {
    /// Finds the place of a packet; `oldest_open` is the first frame that can still be written. `None` for a
    /// packet that is out of order and belongs nowhere.
    pub(super) fn locate(&mut self, packet: Arrived, oldest_open: i64) -> Option<Place> {
        let from = match self
            .stream
            .as_mut()
            .filter(|stream| stream.ssrc == packet.ssrc)
        {
            Some(stream) => {
                let step = sequence_step(stream.sequence, packet.sequence);
                let stamps = i64::from(timestamp_step(stream.timestamp, packet.timestamp));
                if (RESTART..=0).contains(&step) {
                    // Late or repeated: the anchor stays, the packet finds its old place, unless its timestamp
                    // says that it overlaps what came after it.
                    let fits = stamps <= i64::from(step) * stream.packet;
                    return fits.then_some(Place {
                        from: stream.frame + stamps,
                        floor: self.floor,
                    });
                }
                if step < 0 {
                    None
                } else {
                    stream.follow(packet, i64::from(step), stamps, oldest_open)
                }
            }
            None => None,
        };
        let from = match from {
            Some(Followed { from, moved }) => {
                if let Some(end) = self.end.filter(|end| moved || from < *end) {
                    self.floor = end;
                }
                from
            }
            None => self.begin(packet),
        };
        let end = from + packet.length;
        self.end = Some(self.end.map_or(end, |last| last.max(end)));
        Some(Place {
            from,
            floor: self.floor,
        })
    }

    /// A new anchor: at the arrival, or seamlessly at the end of what came before if that is within a packet.
    fn begin(&mut self, packet: Arrived) -> i64 {
        let length = packet.length.max(USUAL_PACKET);
        let frame = match self.end {
            Some(end) if (packet.at - end).abs() <= length => end,
            _ => packet.at,
        };
        self.floor = self.end.unwrap_or(0);
        self.stream = Some(Stream {
            ssrc: packet.ssrc,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            frame,
            arrival: packet.at,
            packet: packet.length,
            far: 0,
            window: Window::NEW,
        });
        frame
    }
}

struct Followed {
    from: i64,
    moved: bool,
}

impl Stream {
    /// The place of the next packet of the same stream; `None`: it needs a new anchor.
    fn follow(
        &mut self,
        packet: Arrived,
        step: i64,
        stamps: i64,
        oldest_open: i64,
    ) -> Option<Followed> {
        let elapsed = packet.at - self.arrival;
        if (stamps - step * self.packet).abs() > JUMP && (stamps - elapsed).abs() > JUMP {
            return None;
        }
        let from = self.frame + stamps;
        let late = packet.at - from;
        if from + packet.length <= oldest_open || late < -AHEAD {
            return None;
        }
        if late.abs() <= FAR {
            self.far = 0;
        } else if elapsed * 2 >= packet.length {
            // Packets that catch up after a stall come faster than that: they are late, the stream is not off.
            self.far += 1;
            if self.far >= FAR_PACKETS {
                return None;
            }
        }
        let shift = self.window.note(late, packet.length.max(USUAL_PACKET));
        self.sequence = packet.sequence;
        self.timestamp = packet.timestamp;
        self.frame = from + shift;
        self.arrival = packet.at;
        self.packet = packet.length;
        Some(Followed {
            from: self.frame,
            moved: shift != 0,
        })
    }
}
