//! The registration of a virtual telephone: REGISTER with digest, renewed in time (RFC 3261 §10).

use std::time::{Duration, Instant};

use sip::{
    CSeq, Method, Name, Request, Response, Uri,
    digest::{self, Challenge},
    transaction::ClientKey,
};

use super::user_agent::Line;

/// How long a registration is asked for, in seconds.
const EXPIRES_SECS: u32 = 300;

/// What a telephone logs in with.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) user: String,
    pub(super) secret: String,
}

/// A registration and its next step.
pub(super) struct Registration {
    account: Account,
    call_id: String,
    tag: String,
    number: u32,
    expires_secs: u32,
    /// The request whose answer is awaited, and whether it had credentials.
    sent: Option<(ClientKey, bool)>,
    renew_at: Option<Instant>,
}

impl Registration {
    /// Sends the first REGISTER.
    pub(super) fn begin(line: &mut Line, account: Account) -> Self {
        let mut registration = Self {
            account,
            call_id: format!("{:016x}@{}", rand::random::<u64>(), line.path.local.ip()),
            tag: format!("{:08x}", rand::random::<u32>()),
            number: 0,
            expires_secs: EXPIRES_SECS,
            sent: None,
            renew_at: None,
        };
        registration.send(line, None);
        registration
    }

    /// The request whose answer is awaited.
    pub(super) fn sent(&self) -> Option<ClientKey> {
        self.sent.map(|(client, _)| client)
    }

    /// When the registration is to be renewed.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.renew_at
    }

    /// Renews it if it is time.
    pub(super) fn on_time(&mut self, line: &mut Line) {
        if self.renew_at.take_if(|at| *at <= Instant::now()).is_some() {
            self.send(line, None);
        }
    }

    /// Takes the telephone off.
    pub(super) fn end(&mut self, line: &mut Line) {
        self.expires_secs = 0;
        self.renew_at = None;
        self.send(line, None);
    }

    /// Takes the answer: a challenge is answered once.
    pub(super) fn answered(&mut self, line: &mut Line, response: &Response) {
        if !response.is_final() {
            return;
        }
        let had_credentials = self.sent.take().is_some_and(|(_, had)| had);
        let challenge = || Challenge::strongest(response.headers.all(&Name::WwwAuthenticate));
        if response.status == 401 && !had_credentials {
            if let Some(challenge) = challenge() {
                return self.send(line, Some(&challenge));
            }
        }
        if response.is_success() && self.expires_secs > 0 {
            let period = Duration::from_secs(u64::from(self.expires_secs) * 3 / 4);
            self.renew_at = Some(Instant::now() + period);
        }
        line.note(|facts| facts.registered = Some(response.status));
    }

    fn send(&mut self, line: &mut Line, challenge: Option<&Challenge>) {
        self.number += 1;
        let server = line.path.remote;
        let host = server.ip().to_string();
        let uri = Uri::sip(None, &host, Some(server.port()));
        let address = Uri::sip(Some(&self.account.user), &host, None);
        let cseq = CSeq {
            number: self.number,
            method: Method::Register,
        };
        let mut request = Request::new(Method::Register, uri);
        let headers = &mut request.headers;
        headers.push(Name::MaxForwards, "70");
        headers.push(Name::From, &format!("<{address}>;tag={}", self.tag));
        headers.push(Name::To, &format!("<{address}>"));
        headers.push(Name::CallId, &self.call_id);
        headers.push(Name::CSeq, &cseq.to_string());
        headers.push(
            Name::Contact,
            &format!("<{}>", line.contact(&self.account.user)),
        );
        headers.push(Name::Expires, &self.expires_secs.to_string());
        headers.push(Name::UserAgent, "Ringbook demo telephone");
        if let Some(challenge) = challenge {
            let credentials = self.credentials(challenge, &request.uri.to_string());
            request.headers.push(Name::Authorization, &credentials);
        }
        self.sent = Some((line.request(request), challenge.is_some()));
    }

    fn credentials(&self, challenge: &Challenge, uri: &str) -> String {
        let Account { user, secret } = &self.account;
        let ha1 = digest::ha1(challenge.algorithm, user, &challenge.realm, secret);
        let cnonce = format!("{:016x}", rand::random::<u64>());
        digest::respond(
            challenge,
            user,
            &ha1,
            Method::Register.as_str(),
            uri,
            &cnonce,
            1,
        )
    }
}
