//! Parameters (`;name=value`) and scanning that respects quotes.

use std::fmt;

/// Most parameters that one value may have; more make the value malformed.
pub(crate) const MOST_PARAMS: usize = 64;

/// Position of the first byte for which `wanted` holds and that stands outside quoted strings.
pub(crate) fn find_outside_quotes(text: &str, mut wanted: impl FnMut(u8) -> bool) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    text.bytes().position(|byte| {
        if escaped {
            escaped = false;
            return false;
        }
        match byte {
            b'\\' if quoted => {
                escaped = true;
                false
            }
            b'"' => {
                quoted = !quoted;
                false
            }
            _ => !quoted && wanted(byte),
        }
    })
}

/// Splits at a separator outside quotes; the pieces are trimmed.
pub(crate) fn split_outside_quotes(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (piece, after) = match find_outside_quotes(text, |byte| byte == separator) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        rest = after;
        Some(piece.trim_ascii())
    })
}

/// One parameter: name and raw value.
pub(crate) type Param<'a> = (&'a str, Option<&'a str>);

/// Walks over `;a=b;c`. The text is empty or begins with a semicolon; an item is `None` where it is malformed.
pub(crate) struct Params<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Params<'a> {
    type Item = Option<Param<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some(list) = self.rest.strip_prefix(';') else {
            self.rest = "";
            return Some(None);
        };
        if list.is_empty() {
            // Some phones end the list with a semicolon; two in a row are still an error.
            self.rest = "";
            return None;
        }
        let (mut quoted, mut escaped, mut equals) = (false, false, None);
        let mut end = list.len();
        for (at, byte) in list.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'=' if equals.is_none() && !quoted => equals = Some(at),
                b';' if !quoted => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        self.rest = &list[end..];
        let (name, value) = match equals {
            Some(at) => (&list[..at], Some(list[at + 1..end].trim_ascii())),
            None => (&list[..end], None),
        };
        let name = name.trim_ascii();
        let valid = !quoted && !name.is_empty() && !name.contains('"');
        Some(valid.then_some((name, value)))
    }
}

/// The parameters of a text.
pub(crate) fn params(text: &str) -> Params<'_> {
    Params {
        rest: text.trim_ascii(),
    }
}

/// Whether the parameters are well-formed and not too many.
pub(crate) fn params_valid(text: &str) -> bool {
    let mut count = 0;
    params(text).all(|param| {
        count += 1;
        param.is_some() && count <= MOST_PARAMS
    })
}

/// Whether every quoted string is closed.
pub(crate) fn quotes_balanced(text: &str) -> bool {
    let mut bytes = text.bytes();
    let mut quoted = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if quoted && bytes.next().is_none() => return false,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    !quoted
}

/// Owned parameters of a text that `params_valid` accepted.
pub(crate) fn owned(text: &str) -> Vec<(String, Option<String>)> {
    params(text)
        .flatten()
        .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
        .collect()
}

/// The first parameter of that name: `Some(None)` when it stands without a value.
pub(crate) fn lookup<'a>(
    list: &'a [(String, Option<String>)],
    name: &str,
) -> Option<Option<&'a str>> {
    list.iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_deref())
}

/// Replaces the first parameter of that name, or adds it.
pub(crate) fn assign(list: &mut Vec<(String, Option<String>)>, name: &str, value: Option<String>) {
    match list
        .iter_mut()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
    {
        Some(entry) => entry.1 = value,
        None => list.push((name.to_owned(), value)),
    }
}

/// The text between the quotes of a quoted string, escapes resolved; other text as it is.
pub(crate) fn unquote(text: &str) -> String {
    let Some(inner) = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return text.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.extend(chars.next()),
            c => plain.push(c),
        }
    }
    plain
}

/// Writes a quoted string; what would end a line is written as a space.
pub(crate) fn write_quoted(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                f.write_char('\\')?;
                f.write_char(c)?;
            }
            '\r' | '\n' | '\0' => f.write_char(' ')?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

/// Writes `;name=value` for each parameter.
pub(crate) fn write_params(
    f: &mut impl fmt::Write,
    list: &[(String, Option<String>)],
) -> fmt::Result {
    for (name, value) in list {
        f.write_char(';')?;
        f.write_str(name)?;
        if let Some(value) = value {
            f.write_char('=')?;
            f.write_str(value)?;
        }
    }
    Ok(())
}
