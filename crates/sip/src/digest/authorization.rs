//! The Authorization header field.

use crate::digest::Algorithm;
use crate::params::{split_outside_quotes, unquote};

/// Credentials of a request, read but not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    username: String,
    pub(crate) realm: String,
    pub(crate) nonce: String,
    pub(crate) uri: String,
    pub(crate) response: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) qop: Option<String>,
    pub(crate) nc: String,
    pub(crate) cnonce: String,
}

/// Most parameters that a value may have.
const MOST_PARAMS: usize = 32;

impl Authorization {
    /// Reads a header value; `None` when it is no Digest, lacks something, says something twice or names an algorithm that is not supported.
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
        let qop = find("qop").filter(|qop| !qop.is_empty());
        let (nc, cnonce) = (find("nc"), find("cnonce"));
        if qop.is_some() && (nc.is_none() || cnonce.is_none()) {
            return None;
        }
        Some(Self {
            username: find("username")?,
            realm: find("realm")?,
            nonce: find("nonce")?,
            uri: find("uri")?,
            response: find("response")?.to_ascii_lowercase(),
            algorithm,
            qop,
            nc: nc.unwrap_or_default(),
            cnonce: cnonce.unwrap_or_default(),
        })
    }

    /// Who the sender says that they are.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The realm that the credentials are for.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The hash that was used.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The URI that the credentials are for, as written.
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

/// Parameters of a `Digest` value, quotes and escapes removed; `None` when it is another scheme or not well-formed.
pub(crate) fn digest_params(value: &str) -> Option<Vec<(&str, String)>> {
    let (scheme, list) = value.trim().split_once([' ', '\t'])?;
    if !scheme.eq_ignore_ascii_case("Digest") || !crate::params::quotes_balanced(list) {
        return None;
    }
    let mut params: Vec<(&str, String)> = Vec::with_capacity(12);
    for piece in split_outside_quotes(list, b',').filter(|piece| !piece.is_empty()) {
        let (name, value) = piece.split_once('=')?;
        let name = name.trim_end();
        let repeated = params.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
        if repeated || params.len() >= MOST_PARAMS {
            return None;
        }
        params.push((name, unquote(value.trim_start())));
    }
    Some(params)
}
