//! Refusals: the answer to the sender, and one log line with reason and remedy for the administrator.

use std::time::Duration;

use call::{Notice, Refusal};
use sip::{
    Name, Request, Response,
    transaction::{Path, ServerKey},
};

use crate::{io::Output, switch::Switch};

/// The methods that we understand (RFC 3261 §20.5).
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, REFER, INFO, REGISTER";

/// The extensions that we understand (RFC 3261 §20.37).
const EXTENSIONS: [&str; 1] = ["timer"];

/// What an administrator is told of a refused request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Why {
    pub(crate) reason: &'static str,
    pub(crate) remedy: &'static str,
}

impl Switch {
    /// Answers a request with a final refusal and reports it.
    pub(crate) fn refuse(
        &mut self,
        now: Duration,
        (server, path): (ServerKey, Path),
        request: &Request,
        mut response: Response,
        why: Why,
    ) {
        if response.status == 503 {
            let secs = self.settings.limits.retry_after_secs.to_string();
            response.headers.set(Name::RetryAfter, &secs);
        }
        self.report(path, request, response.status, why);
        self.respond(now, server, response);
    }

    /// One log line about a refused request.
    pub(crate) fn report(&mut self, path: Path, request: &Request, status: u16, why: Why) {
        let account = request
            .from()
            .and_then(|from| from.uri.user().map(|user| user.into_owned()));
        self.outputs
            .push_back(Output::Notice(Notice::Refused(Refusal {
                method: request.method.as_str().to_owned(),
                source: path.remote,
                account: account.unwrap_or_default(),
                status,
                reason: why.reason,
                remedy: why.remedy,
            })));
    }

    /// One log line about a call or registration that could not be read; `reply` is the answer to it.
    pub(crate) fn report_malformed(&mut self, path: Path, reply: &Response) {
        let sequence = reply.headers.first(&Name::CSeq).unwrap_or_default();
        let method = sequence.rsplit(' ').next().unwrap_or_default();
        if !matches!(method, "INVITE" | "REGISTER") {
            return;
        }
        self.outputs
            .push_back(Output::Notice(Notice::Refused(Refusal {
                method: method.to_owned(),
                source: path.remote,
                account: String::new(),
                status: reply.status,
                reason: "the message is malformed",
                remedy: "update the sender: its message breaks RFC 3261",
            })));
    }

    /// Answers a request, naming ourselves.
    pub(crate) fn respond(&mut self, now: Duration, server: ServerKey, mut response: Response) {
        if response.status > 100 {
            response.headers.set(Name::Server, &self.settings.product);
        }
        self.transactions.respond(now, server, response);
    }
}

/// 405 with what we understand (RFC 3261 §8.2.1).
pub(crate) fn method_not_allowed(request: &Request) -> Response {
    let mut response = request.reply(405);
    response.headers.push(Name::Allow, ALLOW);
    response
}

/// 420 with the options that we do not have (RFC 3261 §8.2.2.3); none if nothing is required.
pub(crate) fn bad_extension(request: &Request) -> Option<Response> {
    let required = request.headers.all(&Name::Require);
    let known = |option: &&str| EXTENSIONS.iter().any(|it| it.eq_ignore_ascii_case(option));
    let required: Vec<&str> = required.filter(|option| !known(option)).collect();
    if required.is_empty() {
        return None;
    }
    let mut response = request.reply(420);
    for option in required {
        response.headers.push(Name::Unsupported, option);
    }
    Some(response)
}
