//! By what messages find their transaction (RFC 3261 §17.1.3 and §17.2.3).

use std::fmt::Write;
use std::net::SocketAddr;

use crate::{Host, Method, Name, Request, Response, Via};

use super::{Path, Transport};

const MAGIC_COOKIE: &str = "z9hG4bK";

/// The name of the server transaction to which a request belongs.
///
/// `method` is that of the transaction: INVITE for an ACK, and for a CANCEL that looks for what it cancels.
pub(super) fn of_request(request: &Request, via: &Via, method: &Method) -> String {
    let mut name = String::with_capacity(96);
    // Writing to a String cannot fail.
    let _ = match via.branch().filter(|branch| {
        branch
            .get(..7)
            .is_some_and(|cookie| cookie.eq_ignore_ascii_case(MAGIC_COOKIE))
    }) {
        Some(branch) => write!(name, "{branch} {} {method}", via.sent_by()),
        None => of_old_request(&mut name, request, via, method),
    };
    name
}

/// RFC 3261 §17.2.3, for peers that follow RFC 2543 and make no unique branch. The To tag is left out: in the ACK it is
/// that of our answer, and everything else already tells transactions apart.
fn of_old_request(
    name: &mut String,
    request: &Request,
    via: &Via,
    method: &Method,
) -> std::fmt::Result {
    let from = request.from();
    let tag = from
        .as_ref()
        .and_then(|from| from.tag())
        .unwrap_or_default();
    let number = request.cseq().map_or(0, |cseq| cseq.number);
    let call_id = request.call_id().unwrap_or_default();
    write!(
        name,
        "{call_id} {tag} {number} {method} {} {} {}",
        request.uri,
        via.transport,
        via.sent_by()
    )?;
    for (key, value) in &via.params {
        // These two are our own notes, and missing when the request is seen for the first time.
        if !key.eq_ignore_ascii_case("received") && !key.eq_ignore_ascii_case("rport") {
            write!(name, ";{key}={}", value.as_deref().unwrap_or_default())?;
        }
    }
    Ok(())
}

/// The name of the client transaction with that branch; `method` is that of the CSeq.
pub(super) fn of_client(branch: &str, method: &Method) -> String {
    format!("{branch} {method}")
}

/// By what the ACK of a 2xx finds the INVITE: it has a branch of its own and may come by another way (RFC 3261 §13.2.2.4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AckIdentity {
    call_id: String,
    number: u32,
    local_tag: String,
    remote_tag: String,
}

impl AckIdentity {
    pub(super) fn of_ack(ack: &Request) -> Option<Self> {
        Self::new(
            ack.call_id()?,
            ack.cseq()?.number,
            ack.to()?.tag(),
            ack.from()?.tag(),
        )
    }

    pub(super) fn of_answer(answer: &Response) -> Option<Self> {
        Self::new(
            answer.call_id()?,
            answer.cseq()?.number,
            answer.to()?.tag(),
            answer.from()?.tag(),
        )
    }

    fn new(
        call_id: &str,
        number: u32,
        local_tag: Option<&str>,
        remote_tag: Option<&str>,
    ) -> Option<Self> {
        Some(Self {
            call_id: call_id.to_owned(),
            number,
            local_tag: local_tag.unwrap_or_default().to_owned(),
            remote_tag: remote_tag.unwrap_or_default().to_owned(),
        })
    }
}

/// Where the answers to a request go (RFC 3261 §18.2.2, RFC 3581 §4).
///
/// The address is always the one that the request came from; `maddr` is not followed, for it would let anybody direct our
/// answers at a third party. The port is the source port too, but for a sender that neither asked for `rport` nor
/// sits behind a NAT: that one listens on the port that it wrote.
pub(super) fn reply_path(path: Path, via: &Via) -> Path {
    let behind_nat = via.host.ip() != Some(path.remote.ip());
    if path.transport != Transport::Udp || via.wants_rport() || behind_nat {
        return path;
    }
    Path {
        remote: SocketAddr::new(path.remote.ip(), via.port.unwrap_or(5060)),
        ..path
    }
}

/// Writes into the topmost Via where the request came from (RFC 3261 §18.2.1, RFC 3581 §4).
pub(super) fn note_source(request: &mut Request, mut via: Via, path: &Path) {
    via.set_source(path.remote.ip(), path.remote.port());
    request.headers.remove_first(&Name::Via);
    request.headers.push_first(Name::Via, &via.to_string());
}

/// Puts our hop on top of a request.
pub(super) fn add_via(request: &mut Request, path: &Path, seen: SocketAddr, branch: &str) {
    let via = Via::new(
        path.transport.name(),
        Host::from(seen.ip()),
        Some(seen.port()),
        branch,
    );
    request.headers.push_first(Name::Via, &via.to_string());
}
