//! Digest authentication (RFC 2617, RFC 7616, RFC 8760).

mod authorization;
mod challenger;
mod client;

use md5::Md5;
use sha2::{Digest as _, Sha256};

pub use authorization::Authorization;
pub use challenger::{Challenger, Verdict};
pub use client::{Challenge, respond};

/// A hash that digests are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// What every phone knows.
    Md5,
    /// RFC 8760; stronger, known to few.
    Sha256,
}

impl Algorithm {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// Reads the name, in any case; `None` for one that is not supported, the `-sess` variants included.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256]
            .into_iter()
            .find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(text))
    }

    /// The hash of the parts joined by colons, in lower-case hex.
    pub(crate) fn hash(self, parts: &[&[u8]]) -> String {
        match self {
            Self::Md5 => hex::encode(joined(Md5::new(), parts).finalize()),
            Self::Sha256 => hex::encode(joined(Sha256::new(), parts).finalize()),
        }
    }
}

fn joined<D: sha2::Digest>(mut digest: D, parts: &[&[u8]]) -> D {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            digest.update(b":");
        }
        digest.update(part);
    }
    digest
}

/// What is stored of a password: `H(user:realm:password)` in hex.
pub fn ha1(algorithm: Algorithm, user: &str, realm: &str, password: &str) -> String {
    algorithm.hash(&[user.as_bytes(), realm.as_bytes(), password.as_bytes()])
}

/// What a digest is computed over, beside the HA1. Texts are as they stand on the wire.
pub(crate) struct Digested<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) nonce: &'a str,
    /// `None` in the way of RFC 2069.
    pub(crate) qop: Option<Qop<'a>>,
    pub(crate) method: &'a str,
    pub(crate) uri: &'a str,
    pub(crate) body: &'a [u8],
}

pub(crate) struct Qop<'a> {
    pub(crate) name: &'a str,
    pub(crate) nc: &'a str,
    pub(crate) cnonce: &'a str,
}

impl Digested<'_> {
    /// The response value (RFC 7616 §3.4.1).
    pub(crate) fn response(&self, ha1: &str) -> String {
        let hash = |parts: &[&[u8]]| self.algorithm.hash(parts);
        let whole_body = self
            .qop
            .as_ref()
            .is_some_and(|qop| qop.name.eq_ignore_ascii_case("auth-int"));
        let ha2 = if whole_body {
            hash(&[
                self.method.as_bytes(),
                self.uri.as_bytes(),
                hash(&[self.body]).as_bytes(),
            ])
        } else {
            hash(&[self.method.as_bytes(), self.uri.as_bytes()])
        };
        let (ha1, nonce, ha2) = (ha1.as_bytes(), self.nonce.as_bytes(), ha2.as_bytes());
        match &self.qop {
            Some(qop) => hash(&[
                ha1,
                nonce,
                qop.nc.as_bytes(),
                qop.cnonce.as_bytes(),
                qop.name.as_bytes(),
                ha2,
            ]),
            None => hash(&[ha1, nonce, ha2]),
        }
    }
}
