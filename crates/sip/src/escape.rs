//! Percent escapes of URIs (RFC 3261 §19.1.2).

use std::borrow::Cow;

/// Resolves `%41`; what is no escape stays. Bytes that are not UTF-8 are read as Latin-1.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| {
            after
                .get(at)
                .and_then(|&byte| char::from(byte).to_digit(16))
        };
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8(bytes).unwrap_or_else(|error| {
        error
            .as_bytes()
            .iter()
            .map(|&byte| char::from(byte))
            .collect()
    }))
}

/// Escapes everything but letters, digits and the bytes given.
pub(crate) fn escape(text: &str, allowed: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || allowed.contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            escaped.extend(
                [byte >> 4, byte & 15]
                    .map(|nibble| char::from(b"0123456789ABCDEF"[usize::from(nibble)])),
            );
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_escape_stays() {
        for (text, plain) in [
            ("a%20b", "a b"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("%d1%8f", "я"),
            ("%fc", "ü"),
            ("100%", "100%"),
        ] {
            assert_eq!(unescape(text), plain);
        }
        assert_eq!(escape("*21#ü", b"*"), "*21%23%C3%BC");
    }
}
