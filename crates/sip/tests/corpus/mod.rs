//! The messages that the tests of this folder share.
//!
//! A file holds messages behind lines `### name source`, with LF line ends that become CRLF. `\xHH` is a byte,
//! `{len}` the true length of the body, `{repeat 3 ab}` stands for `ababab`.
#![allow(clippy::unwrap_used, reason = "a test ends where its expectation does")]
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn rfc4475() -> Vec<Sample> {
    samples(include_str!("rfc4475.txt"))
}

pub(crate) fn rfc5118() -> Vec<Sample> {
    samples(include_str!("rfc5118.txt"))
}

pub(crate) fn everyday() -> Vec<Sample> {
    samples(include_str!("everyday.txt"))
}

pub(crate) fn all() -> Vec<Sample> {
    let mut all = rfc4475();
    all.extend(rfc5118());
    all.extend(everyday());
    all
}

pub(crate) fn named(name: &str) -> Vec<u8> {
    all()
        .into_iter()
        .find(|sample| sample.name == name)
        .unwrap()
        .bytes
}

fn samples(file: &'static str) -> Vec<Sample> {
    let samples = file
        .strip_prefix("### ")
        .unwrap()
        .strip_suffix('\n')
        .unwrap();
    samples
        .split("\n### ")
        .map(|sample| {
            let (title, text) = sample.split_once('\n').unwrap();
            let (name, _) = title.split_once(' ').unwrap();
            Sample {
                name,
                bytes: bytes(text),
            }
        })
        .collect()
}

fn bytes(text: &str) -> Vec<u8> {
    let lines = format!("{text}\n").replace('\n', "\r\n");
    let (head, body) = lines.split_once("\r\n\r\n").unwrap();
    let body = unescaped(body);
    let head = repeated(&head.replace("{len}", &body.len().to_string()));
    [unescaped(&head), b"\r\n\r\n".to_vec(), body].concat()
}

fn repeated(text: &str) -> String {
    let Some((before, rest)) = text.split_once("{repeat ") else {
        return text.to_owned();
    };
    let (inside, after) = rest.split_once('}').unwrap();
    let (count, unit) = inside.split_once(' ').unwrap();
    before.to_owned() + &unit.repeat(count.parse().unwrap()) + &repeated(after)
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let digit = |at: usize| {
            after
                .get(at)
                .and_then(|&digit| char::from(digit).to_digit(16))
        };
        match (after.first(), digit(1), digit(2)) {
            (Some(b'x'), Some(high), Some(low)) if *byte == b'\\' => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[3..];
            }
            _ => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    bytes
}
