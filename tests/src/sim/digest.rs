//! Digest authentication (RFC 7616) from the phone's side.

use md5::Md5;
use sha2::{Digest, Sha256};

use super::message::Message;

fn md5_hex(text: &str) -> String {
    hex::encode(Md5::digest(text.as_bytes()))
}

fn sha256_hex(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// HA1 of a device with MD5, as its owner's record holds it.
pub fn ha1(user: &str, realm: &str, password: &str) -> String {
    md5_hex(&format!("{user}:{realm}:{password}"))
}

fn quoted<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let start = challenge.find(&format!("{name}=\""))? + name.len() + 2;
    challenge[start..].split('"').next()
}

/// The value of `Authorization` that answers a 401 to `request`; none if there is no MD5 challenge.
pub fn authorization(
    unauthorized: &Message,
    request: &Message,
    user: &str,
    password: &str,
) -> Option<String> {
    let ours = |challenge: &str| challenge.contains("MD5") || !challenge.contains("algorithm");
    let challenge = challenge(unauthorized, ours)?;
    answer(challenge, request, (user, password), ("MD5", md5_hex))
}

/// The same with SHA-256; none if there is no such challenge.
pub fn authorization_sha256(
    unauthorized: &Message,
    request: &Message,
    user: &str,
    password: &str,
) -> Option<String> {
    let challenge = challenge(unauthorized, |challenge| challenge.contains("SHA-256"))?;
    answer(
        challenge,
        request,
        (user, password),
        ("SHA-256", sha256_hex),
    )
}

fn challenge(unauthorized: &Message, ours: impl Fn(&str) -> bool) -> Option<&str> {
    let challenges = unauthorized
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("WWW-Authenticate"));
    challenges
        .map(|(_, value)| value.as_str())
        .find(|value| ours(value))
}

fn answer(
    challenge: &str,
    request: &Message,
    (user, password): (&str, &str),
    (algorithm, hash): (&str, fn(&str) -> String),
) -> Option<String> {
    let (realm, nonce) = (quoted(challenge, "realm")?, quoted(challenge, "nonce")?);
    let (method, uri) = (request.method(), request.uri());
    let (nc, cnonce) = ("00000001", "0a4f113b");
    let left = hash(&format!("{user}:{realm}:{password}"));
    let right = hash(&format!("{method}:{uri}"));
    let response = hash(&format!("{left}:{nonce}:{nc}:{cnonce}:auth:{right}"));
    let opaque = quoted(challenge, "opaque")
        .map(|opaque| format!(", opaque=\"{opaque}\""))
        .unwrap_or_default();
    Some(format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", algorithm={algorithm}, cnonce=\"{cnonce}\", qop=auth, nc={nc}{opaque}"
    ))
}

/// Whether a request's MD5 credentials show that its sender knows the password; none if it has none.
pub fn verifies(request: &Message, password: &str) -> Option<bool> {
    let given = request.header("Authorization")?;
    let of = |name| quoted(given, name);
    let left = ha1(of("username")?, of("realm")?, password);
    let right = md5_hex(&format!("{}:{}", request.method(), of("uri")?));
    let count = given.split("nc=").nth(1)?.split([',', ' ']).next()?;
    let (nonce, cnonce) = (of("nonce")?, of("cnonce")?);
    let wanted = md5_hex(&format!("{left}:{nonce}:{count}:{cnonce}:auth:{right}"));
    Some(of("response")? == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_2617_comes_out() {
        // RFC 2617 §3.5.
        let left = ha1("Mufasa", "testrealm@host.com", "Circle Of Life");
        let right = md5_hex("GET:/dir/index.html");
        let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
        assert_eq!(
            md5_hex(&format!("{left}:{nonce}:00000001:0a4f113b:auth:{right}")),
            "6629fae49393a05397450978507c4ef1"
        );
    }
}
