//! Unguessable names: branches, tags and Call-IDs.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// A generator of unguessable names: SHA-256 over seed and counter, four names of 64 bits from each hash.
///
/// The same seed gives the same names, so a seed is used for one life of the process only.
pub struct Tokens {
    seed: [u8; 32],
    counter: u64,
    block: [u8; 32],
    used: usize,
}

const BYTES: usize = 8;

impl Tokens {
    /// A generator. The seed must be secret and random, except in tests and simulations.
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            seed,
            counter: 0,
            block: [0; 32],
            used: 32,
        }
    }

    /// 64 random bits.
    pub fn number(&mut self) -> u64 {
        if self.used + BYTES > self.block.len() {
            let hash = Sha256::new()
                .chain_update(self.seed)
                .chain_update(self.counter.to_be_bytes())
                .finalize();
            self.block.copy_from_slice(&hash);
            self.counter += 1;
            self.used = 0;
        }
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&self.block[self.used..self.used + BYTES]);
        self.used += BYTES;
        u64::from_be_bytes(bytes)
    }

    /// A tag for From or To: 16 hexadecimal digits (RFC 3261 §19.3 wants at least 32 random bits).
    pub fn tag(&mut self) -> String {
        format!("{:016x}", self.number())
    }

    /// A branch with the magic cookie (RFC 3261 §8.1.1.7).
    pub fn branch(&mut self) -> String {
        format!("z9hG4bK{:016x}", self.number())
    }

    /// A Call-ID of 128 random bits without a host part.
    pub fn call_id(&mut self) -> String {
        let mut text = self.tag();
        // Writing to a String cannot fail.
        let _ = write!(text, "{:016x}", self.number());
        text
    }

    /// A tag that is the same whenever the same text is asked for, so that a stateless answer keeps its tag
    /// (RFC 3261 §8.2.7) and can still not be guessed.
    pub fn tag_of(&self, text: &str) -> String {
        let hash = Sha256::new()
            .chain_update(self.seed)
            .chain_update(b"stateless")
            .chain_update(text)
            .finalize();
        hex::encode(&hash[..BYTES])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_do_not_repeat_and_depend_on_the_seed() {
        let mut tokens = Tokens::new([7; 32]);
        let tags: BTreeSet<String> = (0..1000).map(|_| tokens.tag()).collect();
        assert_eq!(tags.len(), 1000);
        assert!(!tags.contains(&Tokens::new([8; 32]).tag()));
        assert!(tags.contains(&Tokens::new([7; 32]).tag()));
    }

    #[test]
    fn a_stateless_tag_is_the_same_for_the_same_request() {
        let tokens = Tokens::new([7; 32]);
        assert_eq!(tokens.tag_of("a"), tokens.tag_of("a"));
        assert_ne!(tokens.tag_of("a"), tokens.tag_of("b"));
    }
}
