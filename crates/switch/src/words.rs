//! What callers are told: which prompts, in the language of the line.

use std::sync::Arc;

use call::{LegNo, Origin, Words};
use media::{
    plane::{AfterSounds, Command},
    sound::BEEP,
};
use model::{CallId, Line, LineId};

use crate::switch::Switch;

/// The greatest number that the prompts can say.
const MOST_SPOKEN: u32 = 99;
/// A longer wait is not promised in minutes.
const MOST_MINUTES: u64 = 60;

impl Switch {
    /// Tells the caller something, then music or silence.
    pub(crate) fn say(&mut self, call: CallId, words: Words, call_back: bool) {
        let sounds = match (self.served_line(call), words) {
            (_, Words::Echo) => vec!["echo-test".to_owned()],
            (Some(line), _) => self.sounds(call, line, words),
            (None, _) => return,
        };
        let call_back = (call_back && words.waits()).then(|| "queue-callback".to_owned());
        let sounds: Vec<String> = sounds.into_iter().chain(call_back).collect();
        let then = match words.waits() {
            true => AfterSounds::Music,
            false => AfterSounds::Silence,
        };
        self.play(call, LegNo::CALLER, sounds, then);
    }

    /// Says no more to the caller.
    pub(crate) fn hush(&mut self, call: CallId) {
        self.play(call, LegNo::CALLER, Vec::new(), AfterSounds::Silence);
    }

    /// Tells whoever parked the client in which place. What they say meanwhile is no part of the conversation any more.
    pub(crate) fn tell_place(&mut self, call: CallId, leg: LegNo, place: u8) {
        if let Some(leg) = self.legs.key_of(call, leg) {
            self.order(Command::Hold { leg, held: true });
        }
        let mut sounds = vec!["parked-place".to_owned()];
        sounds.extend(spoken(place.into()));
        self.play(call, leg, sounds, AfterSounds::Silence);
    }

    /// Lets a party hear music.
    pub(crate) fn play_music(&mut self, call: CallId, leg: LegNo) {
        self.play(call, leg, Vec::new(), AfterSounds::Music);
    }

    /// Lets a party hear itself.
    pub(crate) fn echo(&mut self, call: CallId, leg: LegNo) {
        if let Some(leg) = self.legs.key_of(call, leg) {
            self.order(Command::Echo { leg });
        }
    }

    /// Asks whoever answered a telephone elsewhere, three times, to press a key.
    pub(crate) fn ask_to_take(&mut self, call: CallId, leg: LegNo) {
        let prompts = vec!["press-one".to_owned(); 3];
        self.play(call, leg, prompts, AfterSounds::Silence);
    }

    fn play(&mut self, call: CallId, leg: LegNo, sounds: Vec<String>, then: AfterSounds) {
        let Some(leg) = self.legs.key_of(call, leg) else {
            return;
        };
        let language = self.served_line(call).map(|line| line.language);
        let code = language.unwrap_or(self.settings.language).code();
        let named = |name: String| match name.as_str() {
            BEEP => Arc::from(name),
            _ => Arc::from(format!("{code}/{name}")),
        };
        self.order(Command::PlaySounds {
            leg,
            sounds: sounds.into_iter().map(named).collect(),
            then,
        });
    }

    /// The line whose agents answer the call, if a client called.
    pub(crate) fn served_line(&self, call: CallId) -> Option<&Line> {
        match self.calls.origin(call)? {
            Origin::Inbound(inbound) => self.directory.line(inbound.service.line),
            _ => None,
        }
    }

    fn sounds(&self, call: CallId, line: &Line, words: Words) -> Vec<String> {
        let menu = || {
            let own = line.reception.menu.as_ref();
            let own = own.and_then(|menu| menu.prompt.clone());
            own.unwrap_or_else(|| "menu".to_owned())
        };
        let prompts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        match words {
            Words::CallBack => prompts(&["callback-taken", "goodbye"]),
            Words::AllBusy => prompts(&["all-busy", "goodbye"]),
            Words::CallAgain => prompts(&["call-again", "goodbye"]),
            Words::Closed => prompts(&["closed", "goodbye"]),
            Words::RecordingNotice => prompts(&["recording-notice"]),
            Words::Message => prompts(&["voicemail", BEEP]),
            Words::ClosedMessage => prompts(&["closed", "voicemail", BEEP]),
            Words::Announcement => line.reception.announcement.iter().cloned().collect(),
            Words::Menu => vec![menu()],
            Words::WrongChoice => vec!["wrong-choice".to_owned(), menu()],
            Words::Welcome => {
                let mut sounds = vec!["queue-welcome".to_owned()];
                sounds.extend(self.place_in_words(call, line.id));
                sounds
            }
            Words::Place => self.place_in_words(call, line.id),
            Words::Echo => Vec::new(),
        }
    }

    fn place_in_words(&self, call: CallId, line: LineId) -> Vec<String> {
        let mut sounds = Vec::new();
        if let Some(number) = self.waiting.place(call) {
            if number <= MOST_SPOKEN {
                sounds.push("queue-position".to_owned());
                sounds.extend(spoken(number));
            }
            let wait = self.agents.expected_wait(line, number);
            let minutes = wait.map(|wait| wait.as_secs().div_ceil(60).max(1));
            if let Some(minutes) = minutes.filter(|it| *it <= MOST_MINUTES) {
                sounds.push("queue-wait".to_owned());
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
