//! A telephone's second call: it asks a colleague about a client who is on hold, and hands the client over (RFC 5589 §7).

use std::{net::SocketAddr, time::Duration};

use super::{
    digest,
    message::{Message, sdp, tag_of},
    phone::{Act, Phone, PhoneCall},
    talk::Talk,
};

/// How the person goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// From the colleague's answer to the transfer, or from the ringing.
    pub asks: Duration,
    /// Waits until the colleague answers.
    pub waits: bool,
    /// Orders the transfer in the conversation with the colleague, if there is one already.
    pub by_question: bool,
    /// Hangs up both as soon as the exchange has taken the order.
    pub at_once: bool,
    /// Once the colleague talks, brings the client in by `*3` instead, and hangs up so long after that.
    pub confers: Option<Duration>,
}

/// A question to a colleague.
#[derive(Debug)]
pub struct Question {
    /// Call-ID of the conversation with the client.
    client: String,
    colleague: String,
    manner: Manner,
    invite: Message,
    /// The first answer above 100.
    first: Option<Message>,
    /// The dialog once the colleague has answered.
    pub talk: Option<Talk>,
    /// Where we hear the colleague.
    pub media: SocketAddr,
    cancelled: bool,
    /// The transfer will be ordered.
    planned: bool,
    referred: bool,
    /// Refused, withdrawn or over.
    pub over: bool,
}

impl Question {
    /// Its Call-ID.
    pub fn call_id(&self) -> &str {
        self.invite.text("Call-ID")
    }

    /// From where sound is sent in it, if it is.
    pub(super) fn sending(&self) -> Option<SocketAddr> {
        let talk = self.talk.as_ref().filter(|_| !self.over)?;
        (!talk.holding && !talk.over).then_some(self.media)
    }

    /// What a transfer says to name this dialog, also one that only rings.
    pub fn named(&self) -> Option<String> {
        let answer = self.first.as_ref()?;
        let tags = (tag_of(answer.text("To"))?, tag_of(answer.text("From"))?);
        Some(escaped(self.call_id(), tags))
    }
}

/// The value of Replaces, as it stands in a URI: their tag and ours.
pub fn escaped(call_id: &str, (theirs, ours): (&str, &str)) -> String {
    format!("{call_id}%3Bto-tag%3D{theirs}%3Bfrom-tag%3D{ours}")
}

impl Phone {
    fn question(&mut self, call_id: &str) -> Option<&mut Question> {
        self.questions
            .iter_mut()
            .find(|question| question.call_id() == call_id)
    }

    /// Puts the client on hold and dials the next colleague.
    pub(super) fn consult(&mut self, now: Duration, client: &str, manner: Manner) {
        let talks = |call: &&PhoneCall| {
            let talk = call.talk.as_ref();
            call.invite.text("Call-ID") == client && talk.is_some_and(|talk| !talk.over)
        };
        if self.calls.iter().find(talks).is_none() {
            return;
        }
        let Some(colleague) = self.colleagues.pop_front() else {
            return;
        };
        self.act(now, Act::Hold(client.to_owned(), true));
        self.next_port += 2;
        let (host, media) = (
            self.switch.ip(),
            SocketAddr::new(self.address.ip(), self.next_port),
        );
        let uri = format!("sip:{colleague}@{host}");
        let branch = format!("z9hG4bK{}", self.chance.word());
        let tag = self.chance.word();
        let invite = Message::request("INVITE", &uri, self.address, &branch)
            .with("From", format!("<sip:{}@{host}>;tag={tag}", self.user))
            .with("To", format!("<{uri}>"))
            .with("Call-ID", self.chance.word())
            .with("CSeq", "1 INVITE")
            .with("Contact", format!("<sip:{}@{}>", self.user, self.address))
            .with_sdp(sdp(media, 1, "sendrecv"));
        self.reliable.ask(now, invite.clone());
        self.questions.push(Question {
            client: client.to_owned(),
            colleague,
            manner,
            invite,
            first: None,
            talk: None,
            media,
            cancelled: false,
            planned: false,
            referred: false,
            over: false,
        });
    }

    /// The same INVITE with the password.
    fn ask_again(&mut self, now: Duration, challenge: &Message, refused: &Message) {
        let call_id = refused.text("Call-ID").to_owned();
        let answer = digest::authorization(challenge, refused, &self.user, &self.password);
        let branch = format!("z9hG4bK{}", self.chance.word());
        let address = self.address;
        let Some(question) = self.question(&call_id) else {
            return;
        };
        let (Some(answer), false) = (answer, question.cancelled) else {
            return self.drop_question(now, &call_id);
        };
        let mut invite = Message::request("INVITE", refused.uri(), address, &branch);
        for name in ["From", "To", "Call-ID", "Contact"] {
            invite = invite.with(name, refused.text(name));
        }
        let invite = invite
            .with("CSeq", "2 INVITE")
            .with("Authorization", answer)
            .with_sdp(sdp(question.media, 1, "sendrecv"));
        question.invite = invite.clone();
        self.reliable.ask(now, invite);
    }

    /// An answer to a request of ours in a question; false if it is of another call.
    pub(super) fn question_answered(
        &mut self,
        now: Duration,
        response: &Message,
        request: &Message,
    ) -> bool {
        let (address, status) = (self.address, response.status().unwrap_or(0));
        let call_id = request.text("Call-ID").to_owned();
        let mut questions = self.questions.iter_mut();
        let Some(question) = questions.find(|it| it.call_id() == call_id) else {
            return false;
        };
        let begins = request.branch() == question.invite.branch() && request.method() == "INVITE";
        if let (true, 101..300, None) = (begins, status, &question.first) {
            question.first = Some(response.clone());
        }
        let (manner, cancelled) = (question.manner, question.cancelled);
        match (request.method(), status) {
            ("INVITE", 401) if begins && request.header("Authorization").is_none() => {
                self.ask_again(now, response, request);
            }
            ("INVITE", 180) if begins && !manner.waits && !question.planned => {
                question.planned = true;
                self.acts.push((now + manner.asks, Act::Join(call_id)));
            }
            ("INVITE", 100..200) if begins => {}
            ("INVITE", 200..300) if begins => {
                let branch = format!("z9hG4bK{}", self.chance.word());
                self.reliable.acknowledge(response, request, &branch, None);
                let talk = Talk::new(request, response, true, address, question.media);
                (question.talk, question.first) = (Some(talk), Some(response.clone()));
                if cancelled {
                    self.hang_up_question(now, &call_id);
                } else if !std::mem::replace(&mut question.planned, true) {
                    self.acts.push((now + manner.asks, Act::Join(call_id)));
                }
            }
            ("INVITE", 300..) if begins => {
                question.over = true;
                if !question.referred {
                    self.drop_question(now, &call_id);
                }
            }
            ("CANCEL", _) => {}
            _ => {
                if let Some(talk) = &mut question.talk {
                    talk.answered(response, request, &mut self.reliable, &mut self.chance);
                    question.over |= talk.over;
                }
            }
        }
        true
    }

    /// A request in a question; false if it is of another call.
    pub(super) fn question_asked(&mut self, now: Duration, request: &Message) -> bool {
        let call_id = request.text("Call-ID");
        let mut questions = self.questions.iter_mut();
        let Some(question) = questions.find(|it| it.call_id() == call_id) else {
            return false;
        };
        let Some(talk) = &mut question.talk else {
            let none = Message::response(request, 481, "none");
            self.reliable.answer(now, request, none);
            return true;
        };
        talk.asked(now, request, &mut self.reliable);
        let left = talk.over && !question.over;
        question.over |= talk.over;
        let (referred, call_id) = (question.referred, call_id.to_owned());
        if request.method() == "NOTIFY" {
            self.notified(now, request);
        } else if left && !referred {
            self.drop_question(now, &call_id);
        }
        true
    }

    /// Tells the exchange to join the client with the colleague.
    pub(super) fn join(&mut self, now: Duration, question: &str) {
        let host = self.switch.ip();
        let Some(question) = self.question(question) else {
            return;
        };
        let (id, client) = (question.call_id().to_owned(), question.client.clone());
        let by_question = question.manner.by_question && question.talk.is_some();
        if let (Some(after), Some(talk)) = (question.manner.confers, &question.talk) {
            let ours = talk.remote_media.filter(|_| !talk.over);
            self.pressed.extend(ours.map(|ours| ('*', ours)));
            self.pressed.extend(ours.map(|ours| ('3', ours)));
            self.acts.push((now + after, Act::Leave(id)));
            return;
        }
        let colleague = question.colleague.clone();
        let (over, name) = (question.over, question.named());
        let calls = self.calls.iter();
        let call = calls.filter(|it| it.invite.text("Call-ID") == client);
        let talk = call.filter_map(|it| it.talk.as_ref()).next();
        let talk = talk.filter(|talk| !talk.over && !over);
        let (Some(talk), Some(name)) = (talk, name) else {
            return self.drop_question(now, &id);
        };
        let (name, within) = match by_question {
            true => (talk.named(), id.clone()),
            false => (name, client),
        };
        let to = format!("<sip:{colleague}@{host}?Replaces={name}>");
        if let Some(question) = self.question(&id) {
            question.referred = true;
        }
        self.refer(now, &within, &to);
    }

    /// Where it hears client and colleague, if it asks the colleague at this port of ours.
    pub(super) fn asks_at(&self, ours: SocketAddr) -> Option<(SocketAddr, SocketAddr)> {
        let at = |talk: &Talk| talk.remote_media == Some(ours);
        let mut asked = self.questions.iter();
        let question = asked.find(|it| it.talk.as_ref().is_some_and(at))?;
        let of_client = |call: &&PhoneCall| call.invite.text("Call-ID") == question.client;
        let talk = self.calls.iter().find(of_client)?.talk.as_ref()?;
        Some((talk.media, question.media))
    }

    /// Orders a transfer in the dialog with this Call-ID.
    pub fn refer(&mut self, now: Duration, within: &str, to: &str) {
        let mut asked = self.questions.iter();
        let question = asked.find(|it| it.client == within || it.call_id() == within);
        if let Some(question) = question.filter(|_| to.contains("Replaces")) {
            let of_client = |call: &&PhoneCall| call.invite.text("Call-ID") == question.client;
            let talk = self.calls.iter().find(of_client);
            let talk = talk.and_then(|call| call.talk.as_ref());
            self.joins
                .extend(talk.map(|talk| (talk.media, question.media)));
        }
        let questions = self.questions.iter_mut();
        let mut asked = questions.filter(|it| it.call_id() == within);
        if let Some(talk) = asked.find_map(|it| it.talk.as_mut()) {
            return talk.refer(now, to, &mut self.reliable, &mut self.chance);
        }
        self.talk(within, |talk, reliable, chance| {
            talk.refer(now, to, reliable, chance);
        });
    }

    /// The question whose transfer was ordered in this dialog.
    fn question_of(&self, call_id: &str) -> Option<(String, String, Manner)> {
        let mut questions = self.questions.iter().rev();
        let of = |it: &&Question| it.client == call_id || it.call_id() == call_id;
        let found = questions.find(|it| it.referred && of(it))?;
        let id = found.call_id().to_owned();
        Some((id, found.client.clone(), found.manner))
    }

    /// The exchange takes the order of a transfer, or refuses it.
    pub(super) fn transfer_answered(&mut self, now: Duration, status: u16, call_id: &str) {
        self.told.push(status.to_string());
        if status < 300 && self.leaves.iter().any(|leaves| leaves == call_id) {
            self.act(now, Act::HangUp(call_id.to_owned()));
        }
        match self.question_of(call_id) {
            Some((question, ..)) if status >= 300 => self.drop_question(now, &question),
            Some((question, client, manner)) if manner.at_once => {
                self.act(now, Act::HangUp(client));
                self.hang_up_question(now, &question);
            }
            _ => {}
        }
    }

    /// The exchange tells how a transfer goes.
    pub(super) fn notified(&mut self, now: Duration, notify: &Message) {
        let fragment = notify.body.lines().next().unwrap_or_default();
        let status = fragment.split(' ').nth(1).unwrap_or_default();
        self.told.push(format!("notify {status}"));
        let failed = status.parse().is_ok_and(|status: u16| status >= 300);
        if let Some((question, ..)) = self.question_of(notify.text("Call-ID")).filter(|_| failed) {
            self.drop_question(now, &question);
        }
    }

    /// No answer came to a request of ours in the question.
    pub(super) fn question_lost(&mut self, call_id: &str) {
        if let Some(question) = self.question(call_id) {
            question.over = true;
        }
    }

    /// Hangs up on the colleague, or withdraws the call.
    pub(super) fn hang_up_question(&mut self, now: Duration, call_id: &str) {
        let mut questions = self.questions.iter_mut();
        let Some(question) = questions.find(|it| it.call_id() == call_id) else {
            return;
        };
        if let Some(talk) = &mut question.talk {
            talk.hang_up(now, &mut self.reliable, &mut self.chance);
            question.over = true;
        } else if !question.over && !question.cancelled {
            question.cancelled = true;
            if question.first.is_some() {
                self.reliable.ask(now, cancel(&question.invite));
            }
        }
    }

    /// Nothing comes of it: hangs up on the colleague and takes the client back.
    pub(super) fn drop_question(&mut self, now: Duration, call_id: &str) {
        self.hang_up_question(now, call_id);
        let Some(client) = self.question(call_id).map(|it| it.client.clone()) else {
            return;
        };
        let calls = self.calls.iter();
        let mut talks = calls.filter(|it| it.invite.text("Call-ID") == client);
        let holds = |talk: &Talk| talk.holding && !talk.over;
        if talks.any(|call| call.talk.as_ref().is_some_and(holds)) {
            self.act(now, Act::Hold(client, false));
        }
    }
}

fn cancel(invite: &Message) -> Message {
    let mut cancel = Message::new(format!("CANCEL {} SIP/2.0", invite.uri()));
    for name in ["Via", "Max-Forwards", "From", "To", "Call-ID"] {
        cancel = cancel.with(name, invite.text(name));
    }
    cancel.with("CSeq", format!("{} CANCEL", invite.cseq()))
}
