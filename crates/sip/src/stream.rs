//! Where a message ends in a byte stream (RFC 3261 §18.3).

use crate::lines::{Lines, field};
use crate::parse::MOST_BYTES;
use crate::reject::ParseError;

/// What stands at the beginning of the bytes received so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Not enough yet.
    Incomplete,
    /// A double CRLF, to be answered with a single one (RFC 5626 §3.5.1), of this many bytes.
    Ping(usize),
    /// A single line end, the answer to a ping, of this many bytes.
    Pong(usize),
    /// A message of this many bytes, to be given to `Message::parse`.
    Message(usize),
}

/// Finds the first frame. An error leaves no way to find the next message: the connection must be closed.
pub fn frame(buffer: &[u8]) -> Result<Frame, ParseError> {
    match buffer {
        [b'\r', b'\n', b'\r', b'\n', ..] => return Ok(Frame::Ping(4)),
        [b'\r', b'\n', b'\r'] | [b'\r'] | [] => return Ok(Frame::Incomplete),
        [b'\r', b'\n', ..] => return Ok(Frame::Pong(2)),
        [b'\n', ..] => return Ok(Frame::Pong(1)),
        _ => {}
    }
    let mut lines = Lines::new(buffer);
    let mut length = None;
    loop {
        match lines.advance() {
            Ok(Some((_, line))) => match content_length(&line) {
                Some(Ok(value)) if length.is_none_or(|length| length == value) => {
                    length = Some(value);
                }
                Some(Ok(_)) => return Err(ParseError::ConflictingLength),
                Some(Err(error)) => return Err(error),
                None => {}
            },
            Ok(None) => break,
            Err(ParseError::NoEmptyLine) if buffer.len() <= MOST_BYTES => {
                return Ok(Frame::Incomplete);
            }
            Err(ParseError::NoEmptyLine) => return Err(ParseError::TooLarge),
            // Left to the parser, which can answer it.
            Err(_) => {}
        }
    }
    let head = buffer.len() - lines.body().len();
    // RFC 3261 §20.14 demands the length on streams; without it there is no body.
    let total = head
        .checked_add(length.unwrap_or(0))
        .filter(|&total| total <= MOST_BYTES)
        .ok_or(ParseError::TooLarge)?;
    Ok(if buffer.len() < total {
        Frame::Incomplete
    } else {
        Frame::Message(total)
    })
}

fn content_length(line: &[u8]) -> Option<Result<usize, ParseError>> {
    use crate::header::Name;
    let (name, value) = field(line)?;
    if !name.eq_ignore_ascii_case(b"Content-Length") && !name.eq_ignore_ascii_case(b"l") {
        return None;
    }
    let digits = std::str::from_utf8(value)
        .ok()
        .filter(|value| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()));
    Some(match digits {
        Some(digits) => digits.parse().map_err(|_| ParseError::TooLarge),
        None => Err(ParseError::Malformed(Name::ContentLength)),
    })
}
