//! The timeline of a recording: two streams of packets become one stereo signal on the daemon's clock.
//!
//! The signal begins with the first packet of either side and ends with the last one. A stream is anchored at its
//! first arrival and again when it is off by more than a packet for good (SSRC change, jump, drift); silence
//! fills what nobody sent. No two anchors of a side share a frame: where a moved stream would overlap what is
//! there, its head is cut.

mod anchor;
mod blocks;

use std::time::Duration;

use crate::g711;
use crate::plane::Codec;
use anchor::{Anchor, Arrived, Place};
use blocks::Blocks;

pub use blocks::BLOCK_FRAMES;

/// Frames per second.
pub const FRAMES_PER_SECOND: u64 = 8000;
/// A payload is due for the writer this long after its arrival. The writer must have it after 500 ms; the rest is
/// for the caller's timer and the queue.
pub const YIELD_AFTER: Duration = Duration::from_millis(400);

/// A channel of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The client.
    Left,
    /// Whom the client talks to.
    Right,
}

/// One voice packet at the tap. RFC 4733 packets and comfort noise are not handed in: they leave silence.
#[derive(Clone, Copy, Debug)]
pub struct TapPacket<'a> {
    /// Whose voice it is.
    pub side: Side,
    /// Monotonic time of arrival.
    pub arrival: Duration,
    /// Synchronisation source of the packet.
    pub ssrc: u32,
    /// Sequence number as received.
    pub sequence: u16,
    /// Timestamp as received.
    pub timestamp: u32,
    /// Codec of the payload; converted when the file has the other law.
    pub codec: Codec,
    /// One byte per sample.
    pub payload: &'a [u8],
}

/// A part of the signal to be written.
///
/// Parts may be yielded again with new content (late packets), and frames that never were in a part are silence:
/// when a part begins after the end of the file, the writer fills the space between with [`Codec::silence`],
/// never with zeros, which are loud in both laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockWrite<'a> {
    /// The first frame, from the start of the signal.
    pub at_frame: u64,
    /// Left and right byte by turns, in the law of the file.
    pub bytes: &'a [u8],
}

impl BlockWrite<'_> {
    /// Where the bytes begin in the signal, in bytes.
    #[must_use]
    pub const fn byte_offset(&self) -> u64 {
        self.at_frame * 2
    }

    /// How many frames they are.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.bytes.len() as u64 / 2
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// It lies on the timeline, perhaps without its head.
    Placed {
        /// The first frame that was written.
        at_frame: u64,
        /// How many frames were written.
        frames: u64,
    },
    /// Nothing of it was written: it came too late, before the start, or where another anchor already was.
    Dropped,
}

/// The timeline of one recording. Only [`Timeline::new`] allocates.
#[derive(Clone, Debug)]
pub struct Timeline {
    law: Codec,
    start: Duration,
    origin: Option<Duration>,
    sides: [Anchor; 2],
    blocks: Blocks,
    frames: u64,
    oldest_unyielded: Option<Duration>,
}

impl Timeline {
    /// A timeline for a file of codec `law`. Packets that arrived before `start` are dropped: they were queued
    /// before the conversation began.
    #[must_use]
    pub fn new(law: Codec, start: Duration) -> Self {
        Self {
            law,
            start,
            origin: None,
            sides: [Anchor::default(), Anchor::default()],
            blocks: Blocks::new(law.silence()),
            frames: 0,
            oldest_unyielded: None,
        }
    }

    /// Puts a packet in its place. A block that has to close for it is yielded to `sink` first.
    pub fn place(
        &mut self,
        packet: TapPacket<'_>,
        mut sink: impl FnMut(BlockWrite<'_>),
    ) -> Placement {
        if packet.arrival < self.start || packet.payload.is_empty() {
            return Placement::Dropped;
        }
        let origin = *self.origin.get_or_insert(packet.arrival);
        let arrived = Arrived {
            at: frames_in(packet.arrival.saturating_sub(origin)),
            ssrc: packet.ssrc,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            length: packet.payload.len() as i64,
        };
        let oldest = self.blocks.oldest_frame();
        // Blocks close by time too: a stream that comes back after a pause is not late, it is off.
        let oldest_now = Blocks::oldest_frame_at(arrived.at as u64).max(oldest);
        let anchor = match packet.side {
            Side::Left => &mut self.sides[0],
            Side::Right => &mut self.sides[1],
        };
        let Some(place) = anchor.locate(arrived, oldest_now as i64) else {
            return Placement::Dropped;
        };
        let Some((at_frame, payload)) = cut(place, oldest, packet.payload) else {
            return Placement::Dropped;
        };
        let table = g711::conversion(packet.codec, self.law);
        self.blocks
            .write(packet.side, at_frame, payload, table, &mut sink);
        self.oldest_unyielded.get_or_insert(packet.arrival);
        let frames = payload.len() as u64;
        self.frames = self.frames.max(at_frame + frames);
        Placement::Placed { at_frame, frames }
    }

    /// Yields everything new once the oldest of it is [`YIELD_AFTER`] old, open parts of blocks included.
    /// Call it at [`Timeline::next_drain`] or every 50 ms.
    pub fn drain(&mut self, now: Duration, sink: impl FnMut(BlockWrite<'_>)) {
        if self.next_drain().is_some_and(|due| now >= due) {
            self.finish(sink);
        }
    }

    /// When the next `drain` will yield something; `None`: nothing is waiting.
    #[must_use]
    pub fn next_drain(&self) -> Option<Duration> {
        self.oldest_unyielded
            .map(|oldest| oldest.saturating_add(YIELD_AFTER))
    }

    /// Yields everything new at once and returns the length of the signal in frames. Packets may still follow.
    pub fn finish(&mut self, mut sink: impl FnMut(BlockWrite<'_>)) -> u64 {
        self.blocks.yield_all(&mut sink);
        self.oldest_unyielded = None;
        self.frames
    }

    /// Length of the signal so far, in frames.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// The arrival of the first packet, which is frame 0.
    #[must_use]
    pub const fn origin(&self) -> Option<Duration> {
        self.origin
    }

    /// The codec of the file.
    #[must_use]
    pub const fn law(&self) -> Codec {
        self.law
    }
}

/// Time in frames. A process does not live for the 36 years at which nanoseconds would leave 63 bits.
fn frames_in(time: Duration) -> i64 {
    (time.as_nanos() * u128::from(FRAMES_PER_SECOND) / 1_000_000_000).min(i64::MAX as u128 / 2)
        as i64
}

/// The part of the payload that lies on frames of its own anchor and in open blocks.
fn cut(place: Place, oldest_open: u64, payload: &[u8]) -> Option<(u64, &[u8])> {
    let first = place.from.max(place.floor).max(oldest_open as i64);
    let skipped = usize::try_from(first - place.from).ok()?;
    let rest = payload.get(skipped..).filter(|rest| !rest.is_empty())?;
    Some((u64::try_from(first).ok()?, rest))
}
