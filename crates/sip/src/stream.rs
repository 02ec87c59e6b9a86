//! Where a message ends in a byte stream (RFC 3261 §18.3).

use crate::header::Name;
use crate::lines::{Lines, field, head_length};
use crate::parse::{MOST_BYTES, text};
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
    let Some(head_length) = head_length(buffer) else {
        return if buffer.len() <= MOST_BYTES {
            Ok(Frame::Incomplete)
        } else {
            Err(ParseError::TooLarge)
        };
    };
    let head = text(&buffer[..head_length]);
    let mut lines = Lines::new(&head);
    let mut length = None;
    loop {
        match lines.advance() {
            Ok(Some(line)) => match content_length(&line.text) {
                Some(Ok(value)) if length.is_none_or(|length| length == value) => {
                    length = Some(value);
                }
                Some(Ok(_)) => return Err(ParseError::ConflictingLength),
                Some(Err(error)) => return Err(error),
                None => {}
            },
            Ok(None) | Err(ParseError::NoEmptyLine) => break,
            // Left to the parser, which can answer it.
            Err(_) => {}
        }
    }
    // RFC 3261 §20.14 demands the length on streams; without it there is no body.
    let total = head_length
        .checked_add(length.unwrap_or(0))
        .filter(|&total| total <= MOST_BYTES)
        .ok_or(ParseError::TooLarge)?;
    Ok(if buffer.len() < total {
        Frame::Incomplete
    } else {
        Frame::Message(total)
    })
}

fn content_length(line: &str) -> Option<Result<usize, ParseError>> {
    let (name, value_start) = field(line)?;
    if !name.eq_ignore_ascii_case("Content-Length") && !name.eq_ignore_ascii_case("l") {
        return None;
    }
    let value = line[value_start..].trim_ascii();
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    Some(if digits {
        value.parse().map_err(|_| ParseError::TooLarge)
    } else {
        Err(ParseError::Malformed(Name::ContentLength))
    })
}
