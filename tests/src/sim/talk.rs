//! A dialog from the side of a simulated telephone or caller: hang up, hold, resume, and what the other asks.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use super::{
    chance::Chance,
    consulting::escaped,
    message::{Message, sdp, tag_of, uri_of},
    mood::Habits,
    reliable::Reliable,
    sessions::{Session, granted},
};

/// One confirmed dialog.
#[derive(Debug)]
pub struct Talk {
    /// Its Call-ID.
    pub call_id: String,
    /// Where we hear.
    pub media: SocketAddr,
    /// Where the other side wants to hear.
    pub remote_media: Option<SocketAddr>,
    /// We put the other side on hold.
    pub holding: bool,
    /// The session timer.
    pub session: Option<Session>,
    /// The other side did not refresh in time.
    pub expired: bool,
    /// Statuses that the next INVITEs and UPDATEs are refused with, and one more header of those.
    pub refusals: VecDeque<(u16, Option<(&'static str, String)>)>,
    pub(super) habits: Habits,
    /// A party sent or got BYE.
    pub over: bool,
    /// Our BYE has its final answer, or theirs was answered.
    pub closed: bool,
    address: SocketAddr,
    local: String,
    remote: String,
    target: String,
    cseq: u32,
    pub(super) sdp_version: u32,
}

impl Talk {
    /// The dialog that an INVITE and its 2xx make. `ours` says who sent the INVITE.
    pub fn new(
        invite: &Message,
        answer: &Message,
        ours: bool,
        address: SocketAddr,
        media: SocketAddr,
    ) -> Self {
        let (from, to) = (answer.text("From").to_owned(), answer.text("To").to_owned());
        let other = if ours { answer } else { invite };
        Self {
            call_id: invite.text("Call-ID").to_owned(),
            media,
            remote_media: other.media(),
            holding: false,
            session: Session::of(answer, ours),
            expired: false,
            refusals: VecDeque::new(),
            habits: Habits::default(),
            over: false,
            closed: false,
            address,
            target: uri_of(other.text("Contact")).to_owned(),
            local: if ours { from.clone() } else { to.clone() },
            remote: if ours { to } else { from },
            cseq: if ours { invite.cseq() } else { 100 },
            sdp_version: 1,
        }
    }

    pub(super) fn request(&mut self, method: &str, chance: &mut Chance) -> Message {
        self.cseq += 1;
        let branch = format!("z9hG4bK{}", chance.word());
        Message::request(method, &self.target, self.address, &branch)
            .with("From", self.local.clone())
            .with("To", self.remote.clone())
            .with("Call-ID", self.call_id.clone())
            .with("CSeq", format!("{} {method}", self.cseq))
            .with("Contact", format!("<sip:x@{}>", self.address))
    }

    /// Sends BYE.
    pub fn hang_up(&mut self, now: Duration, reliable: &mut Reliable, chance: &mut Chance) {
        if !self.over {
            self.over = true;
            let bye = self.request("BYE", chance);
            reliable.ask(now, bye);
        }
    }

    /// Holds the other side, or takes it back.
    pub fn hold(
        &mut self,
        now: Duration,
        (held, habits): (bool, Habits),
        reliable: &mut Reliable,
        chance: &mut Chance,
    ) {
        if !self.over {
            self.holding = held;
            if !held && habits.resumes_without_offer {
                let request = self.request("INVITE", chance);
                return reliable.ask(now, request);
            }
            let method = match habits.holds_by_update {
                true => "UPDATE",
                false => "INVITE",
            };
            self.sdp_version += 1;
            let direction = if held { "sendonly" } else { "sendrecv" };
            let offer = sdp(self.media, self.sdp_version, direction);
            let request = self.request(method, chance).with_sdp(offer);
            reliable.ask(now, request);
        }
    }

    /// Hands the other side to somebody else (RFC 3515).
    pub fn refer(&mut self, now: Duration, to: &str, reliable: &mut Reliable, chance: &mut Chance) {
        if !self.over {
            let request = self.request("REFER", chance).with("Refer-To", to);
            reliable.ask(now, request);
        }
    }

    /// From of our requests, tag included.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// What a transfer says to name this dialog (RFC 3891).
    pub fn named(&self) -> String {
        let tags = [&self.remote, &self.local].map(|value| tag_of(value).unwrap_or_default());
        escaped(&self.call_id, (tags[0], tags[1]))
    }

    /// Answers a request within the dialog.
    pub fn asked(&mut self, now: Duration, request: &Message, reliable: &mut Reliable) {
        if self.over {
            // RFC 3261 §15.1.2: a BYE that crosses ours.
            let status = if request.method() == "BYE" { 200 } else { 481 };
            return reliable.answer(now, request, Message::response(request, status, "gone"));
        }
        let mut answer = Message::response(request, 200, "x")
            .with("Contact", format!("<sip:x@{}>", self.address));
        match request.method() {
            "BYE" => (self.over, self.closed) = (true, true),
            "INVITE" | "UPDATE" if !self.refusals.is_empty() => {
                let (status, header) = self.refusals.pop_front().unwrap_or((500, None));
                answer = Message::response(request, status, "x");
                if let Some((name, value)) = header {
                    answer = answer.with(name, value);
                }
            }
            "UPDATE" if request.body.is_empty() => answer = self.grants(request, answer),
            "INVITE" | "UPDATE" => {
                answer = self.grants(request, answer);
                self.remote_media = request.media().or(self.remote_media);
                self.sdp_version += 1;
                answer = answer.with_sdp(sdp(self.media, self.sdp_version, "sendrecv"));
            }
            "OPTIONS" | "NOTIFY" => {}
            _ => answer = Message::response(request, 405, "x"),
        }
        reliable.answer(now, request, answer);
    }

    fn grants(&mut self, request: &Message, answer: Message) -> Message {
        let answer = granted(request, answer, self.habits);
        self.refreshed(&answer, false);
        answer
    }

    /// Takes a final answer to a request of ours within the dialog.
    pub fn answered(
        &mut self,
        response: &Message,
        request: &Message,
        reliable: &mut Reliable,
        chance: &mut Chance,
    ) {
        let status = response.status().unwrap_or(0);
        if status < 200 {
            return;
        }
        if request.method() == "BYE" {
            self.closed = true;
        }
        if matches!(request.method(), "INVITE" | "UPDATE") {
            match status < 300 {
                true => self.refreshed(response, true),
                false => self.not_refreshed(),
            }
        }
        if request.method() == "UPDATE" && status < 300 {
            self.remote_media = response.media().or(self.remote_media);
        }
        if request.method() == "INVITE" && status < 300 {
            let branch = format!("z9hG4bK{}", chance.word());
            let late = request.body.is_empty().then(|| {
                self.sdp_version += 1;
                sdp(self.media, self.sdp_version, "sendrecv")
            });
            reliable.acknowledge(response, request, &branch, late);
            self.remote_media = response.media().or(self.remote_media);
        }
        if status == 481 || status == 408 {
            // RFC 3261 §12.2.1.2: the dialog is gone.
            (self.over, self.closed) = (true, true);
        }
    }
}
