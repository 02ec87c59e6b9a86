//! The CSeq header field (RFC 3261 §20.16).

use std::fmt;

use crate::bytes::{is_token, split_word};
use crate::method::Method;

/// Sequence number and method of a request, repeated in every answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CSeq {
    /// Below 2³¹ (RFC 3261 §8.1.1.5).
    pub number: u32,
    /// The method of the request that is answered.
    pub method: Method,
}

impl CSeq {
    /// Reads a header value; `None` when it is not a number below 2³¹ and a method.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, method) = parts(text)?;
        Some(Self {
            number,
            method: Method::from(method),
        })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// Number and method without building anything.
pub(crate) fn parts(text: &str) -> Option<(u32, &str)> {
    let (number, method) = split_word(text.trim_ascii())?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) || !is_token(method.as_bytes()) {
        return None;
    }
    let number = number
        .parse::<u32>()
        .ok()
        .filter(|&number| number < 1 << 31)?;
    Some((number, method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_number_stays_below_two_to_the_31() {
        assert_eq!(
            CSeq::parse("2147483647 BYE"),
            Some(CSeq {
                number: 2_147_483_647,
                method: Method::Bye
            })
        );
        assert_eq!(
            CSeq::parse("0009  \t INVITE")
                .map(|cseq| cseq.to_string())
                .as_deref(),
            Some("9 INVITE")
        );
        for bad in [
            "2147483648 BYE",
            "36893488147419103232 REGISTER",
            "-1 BYE",
            "+1 BYE",
            "1",
            "BYE",
            "",
            " BYE",
            "1 IN VITE",
        ] {
            assert_eq!(CSeq::parse(bad), None, "{bad}");
        }
    }
}
