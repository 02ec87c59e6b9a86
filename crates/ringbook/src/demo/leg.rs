//! The one call of a user agent, from either side (RFC 3261 §13).

use std::time::{Duration, Instant};

use media::{LocalSession, Negotiated, Sdp, Terms};
use sip::{
    CSeq, Method, Name, Request, Response, Uri,
    dialog::Dialog,
    transaction::{ClientKey, Path, ServerKey},
};

use super::{
    user_agent::{Line, Manner, Part},
    voice::{self, Heard, Talk, Voice},
};

const SDP: &str = "application/sdp";
/// How long the line stays open after the last word.
const LAST_BREATH: Duration = Duration::from_millis(400);

/// A call.
pub(super) struct Leg {
    phase: Phase,
    session: LocalSession,
    voice: Voice,
    part: Part,
}

#[expect(clippy::large_enum_variant, reason = "a theatre has a handful of legs")]
enum Phase {
    /// Our INVITE is not answered finally.
    Calling {
        client: ClientKey,
        invite: Request,
        contact: Uri,
        given_up: bool,
    },
    /// Their INVITE is not answered finally.
    Ringing {
        server: ServerKey,
        invite: Request,
        dialog: Dialog,
        answer: Response,
        negotiated: Negotiated,
        at: Option<Instant>,
    },
    /// A conversation; `server` is the INVITE that we answered.
    Talking {
        dialog: Dialog,
        server: Option<ServerKey>,
        hang_up_at: Option<Instant>,
    },
    Over {
        status: u16,
    },
}

impl Leg {
    /// Places a call; none if there is no port for its sound.
    pub(super) async fn call(line: &mut Line, from: &str, to: &str, part: Part) -> Option<Self> {
        line.begin_call();
        let voice = bind(line).await?;
        let mut session = LocalSession::new(voice.local(), rand::random());
        let contact = line.contact(from);
        let invite = invite(line, from, to, &contact, &session.offer(Terms::default()));
        let client = line.request(invite.clone());
        let phase = Phase::Calling {
            client,
            invite,
            contact,
            given_up: false,
        };
        Some(Self {
            phase,
            session,
            voice,
            part,
        })
    }

    /// Takes a call that comes in, or refuses it.
    pub(super) async fn ring(
        line: &mut Line,
        from: (ServerKey, Path),
        invite: Request,
        manner: Manner,
        part: Part,
    ) -> Option<Self> {
        let (server, path) = from;
        line.begin_call();
        let at = match manner {
            Manner::Answers(after) => Some(Instant::now() + after),
            Manner::Rings => None,
            Manner::Declines => return refuse(line, server, &invite, 603),
        };
        let voice = bind(line).await?;
        let mut session = LocalSession::new(voice.local(), rand::random());
        let answer =
            Sdp::parse(&invite.body).and_then(|offer| session.answer(&offer, Terms::default()));
        let Ok((description, negotiated)) = answer else {
            return refuse(line, server, &invite, 488);
        };
        let tag = format!("{:08x}", rand::random::<u32>());
        let user = invite.uri.user().unwrap_or_default().into_owned();
        let Ok(dialog) = Dialog::uas(&invite, path, &tag, line.contact(&user)) else {
            return refuse(line, server, &invite, 400);
        };
        line.respond(server, dialog.response(&invite, 180));
        line.note_call(|call| call.rang = true);
        let mut answer = dialog.response(&invite, 200);
        describe(&mut answer.headers, &mut answer.body, &description);
        let phase = Phase::Ringing {
            server,
            invite,
            dialog,
            answer,
            negotiated,
            at,
        };
        Some(Self {
            phase,
            session,
            voice,
            part,
        })
    }

    /// The final status, once the call is over.
    pub(super) fn status(&self) -> Option<u16> {
        match self.phase {
            Phase::Over { status } => Some(status),
            _ => None,
        }
    }

    /// When something is to be done.
    pub(super) fn wake(&self) -> Option<Instant> {
        match self.phase {
            Phase::Ringing { at, .. } => at,
            Phase::Talking { hang_up_at, .. } => hang_up_at,
            _ => None,
        }
    }

    /// Does what is due.
    pub(super) fn on_time(&mut self, line: &mut Line) {
        if self.wake().is_some_and(|at| at <= Instant::now()) {
            match self.phase {
                Phase::Ringing { .. } => self.accept(line),
                _ => self.hang_up(line),
            }
        }
    }

    fn accept(&mut self, line: &mut Line) {
        let over = Phase::Over { status: 500 };
        if let Phase::Ringing {
            server,
            dialog,
            answer,
            negotiated,
            ..
        } = std::mem::replace(&mut self.phase, over)
        {
            line.respond(server, answer);
            self.talk(line, dialog, Some(server), &negotiated);
        }
    }

    fn talk(
        &mut self,
        line: &Line,
        dialog: Dialog,
        server: Option<ServerKey>,
        agreed: &Negotiated,
    ) {
        let Part {
            speech,
            pause,
            hangs_up,
        } = &self.part;
        self.voice.start(Talk {
            remote: agreed.remote,
            codec: agreed.codec,
            speech: speech.clone(),
            pause: *pause,
        });
        let said = *pause + voice::length(speech.len()) + LAST_BREATH;
        let hang_up_at = hangs_up.then(|| Instant::now() + said);
        self.phase = Phase::Talking {
            dialog,
            server,
            hang_up_at,
        };
        line.note_call(|call| call.answered = Some(Instant::now()));
    }

    /// Hangs up, or gives up.
    pub(super) fn hang_up(&mut self, line: &mut Line) {
        match &mut self.phase {
            Phase::Calling {
                client, given_up, ..
            } => {
                *given_up = true;
                let (client, now) = (*client, line.now());
                line.transactions.cancel(now, client);
            }
            Phase::Ringing {
                server,
                dialog,
                invite,
                ..
            } => {
                line.respond(*server, dialog.response(invite, 603));
                self.phase = Phase::Over { status: 603 };
            }
            Phase::Talking { dialog, .. } => {
                let bye = dialog.create_request(Method::Bye);
                line.request(bye);
                self.phase = Phase::Over { status: 200 };
            }
            Phase::Over { .. } => {}
        }
    }

    /// Presses a key, told by INFO.
    pub(super) fn press(&mut self, line: &mut Line, key: char) {
        if let Phase::Talking { dialog, .. } = &mut self.phase {
            let mut info = dialog.create_request(Method::Info);
            info.headers
                .push(Name::ContentType, "application/dtmf-relay");
            info.body = format!("Signal={key}\r\nDuration=160\r\n").into_bytes();
            line.request(info);
        }
    }

    /// Whether this INVITE is the one that we answered.
    pub(super) fn is_answered_by(&self, invite: ServerKey) -> bool {
        matches!(self.phase, Phase::Talking { server: Some(server), .. } if server == invite)
    }

    /// The caller withdraws.
    pub(super) fn cancelled(&mut self, withdrawn: ServerKey, line: &mut Line) {
        if let Phase::Ringing {
            server,
            dialog,
            invite,
            ..
        } = &self.phase
        {
            if *server == withdrawn {
                line.respond(withdrawn, dialog.response(invite, 487));
                self.phase = Phase::Over { status: 487 };
            }
        }
    }

    /// A request within the call.
    pub(super) fn requested(&mut self, line: &mut Line, server: ServerKey, request: &Request) {
        let Phase::Talking { dialog, .. } = &mut self.phase else {
            return line.respond(server, request.reply(481));
        };
        if let Err(error) = dialog.receive(request) {
            return line.respond(server, dialog.response(request, error.status()));
        }
        let status = match request.method {
            Method::Bye => 200,
            Method::Invite | Method::Update => {
                let answer = Sdp::parse(&request.body)
                    .and_then(|offer| self.session.answer(&offer, Terms::default()));
                if let Ok((description, _)) = answer {
                    let mut response = dialog.response(request, 200);
                    describe(&mut response.headers, &mut response.body, &description);
                    return line.respond(server, response);
                }
                488
            }
            Method::Options => 200,
            _ => 405,
        };
        line.respond(server, dialog.response(request, status));
        if request.method == Method::Bye {
            self.phase = Phase::Over { status: 200 };
        }
    }

    /// An answer to our INVITE.
    pub(super) fn answered(&mut self, to: ClientKey, response: &Response, line: &mut Line) {
        let Phase::Calling {
            client,
            invite,
            contact,
            given_up,
        } = &self.phase
        else {
            return;
        };
        if *client != to {
            return;
        }
        match response.status {
            ..180 => {}
            180..200 => line.note_call(|call| call.rang = true),
            300.. => {
                self.phase = Phase::Over {
                    status: response.status,
                }
            }
            200..300 => {
                let number = invite.cseq().map_or(1, |cseq| cseq.number);
                let given_up = *given_up;
                let Ok(mut dialog) = Dialog::uac(invite, response, line.path, contact.clone())
                else {
                    self.phase = Phase::Over { status: 500 };
                    return;
                };
                let (path, now) = (dialog.target_path(), line.now());
                line.transactions
                    .ack(now, to, path, dialog.create_ack(number));
                let agreed = Sdp::parse(&response.body)
                    .and_then(|answer| self.session.accept_answer(&answer));
                match agreed {
                    Ok(agreed) if !given_up => self.talk(line, dialog, None, &agreed),
                    // The 200 crossed our CANCEL, or its description is of no use.
                    _ => {
                        line.request(dialog.create_request(Method::Bye));
                        self.phase = Phase::Over {
                            status: if given_up { 487 } else { 488 },
                        };
                    }
                }
            }
        }
    }

    /// Our INVITE got no answer.
    pub(super) fn failed(&mut self, request: ClientKey, status: u16, _line: &Line) {
        if matches!(self.phase, Phase::Calling { client, .. } if client == request) {
            self.phase = Phase::Over { status };
        }
    }

    /// The final status and what was heard.
    pub(super) async fn into_end(self) -> (u16, Heard) {
        (self.status().unwrap_or(500), self.voice.stop().await)
    }
}

async fn bind(line: &Line) -> Option<Voice> {
    Voice::bind(line.path.local.ip()).await.ok()
}

fn refuse(line: &mut Line, server: ServerKey, invite: &Request, status: u16) -> Option<Leg> {
    line.respond(server, invite.reply(status));
    let ended = super::user_agent::Ended {
        status,
        heard: Heard::default(),
    };
    line.note_call(|call| call.ended = Some(ended));
    None
}

fn describe(headers: &mut sip::Headers, body: &mut Vec<u8>, description: &Sdp) {
    headers.push(Name::ContentType, SDP);
    *body = description.to_string().into_bytes();
}

fn invite(line: &Line, from: &str, to: &str, contact: &Uri, offer: &Sdp) -> Request {
    let (local, server) = (line.path.local, line.path.remote);
    let target = Uri::sip(Some(to), &server.ip().to_string(), Some(server.port()));
    let caller = Uri::sip(Some(from), &local.ip().to_string(), None);
    let cseq = CSeq {
        number: 1,
        method: Method::Invite,
    };
    let mut request = Request::new(Method::Invite, target);
    let headers = &mut request.headers;
    headers.push(Name::MaxForwards, "70");
    headers.push(
        Name::From,
        &format!("<{caller}>;tag={:08x}", rand::random::<u32>()),
    );
    headers.push(
        Name::To,
        &format!("<{}>", Uri::sip(Some(to), &server.ip().to_string(), None)),
    );
    headers.push(
        Name::CallId,
        &format!("{:016x}@{}", rand::random::<u64>(), local.ip()),
    );
    headers.push(Name::CSeq, &cseq.to_string());
    headers.push(Name::Contact, &format!("<{contact}>"));
    headers.push(Name::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE");
    headers.push(Name::UserAgent, "Ringbook demo trunk");
    describe(&mut request.headers, &mut request.body, offer);
    request
}
