//! Classes of bytes, and searching that the compiler can turn into wide instructions.

const TOKEN: u8 = 1;
const HOST: u8 = 2;
const NOT_IN_URI: u8 = 4;

/// The classes of every byte.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let alphanumeric = (byte as u8).is_ascii_alphanumeric();
        let mark = matches!(
            byte as u8,
            b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
        );
        if alphanumeric || mark {
            classes[byte] |= TOKEN;
        }
        // Underscores are no part of RFC 3261's hostname, but stand in the names of many real hosts.
        if alphanumeric || matches!(byte as u8, b'-' | b'.' | b'_') {
            classes[byte] |= HOST;
        }
        if byte <= 0x20 || matches!(byte as u8, 0x7f | b'<' | b'>' | b'"') {
            classes[byte] |= NOT_IN_URI;
        }
        byte += 1;
    }
    classes
};

/// Whether a byte may stand in a token (RFC 3261 §25.1).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & TOKEN != 0
}

/// Whether the text is a token: not empty and token bytes only.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// Whether all bytes may stand in a host name.
pub(crate) fn is_host(text: &[u8]) -> bool {
    text.iter()
        .fold(HOST, |all, &byte| all & CLASSES[usize::from(byte)])
        != 0
}

/// Whether a byte may not stand in any URI: white space, control characters, quotes and angle brackets.
pub(crate) fn has_uri_breaker(text: &[u8]) -> bool {
    text.iter()
        .fold(0, |any, &byte| any | CLASSES[usize::from(byte)])
        & NOT_IN_URI
        != 0
}

/// Position of a byte.
pub(crate) fn find(text: &[u8], wanted: u8) -> Option<usize> {
    let mut start = 0;
    for chunk in text.chunks(16) {
        if chunk
            .iter()
            .fold(false, |found, &byte| found | (byte == wanted))
        {
            return chunk
                .iter()
                .position(|&byte| byte == wanted)
                .map(|at| start + at);
        }
        start += chunk.len();
    }
    None
}

/// Whether a NUL or a CR is among the bytes.
pub(crate) fn has_nul_or_cr(text: &[u8]) -> bool {
    text.chunks(16).any(|chunk| {
        chunk
            .iter()
            .fold(false, |found, &byte| found | (byte == 0) | (byte == b'\r'))
    })
}

/// Whether a NUL, CR or LF is among the bytes.
pub(crate) fn has_line_end(text: &[u8]) -> bool {
    has_nul_or_cr(text) || find(text, b'\n').is_some()
}

/// What stands before and behind the first such byte, which must be ASCII.
pub(crate) fn split_once(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

/// The first word and what follows the white space behind it.
pub(crate) fn split_word(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| matches!(byte, b' ' | b'\t'))?;
    Some((&text[..at], text[at..].trim_ascii_start()))
}

/// What stands before the first such byte, and the rest with it; all and nothing when there is none.
pub(crate) fn split_before(text: &str, separator: u8) -> (&str, &str) {
    text.split_at(
        text.bytes()
            .position(|byte| byte == separator)
            .unwrap_or(text.len()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_found_wherever_it_stands() {
        for length in 0..40 {
            let mut text = vec![b'a'; length];
            assert_eq!(find(&text, b'b'), None);
            for at in 0..length {
                text[at] = b'b';
                assert_eq!(find(&text, b'b'), Some(at));
                text[at] = b'\r';
                assert!(has_nul_or_cr(&text));
                text[at] = b'a';
            }
            assert!(!has_nul_or_cr(&text));
        }
    }

    #[test]
    fn classes_are_those_of_the_rfc() {
        assert!(
            is_token(b"z9hG4bK-.!%*_+`'~")
                && !is_token(b"")
                && !is_token(b"a b")
                && !is_token(b"a@b")
        );
        assert!(is_host(b"a-1.b_c") && !is_host(b"a b") && !is_host("ü".as_bytes()));
        assert!(
            has_uri_breaker(b"sip:a b")
                && has_uri_breaker(b"\x7f")
                && !has_uri_breaker("sip:ü#[]".as_bytes())
        );
    }
}
