//! The lines of a message head, unfolded.

use std::borrow::Cow;

use crate::bytes::{find, has_nul_or_cr, is_token_byte};
use crate::reject::ParseError;

/// Most bytes of a line, its continuation lines included.
const MOST_LINE_BYTES: usize = 8192;

/// Length of the head, the empty line behind it included; `None` when that line is missing.
pub(crate) fn head_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += find(bytes.get(at..)?, b'\n')? + 1;
        match bytes.get(at..)? {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
}

/// A line with continuation lines joined to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line<'a> {
    /// The start line is 1.
    pub(crate) number: usize,
    /// Where it begins in the head.
    pub(crate) start: usize,
    /// The text, borrowed from the head unless lines were joined.
    pub(crate) text: Cow<'a, str>,
    /// Whether a quoted pair holds a NUL.
    pub(crate) has_nul: bool,
}

/// Walks over the start line and the header lines up to the empty line.
///
/// Lines end with CRLF; a lone LF is taken as well, as every common stack does, and since each side of us is written
/// anew it cannot smuggle a field past anybody.
pub(crate) struct Lines<'a> {
    head: &'a str,
    at: usize,
    number: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(head: &'a str) -> Self {
        Self {
            head,
            at: 0,
            number: 0,
        }
    }

    /// The next line without its end; `Ok(None)` at the empty line. After an error the walk can go on, except after `NoEmptyLine`.
    pub(crate) fn advance(&mut self) -> Result<Option<Line<'a>>, ParseError> {
        let start = self.at;
        let first = self.physical()?;
        if first.is_empty() {
            return Ok(None);
        }
        let number = self.number;
        let mut length = first.len();
        let mut text = Cow::Borrowed(first);
        // RFC 3261 §7.3.1: a line that begins with white space continues the one before. The start line cannot be folded.
        while number > 1 && matches!(self.head.as_bytes().get(self.at), Some(b' ' | b'\t')) {
            let more = self.physical()?;
            length += more.len();
            if length <= MOST_LINE_BYTES {
                let joined = text.to_mut();
                joined.truncate(joined.trim_ascii_end().len());
                joined.push(' ');
                joined.push_str(more.trim_ascii_start());
            }
        }
        if length > MOST_LINE_BYTES {
            return Err(ParseError::LineTooLong { line: number });
        }
        let has_nul = has_nul_or_cr(text.as_bytes());
        if has_nul && is_forbidden(text.as_bytes()) {
            return Err(ParseError::ForbiddenByte { line: number });
        }
        Ok(Some(Line {
            number,
            start,
            text,
            has_nul,
        }))
    }

    fn physical(&mut self) -> Result<&'a str, ParseError> {
        let rest = &self.head[self.at..];
        let end = find(rest.as_bytes(), b'\n').ok_or(ParseError::NoEmptyLine)?;
        self.at += end + 1;
        self.number += 1;
        let line = &rest[..end];
        Ok(line.strip_suffix('\r').unwrap_or(line))
    }
}

/// Whether the line holds a CR, or a NUL other than the quoted pair that RFC 3261 §25.1 allows in a quoted string
/// (the header fields keep a space in its place).
fn is_forbidden(line: &[u8]) -> bool {
    line.iter().enumerate().any(|(at, &byte)| match byte {
        b'\r' => true,
        0 => !line[..at].ends_with(b"\\"),
        _ => false,
    })
}

/// Name of a header line and where its value begins; white space may stand before the colon (RFC 3261 §7.3.1).
pub(crate) fn field(line: &str) -> Option<(&str, usize)> {
    let bytes = line.as_bytes();
    let name_end = bytes
        .iter()
        .position(|&byte| !is_token_byte(byte))
        .filter(|&end| end > 0)?;
    let colon = bytes[name_end..]
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t'))?
        + name_end;
    (bytes[colon] == b':').then_some((&line[..name_end], colon + 1))
}
