//! Byte ranges of a recording (RFC 9110 §14).

/// What a Range header asks of a representation of a known length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// No usable range: the whole.
    Whole,
    /// The bytes from `first` to `last`, both included.
    Part {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte.
        last: u64,
    },
    /// A range of which no byte exists: 416.
    Outside,
}

/// Reads `header` for a representation of `length` bytes. A header that is malformed, has another
/// unit or several ranges is ignored, as RFC 9110 §14.2 allows.
pub fn wanted(header: &str, length: u64) -> Wanted {
    let Some((unit, set)) = header.split_once('=') else {
        return Wanted::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else {
        return Wanted::Whole;
    };
    match (offset(first), offset(last)) {
        (Some(first), Some(last)) if first > last => Wanted::Whole,
        (Some(first), _) if first >= length => Wanted::Outside,
        (Some(first), Some(last)) => Wanted::Part {
            first,
            last: last.min(length - 1),
        },
        (Some(first), None) if last.is_empty() => Wanted::Part {
            first,
            last: length - 1,
        },
        (None, Some(suffix)) if first.is_empty() => {
            if suffix == 0 || length == 0 {
                Wanted::Outside
            } else {
                Wanted::Part {
                    first: length.saturating_sub(suffix),
                    last: length - 1,
                }
            }
        }
        _ => Wanted::Whole,
    }
}

fn offset(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // More digits than 64 bits hold are a position beyond any file.
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let part = |first, last| Wanted::Part { first, last };
        for (header, expected) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=2-", part(2, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-30", part(0, 9)),
            ("bytes=4-99999999999999999999999", part(4, 9)),
            ("bytes=10-", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("pages=0-1", Wanted::Whole),
            ("bytes", Wanted::Whole),
        ] {
            assert_eq!(wanted(header, 10), expected, "{header}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Outside);
        assert_eq!(wanted("bytes=-1", 0), Wanted::Outside);
    }
}
