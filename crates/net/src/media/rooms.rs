//! Conferences on a media thread: legs that hear one another, mixed on a wheel of their own every 20 ms.

use std::time::Duration;

use media::{
    Codec, ConversationKey, LegKey,
    mixing::{self, Playout, SILENCE},
    rtp::Header,
    tone::FRAME_SAMPLES,
};

use super::{tap::TapPlace, thread::RtpThread, wheel::Wheel};

/// The client first, then the two agents.
const SEATS: usize = 3;
/// What is mixed now came so long ago: 20 to 40 ms.
const MIXED_LATER: Duration = Duration::from_millis(30);

/// One conference: legs by their slots on this thread.
#[derive(Debug)]
struct Room {
    seats: [Option<u32>; SEATS],
    bucket: u8,
    right: Option<RightChannel>,
}

/// Where the sum of the agents is recorded, as a stream of its own.
#[derive(Debug)]
struct RightChannel {
    place: TapPlace,
    law: Codec,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
}

impl RightChannel {
    fn next_header(&mut self) -> Header {
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME_SAMPLES as u32);
        Header {
            payload_type: self.law.payload_type(),
            marker: false,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        }
    }
}

/// All conferences of a media thread.
#[derive(Debug)]
pub(crate) struct Rooms {
    rooms: Vec<Option<Room>>,
    free: Vec<u32>,
    wheel: Wheel,
}

impl Rooms {
    pub(crate) fn new(now: Duration) -> Self {
        Self {
            rooms: Vec::new(),
            free: Vec::new(),
            wheel: Wheel::new(now),
        }
    }

    /// When the next conference is mixed.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.wheel.deadline()
    }

    fn insert(&mut self, seats: [u32; SEATS], right: Option<RightChannel>, now: Duration) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.rooms.push(None);
            (self.rooms.len() - 1) as u32
        });
        let bucket = self.wheel.insert(number, now);
        if let Some(place) = self.rooms.get_mut(number as usize) {
            *place = Some(Room {
                seats: seats.map(Some),
                bucket,
                right,
            });
        }
        number
    }

    fn at(&mut self, number: u32) -> Option<&mut Room> {
        self.rooms.get_mut(number as usize)?.as_mut()
    }

    /// A leg leaves; the last one that is left goes too, and is named.
    fn leave(&mut self, number: u32, slot: u32) -> Option<u32> {
        let room = self.at(number)?;
        for seat in &mut room.seats {
            seat.take_if(|taken| *taken == slot);
        }
        let mut left = room.seats.iter().flatten();
        let (last, others) = (left.next().copied(), left.next());
        if others.is_some() {
            return None;
        }
        let bucket = room.bucket;
        self.wheel.remove(number, bucket);
        if let Some(place) = self.rooms.get_mut(number as usize) {
            *place = None;
            self.free.push(number);
        }
        last
    }
}

impl RtpThread {
    /// Three legs hear one another.
    pub(super) fn confer(
        &mut self,
        client: LegKey,
        agents: [LegKey; 2],
        conversation: ConversationKey,
    ) {
        let [first, second] = agents;
        let slots = [client, first, second].map(|key| self.legs.slot(key));
        let [Some(client), Some(first), Some(second)] = slots else {
            return;
        };
        let slots = [client, first, second];
        if client == first || first == second || second == client {
            return;
        }
        for slot in slots {
            self.part(slot);
        }
        let right = self.taps.right_of(conversation);
        let right = right.map(|place| RightChannel {
            place,
            law: self.taps.law_of(place),
            ssrc: rand::random(),
            sequence: rand::random(),
            timestamp: rand::random(),
        });
        let number = self.rooms.insert(slots, right, self.now);
        for slot in slots {
            if let Some(leg) = self.legs.at(slot) {
                leg.room = Some(number);
                leg.playout = Some(Playout::new());
                leg.hear(None, self.now);
                leg.out.change_source();
                leg.restart_timeout(self.now);
                if slot != client {
                    leg.tap = None;
                }
            }
            self.update_wheel(slot);
        }
    }

    /// Takes a leg out of its conference, if it is in one.
    pub(super) fn leave_room(&mut self, slot: u32) {
        let Some(number) = self.legs.at(slot).and_then(|leg| leg.leave_room()) else {
            return;
        };
        let last = self.rooms.leave(number, slot);
        if let Some(leg) = last.and_then(|slot| self.legs.at(slot)) {
            leg.leave_room();
        }
    }

    /// Mixes the conferences that are due.
    pub(super) fn mix_due_rooms(&mut self) {
        while let Some(bucket) = self.rooms.wheel.next_due(self.now) {
            let mut position = 0;
            while let Some(number) = self.rooms.wheel.member(bucket, position) {
                position += 1;
                self.mix(number);
            }
        }
    }

    fn mix(&mut self, number: u32) {
        let Some(room) = self.rooms.at(number) else {
            return;
        };
        let mut voices = [SILENCE; SEATS];
        let mut speaks = [false; SEATS];
        for (seat, slot) in room.seats.into_iter().enumerate() {
            let Some(leg) = slot.and_then(|slot| self.legs.at(slot)) else {
                continue;
            };
            if let Some(playout) = &mut leg.playout {
                playout.take(&mut voices[seat]);
            }
            speaks[seat] = !leg.held;
            if leg.held {
                voices[seat] = SILENCE;
            }
        }
        for (seat, slot) in room.seats.into_iter().enumerate() {
            let Some(leg) = slot.and_then(|slot| self.legs.at(slot)) else {
                continue;
            };
            // Whoever holds hears nobody, as in a bridge.
            if leg.held || leg.hears_program() {
                continue;
            }
            let mut heard = SILENCE;
            let mut alone = true;
            for other in (0..SEATS).filter(|other| *other != seat && speaks[*other]) {
                mixing::add(&mut heard, &voices[other]);
                alone = false;
            }
            match alone {
                true => leg.send_music(self.now),
                false => leg.send_mixed(self.now, &heard),
            }
        }
        if let Some(right) = &mut room.right {
            let [_, first, second] = &voices;
            let (mut sum, mut payload) = (*first, [0; FRAME_SAMPLES]);
            mixing::add(&mut sum, second);
            mixing::encode(right.law, &sum, &mut payload);
            let header = right.next_header();
            let came = self.now.saturating_sub(MIXED_LATER);
            self.taps
                .write(right.place, came, &header, right.law, &payload);
        }
    }
}
