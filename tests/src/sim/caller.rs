//! A caller behind the trunk: dials one of our numbers, waits or not, talks, holds, hangs up, or vanishes.

use std::{net::SocketAddr, time::Duration};

use super::{
    chance::Chance,
    digest,
    message::{Message, sdp, tag_of, uri_of},
    mood::Habits,
    reliable::{Incoming, Lost, Reliable},
    sessions,
    talk::Talk,
};

/// From one key to the next.
const KEY: Duration = Duration::from_millis(500);

/// What the caller means to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Gives up after this long without an answer.
    pub patience: Duration,
    /// What happens in the conversation.
    pub talking: super::Talking,
    /// Loses the network this long after dialling.
    pub vanishes: Option<Duration>,
    /// Presses keys this long after the answer.
    pub presses: Option<Duration>,
    /// Which, half a second apart.
    pub keys: &'static str,
    /// Where the session is described.
    pub describes: Describes,
    /// Requires reliable provisional answers (RFC 3262).
    pub reliably: bool,
    /// What it makes of session timers, and which interval it asks for.
    pub timer: (super::Timer, Option<u32>),
}

/// Where a caller describes the session (RFC 3261 §13.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Describes {
    /// In the INVITE.
    InInvite,
    /// In the ACK: the other side makes the offer.
    InAck,
    /// Nowhere, against the RFC.
    Nowhere,
}

impl Intent {
    /// Waits for two minutes and lets the agent hang up.
    pub fn patient() -> Self {
        Self {
            patience: Duration::from_secs(120),
            talking: super::Talking::Stay,
            vanishes: None,
            presses: None,
            keys: "1",
            describes: Describes::InInvite,
            reliably: false,
            timer: (super::Timer::Unknown, None),
        }
    }

    /// Drawn from the seed.
    pub fn drawn(chance: &mut Chance) -> Self {
        use super::Talking;
        let after = chance.millis(10, 45_000);
        Self {
            patience: match chance.below(10) {
                0 => chance.millis(0, 50),
                1 | 2 => chance.millis(50, 8_000),
                _ => chance.millis(20_000, 90_000),
            },
            talking: match chance.below(20) {
                0..4 => Talking::Hold {
                    after,
                    length: chance.millis(200, 50_000),
                    rest: chance.millis(500, 20_000),
                },
                4..6 => Talking::Stay,
                _ => Talking::HangUp { after },
            },
            vanishes: chance.permille(40).then(|| chance.millis(0, 60_000)),
            presses: chance.permille(250).then(|| chance.millis(0, 20_000)),
            keys: chance.pick::<&'static str>(&["1", "1", "1", "2", "3", "101", "79#", "31#"]),
            describes: match chance.below(100) {
                0..20 => Describes::InAck,
                20..22 => Describes::Nowhere,
                _ => Describes::InInvite,
            },
            reliably: chance.permille(150),
            timer: {
                use super::Timer::{Forgets, Known, Refreshes, Unknown};
                let kind = *chance.pick(&[Unknown, Unknown, Known, Refreshes, Forgets]);
                (kind, *chance.pick(&[None, Some(60), Some(90), Some(600)]))
            },
        }
    }
}

/// How it ended for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Refused with this status; 487 after a CANCEL.
    Refused(u16),
    /// A conversation that the caller ended.
    HungUp,
    /// A conversation that ended for other reasons.
    Ended,
    /// Nobody answered our requests.
    NoAnswer,
    /// Lost the network.
    Vanished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Dial,
    Cancel,
    GiveUp,
    HangUp,
    Hold(bool),
    Press(char),
    Vanish,
}

/// One caller, one call.
#[derive(Debug)]
pub struct Caller {
    /// Where the caller's gateway is.
    pub address: SocketAddr,
    /// Where the caller hears.
    pub media: SocketAddr,
    /// What names this call: the calling number, digits with `+`; of an agent who dials, whom the others hear as that.
    pub number: String,
    /// The INVITE once sent.
    pub invite: Option<Message>,
    /// Provisional statuses, in order.
    pub provisional: Vec<u16>,
    /// The reliable provisional answers that were acknowledged.
    pub acknowledged: Vec<Message>,
    /// Leaves reliable provisional answers without PRACK, against the RFC.
    pub forgets_prack: bool,
    /// The dialog once answered.
    pub talk: Option<Talk>,
    /// When the 200 came.
    pub answered_at: Option<Duration>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// A CANCEL was sent.
    pub cancelled: bool,
    /// Keys that were pressed and are not under way yet.
    pub pressed: Option<char>,
    /// A header that the INVITE has besides the usual ones.
    pub header: Option<(String, String)>,
    /// The transaction layer.
    pub reliable: Reliable,
    expires: Option<u32>,
    line: String,
    account: Option<(String, String)>,
    switch: SocketAddr,
    intent: Intent,
    chance: Chance,
    acts: Vec<(Duration, Act)>,
}

impl Caller {
    /// What is dialled is no number but a code: it joins a call that somebody else began.
    pub fn dials_code(&self) -> bool {
        self.line.starts_with('*')
    }

    /// A caller who dials at `at`.
    pub fn new(
        at: Duration,
        address: SocketAddr,
        switch: SocketAddr,
        (number, line): (&str, &str),
        intent: Intent,
        chance: Chance,
    ) -> Self {
        let mut acts = vec![(at, Act::Dial), (at + intent.patience, Act::Cancel)];
        acts.extend(intent.vanishes.map(|after| (at + after, Act::Vanish)));
        Self {
            address,
            media: SocketAddr::new(address.ip(), 30_000),
            number: number.to_owned(),
            invite: None,
            provisional: Vec::new(),
            acknowledged: Vec::new(),
            forgets_prack: false,
            talk: None,
            answered_at: None,
            outcome: None,
            cancelled: false,
            pressed: None,
            header: None,
            reliable: Reliable::default(),
            expires: intent.timer.1,
            line: line.to_owned(),
            account: None,
            switch,
            intent,
            chance,
            acts,
        }
    }

    /// The same from a telephone of ours, which knows its user name and password.
    pub fn with_account(mut self, user: &str, password: &str) -> Self {
        self.account = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// True while the caller sends sound.
    pub fn sends(&self) -> bool {
        self.outcome.is_none()
            && self
                .talk
                .as_ref()
                .is_some_and(|talk| !talk.over && !talk.holding)
    }

    /// When [`Caller::timer`] has something to do.
    pub fn next(&self) -> Option<Duration> {
        let acts = self.acts.iter().map(|(at, _)| *at).min();
        let talk = self.talk.as_ref().filter(|_| self.outcome.is_none());
        let talk = talk.and_then(Talk::next);
        [acts, self.reliable.next(), talk]
            .into_iter()
            .flatten()
            .min()
    }

    /// Hangs up, cancels or whatever ends the call from this side.
    pub fn leave(&mut self, now: Duration) {
        let act = if self.talk.is_some() {
            Act::HangUp
        } else {
            Act::Cancel
        };
        self.act(now, act);
    }

    /// Time has passed.
    pub fn timer(&mut self, now: Duration) {
        for lost in self.reliable.timer(now) {
            if let Lost::Answer(request) = lost {
                let ended = match request.method() {
                    "BYE" | "INVITE" => true,
                    "CANCEL" => self.talk.is_none(),
                    _ => false,
                };
                if ended {
                    self.finish(Outcome::NoAnswer);
                }
            }
        }
        if let Some(talk) = self.talk.as_mut().filter(|_| self.outcome.is_none()) {
            talk.tend(now, &mut self.reliable, &mut self.chance);
        }
        self.acts.sort_by_key(|(at, _)| *at);
        while self.acts.first().is_some_and(|(at, _)| *at <= now) {
            let (_, act) = self.acts.remove(0);
            self.act(now, act);
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
        self.acts.clear();
    }

    fn act(&mut self, now: Duration, act: Act) {
        if self.outcome.is_some() {
            return;
        }
        match act {
            Act::Dial => self.dial(now),
            Act::Cancel => self.cancel(now),
            Act::GiveUp => self.finish(Outcome::NoAnswer),
            Act::Vanish => {
                self.reliable = Reliable::default();
                self.finish(Outcome::Vanished);
            }
            Act::Press(key) => self.pressed = Some(key),
            Act::HangUp => {
                if let Some(talk) = &mut self.talk {
                    talk.hang_up(now, &mut self.reliable, &mut self.chance);
                }
            }
            Act::Hold(held) => {
                let habits = self.habits();
                if let Some(talk) = &mut self.talk {
                    talk.hold(now, (held, habits), &mut self.reliable, &mut self.chance);
                }
            }
        }
    }

    fn dial(&mut self, now: Duration) {
        let (ip, switch) = (self.address.ip(), self.switch.ip());
        let branch = format!("z9hG4bK{}", self.chance.word());
        let uri = format!("sip:{}@{switch}", self.line);
        let account = self.account.as_ref().map(|(user, _)| user);
        let from = account.unwrap_or(&self.number);
        let mut invite = Message::request("INVITE", &uri, self.address, &branch);
        if let Some((name, value)) = &self.header {
            invite = invite.with(name, value);
        }
        let invite = invite
            .with(
                "From",
                format!("<sip:{from}@{ip}>;tag={}", self.chance.word()),
            )
            .with("To", format!("<{uri}>"))
            .with("Call-ID", self.chance.word())
            .with("CSeq", "1 INVITE")
            .with("Contact", format!("<sip:{}@{}>", self.number, self.address));
        let invite = self.described(invite);
        self.invite = Some(invite.clone());
        self.reliable.ask(now, invite);
    }

    /// Whoever leaves one offer to the other side does so again.
    fn habits(&self) -> Habits {
        Habits {
            resumes_without_offer: self.intent.describes == Describes::InAck,
            timer: self.intent.timer.0,
            updates: self.expires.is_some_and(|secs| secs % 60 == 30),
            ..Habits::default()
        }
    }

    fn described(&self, invite: Message) -> Message {
        let mut invite = sessions::asking(invite, self.habits(), self.expires);
        if self.intent.reliably {
            invite = invite.with("Require", "100rel");
        }
        match self.intent.describes {
            Describes::InInvite => invite.with_sdp(sdp(self.media, 1, "sendrecv")),
            Describes::InAck | Describes::Nowhere => invite,
        }
    }

    /// The same INVITE with the password.
    fn dial_again(&mut self, now: Duration, challenge: &Message, refused: &Message) {
        let account = self.account.clone();
        let answer = account.and_then(|(user, password)| {
            digest::authorization(challenge, refused, &user, &password)
        });
        let (Some(answer), false) = (answer, self.cancelled) else {
            return self.finish(Outcome::Refused(401));
        };
        self.dial_anew(now, refused, Some(answer));
    }

    /// The same INVITE with what the refusal asks for.
    fn dial_anew(&mut self, now: Duration, refused: &Message, answer: Option<String>) {
        let branch = format!("z9hG4bK{}", self.chance.word());
        let uri = refused.uri().to_owned();
        let mut invite = Message::request("INVITE", &uri, self.address, &branch);
        for name in ["From", "To", "Call-ID"] {
            invite = invite.with(name, refused.text(name));
        }
        if let Some((name, value)) = &self.header {
            invite = invite.with(name, value);
        }
        let invite = invite
            .with("CSeq", format!("{} INVITE", refused.cseq() + 1))
            .with("Contact", format!("<sip:{}@{}>", self.number, self.address));
        let mut invite = self.described(invite);
        if let Some(answer) = answer {
            invite = invite.with("Authorization", answer);
        }
        self.provisional.clear();
        self.acknowledged.clear();
        self.invite = Some(invite.clone());
        self.reliable.ask(now, invite);
    }

    fn cancel(&mut self, now: Duration) {
        let Some(invite) = self.invite.clone() else {
            return self.finish(Outcome::HungUp);
        };
        if self.talk.is_some() || self.cancelled {
            return;
        }
        if self.provisional.is_empty() {
            // RFC 3261 §9.1: not before a provisional response.
            return self
                .acts
                .push((now + Duration::from_millis(100), Act::Cancel));
        }
        self.cancelled = true;
        let mut cancel = Message::new(format!("CANCEL {} SIP/2.0", invite.uri()));
        for name in ["Via", "Max-Forwards", "From", "To", "Call-ID"] {
            cancel = cancel.with(name, invite.text(name));
        }
        let cseq = format!("{} CANCEL", invite.cseq());
        self.reliable.ask(now, cancel.with("CSeq", cseq));
        // RFC 3261 §9.1: 64 × T1 after the CANCEL without an answer to the INVITE.
        self.acts.push((now + Duration::from_secs(32), Act::GiveUp));
    }

    /// A datagram came.
    pub fn receive(&mut self, now: Duration, message: Message) {
        if self.outcome == Some(Outcome::Vanished) {
            return;
        }
        match self.reliable.receive(now, message) {
            Some(Incoming::Request(request)) => {
                let same = self
                    .talk
                    .as_mut()
                    .filter(|talk| talk.call_id == request.text("Call-ID"));
                let Some(talk) = same else {
                    let none = Message::response(&request, 481, "none");
                    return self.reliable.answer(now, &request, none);
                };
                talk.asked(now, &request, &mut self.reliable);
                if talk.over && talk.closed {
                    self.finish(Outcome::Ended);
                }
            }
            Some(Incoming::Response(response, request)) => self.answered(now, &response, &request),
            Some(Incoming::Ack(_)) | None => {}
        }
    }

    fn answered(&mut self, now: Duration, response: &Message, request: &Message) {
        let status = response.status().unwrap_or(0);
        let first = self
            .invite
            .as_ref()
            .is_some_and(|invite| invite.branch() == request.branch());
        match (request.method(), status) {
            ("INVITE", 100..200) if first && response.header("RSeq").is_some() => {
                self.acknowledge(now, response, request);
            }
            ("INVITE", 100..200) if first => self.provisional.push(status),
            ("INVITE", 200..300) if first => self.talk_begins(now, response, request),
            ("INVITE", 401) if first && request.header("Authorization").is_none() => {
                self.dial_again(now, response, request);
            }
            ("INVITE", 422) if first && !self.cancelled => {
                self.expires = response.text("Min-SE").parse().ok();
                // A nonce may be good for one request only.
                self.dial_anew(now, request, None);
            }
            ("INVITE", 300..) if first => self.finish(Outcome::Refused(status)),
            ("CANCEL", _) => {}
            _ => {
                if let Some(talk) = &mut self.talk {
                    talk.answered(response, request, &mut self.reliable, &mut self.chance);
                    if talk.closed {
                        let by_us = request.method() == "BYE";
                        self.finish(if by_us {
                            Outcome::HungUp
                        } else {
                            Outcome::Ended
                        });
                    }
                }
            }
        }
    }

    /// PRACK, once for each; with the answer to an offer.
    fn acknowledge(&mut self, now: Duration, response: &Message, invite: &Message) {
        let again = |it: &Message| it.text("RSeq") == response.text("RSeq");
        if self.forgets_prack || self.acknowledged.iter().any(again) {
            return;
        }
        self.provisional.extend(response.status());
        self.acknowledged.push(response.clone());
        let number = invite.cseq() + u32::try_from(self.acknowledged.len()).unwrap_or(0);
        let branch = format!("z9hG4bK{}", self.chance.word());
        let target = uri_of(response.text("Contact")).to_owned();
        let rack = format!("{} {}", response.text("RSeq"), invite.text("CSeq"));
        let mut prack = Message::request("PRACK", &target, self.address, &branch)
            .with("From", response.text("From"))
            .with("To", response.text("To"))
            .with("Call-ID", response.text("Call-ID"))
            .with("CSeq", format!("{number} PRACK"))
            .with("RAck", rack);
        let offered = response.media().is_some() && invite.body.is_empty();
        if offered && self.intent.describes == Describes::InAck {
            prack = prack.with_sdp(sdp(self.media, 1, "sendrecv"));
        }
        self.reliable.ask(now, prack);
    }

    fn talk_begins(&mut self, now: Duration, response: &Message, request: &Message) {
        use super::Talking;
        debug_assert!(tag_of(response.text("To")).is_some(), "a 200 has a tag");
        let branch = format!("z9hG4bK{}", self.chance.word());
        let answer = sdp(self.media, 1, "sendrecv");
        let late = self.intent.describes == Describes::InAck && response.media().is_some();
        let answer = late.then_some(answer);
        self.reliable
            .acknowledge(response, request, &branch, answer);
        let mut talk = Talk::new(request, response, true, self.address, self.media);
        talk.habits = self.habits();
        talk.cseq += u32::try_from(self.acknowledged.len()).unwrap_or(0);
        let early = self.acknowledged.iter().find_map(Message::media);
        talk.remote_media = talk.remote_media.or(early);
        self.talk = Some(talk);
        self.answered_at = Some(now);
        self.acts
            .retain(|(_, act)| !matches!(act, Act::Cancel | Act::GiveUp));
        if self.cancelled {
            return self.acts.push((now, Act::HangUp));
        }
        if let Some(after) = self.intent.presses {
            let keys = self.intent.keys.chars().zip(0..);
            let presses = keys.map(|(key, n)| (now + after + KEY * n, Act::Press(key)));
            self.acts.extend(presses);
        }
        match self.intent.talking {
            // Callers have nobody to transfer to.
            Talking::Stay | Talking::Transfer { .. } | Talking::Consult { .. } => self
                .acts
                .push((now + Duration::from_secs(150), Act::HangUp)),
            Talking::HangUp { after } => self.acts.push((now + after, Act::HangUp)),
            Talking::Crash { after } => self.acts.push((now + after, Act::Vanish)),
            Talking::Hold {
                after,
                length,
                rest,
            } => {
                let back = now + after + length;
                self.acts.push((now + after, Act::Hold(true)));
                self.acts.push((back, Act::Hold(false)));
                self.acts.push((back + rest, Act::HangUp));
            }
        }
    }
}
