//! The header fields of a message, in order.

use std::borrow::Cow;
use std::fmt;

use crate::bytes::{find, has_line_end};
use crate::header::{Kind, Name};
use crate::lines::Line;
use crate::params::find_outside_quotes;

/// Header fields: one text buffer and an index into it, so that building and cloning take few allocations.
///
/// A value is trimmed, in one line, and never holds CR, LF or NUL. Of fields that are comma-separated lists each
/// entry is a value of its own.
#[derive(Clone, Default)]
pub struct Headers {
    text: String,
    index: Vec<Entry>,
    dead_bytes: usize,
}

#[derive(Clone)]
struct Entry {
    name: Name,
    start: usize,
    end: usize,
}

/// Removed and replaced values may hold this many bytes of the buffer before it is rebuilt.
const MOST_DEAD_BYTES: usize = 4096;

impl Headers {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// No fields, with room for a message of this many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            index: Vec::with_capacity(24),
            dead_bytes: 0,
        }
    }

    /// The first value of that name.
    pub fn first(&self, name: &Name) -> Option<&str> {
        self.index
            .iter()
            .find(|entry| entry.name == *name)
            .map(|entry| self.value(entry))
    }

    /// All values of that name, in order.
    pub fn all<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a str> + 'a {
        self.index
            .iter()
            .filter(move |entry| entry.name == *name)
            .map(|entry| self.value(entry))
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &str)> {
        self.index
            .iter()
            .map(|entry| (&entry.name, self.value(entry)))
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Whether there is a value of that name.
    pub fn contains(&self, name: &Name) -> bool {
        self.index.iter().any(|entry| entry.name == *name)
    }

    /// Whether a comma-separated field lists the token (case ignored, parameters left aside).
    pub fn has_token(&self, name: &Name, token: &str) -> bool {
        self.all(name).any(|value| {
            value
                .split(';')
                .next()
                .is_some_and(|value| value.trim().eq_ignore_ascii_case(token))
        })
    }

    /// Adds a field behind all others. CR, LF and NUL in the value become spaces; a list is split into its entries.
    pub fn push(&mut self, name: Name, value: &str) {
        let at = self.index.len();
        self.insert(at, name, value);
    }

    /// Adds a field before all others.
    pub fn push_first(&mut self, name: Name, value: &str) {
        self.insert(0, name, value);
    }

    /// Replaces all values of that name by this one, which takes the place of the first.
    pub fn set(&mut self, name: Name, value: &str) {
        let at = self
            .index
            .iter()
            .position(|entry| entry.name == name)
            .unwrap_or(self.index.len());
        self.remove(&name);
        self.insert(at, name, value);
    }

    /// Removes all values of that name.
    pub fn remove(&mut self, name: &Name) {
        let dead = &mut self.dead_bytes;
        self.index.retain(|entry| {
            let keep = entry.name != *name;
            if !keep {
                *dead += entry.end - entry.start;
            }
            keep
        });
        self.reclaim();
    }

    /// Removes the first value of that name and says whether there was one.
    pub fn remove_first(&mut self, name: &Name) -> bool {
        let Some(at) = self.index.iter().position(|entry| entry.name == *name) else {
            return false;
        };
        let entry = self.index.remove(at);
        self.dead_bytes += entry.end - entry.start;
        self.reclaim();
        true
    }

    /// About how many bytes the fields take on the wire.
    pub(crate) fn written_len(&self) -> usize {
        self.text.len() + self.index.len() * 24
    }

    fn value(&self, entry: &Entry) -> &str {
        &self.text[entry.start..entry.end]
    }

    fn insert(&mut self, at: usize, name: Name, value: &str) {
        // The variant can be made by hand with any text; parsing drops what no name may hold.
        let name = match name {
            Name::Other(text) => Name::parse(&text),
            known => known,
        };
        let value = without_line_ends(value);
        let value = value.trim_ascii();
        if name.kind() == Kind::Single || find(value.as_bytes(), b',').is_none() {
            self.insert_one(at, name, value);
            return;
        }
        let mut added = 0;
        for (start, end) in entries(value) {
            self.insert_one(at + added, name.clone(), &value[start..end]);
            added += 1;
        }
        if added == 0 {
            self.insert_one(at, name, "");
        }
    }

    fn insert_one(&mut self, at: usize, name: Name, value: &str) {
        let start = self.text.len();
        self.text.push_str(value);
        let end = self.text.len();
        self.index.insert(at, Entry { name, start, end });
    }

    fn reclaim(&mut self) {
        if self.dead_bytes <= MOST_DEAD_BYTES {
            return;
        }
        let mut text = String::with_capacity(self.text.len() - self.dead_bytes);
        for entry in &mut self.index {
            let start = text.len();
            text.push_str(&self.text[entry.start..entry.end]);
            (entry.start, entry.end) = (start, text.len());
        }
        self.text = text;
        self.dead_bytes = 0;
    }
}

/// Collects the fields of a received head, whose text becomes the buffer, so that no value is copied on its own.
pub(crate) struct Collector<'a> {
    head: &'a str,
    /// Values that do not stand in the head as they are meant.
    mended: String,
    index: Vec<Entry>,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(head: &'a str) -> Self {
        Self {
            head,
            mended: String::new(),
            index: Vec::with_capacity(40),
        }
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Takes the value that begins at this byte of a line.
    pub(crate) fn take(&mut self, name: Name, line: &Line<'_>, value_start: usize) {
        let mut value = Cow::Borrowed(&line.text[value_start..]);
        if line.has_nul {
            value = without_line_ends(&line.text[value_start..]);
        }
        let base = match (&line.text, &value) {
            (Cow::Borrowed(_), Cow::Borrowed(_)) => line.start + value_start,
            _ => {
                self.mended.push_str(&value);
                self.head.len() + self.mended.len() - value.len()
            }
        };
        let trimmed = value.trim_ascii();
        let start = base + (value.len() - value.trim_ascii_start().len());
        if name.kind() == Kind::Single || find(trimmed.as_bytes(), b',').is_none() {
            self.index.push(Entry {
                name,
                start,
                end: start + trimmed.len(),
            });
            return;
        }
        let before = self.index.len();
        for (from, to) in entries(trimmed) {
            self.index.push(Entry {
                name: name.clone(),
                start: start + from,
                end: start + to,
            });
        }
        if self.index.len() == before {
            self.index.push(Entry {
                name,
                start,
                end: start,
            });
        }
    }

    pub(crate) fn finish(self) -> Headers {
        let mut text = String::with_capacity(self.head.len() + self.mended.len());
        text.push_str(self.head);
        text.push_str(&self.mended);
        Headers {
            text,
            index: self.index,
            dead_bytes: 0,
        }
    }
}

/// The value with spaces in place of CR, LF and NUL.
fn without_line_ends(value: &str) -> Cow<'_, str> {
    if !has_line_end(value.as_bytes()) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.replace(['\r', '\n', '\0'], " "))
}

/// Where the entries of a comma-separated list stand, trimmed; commas in quotes and in angle brackets do not count, empty
/// entries are left out.
fn entries(list: &str) -> impl Iterator<Item = (usize, usize)> {
    let plain = !list.bytes().any(|byte| matches!(byte, b'"' | b'<'));
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < list.len() {
            let rest = &list[at..];
            let comma = if plain {
                find(rest.as_bytes(), b',')
            } else {
                comma_outside(rest)
            };
            let piece = &rest[..comma.unwrap_or(rest.len())];
            let trimmed = piece.trim_ascii();
            let start = at + (piece.len() - piece.trim_ascii_start().len());
            at += piece.len() + 1;
            if !trimmed.is_empty() {
                return Some((start, start + trimmed.len()));
            }
        }
        None
    })
}

fn comma_outside(list: &str) -> Option<usize> {
    let mut bracketed = false;
    find_outside_quotes(list, |byte| {
        match byte {
            b'<' => bracketed = true,
            b'>' => bracketed = false,
            _ => {}
        }
        byte == b',' && !bracketed
    })
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(headers: &Headers) -> Vec<(&str, &str)> {
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .collect()
    }

    #[test]
    fn lists_are_split_outside_quotes_and_brackets() {
        let mut headers = Headers::new();
        headers.push(Name::Contact, "\"a, b\" <sip:a,b@h>, , <sip:c@h>;x=\"1,2\"");
        headers.push(Name::Subject, "one, two");
        headers.push(Name::Supported, " ,, ");
        let expected = [
            ("Contact", "\"a, b\" <sip:a,b@h>"),
            ("Contact", "<sip:c@h>;x=\"1,2\""),
            ("Subject", "one, two"),
            ("Supported", ""),
        ];
        assert_eq!(written(&headers), expected);
        assert_eq!(headers.len(), 4);
    }

    #[test]
    fn values_are_found_replaced_and_removed_in_order() {
        let mut headers = Headers::new();
        headers.push(Name::Route, "<sip:a>, <sip:b>");
        headers.push(Name::Subject, "s");
        headers.push_first(Name::Route, "<sip:x>, <sip:y>");
        assert_eq!(
            headers.all(&Name::Route).collect::<Vec<_>>(),
            ["<sip:x>", "<sip:y>", "<sip:a>", "<sip:b>"]
        );
        assert!(headers.remove_first(&Name::Route));
        assert_eq!(headers.first(&Name::Route), Some("<sip:y>"));
        headers.set(Name::Route, "<sip:only>");
        assert_eq!(
            written(&headers),
            [("Route", "<sip:only>"), ("Subject", "s")]
        );
        headers.remove(&Name::Route);
        assert!(!headers.contains(&Name::Route) && !headers.remove_first(&Name::Route));
        headers.set("X-New".into(), "1");
        assert_eq!(headers.first(&"x-new".into()), Some("1"));
    }

    #[test]
    fn tokens_compare_without_case_and_parameters() {
        let mut headers = Headers::new();
        headers.push(Name::Supported, "timer, 100Rel");
        headers.push(Name::Accept, "application/sdp;level=1");
        assert!(
            headers.has_token(&Name::Supported, "100rel")
                && headers.has_token(&Name::Accept, "Application/SDP")
        );
        assert!(
            !headers.has_token(&Name::Supported, "100")
                && !headers.has_token(&Name::Require, "timer")
        );
    }

    #[test]
    fn replaced_values_do_not_pile_up() {
        let mut headers = Headers::new();
        headers.push(Name::Subject, "kept");
        for round in 0..10_000 {
            headers.set(Name::UserAgent, &format!("agent of round {round}"));
        }
        assert!(
            headers.text.len() < 2 * MOST_DEAD_BYTES,
            "{}",
            headers.text.len()
        );
        assert_eq!(
            written(&headers),
            [("Subject", "kept"), ("User-Agent", "agent of round 9999")]
        );
    }
}
