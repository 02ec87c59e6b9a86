//! A media thread's way to the writer: a bounded queue there, and empty parts back.

use std::{collections::VecDeque, sync::Arc};

use media::{Codec, ConversationKey};
use rtrb::{Consumer, Producer, PushError, RingBuffer};

use crate::wake::Wake;

/// Bytes of a part: half a second of stereo. What the timeline yields at once is usually 0.4 s.
pub(crate) const PART_BYTES: usize = 8000;
/// Places in the queue that only openings and closings may take.
const CONTROL_PLACES: usize = 64;

/// A piece of audio under way to the writer; it goes by pointer and comes back empty.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) at_byte: u64,
    pub(crate) length: usize,
    pub(crate) bytes: [u8; PART_BYTES],
}

impl Part {
    pub(crate) fn audio(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// What the writer is told.
#[derive(Debug)]
pub(crate) enum WriterOrder {
    Open {
        conversation: ConversationKey,
        file: String,
        law: Codec,
    },
    Part {
        conversation: ConversationKey,
        part: Box<Part>,
    },
    Close {
        conversation: ConversationKey,
        /// Length of the timeline; the file is filled up to it.
        frames: u64,
        /// Frames that the media thread had to drop.
        dropped_frames: u64,
    },
}

/// The media thread's end.
#[derive(Debug)]
pub(crate) struct WriterDoor {
    orders: Producer<WriterOrder>,
    empty: Consumer<Box<Part>>,
    wake: Arc<Wake>,
    /// Openings and closings that found even their own places taken; they are never lost.
    waiting: VecDeque<WriterOrder>,
}

/// The writer's end.
#[derive(Debug)]
pub(crate) struct WriterEnd {
    pub(crate) orders: Consumer<WriterOrder>,
    pub(crate) empty: Producer<Box<Part>>,
}

impl WriterDoor {
    /// A way with room for `capacity` parts.
    pub(crate) fn new(capacity: usize, wake: Arc<Wake>) -> (Self, WriterEnd) {
        let (orders, order_reader) = RingBuffer::new(capacity + CONTROL_PLACES);
        let (empty_writer, empty) = RingBuffer::new(capacity);
        let door = Self {
            orders,
            empty,
            wake,
            waiting: VecDeque::new(),
        };
        let end = WriterEnd {
            orders: order_reader,
            empty: empty_writer,
        };
        (door, end)
    }

    /// Gives audio to the writer, at most [`PART_BYTES`] of it. False: the queue is full, the audio is lost.
    ///
    /// The writer is not woken: while a file is open it looks at its queues by itself.
    pub(crate) fn give_audio(
        &mut self,
        conversation: ConversationKey,
        at_byte: u64,
        bytes: &[u8],
    ) -> bool {
        if !self.waiting.is_empty() || self.orders.slots() <= CONTROL_PLACES {
            return false;
        }
        // The pool grows to what is under way at most, and then nothing is allocated any more.
        let mut part = self.empty.pop().unwrap_or_else(|_| {
            Box::new(Part {
                at_byte: 0,
                length: 0,
                bytes: [0; PART_BYTES],
            })
        });
        let Some(target) = part.bytes.get_mut(..bytes.len()) else {
            return false;
        };
        target.copy_from_slice(bytes);
        part.at_byte = at_byte;
        part.length = bytes.len();
        self.orders
            .push(WriterOrder::Part { conversation, part })
            .is_ok()
    }

    /// Gives an opening or a closing to the writer, and wakes it if it has nothing to do.
    pub(crate) fn give(&mut self, order: WriterOrder) {
        self.waiting.push_back(order);
        self.retry();
    }

    /// Offers again what has to wait.
    pub(crate) fn retry(&mut self) {
        while let Some(order) = self.waiting.pop_front() {
            if let Err(PushError::Full(order)) = self.orders.push(order) {
                self.waiting.push_front(order);
                break;
            }
        }
        self.wake.notify();
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONVERSATION: ConversationKey = ConversationKey(1);

    fn close(conversation: u64) -> WriterOrder {
        WriterOrder::Close {
            conversation: ConversationKey(conversation),
            frames: 0,
            dropped_frames: 0,
        }
    }

    #[test]
    fn audio_finds_the_queue_full_but_an_order_never_gets_lost() {
        let (mut door, mut end) = WriterDoor::new(3, Arc::new(Wake::new().unwrap()));
        for part in 0..3 {
            assert!(door.give_audio(CONVERSATION, part * 2, &[1, 2]));
        }
        assert!(!door.give_audio(CONVERSATION, 6, &[1, 2]));
        for conversation in 0..2 * CONTROL_PLACES as u64 {
            door.give(close(conversation));
        }
        assert!(door.is_waiting());
        let (mut parts, mut closes) = (0, 0);
        while let Ok(order) = end.orders.pop() {
            match order {
                WriterOrder::Part { .. } => parts += 1,
                WriterOrder::Close { conversation, .. } => {
                    assert_eq!(conversation, ConversationKey(closes));
                    closes += 1;
                }
                WriterOrder::Open { .. } => panic!("nothing was opened"),
            }
            door.retry();
        }
        assert_eq!((parts, closes), (3, 2 * CONTROL_PLACES as u64));
    }

    #[test]
    fn an_emptied_part_is_used_again() {
        let (mut door, mut end) = WriterDoor::new(3, Arc::new(Wake::new().unwrap()));
        assert!(door.give_audio(CONVERSATION, 10, &[1, 2, 3, 4]));
        let Ok(WriterOrder::Part { part, .. }) = end.orders.pop() else {
            panic!("a part was given");
        };
        assert_eq!((part.at_byte, part.audio()), (10, &[1, 2, 3, 4][..]));
        let address: *const Part = &*part;
        end.empty.push(part).unwrap();
        assert!(door.give_audio(CONVERSATION, 14, &[5, 6]));
        let Ok(WriterOrder::Part { part, .. }) = end.orders.pop() else {
            panic!("a part was given");
        };
        assert_eq!(&raw const *part, address);
        assert_eq!(part.audio(), [5, 6]);
    }
}
