//! A telephone: registers, rings, is answered or not, holds, hangs up, and sometimes dies.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

pub use super::mood::{Answering, Habits, Talking};
use super::{
    chance::Chance,
    consulting::{Manner, Question},
    digest,
    message::{Message, caller_of, is_mobile, sdp, tag_of},
    mood::{drawn_answering, drawn_client, drawn_key, drawn_mobile},
    reliable::{Incoming, Lost, Reliable},
    sessions::{granted, too_short},
    talk::Talk,
};

const REGISTER_SECS: u64 = 60;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Transfer(String),
    Consult(String, Manner),
    Join(String),
    Register,
    Ring(String),
    Answer(String, Talking),
    Refuse(String, u16),
    HangUp(String),
    Hold(String, bool),
    Crash,
    Boot,
    Press(String),
    Leave(String),
}

/// One call at a telephone.
#[derive(Debug)]
pub struct PhoneCall {
    /// Digits of the number on its display.
    pub caller: String,
    /// The INVITE.
    pub invite: Message,
    /// We answered 200.
    pub answered: bool,
    /// Refused, withdrawn or over.
    pub over: bool,
    /// The reliable 183 has its PRACK.
    pub acknowledged: bool,
    /// The dialog once answered.
    pub talk: Option<Talk>,
    tag: String,
    media: SocketAddr,
}

/// A telephone.
#[derive(Debug)]
pub struct Phone {
    /// Where it is.
    pub address: SocketAddr,
    /// User part of its address of record and digest user.
    pub user: String,
    /// It has power.
    pub alive: bool,
    /// Its calls.
    pub calls: Vec<PhoneCall>,
    /// What the person does with the next calls; then by chance.
    pub script: VecDeque<Answering>,
    /// Short numbers that it transfers to, in turn.
    pub colleagues: VecDeque<String>,
    /// What it was told of its transfers, in order.
    pub told: Vec<String>,
    /// Calls that it hangs up as soon as their transfer is accepted.
    pub(super) leaves: Vec<String>,
    /// Its questions to colleagues, in order.
    pub questions: Vec<Question>,
    /// Where it hears the two whom it wants joined, if that is not noted yet.
    pub(super) joins: Vec<(SocketAddr, SocketAddr)>,
    /// It is to be left alone: no more refreshing of its registration.
    pub retired: bool,
    /// Registered, as far as it knows.
    pub registered: bool,
    /// It knows µ-law only.
    pub mu_law_only: bool,
    /// How it speaks SIP where there is a choice.
    pub habits: Habits,
    /// It is a telephone company's: it takes calls to clients and never registers.
    pub is_gateway: bool,
    /// It asks for credentials first.
    pub challenges: bool,
    /// A gateway's next answers to REGISTER: a status, and a header; then it asks for the password `secret`.
    pub registrar: VecDeque<(u16, (String, String))>,
    /// When the key is pressed on mobile telephones that answer, one after the other; then by chance.
    pub keys: VecDeque<Option<Duration>>,
    /// Keys that were pressed and are not under way yet, and where they go.
    pub pressed: Vec<(char, SocketAddr)>,
    /// The transaction layer.
    pub reliable: Reliable,
    pub(super) password: String,
    pub(super) switch: SocketAddr,
    pub(super) chance: Chance,
    cseq: u32,
    boots: u32,
    pub(super) next_port: u16,
    pub(super) acts: Vec<(Duration, Act)>,
}

impl Phone {
    /// A telephone that registers as soon as it is asked for the time.
    pub fn new(
        address: SocketAddr,
        switch: SocketAddr,
        user: &str,
        password: &str,
        chance: Chance,
    ) -> Self {
        Self {
            address,
            user: user.to_owned(),
            alive: true,
            calls: Vec::new(),
            script: VecDeque::new(),
            colleagues: VecDeque::new(),
            told: Vec::new(),
            leaves: Vec::new(),
            questions: Vec::new(),
            joins: Vec::new(),
            retired: false,
            registered: false,
            mu_law_only: false,
            habits: Habits::default(),
            is_gateway: false,
            challenges: false,
            registrar: VecDeque::new(),
            keys: VecDeque::new(),
            pressed: Vec::new(),
            reliable: Reliable::default(),
            password: password.to_owned(),
            switch,
            chance,
            cseq: 0,
            boots: 0,
            next_port: 10_000,
            acts: vec![(Duration::ZERO, Act::Register)],
        }
    }

    /// A telephone company's side of a trunk.
    pub fn gateway(address: SocketAddr, switch: SocketAddr, chance: Chance) -> Self {
        Self {
            is_gateway: true,
            registered: true,
            retired: true,
            acts: Vec::new(),
            ..Self::new(address, switch, "gateway", "", chance)
        }
    }

    /// From where the telephone sends sound.
    pub fn sending(&self) -> impl Iterator<Item = SocketAddr> {
        let talks = |call: &&PhoneCall| {
            let talk = call.talk.as_ref();
            let speaks = talk.is_none_or(|talk| !talk.holding && !talk.over);
            call.answered && !call.over && speaks
        };
        let calls = self.calls.iter().filter(talks).map(|call| call.media);
        let questions = self.questions.iter().filter_map(Question::sending);
        calls.chain(questions).filter(|_| self.alive)
    }

    /// Loses power now.
    pub fn crash(&mut self, now: Duration) {
        self.alive = false;
        self.registered = false;
        self.calls.clear();
        self.questions.clear();
        self.reliable = Reliable::default();
        self.acts.clear();
        if !self.retired {
            let off = self.chance.millis(5_000, 90_000);
            self.acts.push((now + off, Act::Boot));
        }
    }

    /// The person hangs up whatever is talked of.
    pub fn hang_up_all(&mut self, now: Duration) {
        let talks = self.calls.iter().filter(|call| call.talk.is_some());
        let ids: Vec<String> = talks
            .map(|call| call.invite.text("Call-ID").to_owned())
            .collect();
        for id in ids {
            self.act(now, Act::HangUp(id));
        }
        let asked = self.questions.iter().map(|it| it.call_id().to_owned());
        for id in asked.collect::<Vec<_>>() {
            self.hang_up_question(now, &id);
        }
    }

    /// When [`Phone::timer`] has something to do.
    pub fn next(&self) -> Option<Duration> {
        let acts = self.acts.iter().map(|(at, _)| *at).min();
        let talks = self.calls.iter().filter_map(|call| call.talk.as_ref());
        let talks = talks.filter_map(Talk::next).min();
        [acts, self.reliable.next(), talks]
            .into_iter()
            .flatten()
            .min()
    }

    /// Time has passed.
    pub fn timer(&mut self, now: Duration) {
        for lost in self.reliable.timer(now) {
            match lost {
                Lost::Answer(request) if request.method() == "REGISTER" => self.again(now, 5),
                Lost::Answer(request) => {
                    self.end(request.text("Call-ID"));
                    self.question_lost(request.text("Call-ID"));
                }
                Lost::Ack(answer) => {
                    // RFC 3261 §13.3.1.4: no ACK, so the dialog is ended.
                    let call_id = answer.text("Call-ID").to_owned();
                    self.act(now, Act::HangUp(call_id));
                }
            }
        }
        for talk in self.calls.iter_mut().filter_map(|it| it.talk.as_mut()) {
            talk.tend(now, &mut self.reliable, &mut self.chance);
        }
        self.acts.sort_by_key(|(at, _)| *at);
        while self.acts.first().is_some_and(|(at, _)| *at <= now) {
            let (_, act) = self.acts.remove(0);
            self.act(now, act);
        }
    }

    /// Registers now, as a telephone does whose network has changed.
    pub fn register_again(&mut self, now: Duration) {
        self.registered = false;
        self.act(now, Act::Register);
    }

    fn again(&mut self, now: Duration, secs: u64) {
        self.acts.retain(|(_, act)| *act != Act::Register);
        if !self.retired {
            self.acts
                .push((now + Duration::from_secs(secs), Act::Register));
        }
    }

    pub(super) fn act(&mut self, now: Duration, act: Act) {
        match act {
            Act::Consult(call, manner) => self.consult(now, &call, manner),
            Act::Leave(question) => self.drop_question(now, &question),
            Act::Join(question) => self.join(now, &question),
            Act::Register => self.register(now, None),
            Act::Crash => self.crash(now),
            Act::Boot => {
                self.alive = true;
                self.boots += 1;
                self.act(now, Act::Register);
            }
            Act::Ring(call) => {
                let early = self.habits.rings_reliably && self.is_supported(&call);
                self.answer(now, &call, if early { 183 } else { 180 }, None);
            }
            Act::Refuse(call, status) => self.answer(now, &call, status, None),
            Act::Answer(call, then) => self.answer(now, &call, 200, Some(then)),
            Act::HangUp(call) => self.talk(&call, |talk, reliable, chance| {
                talk.hang_up(now, reliable, chance);
            }),
            Act::Press(call) => {
                let talk = self.find(&call).and_then(|call| call.talk.as_ref());
                let ours = talk.filter(|talk| !talk.over);
                let ours = ours.and_then(|talk| talk.remote_media);
                self.pressed.extend(ours.map(|ours| ('1', ours)));
            }
            Act::Transfer(call) => {
                if let Some(colleague) = self.colleagues.pop_front() {
                    let to = format!("<sip:{colleague}@{}>", self.switch.ip());
                    self.talk(&call, |talk, reliable, chance| {
                        talk.refer(now, &to, reliable, chance);
                    });
                }
            }
            Act::Hold(call, held) => {
                let habits = self.habits;
                self.talk(&call, |talk, reliable, chance| {
                    talk.hold(now, (held, habits), reliable, chance);
                });
            }
        }
    }

    pub(super) fn talk(
        &mut self,
        call_id: &str,
        act: impl FnOnce(&mut Talk, &mut Reliable, &mut Chance),
    ) {
        let call = self
            .calls
            .iter_mut()
            .find(|call| call.invite.text("Call-ID") == call_id);
        if let Some(talk) = call.and_then(|call| call.talk.as_mut()) {
            act(talk, &mut self.reliable, &mut self.chance);
        }
    }

    fn register(&mut self, now: Duration, authorization: Option<String>) {
        self.cseq += 1;
        let host = self.switch.ip();
        let branch = format!("z9hG4bK{}", self.chance.word());
        let aor = format!("<sip:{}@{host}>", self.user);
        let mut request =
            Message::request("REGISTER", &format!("sip:{host}"), self.address, &branch)
                .with("From", format!("{aor};tag={}", self.chance.word()))
                .with("To", aor)
                .with("Call-ID", format!("r{}-{}", self.boots, self.user))
                .with("CSeq", format!("{} REGISTER", self.cseq))
                .with("Contact", format!("<sip:{}@{}>", self.user, self.address))
                .with("Expires", REGISTER_SECS.to_string());
        if let Some(authorization) = authorization {
            request = request.with("Authorization", authorization);
        }
        self.reliable.ask(now, request);
    }

    /// A datagram came.
    pub fn receive(&mut self, now: Duration, message: Message) {
        if !self.alive {
            return;
        }
        match self.reliable.receive(now, message) {
            Some(Incoming::Request(request)) => self.asked(now, &request),
            Some(Incoming::Response(response, request)) => self.answered(now, &response, &request),
            Some(Incoming::Ack(_)) | None => {}
        }
    }

    fn find(&mut self, call_id: &str) -> Option<&mut PhoneCall> {
        self.calls
            .iter_mut()
            .find(|call| call.invite.text("Call-ID") == call_id)
    }

    fn end(&mut self, call_id: &str) {
        if let Some(call) = self.find(call_id) {
            call.over = true;
        }
    }

    fn asked(&mut self, now: Duration, request: &Message) {
        let call_id = request.text("Call-ID").to_owned();
        let in_dialog = tag_of(request.text("To")).is_some();
        if request.method() == "REGISTER" {
            let answer = self.register_answer(request);
            return self.reliable.answer(now, request, answer);
        }
        if request.method() == "INVITE" && !in_dialog {
            // A repetition that comes before the first answer is one all the same.
            if self.challenges && request.header("Proxy-Authorization").is_none() {
                let challenge = Message::response(request, 407, "asked").with(
                    "Proxy-Authenticate",
                    r#"Digest realm="gateway", nonce="once", algorithm=MD5, qop="auth""#.to_owned(),
                );
                self.reliable.answer(now, request, challenge);
            } else if let Some(refusal) = too_short(request, self.habits.least_expires) {
                self.reliable.answer(now, request, refusal);
            } else if self.find(&call_id).is_none() {
                self.rung(now, request);
            }
            return;
        }
        if self.question_asked(now, request) {
            return;
        }
        let Some(call) = self
            .calls
            .iter_mut()
            .find(|call| call.invite.text("Call-ID") == call_id)
        else {
            let status = if request.method() == "OPTIONS" && !in_dialog {
                200
            } else {
                481
            };
            return self
                .reliable
                .answer(now, request, Message::response(request, status, "none"));
        };
        if request.method() == "CANCEL" {
            let tag = call.tag.clone();
            let (withdrawn, invite) = (!call.answered && !call.over, call.invite.clone());
            call.over |= withdrawn;
            self.reliable
                .answer(now, request, Message::response(request, 200, &tag));
            if withdrawn {
                self.reliable
                    .answer(now, &invite, Message::response(&invite, 487, &tag));
            }
            return;
        }
        if request.method() == "PRACK" && call.talk.is_none() {
            call.acknowledged = true;
            let answer = Message::response(request, 200, &call.tag);
            return self.reliable.answer(now, request, answer);
        }
        if let Some(talk) = &mut call.talk {
            talk.asked(now, request, &mut self.reliable);
            call.over |= talk.over;
            if request.method() == "NOTIFY" {
                self.notified(now, request);
            }
        } else {
            self.reliable
                .answer(now, request, Message::response(request, 481, "none"));
        }
    }

    /// What a provider's registrar says.
    fn register_answer(&mut self, request: &Message) -> Message {
        let respond = |status| Message::response(request, status, "registrar");
        if let Some((status, (name, value))) = self.registrar.pop_front() {
            return respond(status).with(&name, value);
        }
        match digest::verifies(request, "secret") {
            None => respond(401).with(
                "WWW-Authenticate",
                r#"Digest realm="registrar", nonce="once", algorithm=MD5, qop="auth""#.to_owned(),
            ),
            Some(false) => respond(403),
            Some(true) => respond(200)
                .with("Contact", request.text("Contact").to_owned())
                .with("Expires", request.text("Expires").to_owned()),
        }
    }

    fn rung(&mut self, now: Duration, invite: &Message) {
        let call_id = invite.text("Call-ID").to_owned();
        self.next_port += 2;
        self.calls.push(PhoneCall {
            caller: caller_of(invite),
            invite: invite.clone(),
            answered: false,
            over: false,
            acknowledged: false,
            talk: None,
            tag: self.chance.word(),
            media: SocketAddr::new(self.address.ip(), self.next_port),
        });
        let answering =
            self.script
                .pop_front()
                .unwrap_or_else(|| match (self.is_gateway, is_mobile(invite)) {
                    (true, true) => drawn_mobile(&mut self.chance),
                    (true, false) => drawn_client(&mut self.chance),
                    (false, _) => drawn_answering(&mut self.chance),
                });
        let soon = now + self.chance.millis(5, 300);
        match answering {
            Answering::Silent => {
                self.end(&call_id);
                return;
            }
            Answering::Answer { after, then } => {
                self.acts
                    .push((now + after, Act::Answer(call_id.clone(), then)));
            }
            Answering::Refuse { after, status } => {
                self.acts
                    .push((now + after, Act::Refuse(call_id.clone(), status)));
            }
            Answering::Ignore => {}
            Answering::Crash { after } => self.acts.push((now + after, Act::Crash)),
        }
        self.acts.push((soon, Act::Ring(call_id)));
    }

    fn answer(&mut self, now: Duration, call_id: &str, status: u16, then: Option<Talking>) {
        let address = self.address;
        let Some(call) = self
            .calls
            .iter_mut()
            .find(|call| call.invite.text("Call-ID") == call_id)
        else {
            return;
        };
        if call.over || call.answered {
            return;
        }
        let mut answer = Message::response(&call.invite, status, &call.tag)
            .with("Contact", format!("<sip:x@{address}>"));
        call.over = status >= 300;
        if status == 183 {
            answer = answer.with_sdp(sdp(call.media, 1, "sendrecv"));
            answer = answer.with("Require", "100rel").with("RSeq", "7");
        }
        if let Some(then) = then {
            let mut description = sdp(call.media, 1, "sendrecv");
            if self.mu_law_only {
                description = description.replace("RTP/AVP 8 0 101", "RTP/AVP 0 101");
            }
            // RFC 3262 §5: said in the 183, and acknowledged.
            if !call.acknowledged {
                answer = answer.with_sdp(description);
            }
            answer = granted(&call.invite, answer, self.habits);
            call.answered = true;
            let mut talk = Talk::new(&call.invite, &answer, false, address, call.media);
            talk.habits = self.habits;
            call.talk = Some(talk);
            let id = call_id.to_owned();
            if self.is_gateway && is_mobile(&call.invite) {
                let drawn = || drawn_key(&mut self.chance);
                let pressed = self.keys.pop_front().unwrap_or_else(drawn);
                let press = Act::Press(id.clone());
                self.acts.extend(pressed.map(|after| (now + after, press)));
            }
            match then {
                Talking::Stay => {}
                Talking::HangUp { after } => self.acts.push((now + after, Act::HangUp(id))),
                Talking::Crash { after } => self.acts.push((now + after, Act::Crash)),
                Talking::Consult { after, manner } => {
                    self.acts.push((now + after, Act::Consult(id, manner)));
                }
                Talking::Transfer { after, at_once } => {
                    if at_once {
                        self.leaves.push(id.clone());
                    }
                    self.acts.push((now + after, Act::Transfer(id)));
                }
                Talking::Hold {
                    after,
                    length,
                    rest,
                } => {
                    self.acts.push((now + after, Act::Hold(id.clone(), true)));
                    self.acts
                        .push((now + after + length, Act::Hold(id.clone(), false)));
                    self.acts
                        .push((now + after + length + rest, Act::HangUp(id)));
                }
            }
        }
        let invite = call.invite.clone();
        self.reliable.answer(now, &invite, answer);
    }

    fn answered(&mut self, now: Duration, response: &Message, request: &Message) {
        let status = response.status().unwrap_or(0);
        if request.method() == "REGISTER" {
            return self.registered(now, response, request);
        }
        if request.method() == "REFER" && status >= 200 {
            self.transfer_answered(now, status, request.text("Call-ID"));
        }
        if self.question_answered(now, response, request) {
            return;
        }
        if status >= 200 {
            let call_id = request.text("Call-ID").to_owned();
            self.talk(&call_id, |talk, reliable, chance| {
                talk.answered(response, request, reliable, chance);
            });
            if self
                .find(&call_id)
                .is_some_and(|call| call.talk.as_ref().is_some_and(|talk| talk.over))
            {
                self.end(&call_id);
            }
        }
    }

    fn registered(&mut self, now: Duration, response: &Message, request: &Message) {
        match response.status() {
            Some(401)
                if request.header("Authorization").is_none()
                    || response.text("WWW-Authenticate").contains("stale=true") =>
            {
                let answer = digest::authorization(response, request, &self.user, &self.password);
                if answer.is_some() {
                    self.register(now, answer);
                }
            }
            Some(200) => {
                self.registered = true;
                self.again(now, REGISTER_SECS / 2);
            }
            Some(100..200) => {}
            _ => self.again(now, 5),
        }
    }
}
