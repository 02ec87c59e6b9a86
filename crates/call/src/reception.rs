//! What a caller hears before anybody's telephone rings (T7): hours, announcement, recording notice, menu, and a message
//! where nobody can answer.

use std::{collections::VecDeque, time::Duration};

use model::{Destination, DialogSnapshot, LineId, UserId, Utc, Voicemail};

use crate::{
    Cause, EventKind, LegNo, Origin, Output, Party, Words,
    call::{Call, Context, State},
    recording::file_of,
};

/// The longest announcement: the media plane tells when it is over.
const TELLING: Duration = Duration::from_secs(130);
/// How long a caller may think after the choices were told.
const CHOOSING: Duration = Duration::from_secs(6);
/// How long another digit of a short number is waited for.
const NEXT_KEY: Duration = Duration::from_millis(2_500);
/// How often the choices are told.
const MOST_TRIES: u8 = 3;
/// Digits of the longest short number.
const MOST_KEYS: usize = 8;
/// Lines that one call may be sent through by menus and closed offices.
const MOST_TURNS: u8 = 5;
/// The end of sounds that were cut short may be reported so long afterwards.
const ECHO: Duration = Duration::from_millis(250);

/// Whoever may have been told already is not kept for longer.
const DOUBT: Duration = Duration::from_secs(15);

/// How a line receives callers, as of the moment at which a call comes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Whose agents answer.
    pub line: LineId,
    /// Conversations are recorded.
    pub recorded: bool,
    /// How callers wait when nobody is free.
    pub queue: Option<model::Queue>,
    /// Its office is closed.
    pub closed: Option<Closed>,
    /// Callers are greeted.
    pub announces: bool,
    /// Callers are told that they will be recorded.
    pub notice: bool,
    /// Callers choose; those with a manager too, or not.
    pub menu: Option<MenuFor>,
    /// Callers may leave a message.
    pub voicemail: Option<Voicemail>,
}

/// A closed office.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// When it opens, if it does within a year.
    pub opens_at: Option<Utc>,
    /// The line that takes the calls meanwhile.
    pub instead: Option<LineId>,
}

/// Who is asked to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MenuFor {
    /// Every caller.
    Everybody,
    /// Callers without a manager of their own.
    Unassigned,
}

/// What keys mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Where they lead.
    pub to: Destination,
    /// How the other line receives callers, if they lead to one.
    pub service: Option<Service>,
}

/// What is still to be done before the call is distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Announce,
    Notice,
    Menu,
    Closed,
    Message(Voicemail),
}

/// How far the reception of a caller is.
#[derive(Debug, Default)]
pub(crate) struct Reception {
    steps: VecDeque<Step>,
    /// What is being said.
    step: Option<Step>,
    turns: u8,
    tries: u8,
    keys: String,
    chosen: Option<Choice>,
    /// Nothing said before that moment counts.
    deaf_until: Duration,
    /// The caller heard that the conversation will be recorded.
    noticed: bool,
    /// The line that the journal knows to have received the caller.
    received: Option<LineId>,
    /// Whose short number the caller dialled.
    wanted: Option<UserId>,
    /// The last question to routing was for that one.
    pub(crate) asked_directly: bool,
}

/// That a line received the caller; a closed office opens later only for calls that no other line takes.
fn received_at(service: &Service, instead: Option<LineId>, snapshot: DialogSnapshot) -> EventKind {
    let opens_at = service.closed.and_then(|closed| closed.opens_at);
    EventKind::Received {
        line: service.line,
        closed: service.closed.is_some(),
        instead,
        opens_at: opens_at.filter(|_| instead.is_none()),
        snapshot,
    }
}

impl Reception {
    pub(crate) fn take_wanted(&mut self) -> Option<UserId> {
        let wanted = self.wanted.take();
        self.asked_directly = wanted.is_some();
        wanted
    }
}

impl Call {
    pub(crate) fn service(&self) -> Option<&Service> {
        match &self.origin {
            Origin::Inbound(inbound) => Some(&inbound.service),
            _ => None,
        }
    }

    /// The caller is at a line: what is to be said and asked there comes first.
    pub(crate) fn receive(&mut self, context: &mut Context<'_>) {
        let Some(service) = self.service().copied() else {
            return self.decide();
        };
        if let Some(closed) = service.closed {
            if let (Some(line), true) = (closed.instead, self.may_turn()) {
                self.state = State::Deciding;
                let left = received_at(&service, Some(line), DialogSnapshot::default());
                self.commit(context, vec![left]);
                return self.outputs.push_back(Output::Turn { line });
            }
            self.reception.steps.push_back(Step::Closed);
            return self.go_on(context);
        }
        let assigned = self.caller.matches.iter().any(|it| it.manager.is_some());
        let asks = match service.menu {
            Some(MenuFor::Everybody) => true,
            Some(MenuFor::Unassigned) => !assigned,
            None => false,
        };
        let notice = service.recorded && service.notice && !self.reception.noticed;
        let steps = [
            (service.announces, Step::Announce),
            (asks && self.reception.turns < MOST_TURNS, Step::Menu),
            (notice, Step::Notice),
        ];
        let steps = steps.into_iter().filter(|(wanted, _)| *wanted);
        self.reception.steps.extend(steps.map(|(_, step)| step));
        self.go_on(context);
    }

    /// The call has come to another line, or there is no such line any more.
    pub(crate) fn turned(&mut self, context: &mut Context<'_>, service: Option<Service>) {
        match (service, &mut self.origin) {
            (Some(service), Origin::Inbound(inbound)) => {
                inbound.service = service;
                self.receive(context);
            }
            _ => {
                self.reception.steps.push_back(Step::Closed);
                self.go_on(context);
            }
        }
    }

    fn may_turn(&mut self) -> bool {
        self.reception.turns += 1;
        self.reception.turns <= MOST_TURNS
    }

    /// The next step, or the agents.
    fn go_on(&mut self, context: &mut Context<'_>) {
        if !self.reception.steps.is_empty() && !self.answered {
            self.state = State::Admitting { effect: None };
            return self.outputs.push_back(Output::AnswerLine);
        }
        let Some(step) = self.reception.steps.pop_front() else {
            if self.answered {
                self.outputs.push_back(Output::PlayRingback(LegNo::CALLER));
            }
            return self.decide();
        };
        match step {
            Step::Announce => self.tell(context, step, Words::Announcement),
            Step::Notice => self.tell(context, step, Words::RecordingNotice),
            Step::Closed => self.closed(context),
            Step::Message(_) => self.tell(context, step, Words::Message),
            Step::Menu => {
                self.reception.tries = 0;
                self.ask(context, Words::Menu);
            }
        }
    }

    /// What a restart needs once the line is answered.
    pub(crate) fn admitted(&mut self, context: &mut Context<'_>, snapshot: DialogSnapshot) {
        if self.state != (State::Admitting { effect: None }) {
            return;
        }
        let Some(service) = self.service() else {
            return self.echo_admitted(context, snapshot);
        };
        let line = service.line;
        let received = received_at(service, None, snapshot);
        self.reception.received = Some(line);
        let effect = self.commit(context, vec![EventKind::LineAnswered, received]);
        self.state = State::Admitting {
            effect: Some(effect),
        };
    }

    /// The journal knows: the caller is answered.
    pub(crate) fn admit(&mut self, context: &mut Context<'_>) {
        if let Origin::Echo(_) = self.origin {
            return self.echo_begins(context);
        }
        self.answered = true;
        self.outputs.push_back(Output::AnswerCaller);
        self.go_on(context);
    }

    fn tell(&mut self, context: &Context<'_>, step: Step, words: Words) {
        self.say(words);
        self.reception.step = Some(step);
        self.state = State::Telling {
            until: context.now.mono + TELLING,
        };
    }

    fn closed(&mut self, context: &mut Context<'_>) {
        if let Some(service) = self
            .service()
            .filter(|it| self.reception.received != Some(it.line))
        {
            let received = received_at(service, None, DialogSnapshot::default());
            self.commit(context, vec![received]);
        }
        match self.service().and_then(|service| service.voicemail) {
            Some(voicemail) => {
                self.tell(context, Step::Message(voicemail), Words::ClosedMessage);
            }
            None => self.say_farewell(context, Words::Closed, (Cause::Closed, Party::System)),
        }
    }

    /// Nobody can answer: the caller may leave a message, hears so, or is refused.
    pub(crate) fn nobody(&mut self, context: &mut Context<'_>, cause: Cause) {
        let voicemail = self.service().and_then(|service| service.voicemail);
        // A conversation has one recording, and this one has begun.
        let voicemail = voicemail.filter(|_| self.transfer.is_none());
        if let Some(voicemail) = voicemail {
            self.withdraw_offer(context);
            self.leave_queue();
            self.reception.deaf_until = context.now.mono + ECHO;
            self.reception.steps.push_back(Step::Message(voicemail));
            self.go_on(context);
        } else if self.answered && self.transfer.is_some() {
            // Nobody owes a call back to somebody who was talked with.
            self.say_farewell(context, Words::CallAgain, (cause, Party::System));
        } else if self.answered {
            self.say_farewell(context, Words::AllBusy, (cause, Party::System));
        } else {
            self.end(context, cause, Party::System);
        }
    }

    fn ask(&mut self, context: &Context<'_>, words: Words) {
        self.reception.keys.clear();
        self.reception.chosen = None;
        self.reception.tries += 1;
        self.say(words);
        self.reception.step = None;
        self.state = State::Choosing {
            until: context.now.mono + TELLING,
        };
    }

    /// Words that were ordered here were said.
    pub(crate) fn told(&mut self, context: &mut Context<'_>) {
        if context.now.mono < self.reception.deaf_until {
            // The end of what was said before, or of a sound that is not there.
            if let State::Telling { until } = &mut self.state {
                *until = (*until).min(context.now.mono + DOUBT);
            }
            return;
        }
        match self.state {
            State::Telling { .. } => {
                self.reception.noticed |= self.reception.step == Some(Step::Notice);
                self.told_to_the_end(context);
            }
            State::Echoing { .. } => self.outputs.push_back(Output::Echo(LegNo::CALLER)),
            State::Choosing { .. } if self.reception.keys.is_empty() => {
                self.state = State::Choosing {
                    until: context.now.mono + CHOOSING,
                };
            }
            _ => {}
        }
    }

    fn told_to_the_end(&mut self, context: &mut Context<'_>) {
        match self.reception.step.take() {
            Some(Step::Message(voicemail)) => self.take_message(context, voicemail),
            _ => self.go_on(context),
        }
    }

    /// Time passes in the reception.
    pub(crate) fn received(&mut self, context: &mut Context<'_>) {
        let now = context.now.mono;
        match self.state {
            State::Telling { until } if until <= now => self.told_to_the_end(context),
            State::Choosing { until } if until <= now => match self.reception.chosen.take() {
                Some(choice) => self.chosen(context, choice),
                None => self.ask_again(context),
            },
            State::Echoing { until } if until <= now => {
                self.end(context, Cause::HungUp, Party::System);
            }
            State::Message { until } if until <= now => self.message_taken(context, Party::System),
            _ => {}
        }
    }

    /// A key in the reception.
    pub(crate) fn key_at_reception(&mut self, context: &mut Context<'_>, key: char) {
        match self.state {
            State::Message { .. } if key == '#' => self.message_taken(context, Party::Client),
            State::Choosing { .. } if self.reception.keys.len() < MOST_KEYS => {
                if self.reception.keys.is_empty() {
                    self.outputs.push_back(Output::Hush);
                    self.reception.deaf_until = context.now.mono + ECHO;
                }
                self.reception.keys.push(key);
                self.state = State::Choosing {
                    until: context.now.mono + NEXT_KEY,
                };
                let keys = self.reception.keys.clone();
                self.outputs.push_back(Output::Choose { keys });
            }
            _ => {}
        }
    }

    /// What the keys so far mean, and whether more of them may mean something.
    pub(crate) fn understood(
        &mut self,
        context: &mut Context<'_>,
        choice: Option<Choice>,
        more: bool,
    ) {
        if !matches!(self.state, State::Choosing { .. }) {
            return;
        }
        match (choice, more) {
            (Some(choice), false) => self.chosen(context, choice),
            (choice, true) => self.reception.chosen = choice,
            (None, false) => self.ask_again(context),
        }
    }

    fn ask_again(&mut self, context: &mut Context<'_>) {
        let silent = self.reception.keys.is_empty();
        match (self.reception.tries < MOST_TRIES, silent) {
            (true, true) => self.ask(context, Words::Menu),
            (true, false) => self.ask(context, Words::WrongChoice),
            // Whoever cannot or does not want to choose is a caller all the same.
            (false, _) => self.go_on(context),
        }
    }

    fn chosen(&mut self, context: &mut Context<'_>, choice: Choice) {
        let keys = std::mem::take(&mut self.reception.keys);
        self.commit(
            context,
            vec![EventKind::MenuChosen {
                keys,
                to: choice.to,
            }],
        );
        match (choice.to, choice.service) {
            (Destination::Line(_), Some(service)) if self.may_turn() => {
                // What was still to be said belongs to the line that was left.
                self.reception.steps.clear();
                self.turned(context, Some(service));
            }
            (Destination::Voicemail, _) => {
                self.reception.steps.clear();
                self.nobody(context, Cause::NobodyAnswered);
            }
            (Destination::Agent(agent), _) => {
                self.reception.wanted = Some(agent);
                self.go_on(context);
            }
            (Destination::Line(_), _) => self.go_on(context),
        }
    }

    /// After the tone: what the caller says is kept.
    fn take_message(&mut self, context: &mut Context<'_>, voicemail: Voicemail) {
        let recording = self.recording.start(self.id, context.now);
        self.outputs.push_back(Output::RecordMessage {
            file: recording.clone(),
        });
        self.commit(context, vec![EventKind::MessageStarted { recording }]);
        self.state = State::Message {
            until: context.now.mono + Duration::from_secs(voicemail.most_secs.into()),
        };
    }

    fn message_taken(&mut self, context: &mut Context<'_>, by: Party) {
        if self.recording.stop(context.now.mono) {
            self.outputs.push_back(Output::StopRecording);
        }
        self.say_farewell(context, Words::CallBack, (Cause::MessageLeft, by));
    }

    /// The conversation would be recorded, but the caller was to hear so and did not.
    pub(crate) fn lacks_notice(&self) -> bool {
        let wanted = match &self.origin {
            Origin::Inbound(inbound) => inbound.service.recorded && inbound.service.notice,
            Origin::Outbound(outbound) => outbound.recorded && outbound.notice,
            Origin::Internal(_) | Origin::Echo(_) | Origin::Recovered => false,
        };
        wanted && !self.reception.noticed
    }

    /// Why there is no recording where there should be one.
    pub(crate) fn unrecorded(&self, at: Utc) -> Option<EventKind> {
        self.lacks_notice().then(|| EventKind::RecordingReady {
            file: file_of(self.id, at),
            length_ms: 0,
            bytes: 0,
            gaps_ms: 0,
            gaps: Vec::new(),
            error: Some("the client could not be told of the recording".to_owned()),
        })
    }
}
