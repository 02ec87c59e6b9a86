//! The header fields of a message, in order.

use std::fmt;

use crate::header::{Kind, Name};
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
        if name.kind() == Kind::Single || !value.contains(',') {
            self.insert_one(at, name, value);
            return;
        }
        let mut added = 0;
        for piece in list_entries(value) {
            self.insert_one(at + added, name.clone(), piece);
            added += 1;
        }
        if added == 0 {
            self.insert_one(at, name, "");
        }
    }

    fn insert_one(&mut self, at: usize, name: Name, value: &str) {
        let value = value.trim_matches(|c: char| c == '\0' || c.is_ascii_whitespace());
        let start = self.text.len();
        if value.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            self.text.extend(value.chars().map(|c| {
                if matches!(c, '\r' | '\n' | '\0') {
                    ' '
                } else {
                    c
                }
            }));
        } else {
            self.text.push_str(value);
        }
        self.index.insert(
            at,
            Entry {
                name,
                start,
                end: self.text.len(),
            },
        );
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

/// Entries of a comma-separated list; commas in quotes and in angle brackets do not count, empty entries are left out.
fn list_entries(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = value;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let mut bracketed = false;
            let comma = find_outside_quotes(rest, |byte| {
                match byte {
                    b'<' => bracketed = true,
                    b'>' => bracketed = false,
                    _ => {}
                }
                byte == b',' && !bracketed
            });
            let (piece, after) = match comma {
                Some(at) => (&rest[..at], &rest[at + 1..]),
                None => (rest, ""),
            };
            rest = after;
            let piece = piece.trim();
            if !piece.is_empty() {
                return Some(piece);
            }
        }
        None
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
