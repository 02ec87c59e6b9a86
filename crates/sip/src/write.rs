//! Messages to bytes.

use std::io::Write;

use crate::header::{Kind, Name};
use crate::headers::Headers;
use crate::message::{Request, Response};

/// The first line of a message.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    Request(&'a Request),
    Response(&'a Response),
}

impl<'a> From<&'a Request> for Start<'a> {
    fn from(request: &'a Request) -> Self {
        Self::Request(request)
    }
}

impl<'a> From<&'a Response> for Start<'a> {
    fn from(response: &'a Response) -> Self {
        Self::Response(response)
    }
}

/// Writes a message; Content-Length is always that of the body.
pub(crate) fn message(start: Start<'_>, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(headers.written_len() + body.len() + 160);
    // Writing to a Vec cannot fail.
    let _ = match start {
        Start::Request(request) => write!(out, "{} {} SIP/2.0", request.method, request.uri),
        Start::Response(response) => write!(out, "SIP/2.0 {} {}", response.status, response.reason),
    };
    // Method, URI and reason are open to callers, so the line is made safe here.
    for byte in &mut out {
        if matches!(byte, b'\r' | b'\n' | 0) {
            *byte = b' ';
        }
    }
    let mut previous: Option<&Name> = None;
    for (name, value) in headers
        .iter()
        .filter(|(name, _)| **name != Name::ContentLength)
    {
        // Quotes and brackets could swallow the comma, and an empty list has no entry to join.
        let joins =
            name.kind() == Kind::Tokens && !value.is_empty() && !value.contains(['"', '<', '>']);
        if joins && previous == Some(name) {
            out.extend_from_slice(b", ");
        } else {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
        }
        out.extend_from_slice(value.as_bytes());
        previous = joins.then_some(name);
    }
    let _ = write!(out, "\r\nContent-Length: {}\r\n\r\n", body.len());
    out.extend_from_slice(body);
    out
}
