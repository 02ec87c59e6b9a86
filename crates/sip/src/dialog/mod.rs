//! Dialogs: what both sides of a call know of each other (RFC 3261 §12).
//!
//! Every request of ours goes back by the path that the INVITE (or its answer) came by, whatever address the Contact names:
//! it is the only one that works through a NAT, and it is right without one too. Route and Request-URI are still those of
//! the RFC, so a proxy in between forwards as it should.

mod snapshot;

use thiserror::Error;

use crate::transaction::Path;
use crate::{CSeq, Method, Name, NameAddr, Request, Response, Uri};

pub use snapshot::{PendingInvite, Snapshot, SnapshotError};

/// What tells a dialog from all others (RFC 3261 §12).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DialogKey {
    /// The Call-ID.
    pub call_id: String,
    /// Our tag.
    pub local_tag: String,
    /// Their tag; empty when the peer follows RFC 2543 and gave none.
    pub remote_tag: String,
}

/// Whether the INVITE is answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// By a provisional answer at most.
    Early,
    /// By a 2xx.
    Confirmed,
}

/// Who sent the INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Caller,
    Called,
}

/// Why a message does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DialogError {
    /// From, To, Call-ID or CSeq cannot be read.
    #[error("From, To, Call-ID or CSeq is missing or malformed")]
    Malformed,
    /// A message that begins a dialog has no usable Contact (RFC 3261 §8.1.1.8).
    #[error("no usable Contact")]
    NoContact,
    /// A provisional answer without a To tag begins no dialog.
    #[error("the answer has no To tag")]
    NoTag,
    /// Another dialog's Call-ID or tags.
    #[error("the message belongs to another dialog")]
    OtherDialog,
    /// A sequence number that is not above the last one (RFC 3261 §12.2.2).
    #[error("sequence number {received} is not above {last}")]
    OutOfOrder {
        /// The last number.
        last: u32,
        /// The one that came.
        received: u32,
    },
}

impl DialogError {
    /// The status with which a request is refused for this.
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::NoContact | Self::NoTag => 400,
            Self::OtherDialog => 481,
            // RFC 3261 §12.2.2
            Self::OutOfOrder { .. } => 500,
        }
    }
}

/// A dialog, early or confirmed, on either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    state: State,
    role: Role,
    key: DialogKey,
    /// From of our requests, tag included.
    local: NameAddr,
    /// To of our requests, tag included.
    remote: NameAddr,
    /// Number of our last request.
    local_number: u32,
    /// Number of their last request.
    remote_number: Option<u32>,
    remote_target: Uri,
    contact: Uri,
    /// Route values in the order in which our requests visit them.
    routes: Vec<String>,
    path: Path,
}

/// The sequence number of our first request in a dialog that the other side began.
const FIRST_NUMBER: u32 = 1;

impl Dialog {
    /// The dialog that our answer to an INVITE begins (RFC 3261 §12.1.1). `contact` is ours; the tag goes into every answer
    /// of ours with a status above 100.
    pub fn uas(
        invite: &Request,
        path: Path,
        local_tag: &str,
        contact: Uri,
    ) -> Result<Self, DialogError> {
        let (from, to) = (
            invite.from().ok_or(DialogError::Malformed)?,
            invite.to().ok_or(DialogError::Malformed)?,
        );
        let call_id = invite.call_id().ok_or(DialogError::Malformed)?;
        let number = invite.cseq().ok_or(DialogError::Malformed)?.number;
        let remote_target = invite.contact().ok_or(DialogError::NoContact)?.uri;
        Ok(Self {
            state: State::Early,
            role: Role::Called,
            key: key(call_id, local_tag, from.tag()),
            local: to.with_tag(local_tag),
            remote: from,
            local_number: FIRST_NUMBER - 1,
            remote_number: Some(number),
            remote_target,
            contact,
            routes: invite
                .headers
                .all(&Name::RecordRoute)
                .map(str::to_owned)
                .collect(),
            path,
        })
    }

    /// The dialog that an answer to our INVITE begins (RFC 3261 §12.1.2): early by a 1xx with a To tag, confirmed by a 2xx.
    ///
    /// A 2xx without a tag is taken too, for RFC 2543 knew none. An answer without Contact leaves the Request-URI of the
    /// INVITE as the target.
    pub fn uac(
        invite: &Request,
        response: &Response,
        path: Path,
        contact: Uri,
    ) -> Result<Self, DialogError> {
        let (local, remote) = (
            invite.from().ok_or(DialogError::Malformed)?,
            response.to().ok_or(DialogError::Malformed)?,
        );
        let call_id = invite.call_id().ok_or(DialogError::Malformed)?;
        let number = invite.cseq().ok_or(DialogError::Malformed)?.number;
        if !response.is_success() && (response.status == 100 || remote.tag().is_none()) {
            return Err(DialogError::NoTag);
        }
        Ok(Self {
            state: if response.is_success() {
                State::Confirmed
            } else {
                State::Early
            },
            role: Role::Caller,
            key: key(call_id, local.tag().unwrap_or_default(), remote.tag()),
            local,
            remote,
            local_number: number,
            remote_number: None,
            remote_target: response
                .contact()
                .map_or_else(|| invite.uri.clone(), |contact| contact.uri),
            contact,
            routes: recorded_routes(response),
            path,
        })
    }

    /// Call-ID and tags.
    pub fn key(&self) -> &DialogKey {
        &self.key
    }

    /// The key of the dialog to which a received request belongs; `None` when it has no To tag, thus begins one.
    pub fn key_of_request(request: &Request) -> Option<DialogKey> {
        let (from, to) = (request.from()?, request.to()?);
        Some(key(request.call_id()?, to.tag()?, from.tag()))
    }

    /// The key of the dialog to which a received response belongs; `None` when it has no To tag.
    pub fn key_of_response(response: &Response) -> Option<DialogKey> {
        let (from, to) = (response.from()?, response.to()?);
        let remote_tag = to.tag()?;
        Some(key(response.call_id()?, from.tag()?, Some(remote_tag)))
    }

    /// Early or confirmed.
    pub fn state(&self) -> State {
        self.state
    }

    /// By which socket our requests go, and to where.
    pub fn target_path(&self) -> Path {
        self.path
    }

    /// Sends our requests another way: the connection broke, or the other side came by another.
    pub fn reroute(&mut self, path: Path) {
        self.path = path;
    }

    /// Where the other side wants requests: the Request-URI of ours.
    pub fn remote_target(&self) -> &Uri {
        &self.remote_target
    }

    /// The Request-URI of our requests.
    pub fn request_uri(&self) -> Uri {
        self.route().0
    }

    /// Whether we sent the INVITE, and thus made the Call-ID.
    pub fn is_caller(&self) -> bool {
        self.role == Role::Caller
    }

    /// Our Contact.
    pub fn contact(&self) -> &Uri {
        &self.contact
    }

    /// Our address with our tag: From of our requests.
    pub fn local(&self) -> &NameAddr {
        &self.local
    }

    /// Their address with their tag: To of our requests.
    pub fn remote(&self) -> &NameAddr {
        &self.remote
    }

    /// The next request of ours in this dialog (RFC 3261 §12.2.1.1), without body and without Via.
    ///
    /// For ACK and CANCEL, which take the number of their INVITE, see [`Dialog::create_ack`] and
    /// [`Transactions::cancel`](crate::transaction::Transactions::cancel).
    pub fn create_request(&mut self, method: Method) -> Request {
        // RFC 3261 §8.1.1.5: numbers stay below 2³¹. A dialog never gets there; if it did, the other side would answer 500.
        self.local_number = (self.local_number + 1).min(i32::MAX.unsigned_abs());
        let contact = method != Method::Bye;
        let mut request = self.request(method, self.local_number);
        if contact {
            request
                .headers
                .push(Name::Contact, &format!("<{}>", self.contact));
        }
        request
    }

    /// The ACK for the 2xx to our INVITE with that number (RFC 3261 §13.2.2.4).
    pub fn create_ack(&self, number: u32) -> Request {
        self.request(Method::Ack, number)
    }

    fn request(&self, method: Method, number: u32) -> Request {
        let (uri, routes) = self.route();
        let cseq = CSeq {
            number,
            method: method.clone(),
        };
        let mut request = Request::new(method, uri);
        request.headers.push(Name::MaxForwards, "70");
        for route in routes {
            request.headers.push(Name::Route, &route);
        }
        request.headers.push(Name::From, &self.local.to_string());
        request.headers.push(Name::To, &self.remote.to_string());
        request.headers.push(Name::CallId, &self.key.call_id);
        request.headers.push(Name::CSeq, &cseq.to_string());
        request
    }

    /// Request-URI and Route values.
    fn route(&self) -> (Uri, Vec<String>) {
        let first = self
            .routes
            .first()
            .and_then(|route| NameAddr::parse(route).ok());
        match first {
            // RFC 3261 §12.2.1.1: a strict router wants its own URI as the Request-URI and the target at the end of the route.
            Some(first) if !first.uri.is_loose_router() => {
                let mut routes = self.routes[1..].to_vec();
                routes.push(format!("<{}>", self.remote_target));
                let mut uri = first.uri;
                uri.headers.clear();
                (uri.without_param("method"), routes)
            }
            _ => (self.remote_target.clone(), self.routes.clone()),
        }
    }

    /// Takes note of a request that came in this dialog (RFC 3261 §12.2.2): checks its sequence number, and takes the Contact
    /// of an INVITE or UPDATE as the new target. On an error, answer with [`DialogError::status`].
    ///
    /// ACK takes the number of its INVITE, so it is only checked not to be above the last one.
    pub fn receive(&mut self, request: &Request) -> Result<(), DialogError> {
        if Self::key_of_request(request).ok_or(DialogError::OtherDialog)? != self.key {
            return Err(DialogError::OtherDialog);
        }
        let received = request.cseq().ok_or(DialogError::Malformed)?.number;
        let last = self.remote_number;
        if matches!(request.method, Method::Ack | Method::Cancel) {
            return match last {
                Some(last) if received <= last => Ok(()),
                _ => Err(DialogError::OutOfOrder {
                    last: last.unwrap_or_default(),
                    received,
                }),
            };
        }
        // Equal numbers are refused too: repetitions never get here, so this is another request with a used number.
        if let Some(last) = last.filter(|last| received <= *last) {
            return Err(DialogError::OutOfOrder { last, received });
        }
        self.remote_number = Some(received);
        if refreshes_target(&request.method) {
            if let Some(contact) = request.contact() {
                self.remote_target = contact.uri;
            }
        }
        Ok(())
    }

    /// Takes note of an answer to an INVITE or UPDATE in this dialog.
    ///
    /// A 2xx to INVITE confirms the dialog. One that we received also sets the target anew, and the first sets the route
    /// (RFC 3261 §13.2.2.4, §12.2.1.2). Works with answers that we sent as well as with those that we received.
    pub fn confirm(&mut self, response: &Response) {
        let Some(cseq) = response.cseq().filter(|_| response.is_success()) else {
            return;
        };
        if !refreshes_target(&cseq.method) {
            return;
        }
        let from = response.from();
        let received = from
            .as_ref()
            .and_then(|from| from.tag())
            .unwrap_or_default()
            == self.key.local_tag;
        let first = cseq.method == Method::Invite && self.state == State::Early;
        if received {
            if let Some(contact) = response.contact() {
                self.remote_target = contact.uri;
            }
            if first && self.role == Role::Caller {
                self.routes = recorded_routes(response);
            }
        }
        if first {
            self.state = State::Confirmed;
        }
    }

    /// An answer of ours to a request in this dialog, or to the INVITE that begins it: with our tag, above 100 with our
    /// Contact where one belongs, and the Record-Route of an INVITE copied (RFC 3261 §12.1.1).
    pub fn response(&self, request: &Request, status: u16) -> Response {
        let dialog_answer = request.method == Method::Invite && (101..300).contains(&status);
        let mut response = if dialog_answer {
            request.reply_in_dialog(status)
        } else {
            request.reply(status)
        };
        if status > 100 {
            response.set_to_tag(&self.key.local_tag);
        }
        let contact =
            dialog_answer || (request.method == Method::Update && (200..300).contains(&status));
        if contact {
            response
                .headers
                .push(Name::Contact, &format!("<{}>", self.contact));
        }
        response
    }
}

/// RFC 3261 §12.2 and RFC 3311 §5.
fn refreshes_target(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Update)
}

/// RFC 3261 §12.1.2: the caller's route is the recorded one backwards.
fn recorded_routes(response: &Response) -> Vec<String> {
    let mut routes: Vec<String> = response
        .headers
        .all(&Name::RecordRoute)
        .map(str::to_owned)
        .collect();
    routes.reverse();
    routes
}

fn key(call_id: &str, local_tag: &str, remote_tag: Option<&str>) -> DialogKey {
    DialogKey {
        call_id: call_id.to_owned(),
        local_tag: local_tag.to_owned(),
        remote_tag: remote_tag.unwrap_or_default().to_owned(),
    }
}
