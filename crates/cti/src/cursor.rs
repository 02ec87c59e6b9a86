//! The place in the journal that a frame stands for, opaque to clients.

use std::fmt;

use serde::{Serialize, Serializer};

/// Epoch, node and sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor<'a> {
    pub(crate) epoch: &'a str,
    pub(crate) node: u16,
    pub(crate) seq: i64,
}

impl<'a> Cursor<'a> {
    /// Reads what [`fmt::Display`] wrote; none if it is no cursor at all.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.rsplitn(3, '-');
        let seq: i64 = parts.next()?.parse().ok()?;
        let node = parts.next()?.parse().ok()?;
        let epoch = parts.next()?;
        (!epoch.is_empty() && seq >= 0).then_some(Self { epoch, node, seq })
    }
}

impl fmt::Display for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.epoch, self.node, self.seq)
    }
}

impl Serialize for Cursor<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_other_text_does_not() {
        let cursor = Cursor {
            epoch: "a-b7",
            node: 3,
            seq: 41,
        };
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        for bad in [
            "",
            "7",
            "a-7",
            "-1-7",
            "a-1-",
            "a-x-7",
            "a-70000-1",
            "a-1--5",
        ] {
            assert_eq!(Cursor::parse(bad), None, "{bad}");
        }
    }
}
