//! What a user agent does about an unreliable network: it repeats and it remembers (RFC 3261 §17, in short).

use std::time::Duration;

use super::message::{Message, tag_of, uri_of};

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// 64 × T1.
const GIVE_UP: Duration = Duration::from_secs(32);

/// A request of ours without final answer.
#[derive(Debug)]
struct Asked {
    request: Message,
    interval: Duration,
    next: Option<Duration>,
    until: Option<Duration>,
}

/// A request of theirs with the last answer we gave.
#[derive(Debug)]
struct Answered {
    branch: String,
    method: String,
    call_id: String,
    cseq: u32,
    answer: Message,
    /// Repetition of a final answer to INVITE until its ACK.
    next: Option<Duration>,
    interval: Duration,
    until: Duration,
}

/// What got through to the user agent, repetitions taken out.
#[derive(Debug)]
pub enum Incoming {
    /// A new request.
    Request(Message),
    /// An answer, and the request it answers.
    Response(Message, Message),
    /// The ACK to a final answer of ours.
    Ack(Message),
}

/// What did not happen in time.
#[derive(Debug)]
pub enum Lost {
    /// No final answer to this request of ours.
    Answer(Message),
    /// No ACK to this 2xx of ours.
    Ack(Message),
}

/// The transaction layer of one user agent.
#[derive(Debug, Default)]
pub struct Reliable {
    asked: Vec<Asked>,
    answered: Vec<Answered>,
    /// ACKs to send again when their final answer comes again.
    acks: Vec<(String, u32, Message)>,
    /// To be put on the wire.
    pub out: Vec<Message>,
}

impl Reliable {
    /// Sends a request and repeats it until it is answered.
    pub fn ask(&mut self, now: Duration, request: Message) {
        self.out.push(request.clone());
        self.asked.push(Asked {
            request,
            interval: T1,
            next: Some(now + T1),
            until: Some(now + GIVE_UP),
        });
    }

    /// Sends an answer and gives it again whenever the request comes again.
    pub fn answer(&mut self, now: Duration, request: &Message, answer: Message) {
        self.out.push(answer.clone());
        let final_invite =
            request.method() == "INVITE" && answer.status().is_some_and(|status| status >= 200);
        let (branch, method) = (request.branch().to_owned(), request.method().to_owned());
        self.answered
            .retain(|old| old.branch != branch || old.method != method);
        self.answered.push(Answered {
            branch,
            method,
            call_id: request.text("Call-ID").to_owned(),
            cseq: request.cseq(),
            answer,
            next: final_invite.then_some(now + T1),
            interval: T1,
            until: now + GIVE_UP,
        });
    }

    /// Sends the ACK to a 2xx, and again whenever that comes again; with the answer if the 2xx made the offer.
    pub fn acknowledge(
        &mut self,
        response: &Message,
        request: &Message,
        branch: &str,
        answer: Option<String>,
    ) {
        let mut ack = ack(response, request, uri_of(response.text("Contact")), branch);
        if let Some(answer) = answer {
            ack = ack.with_sdp(answer);
        }
        self.remember_ack(response, ack);
    }

    fn remember_ack(&mut self, response: &Message, ack: Message) {
        let key = (response.text("Call-ID").to_owned(), response.cseq());
        self.acks.push((key.0, key.1, ack.clone()));
        self.out.push(ack);
    }

    /// Stops repeating a request: somebody else has dealt with it.
    pub fn forget(&mut self, call_id: &str) {
        self.asked
            .retain(|asked| asked.request.text("Call-ID") != call_id);
        self.answered.retain(|answered| answered.call_id != call_id);
    }

    /// Takes out repetitions.
    pub fn receive(&mut self, now: Duration, message: Message) -> Option<Incoming> {
        self.answered.retain(|old| old.until + GIVE_UP > now);
        if message.status().is_some() {
            return self.receive_response(now, message);
        }
        if message.method() == "ACK" {
            let acked = self.answered.iter_mut().find(|old| {
                old.method == "INVITE"
                    && old.cseq == message.cseq()
                    && old.call_id == message.text("Call-ID")
                    && old.next.is_some()
            })?;
            acked.next = None;
            return Some(Incoming::Ack(message));
        }
        let known =
            |old: &&Answered| old.branch == message.branch() && old.method == message.method();
        if let Some(old) = self.answered.iter().find(known) {
            self.out.push(old.answer.clone());
            return None;
        }
        Some(Incoming::Request(message))
    }

    fn receive_response(&mut self, now: Duration, response: Message) -> Option<Incoming> {
        let status = response.status()?;
        let place = self.asked.iter().position(|asked| {
            asked.request.branch() == response.branch()
                && asked.request.method() == response.method()
        });
        let Some(place) = place else {
            if response.method() == "INVITE" && status >= 200 {
                let key = (response.text("Call-ID"), response.cseq());
                let tag = tag_of(response.text("To"));
                let again = self.acks.iter().find(|(call_id, cseq, ack)| {
                    (call_id.as_str(), *cseq) == key && tag_of(ack.text("To")) == tag
                });
                self.out.extend(again.map(|(_, _, ack)| ack.clone()));
            }
            return None;
        };
        if status < 200 {
            let asked = &mut self.asked[place];
            if asked.request.method() == "INVITE" {
                (asked.next, asked.until) = (None, None);
            } else {
                asked.interval = T2;
                asked.next = asked.next.map(|_| now + T2);
            }
            return Some(Incoming::Response(response, asked.request.clone()));
        }
        let request = self.asked.remove(place).request;
        if request.method() == "INVITE" && status >= 300 {
            // RFC 3261 §17.1.1.3: same branch, same URI.
            let ack = ack(&response, &request, request.uri(), request.branch());
            self.remember_ack(&response, ack);
        }
        Some(Incoming::Response(response, request))
    }

    /// Repeats what is due and says what was waited for in vain.
    pub fn timer(&mut self, now: Duration) -> Vec<Lost> {
        let mut lost = Vec::new();
        let mut again = Vec::new();
        self.asked.retain_mut(|asked| {
            if asked.until.is_some_and(|until| until <= now) {
                lost.push(Lost::Answer(asked.request.clone()));
                return false;
            }
            if asked.next.is_some_and(|next| next <= now) {
                asked.interval *= 2;
                if asked.request.method() != "INVITE" {
                    asked.interval = asked.interval.min(T2);
                }
                asked.next = Some(now + asked.interval);
                again.push(asked.request.clone());
            }
            true
        });
        for answered in &mut self.answered {
            if answered.next.is_none_or(|next| next > now) {
                continue;
            }
            if answered.until <= now {
                answered.next = None;
                if answered.answer.status() == Some(200) {
                    lost.push(Lost::Ack(answered.answer.clone()));
                }
                continue;
            }
            answered.interval = (answered.interval * 2).min(T2);
            answered.next = Some(now + answered.interval);
            again.push(answered.answer.clone());
        }
        self.out.extend(again);
        lost
    }

    /// When [`Reliable::timer`] has something to do.
    pub fn next(&self) -> Option<Duration> {
        let asked = self
            .asked
            .iter()
            .flat_map(|asked| [asked.next, asked.until]);
        asked
            .chain(self.answered.iter().map(|answered| answered.next))
            .flatten()
            .min()
    }
}

fn ack(response: &Message, request: &Message, uri: &str, branch: &str) -> Message {
    let via = request
        .text("Via")
        .split(';')
        .next()
        .unwrap_or("")
        .to_owned();
    Message::new(format!("ACK {uri} SIP/2.0"))
        .with("Via", format!("{via};branch={branch};rport"))
        .with("Max-Forwards", "70")
        .with("From", request.text("From"))
        .with("To", response.text("To"))
        .with("Call-ID", request.text("Call-ID"))
        .with("CSeq", format!("{} ACK", request.cseq()))
}
