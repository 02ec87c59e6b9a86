//! The taps of one media thread: where packets become a recording's signal.

use std::{collections::HashMap, ops::Range, time::Duration};

use media::{
    Codec, ConversationKey, Event, GapReason, RecordingSummary,
    rtp::Header,
    timeline::{BlockWrite, Side, TapPacket, Timeline},
};

use super::{counters::Counted, events::EventSender};
use crate::recorder::{Gaps, PART_BYTES, WriterDoor, WriterOrder, gap_event};

/// Timelines are asked for ripe audio so often.
const GRID: Duration = Duration::from_millis(40);
/// No packet of ours or of a network has more samples.
const MOST_SAMPLES: usize = 1_500;

/// Where a leg's voice goes.
///
/// It names the conversation besides the slot: a leg that outlives its recording must not speak into the
/// next one that gets the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TapPlace {
    slot: u32,
    conversation: ConversationKey,
    side: Side,
}

#[derive(Debug)]
struct Tap {
    timeline: Timeline,
    outlet: Outlet,
    /// Silence is recorded instead of what comes.
    paused: bool,
}

/// A recording's way to the writer, and what got lost on it.
#[derive(Debug)]
struct Outlet {
    conversation: ConversationKey,
    gaps: Gaps,
    /// Parts that the queue refused, not counted yet.
    dropped_parts: u64,
    /// Gaps not told yet.
    untold: Vec<Range<u64>>,
}

impl Outlet {
    fn give(&mut self, door: &mut WriterDoor, write: &BlockWrite<'_>) {
        let mut at_byte = write.byte_offset();
        for bytes in write.bytes.chunks(PART_BYTES) {
            let frames = at_byte / 2..(at_byte + bytes.len() as u64) / 2;
            let gap = if door.give_audio(self.conversation, at_byte, bytes) {
                self.gaps.written(&frames)
            } else {
                self.dropped_parts += 1;
                self.gaps.miss(frames)
            };
            self.untold.extend(gap);
            at_byte += bytes.len() as u64;
        }
    }

    fn tell(&mut self, events: &mut EventSender, counted: &mut Counted) {
        counted.gaps += std::mem::take(&mut self.dropped_parts);
        for gap in self.untold.drain(..) {
            tracing::error!(
                conversation = self.conversation.0,
                "the recorder's queue is full: the disk does not keep up, the file is silent here"
            );
            events.send(gap_event(self.conversation, &gap, GapReason::QueueFull));
        }
    }
}

/// All recordings of a media thread.
#[derive(Debug)]
pub(crate) struct Taps {
    slots: Vec<Option<Box<Tap>>>,
    free: Vec<u32>,
    by_conversation: HashMap<ConversationKey, u32>,
    door: WriterDoor,
    next_look: Duration,
}

impl Taps {
    pub(crate) fn new(door: WriterDoor) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_conversation: HashMap::new(),
            door,
            next_look: Duration::ZERO,
        }
    }

    /// Begins a recording and returns the places of its two sides; `None` if the conversation has one already.
    pub(crate) fn start(
        &mut self,
        conversation: ConversationKey,
        file: String,
        law: Codec,
        now: Duration,
        events: &mut EventSender,
    ) -> Option<[TapPlace; 2]> {
        if self.by_conversation.contains_key(&conversation) {
            events.send(Event::RecordingClosed {
                conversation,
                summary: RecordingSummary {
                    file,
                    error: Some("the conversation is being recorded already".into()),
                    ..RecordingSummary::default()
                },
            });
            return None;
        }
        let tap = Box::new(Tap {
            timeline: Timeline::new(law, now),
            outlet: Outlet {
                conversation,
                gaps: Gaps::default(),
                dropped_parts: 0,
                untold: Vec::new(),
            },
            paused: false,
        });
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.slots.get_mut(slot as usize) {
                    *place = Some(tap);
                }
                slot
            }
            None => {
                self.slots.push(Some(tap));
                (self.slots.len() - 1) as u32
            }
        };
        self.by_conversation.insert(conversation, slot);
        self.door.give(WriterOrder::Open {
            conversation,
            file,
            law,
        });
        Some([Side::Left, Side::Right].map(|side| TapPlace {
            slot,
            conversation,
            side,
        }))
    }

    /// Records silence from now on, or what comes.
    pub(crate) fn pause(&mut self, conversation: ConversationKey, paused: bool) {
        let slot = self.by_conversation.get(&conversation);
        let tap = slot.and_then(|slot| self.slots.get_mut(*slot as usize)?.as_mut());
        if let Some(tap) = tap {
            tap.paused = paused;
        }
    }

    /// The place of whoever talks to the client; `None` if the conversation is not recorded here.
    pub(crate) fn right_of(&self, conversation: ConversationKey) -> Option<TapPlace> {
        let slot = *self.by_conversation.get(&conversation)?;
        Some(TapPlace {
            slot,
            conversation,
            side: Side::Right,
        })
    }

    /// The codec of the file.
    pub(crate) fn law_of(&self, place: TapPlace) -> Codec {
        let tap = self.slots.get(place.slot as usize).and_then(Option::as_ref);
        tap.map_or(Codec::Pcma, |tap| tap.timeline.law())
    }

    /// Puts a voice packet into its recording.
    pub(crate) fn write(
        &mut self,
        place: TapPlace,
        now: Duration,
        header: &Header,
        codec: Codec,
        payload: &[u8],
    ) {
        let Some(tap) = self
            .slots
            .get_mut(place.slot as usize)
            .and_then(Option::as_deref_mut)
            .filter(|tap| tap.outlet.conversation == place.conversation)
        else {
            return;
        };
        // Packets keep their places, or the timeline would have to find them anew.
        let payload = match tap.paused {
            true => silence(codec, payload.len()),
            false => payload,
        };
        let packet = TapPacket {
            side: place.side,
            arrival: now,
            ssrc: header.ssrc,
            sequence: header.sequence,
            timestamp: header.timestamp,
            codec,
            payload,
        };
        let Tap {
            timeline, outlet, ..
        } = tap;
        timeline.place(packet, |write| outlet.give(&mut self.door, &write));
    }

    /// Gives ripe audio to the writer, every 40 ms.
    pub(crate) fn flush(&mut self, now: Duration, events: &mut EventSender, counted: &mut Counted) {
        if now < self.next_look || (self.by_conversation.is_empty() && !self.is_waiting()) {
            return;
        }
        self.next_look = now + GRID;
        if self.is_waiting() {
            self.door.retry();
        }
        for tap in self.slots.iter_mut().flatten() {
            let Tap {
                timeline, outlet, ..
            } = &mut **tap;
            timeline.drain(now, |write| outlet.give(&mut self.door, &write));
            outlet.tell(events, counted);
        }
    }

    /// Ends a recording; the writer reports the rest.
    pub(crate) fn stop(
        &mut self,
        conversation: ConversationKey,
        events: &mut EventSender,
        counted: &mut Counted,
    ) {
        let Some(slot) = self.by_conversation.remove(&conversation) else {
            return;
        };
        let tap = self.slots.get_mut(slot as usize).and_then(Option::take);
        self.free.push(slot);
        let Some(tap) = tap else {
            return;
        };
        let Tap {
            mut timeline,
            mut outlet,
            ..
        } = *tap;
        let frames = timeline.finish(|write| outlet.give(&mut self.door, &write));
        let rest = outlet.gaps.end();
        outlet.untold.extend(rest);
        outlet.tell(events, counted);
        self.door.give(WriterOrder::Close {
            conversation,
            frames,
            dropped_frames: outlet.gaps.missing_frames(),
        });
    }

    /// Ends all recordings, because the thread ends.
    pub(crate) fn stop_all(&mut self, events: &mut EventSender, counted: &mut Counted) {
        let open: Vec<_> = self.by_conversation.keys().copied().collect();
        for conversation in open {
            self.stop(conversation, events, counted);
        }
        // The writer runs on; what it has no room for yet it takes within its next rounds.
        while self.is_waiting() {
            self.door.retry();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// When [`Taps::flush`] has something to do next.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        (!self.by_conversation.is_empty() || self.is_waiting()).then_some(self.next_look)
    }

    /// Whether an order waits for room in the writer's queue.
    pub(crate) fn is_waiting(&self) -> bool {
        self.door.is_waiting()
    }
}

fn silence(codec: Codec, samples: usize) -> &'static [u8] {
    static PCMA: [u8; MOST_SAMPLES] = [Codec::Pcma.silence(); MOST_SAMPLES];
    static PCMU: [u8; MOST_SAMPLES] = [Codec::Pcmu.silence(); MOST_SAMPLES];
    let silence = match codec {
        Codec::Pcma => &PCMA,
        Codec::Pcmu => &PCMU,
    };
    silence.get(..samples).unwrap_or(silence)
}
