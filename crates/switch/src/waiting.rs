//! Callers in the queue: room, places, words and music, and who is asked for when an agent becomes free.

use std::{sync::Arc, time::Duration};

use call::{LegNo, Origin, Turn, Words};
use media::plane::{AfterSounds, Command};
use model::{CallId, Language, Now, Queue};
use routing::Waiting;

use crate::switch::Switch;

/// The greatest number that the prompts can say.
const MOST_SPOKEN: u32 = 99;
/// A longer wait is not promised in minutes.
const MOST_MINUTES: u64 = 60;

/// What a call in the queue has of its line.
struct Place {
    line: model::LineId,
    language: Language,
    queue: Queue,
}

impl Switch {
    fn queue_of(&self, call: CallId) -> Option<Place> {
        let Some(Origin::Inbound(inbound)) = self.calls.origin(call) else {
            return None;
        };
        let language = self.directory.line(inbound.line).map(|line| line.language);
        Some(Place {
            line: inbound.line,
            language: language.unwrap_or_default(),
            queue: inbound.queue?,
        })
    }

    /// Whether there is room, and where; the place is taken at once.
    pub(crate) fn enter_queue(&mut self, call: CallId, turn: Turn) -> call::Input {
        let room = self.queue_of(call).is_some_and(|place| {
            let waiting = self.waiting.length(place.line);
            u32::try_from(waiting).is_ok_and(|it| it < place.queue.most_waiting)
        });
        if room {
            self.wait(call, turn);
            self.waiting.keep(call);
        }
        call::Input::MayEnter {
            place: self.waiting.place(call),
            snapshot: self.snapshot_of_answered(call),
        }
    }

    pub(crate) fn wait(&mut self, call: CallId, turn: Turn) {
        let Some(Place { line, queue, .. }) = self.queue_of(call) else {
            return;
        };
        let overflow = queue.overflow.map(|overflow| {
            let after = Duration::from_secs(overflow.after_secs.into());
            (overflow.line, turn.since + after)
        });
        let waiting = Waiting {
            line,
            overflow,
            managers: turn.managers,
            priority: turn.priority,
            since: turn.since,
            resting: turn.resting,
            not_before: turn.not_before,
        };
        self.waiting.enter(call, waiting);
    }

    /// The line whose agents help by now, if the call waits for so long.
    pub(crate) fn overflow(&self, now: Now, call: CallId) -> Option<model::LineId> {
        let (line, from) = self.waiting.get(call)?.overflow?;
        (from <= now.mono).then_some(line)
    }

    /// Tells the caller something, then music or silence.
    pub(crate) fn say(&mut self, call: CallId, words: Words, call_back: bool) {
        let (Some(place), Some(leg)) = (self.queue_of(call), self.legs.key_of(call, LegNo::CALLER))
        else {
            return;
        };
        let mut sounds = self.sounds(call, &place, words);
        if call_back && words.waits() {
            sounds.push("queue-callback".into());
        }
        let code = place.language.code();
        let sounds = sounds.into_iter().map(|name| format!("{code}/{name}"));
        self.order(Command::PlaySounds {
            leg,
            sounds: sounds.map(Arc::from).collect(),
            then: match words.waits() {
                true => AfterSounds::Music,
                false => AfterSounds::Silence,
            },
        });
    }

    /// Asks whoever answered a telephone elsewhere, three times, to press a key.
    pub(crate) fn ask_to_take(&mut self, call: CallId, leg: LegNo) {
        let language = match self.calls.origin(call) {
            Some(Origin::Inbound(inbound)) => self.directory.line(inbound.line),
            _ => None,
        };
        let language = language.map(|line| line.language).unwrap_or_default();
        let prompt: Arc<str> = Arc::from(format!("{}/press-one", language.code()));
        if let Some(leg) = self.legs.key_of(call, leg) {
            self.order(Command::PlaySounds {
                leg,
                sounds: vec![prompt; 3],
                then: AfterSounds::Silence,
            });
        }
    }

    fn sounds(&self, call: CallId, place: &Place, words: Words) -> Vec<String> {
        let mut sounds = match words {
            Words::CallBack => return vec!["callback-taken".into(), "goodbye".into()],
            Words::AllBusy => return vec!["all-busy".into(), "goodbye".into()],
            Words::Welcome => vec!["queue-welcome".into()],
            Words::Place => Vec::new(),
        };
        if let Some(number) = self.waiting.place(call) {
            if number <= MOST_SPOKEN {
                sounds.push("queue-position".into());
                sounds.extend(spoken(number));
            }
            let wait = self.agents.expected_wait(place.line, number);
            let minutes = wait.map(|wait| wait.as_secs().div_ceil(60).max(1));
            if let Some(minutes) = minutes.filter(|it| *it <= MOST_MINUTES) {
                sounds.push("queue-wait".into());
                sounds.extend(spoken(u32::try_from(minutes).unwrap_or(1)));
            }
        }
        sounds
    }
}

/// The prompts of a number from 0 to 99: tens and units where it has no prompt of its own.
fn spoken(number: u32) -> Vec<String> {
    let (tens, units) = (number / 10 * 10, number % 10);
    let parts = match (number <= 20, units) {
        (true, _) | (_, 0) => vec![number],
        _ => vec![tens, units],
    };
    parts.into_iter().map(|it| format!("number-{it}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spoken_as_they_are_composed() {
        let said = |number| spoken(number).join(" ");
        assert_eq!(said(0), "number-0");
        assert_eq!(said(13), "number-13");
        assert_eq!(said(20), "number-20");
        assert_eq!(said(21), "number-20 number-1");
        assert_eq!(said(40), "number-40");
        assert_eq!(said(99), "number-90 number-9");
    }
}
