//! The side that answers a challenge: trunk registration and tests.

use std::fmt::Write;

use crate::digest::authorization::digest_params;
use crate::digest::{Algorithm, Digested, Qop};
use crate::params::write_quoted;

/// A WWW-Authenticate or Proxy-Authenticate value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The realm to give the password for.
    pub realm: String,
    /// The nonce.
    pub nonce: String,
    /// To be sent back as it is.
    pub opaque: Option<String>,
    /// The hash to use.
    pub algorithm: Algorithm,
    /// Whether `qop=auth` is offered; otherwise the way of RFC 2069 is used.
    pub qop_auth: bool,
    /// The password was right, only the nonce is too old.
    pub stale: bool,
}

impl Challenge {
    /// Reads a header value; `None` when it is no Digest, is not well-formed, or asks for what is not supported.
    pub fn parse(value: &str) -> Option<Self> {
        let params = digest_params(value)?;
        let find = |name: &str| {
            params
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.clone())
        };
        let algorithm = match find("algorithm") {
            Some(name) => Algorithm::parse(&name)?,
            None => Algorithm::Md5,
        };
        let qop = find("qop").unwrap_or_default();
        let qop_auth = qop
            .split(',')
            .any(|kind| kind.trim().eq_ignore_ascii_case("auth"));
        if !qop.is_empty() && !qop_auth {
            return None;
        }
        Some(Self {
            realm: find("realm")?,
            nonce: find("nonce")?,
            opaque: find("opaque"),
            algorithm,
            qop_auth,
            stale: find("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    /// The strongest challenge among several values.
    pub fn strongest<'a>(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        values
            .filter_map(Self::parse)
            .max_by_key(|challenge| challenge.algorithm)
    }
}

/// The Authorization value for a challenge. `ha1` is that of the challenge's algorithm and realm, `uri` the Request-URI as text,
/// `nc` counts the uses of this nonce from 1.
pub fn respond(
    challenge: &Challenge,
    user: &str,
    ha1: &str,
    method: &str,
    uri: &str,
    cnonce: &str,
    nc: u32,
) -> String {
    let count = format!("{nc:08x}");
    let qop = challenge.qop_auth.then_some(Qop {
        name: "auth",
        nc: &count,
        cnonce,
    });
    let digested = Digested {
        algorithm: challenge.algorithm,
        nonce: &challenge.nonce,
        qop,
        method,
        uri,
        body: &[],
    };
    let response = digested.response(ha1);
    let mut value = String::from("Digest ");
    let mut quoted = |name: &str, text: &str| {
        // Writing to a String cannot fail.
        let _ = write!(value, "{name}=")
            .and_then(|()| write_quoted(&mut value, text))
            .and_then(|()| value.write_str(", "));
    };
    quoted("username", user);
    quoted("realm", &challenge.realm);
    quoted("nonce", &challenge.nonce);
    quoted("uri", uri);
    quoted("response", &response);
    if let Some(opaque) = &challenge.opaque {
        quoted("opaque", opaque);
    }
    if challenge.qop_auth {
        quoted("cnonce", cnonce);
        value.push_str(&format!("qop=auth, nc={count}, "));
    }
    value.push_str(&format!("algorithm={}", challenge.algorithm.as_str()));
    value
}
