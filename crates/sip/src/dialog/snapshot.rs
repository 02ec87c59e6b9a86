//! What must be stored so that calls can be ended properly after a crash.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::transaction::{self, Path};
use crate::{CSeq, Method, Name, NameAddr, Request, Response, Uri};

use super::{Dialog, DialogKey, Role, State};

/// The form of the records below. A record of another version is refused.
const VERSION: u32 = 1;

/// Why a stored record cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// Written by another version of the program.
    #[error("record of version {0}, expected {VERSION}")]
    Version(u32),
    /// A value cannot be read.
    #[error("unreadable {0} in the record")]
    Unreadable(&'static str),
}

/// A dialog as a record: enough to send a BYE, and every other request, after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    version: u32,
    confirmed: bool,
    caller: bool,
    call_id: String,
    local: String,
    remote: String,
    local_number: u32,
    remote_number: Option<u32>,
    remote_target: String,
    contact: String,
    routes: Vec<String>,
    path: Path,
}

impl Dialog {
    /// The dialog as a record.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            version: VERSION,
            confirmed: self.state == State::Confirmed,
            caller: self.role == Role::Caller,
            call_id: self.key.call_id.clone(),
            local: self.local.to_string(),
            remote: self.remote.to_string(),
            local_number: self.local_number,
            remote_number: self.remote_number,
            remote_target: self.remote_target.to_string(),
            contact: self.contact.to_string(),
            routes: self.routes.clone(),
            path: self.path,
        }
    }

    /// The dialog of a record. What was sent after the record was written is not in it, so the numbers of our requests leave
    /// a gap of 1,000: the other side only wants them to rise (RFC 3261 §12.2.2).
    pub fn restore(snapshot: &Snapshot) -> Result<Self, SnapshotError> {
        if snapshot.version != VERSION {
            return Err(SnapshotError::Version(snapshot.version));
        }
        let local = NameAddr::parse(&snapshot.local)
            .map_err(|_| SnapshotError::Unreadable("local address"))?;
        let remote = NameAddr::parse(&snapshot.remote)
            .map_err(|_| SnapshotError::Unreadable("remote address"))?;
        Ok(Self {
            state: if snapshot.confirmed {
                State::Confirmed
            } else {
                State::Early
            },
            role: if snapshot.caller {
                Role::Caller
            } else {
                Role::Called
            },
            key: DialogKey {
                call_id: snapshot.call_id.clone(),
                local_tag: local.tag().unwrap_or_default().to_owned(),
                remote_tag: remote.tag().unwrap_or_default().to_owned(),
            },
            local,
            remote,
            local_number: snapshot.local_number.saturating_add(NUMBER_GAP),
            remote_number: snapshot.remote_number,
            remote_target: uri(&snapshot.remote_target, "target")?,
            contact: uri(&snapshot.contact, "contact")?,
            routes: snapshot.routes.clone(),
            path: snapshot.path,
        })
    }
}

const NUMBER_GAP: u32 = 1000;

/// An INVITE without a final answer as a record, sent or received: enough to cancel or refuse it after a restart.
///
/// Of a sent INVITE give [`PendingInvite::request`] to
/// [`Transactions::resume_invite`](crate::transaction::Transactions::resume_invite) and cancel it there; of a received one to
/// [`Transactions::resume_server`](crate::transaction::Transactions::resume_server), and respond with
/// [`PendingInvite::refusal`]. So the messages are repeated when lost, and a 2xx that crosses gets its ACK and BYE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingInvite {
    version: u32,
    uri: String,
    vias: Vec<String>,
    routes: Vec<String>,
    from: String,
    to: String,
    call_id: String,
    number: u32,
    contact: Option<String>,
    local_tag: Option<String>,
    path: Path,
}

impl PendingInvite {
    /// Of an INVITE that we sent, as [`Transactions::request_of`](crate::transaction::Transactions::request_of) gives it.
    pub fn sent(invite: &Request, path: Path) -> Self {
        Self::new(invite, path, None)
    }

    /// Of an INVITE that we received, with the tag of our answers.
    pub fn received(invite: &Request, path: Path, local_tag: &str) -> Self {
        Self::new(invite, path, Some(local_tag.to_owned()))
    }

    fn new(invite: &Request, path: Path, local_tag: Option<String>) -> Self {
        let all = |name: &Name| invite.headers.all(name).map(str::to_owned).collect();
        let first = |name: &Name| invite.headers.first(name).unwrap_or_default().to_owned();
        Self {
            version: VERSION,
            uri: invite.uri.to_string(),
            vias: all(&Name::Via),
            routes: all(&Name::Route),
            from: first(&Name::From),
            to: first(&Name::To),
            call_id: first(&Name::CallId),
            number: invite.cseq().map_or(0, |cseq| cseq.number),
            contact: invite.headers.first(&Name::Contact).map(str::to_owned),
            local_tag,
            path,
        }
    }

    /// By which socket it went or came.
    pub fn path(&self) -> Path {
        self.path
    }

    /// The INVITE without body and without what no answer and no CANCEL needs.
    pub fn request(&self) -> Result<Request, SnapshotError> {
        if self.version != VERSION {
            return Err(SnapshotError::Version(self.version));
        }
        let mut invite = Request::new(Method::Invite, uri(&self.uri, "Request-URI")?);
        for via in &self.vias {
            invite.headers.push(Name::Via, via);
        }
        for route in &self.routes {
            invite.headers.push(Name::Route, route);
        }
        invite.headers.push(Name::MaxForwards, "70");
        invite.headers.push(Name::From, &self.from);
        invite.headers.push(Name::To, &self.to);
        invite.headers.push(Name::CallId, &self.call_id);
        invite.headers.push(
            Name::CSeq,
            &CSeq {
                number: self.number,
                method: Method::Invite,
            }
            .to_string(),
        );
        if let Some(contact) = &self.contact {
            invite.headers.push(Name::Contact, contact);
        }
        Ok(invite)
    }

    /// The CANCEL of an INVITE that we sent: its Via with the stored branch, its numbers and tags (RFC 3261 §9.1).
    pub fn cancel(&self) -> Result<Request, SnapshotError> {
        Ok(transaction::cancel(&self.request()?))
    }

    /// The final answer to an INVITE that we received: the stored Via stack, From, To with our tag, Call-ID and CSeq.
    pub fn refusal(&self, status: u16) -> Result<Response, SnapshotError> {
        let mut response = self.request()?.reply(status);
        if let Some(tag) = &self.local_tag {
            response.set_to_tag(tag);
        }
        Ok(response)
    }
}

fn uri(text: &str, what: &'static str) -> Result<Uri, SnapshotError> {
    Uri::parse(text).map_err(|_| SnapshotError::Unreadable(what))
}
