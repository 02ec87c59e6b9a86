//! Requests and responses.

use crate::address::NameAddr;
use crate::cseq::CSeq;
use crate::header::Name;
use crate::headers::Headers;
use crate::method::Method;
use crate::parse;
use crate::reject::Rejected;
use crate::status::reason_phrase;
use crate::uri::Uri;
use crate::via::Via;
use crate::write;

/// A request. Its Content-Length is made from the body when it is written and is no part of `headers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The Request-URI.
    pub uri: Uri,
    /// The header fields.
    pub headers: Headers,
    /// The body, any bytes.
    pub body: Vec<u8>,
}

/// A response. Its Content-Length is made from the body when it is written and is no part of `headers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 100 to 699.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// The header fields.
    pub headers: Headers,
    /// The body, any bytes.
    pub body: Vec<u8>,
}

/// A message of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

impl Message {
    /// Reads one message from a datagram or from a frame of a stream.
    ///
    /// Bytes behind the Content-Length are left out (RFC 3261 §18.3); From, To, Call-ID, CSeq and every Via of the result
    /// can be read. The error carries the answer to send, if one is due.
    #[expect(
        clippy::result_large_err,
        reason = "refusals are rare and the answer in it is moved once"
    )]
    pub fn parse(datagram: &[u8]) -> Result<Self, Rejected> {
        parse::message(datagram)
    }

    /// The message as it goes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }

    /// The header fields.
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }
}

impl From<Request> for Message {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

impl From<Response> for Message {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

macro_rules! accessors {
    ($type:ty) => {
        impl $type {
            /// The topmost Via.
            pub fn top_via(&self) -> Option<Via> {
                self.headers.first(&Name::Via).and_then(Via::parse)
            }

            /// The From field.
            pub fn from(&self) -> Option<NameAddr> {
                self.headers
                    .first(&Name::From)
                    .and_then(|value| NameAddr::parse(value).ok())
            }

            /// The To field.
            pub fn to(&self) -> Option<NameAddr> {
                self.headers
                    .first(&Name::To)
                    .and_then(|value| NameAddr::parse(value).ok())
            }

            /// The Call-ID.
            pub fn call_id(&self) -> Option<&str> {
                self.headers.first(&Name::CallId)
            }

            /// The CSeq.
            pub fn cseq(&self) -> Option<CSeq> {
                self.headers.first(&Name::CSeq).and_then(CSeq::parse)
            }

            /// The first Contact; `None` also for `*`.
            pub fn contact(&self) -> Option<NameAddr> {
                self.headers
                    .first(&Name::Contact)
                    .and_then(|value| NameAddr::parse(value).ok())
            }

            /// The type of the body in lower case, without parameters.
            pub fn content_type(&self) -> Option<String> {
                let value = self.headers.first(&Name::ContentType)?;
                value
                    .split(';')
                    .next()
                    .map(|kind| kind.trim().to_ascii_lowercase())
            }

            /// The message as it goes on the wire.
            pub fn to_bytes(&self) -> Vec<u8> {
                write::message(self.into(), &self.headers, &self.body)
            }
        }
    };
}

accessors!(Request);
accessors!(Response);

impl Request {
    /// A request without header fields.
    pub fn new(method: Method, uri: Uri) -> Self {
        Self {
            method,
            uri,
            headers: Headers::with_capacity(512),
            body: Vec::new(),
        }
    }

    /// How many hops are left: `None` when the field is missing or no number of up to 255.
    pub fn max_forwards(&self) -> Option<u8> {
        self.headers
            .first(&Name::MaxForwards)
            .and_then(|value| value.parse().ok())
    }

    /// The answer with that status (RFC 3261 §8.2.6): Via, From, To, Call-ID and CSeq are copied, to 100 the Timestamp too.
    /// The To tag is the caller's to set.
    pub fn reply(&self, status: u16) -> Response {
        let mut headers = Headers::with_capacity(512);
        for (name, value) in self.headers.iter() {
            let copied = match name {
                Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq => true,
                Name::Timestamp => status == 100,
                _ => false,
            };
            if copied {
                headers.push(name.clone(), value);
            }
        }
        Response {
            status,
            reason: reason_phrase(status).to_owned(),
            headers,
            body: Vec::new(),
        }
    }

    /// Like `reply`, with Record-Route copied as well, which an answer that makes a dialog needs (RFC 3261 §12.1.1).
    pub fn reply_in_dialog(&self, status: u16) -> Response {
        let mut response = self.reply(status);
        for value in self.headers.all(&Name::RecordRoute) {
            response.headers.push(Name::RecordRoute, value);
        }
        response
    }
}

impl Response {
    /// A response without header fields and with the standard phrase.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            reason: reason_phrase(status).to_owned(),
            headers: Headers::with_capacity(512),
            body: Vec::new(),
        }
    }

    /// 2xx
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Anything but 1xx.
    pub fn is_final(&self) -> bool {
        self.status >= 200
    }

    /// Gives the To field a tag unless it has one (RFC 3261 §8.2.6.2).
    pub fn set_to_tag(&mut self, tag: &str) {
        if let Some(to) = self.to().filter(|to| to.tag().is_none()) {
            self.headers.set(Name::To, &to.with_tag(tag).to_string());
        }
    }
}
