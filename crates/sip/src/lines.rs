//! The lines of a message head, unfolded.

use std::borrow::Cow;

use crate::reject::ParseError;

/// Most bytes of a line, its continuation lines included.
const MOST_LINE_BYTES: usize = 8192;

/// A line with its number, the start line being 1.
type Line<'a> = (usize, Cow<'a, [u8]>);

/// Walks over the start line and the header lines up to the empty line.
///
/// Lines end with CRLF; a lone LF is taken as well, as every common stack does, and since each side of us is written
/// anew it cannot smuggle a field past anybody.
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Fields,
    Ended,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            number: 0,
            state: State::Start,
        }
    }

    /// What follows the empty line, once the walk is over.
    pub(crate) fn body(&self) -> &'a [u8] {
        self.rest
    }

    /// The next line, without its end; `Ok(None)` behind the empty line. After an error the walk can go on, except after `NoEmptyLine`.
    pub(crate) fn advance(&mut self) -> Result<Option<Line<'a>>, ParseError> {
        if self.state == State::Ended {
            return Ok(None);
        }
        let first = self.physical()?;
        if first.is_empty() {
            self.state = State::Ended;
            return Ok(None);
        }
        let line = self.number;
        let mut length = first.len();
        let mut whole = Cow::Borrowed(first);
        // RFC 3261 §7.3.1: a line that begins with white space continues the one before. The start line cannot be folded.
        while self.state == State::Fields && matches!(self.rest.first(), Some(b' ' | b'\t')) {
            let more = self.physical()?;
            length += more.len();
            if length <= MOST_LINE_BYTES {
                let joined = whole.to_mut();
                joined.truncate(joined.trim_ascii_end().len());
                joined.push(b' ');
                joined.extend_from_slice(more.trim_ascii_start());
            }
        }
        self.state = State::Fields;
        if length > MOST_LINE_BYTES {
            return Err(ParseError::LineTooLong { line });
        }
        if forbidden(&whole) {
            return Err(ParseError::ForbiddenByte { line });
        }
        Ok(Some((line, whole)))
    }

    fn physical(&mut self) -> Result<&'a [u8], ParseError> {
        let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') else {
            self.state = State::Ended;
            return Err(ParseError::NoEmptyLine);
        };
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        self.number += 1;
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// Whether the line holds a CR, or a NUL other than the quoted pair that RFC 3261 §25.1 allows in a quoted string
/// (the header fields keep a space in its place).
fn forbidden(line: &[u8]) -> bool {
    line.iter().enumerate().any(|(at, &byte)| match byte {
        b'\r' => true,
        0 => !line[..at].ends_with(b"\\"),
        _ => false,
    })
}

/// Name and value of a header line; white space may stand before the colon (RFC 3261 §7.3.1).
pub(crate) fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = line[..colon].trim_ascii_end();
    crate::method::is_token(name).then(|| (name, line[colon + 1..].trim_ascii()))
}
