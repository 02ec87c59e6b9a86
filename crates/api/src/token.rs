//! Bearer tokens: 32 random bytes, shown once, stored as a hash.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use crm::TokenHash;
use sha2::{Digest, Sha256};

/// Bytes of randomness in a token.
const TOKEN_BYTES: usize = 32;

/// A new token.
pub fn make() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; TOKEN_BYTES]>())
}

/// What is stored of a token: its SHA-256. A token has 256 bits of randomness, so no salt and no slow
/// hash are needed.
pub fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_their_hash_is_sha_256() {
        let token = make();
        assert_eq!(token.len(), 43);
        assert_ne!(token, make());
        assert_eq!(
            hex::encode(hash("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
