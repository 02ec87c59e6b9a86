//! Where messages end in a byte stream (RFC 3261 §18.3), and keep-alives between them (RFC 5626 §3.5.1).

use crate::header::Name;
use crate::lines::{Lines, field, head_length};
use crate::parse::{self, MOST_BYTES, text};
use crate::reject::{ParseError, Rejected};

/// What stands in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message, to be given to [`Message::parse`](crate::Message::parse).
    Message(Vec<u8>),
    /// A double CRLF between messages, to be answered with a single one. The single CRLF of an answer is passed over.
    Ping,
}

/// Cuts one stream into frames, however its bytes are split on their way.
///
/// After each [`Framer::push`], [`Framer::cut`] is to be called until it gives nothing; then it holds at most 64 KiB of an unfinished
/// message, and no byte of it is looked at twice.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Where the first byte stands that is in no frame yet.
    begin: usize,
    /// How many bytes from there are known not to end the head.
    searched: usize,
    /// The length of the message at hand, once its head is there.
    length: Option<usize>,
    /// An odd number of line ends stood between the messages.
    half_ping: bool,
}

impl Framer {
    /// An empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.begin);
        self.begin = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, if all of it is there.
    ///
    /// # Errors
    /// There is no way to find the next message: answer with the reply, if there is one, and close the connection.
    #[expect(
        clippy::result_large_err,
        reason = "an error ends the stream and is moved once"
    )]
    pub fn cut(&mut self) -> Result<Option<Frame>, Rejected> {
        if self.length.is_none() && self.take_line_ends() {
            return Ok(Some(Frame::Ping));
        }
        let length = match self.length {
            Some(length) => length,
            None => match self.find_length()? {
                Some(length) => *self.length.insert(length),
                None => return Ok(None),
            },
        };
        let Some(message) = self.rest().get(..length) else {
            return Ok(None);
        };
        let message = message.to_vec();
        self.begin += length;
        (self.length, self.searched, self.half_ping) = (None, 0, false);
        Ok(Some(Frame::Message(message)))
    }

    /// Whether a part of a message is there and the rest is not.
    pub fn is_midway(&self) -> bool {
        !self.rest().is_empty()
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.begin..]
    }

    /// Passes over line ends (RFC 3261 §7.5); true at every second one.
    fn take_line_ends(&mut self) -> bool {
        loop {
            self.begin += match self.rest() {
                [b'\r', b'\n', ..] => 2,
                [b'\n', ..] => 1,
                _ => return false,
            };
            self.half_ping = !self.half_ping;
            if !self.half_ping {
                return true;
            }
        }
    }

    #[expect(
        clippy::result_large_err,
        reason = "an error ends the stream and is moved once"
    )]
    fn find_length(&mut self) -> Result<Option<usize>, Rejected> {
        let rest = &self.buffer[self.begin..];
        let Some(more) = head_length(rest.get(self.searched..).unwrap_or_default()) else {
            if rest.len() > MOST_BYTES {
                return Err(parse::refusal(rest, ParseError::TooLarge));
            }
            // The line end before the empty line may be the last that is there.
            self.searched = rest.len().saturating_sub(2);
            return Ok(None);
        };
        let head = &rest[..self.searched + more];
        let length = body_length(head).and_then(|body| {
            let length = head.len().checked_add(body);
            let length = length.filter(|length| *length <= MOST_BYTES);
            length.ok_or(ParseError::TooLarge)
        });
        length
            .map(Some)
            .map_err(|error| parse::refusal(head, error))
    }
}

/// RFC 3261 §20.14: on a stream the length must be there.
fn body_length(head: &[u8]) -> Result<usize, ParseError> {
    let head = text(head);
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
    length.ok_or(ParseError::Missing(Name::ContentLength))
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

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "OPTIONS sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.2;branch=z9hG4bK1\r\n\
                        From: <sip:b@c>;tag=1\r\nTo: <sip:a@c>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n";

    fn message(body: &str) -> String {
        format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len())
    }

    /// All frames of a stream that comes in pieces of so many bytes.
    fn frames(stream: &str, piece: usize) -> Vec<Frame> {
        let mut framer = Framer::new();
        let mut frames = Vec::new();
        for bytes in stream.as_bytes().chunks(piece) {
            framer.push(bytes);
            while let Some(frame) = framer.cut().unwrap() {
                frames.push(frame);
            }
        }
        assert!(!framer.is_midway());
        frames
    }

    fn error(stream: &str) -> Rejected {
        let mut framer = Framer::new();
        framer.push(stream.as_bytes());
        framer.cut().unwrap_err()
    }

    #[test]
    fn messages_are_cut_alike_byte_by_byte_and_two_in_one_piece() {
        let (first, second) = (message("body\r\n\r\n"), message(""));
        let stream = format!("\r\n{first}{second}\r\n\r\n\r\n{first}");
        let whole = |text: &String| Frame::Message(text.clone().into_bytes());
        let wanted = [whole(&first), whole(&second), Frame::Ping, whole(&first)];
        for piece in [1, 2, 3, 7, 100, stream.len()] {
            assert_eq!(frames(&stream, piece), wanted, "pieces of {piece}");
        }
    }

    #[test]
    fn a_ping_is_two_line_ends_and_an_answer_to_ours_is_one() {
        assert_eq!(frames("\r\n", 1), []);
        assert_eq!(frames("\r\n\r\n", 1), [Frame::Ping]);
        assert_eq!(frames("\r\n\r\n\r\n\r\n", 4), [Frame::Ping, Frame::Ping]);
    }

    #[test]
    fn half_a_message_is_noticed() {
        let mut framer = Framer::new();
        assert!(!framer.is_midway());
        framer.push(b"OPT");
        assert_eq!(framer.cut().unwrap(), None);
        assert!(framer.is_midway());
    }

    #[test]
    fn a_missing_conflicting_or_unreadable_length_is_answered_with_400() {
        for (more, wanted) in [
            ("", ParseError::Missing(Name::ContentLength)),
            (
                "l: 1\r\nContent-Length: 2\r\n",
                ParseError::ConflictingLength,
            ),
            (
                "Content-Length: -1\r\n",
                ParseError::Malformed(Name::ContentLength),
            ),
        ] {
            let rejected = error(&format!("{HEAD}{more}\r\n"));
            assert_eq!((rejected.error, rejected.status), (wanted, 400));
            assert_eq!(rejected.reply.unwrap().call_id(), Some("x"));
        }
    }

    #[test]
    fn more_than_64_kib_are_answered_with_413_whether_of_head_or_of_body() {
        let endless = format!("{HEAD}X: {}", "a\r\n b".repeat(20_000));
        let large = format!("{HEAD}Content-Length: 65536\r\n\r\n");
        let beyond = format!("{HEAD}Content-Length: 99999999999999999999\r\n\r\n");
        for stream in [endless, large, beyond] {
            let rejected = error(&stream);
            assert_eq!(
                (rejected.error, rejected.status),
                (ParseError::TooLarge, 413)
            );
            assert_eq!(rejected.reply.unwrap().status, 413);
        }
    }
}
