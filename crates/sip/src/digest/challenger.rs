//! The side that challenges and checks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::digest::{Algorithm, Authorization, Digested, Qop};
use crate::message::Request;
use crate::uri::Uri;

/// What became of credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is right, the nonce is ours and fresh, the count is new.
    Ok {
        /// Who it is.
        user: String,
    },
    /// The password is right, but the nonce is too old, from another source or process, or spent. Challenge again with `stale`.
    Stale,
    /// Wrong password, unknown user, foreign realm, an algorithm that was not offered or another URI than the request's. Not told apart.
    Bad {
        /// Who they said that they are.
        user: Option<String>,
    },
    /// The password is right, but this nonce has been used with this count before.
    Replayed,
    /// No Digest, or one that is not well-formed or asks for what is not supported.
    Malformed,
}

/// Makes challenges and checks what comes back.
///
/// Nonces are not stored: each carries its time, a number and a keyed hash over both and the source address. Only the
/// counts of nonces that have been used with a right password are kept, at most `most_nonces` of them; at that limit the oldest is
/// forgotten, and it and every nonce made before it are `Stale` from then on, never accepted twice.
pub struct Challenger {
    realm: String,
    key: [u8; 32],
    nonce_lifetime_secs: i64,
    most_nonces: usize,
    issued: u64,
    /// Nonces numbered up to here are taken only while they stand in `used`.
    forgotten: u64,
    used: BTreeMap<u64, Window>,
    /// What unknown users are checked against.
    dummy_ha1: [String; 2],
}

impl Challenger {
    /// Nothing issued yet. The realm must not hold quotes or backslashes; they are left out. `seed` is secret and new in every process.
    pub fn new(realm: &str, seed: [u8; 32], nonce_lifetime: Duration, most_nonces: usize) -> Self {
        let dummy = |algorithm: Algorithm| algorithm.hash(&[b"nobody", &seed]);
        Self {
            realm: realm
                .chars()
                .filter(|c| !matches!(c, '"' | '\\') && !c.is_control())
                .collect(),
            key: seed,
            nonce_lifetime_secs: i64::try_from(nonce_lifetime.as_secs()).unwrap_or(i64::MAX),
            most_nonces: most_nonces.max(1),
            issued: 0,
            forgotten: 0,
            used: BTreeMap::new(),
            dummy_ha1: [dummy(Algorithm::Md5), dummy(Algorithm::Sha256)],
        }
    }

    /// The realm as it is sent, which HA1 values must be made for.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// WWW-Authenticate values, one for each algorithm, the strongest first (RFC 8760 §2.4). All share one new nonce.
    pub fn challenge(
        &mut self,
        utc_secs: i64,
        source: IpAddr,
        algs: &[Algorithm],
        stale: bool,
    ) -> Vec<String> {
        self.issued += 1;
        let offered = algs
            .iter()
            .fold(0, |bits, &algorithm| bits | bit(algorithm));
        let nonce = self.nonce(
            Stamp {
                utc_secs,
                number: self.issued,
                offered,
            },
            source,
        );
        [Algorithm::Sha256, Algorithm::Md5]
            .into_iter()
            .filter(|&algorithm| offered & bit(algorithm) != 0)
            .map(|algorithm| {
                let stale = if stale { ", stale=true" } else { "" };
                let (realm, algorithm) = (&self.realm, algorithm.as_str());
                format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}")
            })
            .collect()
    }

    /// Checks an Authorization value against method and body. `ha1_of` gives the stored HA1 of a user; for unknown users a
    /// dummy is checked in the same way, so that neither answer nor time tells them apart.
    pub fn verify(
        &mut self,
        utc_secs: i64,
        source: IpAddr,
        method: &str,
        body: &[u8],
        authorization: &str,
        ha1_of: impl FnMut(Algorithm, &str) -> Option<String>,
    ) -> Verdict {
        match Authorization::parse(authorization) {
            Some(authorization) => {
                self.judge(utc_secs, source, method, body, &authorization, ha1_of)
            }
            None => Verdict::Malformed,
        }
    }

    /// Like `verify` for a whole request: the URI in the credentials must name what the Request-URI names (RFC 7616 §3.4.6);
    /// parameters do not count, since phones differ in what they repeat.
    pub fn verify_request(
        &mut self,
        utc_secs: i64,
        source: IpAddr,
        request: &Request,
        authorization: &str,
        ha1_of: impl FnMut(Algorithm, &str) -> Option<String>,
    ) -> Verdict {
        let Some(authorization) = Authorization::parse(authorization) else {
            return Verdict::Malformed;
        };
        let verdict = self.judge(
            utc_secs,
            source,
            request.method.as_str(),
            &request.body,
            &authorization,
            ha1_of,
        );
        match verdict {
            Verdict::Ok { user } if !same_target(&authorization.uri, &request.uri) => {
                Verdict::Bad { user: Some(user) }
            }
            verdict => verdict,
        }
    }

    fn judge(
        &mut self,
        utc_secs: i64,
        source: IpAddr,
        method: &str,
        body: &[u8],
        authorization: &Authorization,
        mut ha1_of: impl FnMut(Algorithm, &str) -> Option<String>,
    ) -> Verdict {
        let algorithm = authorization.algorithm;
        let qop = match authorization.qop.as_deref() {
            Some(name)
                if name.eq_ignore_ascii_case("auth") || name.eq_ignore_ascii_case("auth-int") =>
            {
                Some(Qop {
                    name,
                    nc: &authorization.nc,
                    cnonce: &authorization.cnonce,
                })
            }
            Some(_) => return Verdict::Malformed,
            None => None,
        };
        let count = match qop.as_ref().map(|qop| count(qop.nc)) {
            Some(None) => return Verdict::Malformed,
            Some(Some(count)) => Some(count),
            None => None,
        };
        let user = authorization.username();
        let stored = ha1_of(algorithm, user);
        let known = stored.is_some();
        let ha1 = stored.unwrap_or_else(|| self.dummy_ha1[algorithm as usize].clone());
        let (nonce, uri) = (authorization.nonce.as_str(), authorization.uri.as_str());
        let expected = Digested {
            algorithm,
            nonce,
            qop,
            method,
            uri,
            body,
        }
        .response(&ha1);
        let right = bool::from(expected.as_bytes().ct_eq(authorization.response.as_bytes()));
        let bad = || Verdict::Bad {
            user: Some(user.to_owned()).filter(|user| !user.is_empty()),
        };
        if !(right & known) || authorization.realm != self.realm {
            return bad();
        }
        // Only who knows the password learns anything about the nonce.
        let Some(stamp) = self.stamp(nonce, source) else {
            return Verdict::Stale;
        };
        if stamp.offered & bit(algorithm) == 0 {
            return bad();
        }
        if !self.is_fresh(stamp.utc_secs, utc_secs) {
            return Verdict::Stale;
        }
        match self.spend(&stamp, utc_secs, count) {
            Ok(()) => Verdict::Ok {
                user: user.to_owned(),
            },
            Err(verdict) => verdict,
        }
    }

    fn is_fresh(&self, made: i64, now: i64) -> bool {
        now.saturating_sub(made).saturating_abs() <= self.nonce_lifetime_secs
    }

    /// Notes the use of a nonce. Without a count (RFC 2069) a nonce serves once.
    fn spend(&mut self, stamp: &Stamp, now: i64, count: Option<u32>) -> Result<(), Verdict> {
        if let Some(window) = self.used.get_mut(&stamp.number) {
            return match count {
                Some(count) if window.accept(count) => Ok(()),
                Some(_) => Err(Verdict::Replayed),
                None => Err(Verdict::Stale),
            };
        }
        if stamp.number <= self.forgotten {
            return Err(Verdict::Stale);
        }
        while let Some(oldest) = self.used.first_entry() {
            let expired = now.saturating_sub(oldest.get().utc_secs).saturating_abs()
                > self.nonce_lifetime_secs;
            if !expired && self.used.len() < self.most_nonces {
                break;
            }
            if let Some((number, _)) = self.used.pop_first() {
                self.forgotten = self.forgotten.max(number);
            }
        }
        if stamp.number <= self.forgotten {
            return Err(Verdict::Stale);
        }
        let mut window = Window {
            utc_secs: stamp.utc_secs,
            highest: 0,
            seen: 0,
        };
        let accepted = window.accept(count.unwrap_or(u32::MAX));
        self.used.insert(stamp.number, window);
        if accepted {
            Ok(())
        } else {
            Err(Verdict::Replayed)
        }
    }

    fn nonce(&self, stamp: Stamp, source: IpAddr) -> String {
        let head = format!(
            "{:010x}{:016x}{:x}",
            stamp.utc_secs.max(0),
            stamp.number,
            stamp.offered
        );
        let seal = self.seal(&head, source);
        head + &seal
    }

    /// The keyed hash over the head of a nonce and the source (HMAC-SHA-256 of RFC 2104, cut to 128 bits).
    fn seal(&self, head: &str, source: IpAddr) -> String {
        let source = match source.to_canonical() {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let pad = |byte: u8| {
            let mut block = [byte; 64];
            block
                .iter_mut()
                .zip(self.key)
                .for_each(|(byte, key)| *byte ^= key);
            block
        };
        let inner = Sha256::new()
            .chain_update(pad(0x36))
            .chain_update(head)
            .chain_update(source.octets())
            .finalize();
        let outer = Sha256::new()
            .chain_update(pad(0x5c))
            .chain_update(inner)
            .finalize();
        hex::encode(&outer[..16])
    }

    /// Reads a nonce of ours; `None` when it is not, or was made for another source.
    fn stamp(&self, nonce: &str, source: IpAddr) -> Option<Stamp> {
        if nonce.len() != 59 || !nonce.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let (head, seal) = nonce.split_at(27);
        if !bool::from(self.seal(head, source).as_bytes().ct_eq(seal.as_bytes())) {
            return None;
        }
        Some(Stamp {
            utc_secs: i64::from_str_radix(&head[..10], 16).ok()?,
            number: u64::from_str_radix(&head[10..26], 16).ok()?,
            offered: u8::from_str_radix(&head[26..], 16).ok()?,
        })
    }
}

/// What a nonce says in the clear.
#[derive(Clone, Copy)]
struct Stamp {
    utc_secs: i64,
    number: u64,
    offered: u8,
}

/// Counts used with one nonce: the highest and the 63 below it, since datagrams overtake each other.
struct Window {
    utc_secs: i64,
    highest: u32,
    seen: u64,
}

impl Window {
    fn accept(&mut self, count: u32) -> bool {
        if count == 0 {
            return false;
        }
        if count > self.highest {
            self.seen = self.seen.checked_shl(count - self.highest).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let Some(mask) = 1_u64.checked_shl(self.highest - count) else {
            return false;
        };
        let new = self.seen & mask == 0;
        self.seen |= mask;
        new
    }
}

fn bit(algorithm: Algorithm) -> u8 {
    1 << algorithm as u8
}

/// The nonce count: up to eight hex digits (RFC 7616 §3.4).
fn count(text: &str) -> Option<u32> {
    let digits = (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

fn same_target(written: &str, request: &Uri) -> bool {
    Uri::parse(written).is_ok_and(|uri| {
        uri.scheme == request.scheme
            && uri.user() == request.user()
            && uri.host == request.host
            && uri.port == request.port
    })
}
