//! The two open one-second blocks of a recording, stereo, one byte per sample.

use super::{BlockWrite, Side};
use crate::g711::Table;

/// Frames of a block: one second.
pub const BLOCK_FRAMES: usize = 8000;
const CHANNELS: usize = 2;
const BLOCK_BYTES: usize = BLOCK_FRAMES * CHANNELS;

/// The newest block and the one before it; older ones are closed for good.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    silence: u8,
    /// Block `n` lies in place `n % 2`.
    open: [Block; 2],
    newest: u64,
}

#[derive(Clone, Debug)]
struct Block {
    bytes: Box<[u8]>,
    /// Frames that changed since they were last yielded: first, and one past the last.
    changed: Option<(usize, usize)>,
}

impl Block {
    fn new(silence: u8) -> Self {
        Self {
            bytes: vec![silence; BLOCK_BYTES].into_boxed_slice(),
            changed: None,
        }
    }

    fn note(&mut self, from: usize, to: usize) {
        self.changed = Some(
            self.changed
                .map_or((from, to), |(first, last)| (first.min(from), last.max(to))),
        );
    }
}

impl Blocks {
    pub(super) fn new(silence: u8) -> Self {
        Self {
            silence,
            open: [Block::new(silence), Block::new(silence)],
            newest: 0,
        }
    }

    /// The first frame that can still be written.
    pub(super) fn oldest_frame(&self) -> u64 {
        self.newest.saturating_sub(1) * BLOCK_FRAMES as u64
    }

    /// The first frame that could be written if the frame `now` were in the newest block.
    pub(super) fn oldest_frame_at(now: u64) -> u64 {
        (now / BLOCK_FRAMES as u64).saturating_sub(1) * BLOCK_FRAMES as u64
    }

    /// Writes samples of one side, from `frame` on, which is not before [`Blocks::oldest_frame`]. Blocks that
    /// must close for it are yielded to `sink` first.
    pub(super) fn write(
        &mut self,
        side: Side,
        frame: u64,
        payload: &[u8],
        table: Option<&Table>,
        sink: &mut impl FnMut(BlockWrite<'_>),
    ) {
        let (mut frame, mut rest) = (frame, payload);
        while !rest.is_empty() {
            let number = frame / BLOCK_FRAMES as u64;
            self.open_block(number, sink);
            let at = (frame % BLOCK_FRAMES as u64) as usize;
            let (part, later) = rest.split_at(rest.len().min(BLOCK_FRAMES - at));
            let block = &mut self.open[(number % 2) as usize];
            let channel = match side {
                Side::Left => 0,
                Side::Right => 1,
            };
            let samples = block.bytes[at * CHANNELS..]
                .chunks_exact_mut(CHANNELS)
                .map(|frame| &mut frame[channel]);
            match table {
                Some(table) => samples
                    .zip(part)
                    .for_each(|(sample, &code)| *sample = table[usize::from(code)]),
                None => samples.zip(part).for_each(|(sample, &code)| *sample = code),
            }
            block.note(at, at + part.len());
            frame += part.len() as u64;
            rest = later;
        }
    }

    /// Yields what changed, in the order of the timeline.
    pub(super) fn yield_all(&mut self, sink: &mut impl FnMut(BlockWrite<'_>)) {
        if let Some(older) = self.newest.checked_sub(1) {
            self.yield_block(older, sink);
        }
        self.yield_block(self.newest, sink);
    }

    fn open_block(&mut self, number: u64, sink: &mut impl FnMut(BlockWrite<'_>)) {
        if number <= self.newest {
            return;
        }
        self.yield_all(sink);
        // The place of the block before the new one holds silence too, unless that block was the newest.
        let both = number > self.newest + 1;
        for offset in 0..if both { 2 } else { 1 } {
            self.open[((number + offset) % 2) as usize]
                .bytes
                .fill(self.silence);
        }
        self.newest = number;
    }

    fn yield_block(&mut self, number: u64, sink: &mut impl FnMut(BlockWrite<'_>)) {
        let block = &mut self.open[(number % 2) as usize];
        if let Some((first, last)) = block.changed.take() {
            sink(BlockWrite {
                at_frame: number * BLOCK_FRAMES as u64 + first as u64,
                bytes: &block.bytes[first * CHANNELS..last * CHANNELS],
            });
        }
    }
}
