//! Bytes to messages: one pass over the lines, then the checks that everything above relies on.

use std::borrow::Cow;

use crate::address;
use crate::bytes::is_token;
use crate::cseq;
use crate::header::Name;
use crate::headers::{Collector, Headers};
use crate::lines::{Lines, field, head_length};
use crate::message::{Message, Request, Response};
use crate::method::Method;
use crate::reject::{ParseError, Rejected};
use crate::uri::{Uri, UriError};
use crate::via;

/// Most bytes of a message.
pub(crate) const MOST_BYTES: usize = 64 * 1024;
const VERSION: &str = "SIP/2.0";
const MOST_HEADERS: usize = 256;
const MOST_URI_BYTES: usize = 2048;

/// The first line, as far as it could be read.
enum Start {
    Request {
        method: Method,
        uri: Uri,
    },
    Response {
        status: u16,
        reason: String,
    },
    Unusable {
        method: Option<Method>,
        error: ParseError,
    },
}

/// See [`Message::parse`].
#[expect(
    clippy::result_large_err,
    reason = "refusals are rare and the answer in it is moved once"
)]
pub(crate) fn message(datagram: &[u8]) -> Result<Message, Rejected> {
    // RFC 3261 §7.5: line ends before the start line are ignored.
    let begin = datagram
        .iter()
        .position(|byte| !matches!(byte, b'\r' | b'\n'));
    let Some(bytes) = begin.map(|begin| &datagram[begin..]) else {
        return Err(Rejected {
            status: 400,
            error: ParseError::KeepAlive,
            reply: None,
        });
    };
    let mut head = Head::read(bytes);
    if datagram.len() > MOST_BYTES {
        head.first_error = Some(ParseError::TooLarge);
    }
    let body = match head.check() {
        Ok(body) => body.to_vec(),
        Err(error) => return Err(head.refuse(error)),
    };
    let Head {
        start, mut headers, ..
    } = head;
    headers.remove(&Name::ContentLength);
    match start {
        Start::Request { method, uri } => Ok(Message::Request(Request {
            method,
            uri,
            headers,
            body,
        })),
        Start::Response { status, reason } => Ok(Message::Response(Response {
            status,
            reason,
            headers,
            body,
        })),
        // `check` has refused it.
        Start::Unusable { error, .. } => Err(Rejected {
            status: error.status(),
            error,
            reply: None,
        }),
    }
}

/// The refusal of a message of which perhaps only the beginning is there.
pub(crate) fn refusal(bytes: &[u8], error: ParseError) -> Rejected {
    Head::read(bytes).refuse(error)
}

struct Head<'a> {
    start: Start,
    headers: Headers,
    rest: &'a [u8],
    first_error: Option<ParseError>,
}

impl<'a> Head<'a> {
    /// Reads what can be read; the first error is kept, since an answer needs the fields behind it too.
    fn read(bytes: &'a [u8]) -> Self {
        // Without an empty line there is no body, and the walk over the lines says so.
        let (head, rest) = bytes.split_at(head_length(bytes).unwrap_or(bytes.len()));
        let head = text(head);
        let mut lines = Lines::new(&head);
        let mut first_error = None;
        let start = match lines.advance() {
            Ok(line) => start_line(&line.unwrap_or_default().text),
            Err(error) => Start::Unusable {
                method: None,
                error,
            },
        };
        let mut fields = Collector::new(&head);
        loop {
            let error = match lines.advance() {
                Ok(None) => break,
                Ok(Some(_)) if fields.len() > MOST_HEADERS => ParseError::TooManyHeaders,
                Ok(Some(line)) => match field(&line.text) {
                    Some((name, value_start)) => {
                        fields.take(Name::parse(name), &line, value_start);
                        continue;
                    }
                    None => ParseError::HeaderLine { line: line.number },
                },
                Err(error) => error,
            };
            let over = matches!(error, ParseError::NoEmptyLine | ParseError::TooManyHeaders);
            first_error.get_or_insert(error);
            if over {
                break;
            }
        }
        if fields.len() > MOST_HEADERS {
            first_error.get_or_insert(ParseError::TooManyHeaders);
        }
        Self {
            start,
            headers: fields.finish(),
            rest,
            first_error,
        }
    }

    /// What the rest of the crate takes for granted; gives the body.
    fn check(&self) -> Result<&'a [u8], ParseError> {
        if let Start::Unusable { error, .. } = &self.start {
            return Err(error.clone());
        }
        if let Some(error) = &self.first_error {
            return Err(error.clone());
        }
        let found = Found::among(&self.headers)?;
        let readable = |value: &str| address::Parts::parse(value).is_ok();
        found.from.once(Name::From, readable)?;
        found.to.once(Name::To, readable)?;
        found
            .call_id
            .once(Name::CallId, |value| !value.is_empty())?;
        let cseq = found
            .cseq
            .once(Name::CSeq, |value| cseq::parts(value).is_some())?;
        if !found.via {
            return Err(ParseError::Missing(Name::Via));
        }
        if let Start::Request { method, .. } = &self.start {
            if cseq::parts(cseq).is_none_or(|(_, cseq_method)| cseq_method != method.as_str()) {
                return Err(ParseError::CSeqMethod);
            }
        }
        // RFC 3261 §18.3: over UDP the body may lack a length and then reaches to the end of the datagram.
        let length = found.length.unwrap_or(self.rest.len());
        self.rest.get(..length).ok_or(ParseError::BodyTooShort)
    }

    fn refuse(&self, error: ParseError) -> Rejected {
        let status = error.status();
        // A hop of another SIP version cannot be read by us, but its own answer leads back to it.
        let answerable = error == ParseError::Version
            || self
                .headers
                .first(&Name::Via)
                .is_some_and(|value| via::Parts::parse(value).is_some());
        let method = match &self.start {
            Start::Request { method, .. } => Some(method),
            Start::Unusable { method, .. } => method.as_ref(),
            Start::Response { .. } => None,
        };
        let reply = method
            .filter(|method| **method != Method::Ack && answerable)
            .map(|_| self.reply(status, &error));
        Rejected {
            error,
            status,
            reply,
        }
    }

    fn reply(&self, status: u16, error: &ParseError) -> Response {
        let mut response = Response::new(status);
        if status == 400 {
            // RFC 3261 §21.4.1: the phrase should say what is wrong.
            response.reason = format!("Bad Request ({error})");
        }
        for value in self.headers.all(&Name::Via) {
            response.headers.push(Name::Via, value);
        }
        for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
            if let Some(value) = self.headers.first(&name) {
                response.headers.push(name, value);
            }
        }
        response.set_to_tag(&stateless_tag(&response.headers));
        response
    }
}

/// The fields that every message needs, found in one walk.
#[derive(Default)]
struct Found<'a> {
    from: Occurrence<'a>,
    to: Occurrence<'a>,
    call_id: Occurrence<'a>,
    cseq: Occurrence<'a>,
    via: bool,
    length: Option<usize>,
}

impl<'a> Found<'a> {
    fn among(headers: &'a Headers) -> Result<Self, ParseError> {
        let mut found = Self::default();
        for (name, value) in headers.iter() {
            match name {
                Name::From => found.from.note(value),
                Name::To => found.to.note(value),
                Name::CallId => found.call_id.note(value),
                Name::CSeq => found.cseq.note(value),
                Name::Via if via::Parts::parse(value).is_some() => found.via = true,
                Name::Via => return Err(ParseError::Malformed(Name::Via)),
                Name::ContentLength => found.note_length(value)?,
                _ => {}
            }
        }
        Ok(found)
    }

    fn note_length(&mut self, value: &str) -> Result<(), ParseError> {
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseError::Malformed(Name::ContentLength));
        }
        // A number beyond the range of usize is longer than any datagram.
        let length = value.parse().unwrap_or(usize::MAX);
        if self
            .length
            .replace(length)
            .is_some_and(|other| other != length)
        {
            return Err(ParseError::ConflictingLength);
        }
        Ok(())
    }
}

/// The first value of a field, and whether there was a second.
#[derive(Clone, Copy, Default)]
struct Occurrence<'a> {
    first: Option<&'a str>,
    repeated: bool,
}

impl<'a> Occurrence<'a> {
    fn note(&mut self, value: &'a str) {
        self.repeated = self.first.is_some();
        self.first = self.first.or(Some(value));
    }

    /// The value, if there is exactly one and it can be read.
    fn once(self, name: Name, readable: impl Fn(&str) -> bool) -> Result<&'a str, ParseError> {
        match self.first {
            None => Err(ParseError::Missing(name)),
            Some(_) if self.repeated => Err(ParseError::Repeated(name)),
            Some(value) if readable(value) => Ok(value),
            Some(_) => Err(ParseError::Malformed(name)),
        }
    }
}

/// A tag that retransmissions of the same request get again (RFC 3261 §8.2.7).
fn stateless_tag(headers: &Headers) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in headers.iter().flat_map(|(_, value)| value.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

fn start_line(line: &str) -> Start {
    let unusable = |method, error| Start::Unusable { method, error };
    if names_sip(line) {
        return status_line(line).unwrap_or_else(|error| unusable(None, error));
    }
    let (method, rest) = line.split_once(' ').unwrap_or((line, ""));
    if !is_token(method.as_bytes()) {
        return unusable(None, ParseError::StartLine);
    }
    let method = Method::from(method);
    // RFC 3261 §7.1: exactly one space on each side of the URI, none in it and none at the end.
    let (uri, version) = rest.split_once(' ').unwrap_or((rest, ""));
    if !names_sip(version) || version.contains(' ') {
        return unusable(Some(method), ParseError::StartLine);
    }
    if !version.eq_ignore_ascii_case(VERSION) {
        return unusable(Some(method), ParseError::Version);
    }
    if uri.len() > MOST_URI_BYTES {
        return unusable(Some(method), ParseError::UriTooLong);
    }
    match Uri::parse(uri) {
        Ok(uri) if !uri.headers.is_empty() => {
            unusable(Some(method), ParseError::RequestUri(UriError::Headers))
        }
        Ok(uri) => Start::Request { method, uri },
        Err(error) => unusable(Some(method), ParseError::RequestUri(error)),
    }
}

fn names_sip(text: &str) -> bool {
    text.get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("SIP/"))
}

fn status_line(line: &str) -> Result<Start, ParseError> {
    let (version, rest) = line.split_once(' ').ok_or(ParseError::StartLine)?;
    if !version.eq_ignore_ascii_case(VERSION) {
        return Err(ParseError::Version);
    }
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let digits = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    let status = code
        .parse()
        .ok()
        .filter(|status| digits && (100..700).contains(status))
        .ok_or(ParseError::StartLine)?;
    Ok(Start::Response {
        status,
        reason: reason.trim().to_owned(),
    })
}

/// The bytes as text. Bytes that are not UTF-8 are read as Latin-1, so that no name is lost.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let mut mapped = String::with_capacity(bytes.len() + 8);
            for chunk in bytes.utf8_chunks() {
                mapped.push_str(chunk.valid());
                mapped.extend(chunk.invalid().iter().map(|&byte| char::from(byte)));
            }
            Cow::Owned(mapped)
        }
    }
}
