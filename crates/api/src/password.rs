//! Passwords: argon2id, and the making of new ones. The CLI uses [`make`] and [`hash`] too.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use rand::RngExt;
use tokio::sync::Semaphore;

/// Fewest characters of a password that a person chooses.
pub const FEWEST_CHARS: usize = 10;
/// Most characters of a password.
pub const MOST_CHARS: usize = 200;

/// No letters or digits that look alike.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789-";

/// The hash of nobody's password: of 20 random characters that were not kept. It only has to cost what others cost.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$GNIKcsLppM5/jfbujvq+rg$NUgH+Y23/dHxnOvrbkph4rKpYLzR0SO16JlCCWmbtH8";

/// Why a password was not hashed or checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The hash function refused, or a stored hash is damaged.
    #[error("password hashing failed: {0}")]
    Hash(String),
    /// Too many checks wait already.
    #[error("too many log-ins at the same moment")]
    Overloaded,
}

/// A new random password of 20 characters (about 99 bits).
pub fn make() -> String {
    let mut rng = rand::rng();
    (0..20)
        .map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len() - 1)]))
        .collect()
}

/// The PHC string to store for `password`: argon2id with 19 MiB, 2 passes, 1 lane, which is what
/// OWASP recommends and the crate's default. Takes some 20 ms of CPU.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| PasswordError::Hash(error.to_string()))
}

/// Whether `password` is the one that `stored` was made from.
pub fn is_right(password: &str, stored: &str) -> Result<bool, PasswordError> {
    let parsed =
        PasswordHash::new(stored).map_err(|error| PasswordError::Hash(error.to_string()))?;
    Ok(Argon2::default()
        .verify_password(password.as_bytes(), &parsed)
        .is_ok())
}

/// Hashes off the event loop, a few at a time, so that log-ins never take the machine from calls.
#[derive(Clone, Debug)]
pub struct Hasher {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Hasher {
    /// At most `running` hashes at a time, at most `waiting` requests in all.
    pub fn new(running: usize, waiting: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(running)),
            waiting: Arc::new(Semaphore::new(waiting)),
        }
    }

    /// As [`hash`].
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        self.run(move || hash(&password)).await
    }

    /// Checks `password`. Without a stored hash (an unknown login) the same work is done against a
    /// hash that nothing matches, so that answer and timing do not tell whether a login exists.
    pub async fn check(
        &self,
        password: String,
        stored: Option<String>,
    ) -> Result<bool, PasswordError> {
        self.run(move || match stored {
            Some(stored) => is_right(&password, &stored),
            None => is_right(&password, NOBODYS).map(|_| false),
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _place = self
            .waiting
            .clone()
            .try_acquire_owned()
            .map_err(|_| PasswordError::Overloaded)?;
        let turn = self
            .running
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| PasswordError::Overloaded)?;
        // The permit goes with the work: a client that hangs up does not make room for another hash.
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        })
        .await
        .map_err(|error| PasswordError::Hash(error.to_string()))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_matches() {
        let password = make();
        assert_eq!(password.len(), 20);
        let stored = hash(&password).unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        assert!(is_right(&password, &stored).unwrap());
        assert!(!is_right("another", &stored).unwrap());
        assert!(is_right("another", "damaged").is_err());
        let cost = |hash: &str| hash.rsplitn(3, '$').last().map(str::to_owned);
        assert_eq!(cost(NOBODYS), cost(&stored), "nobody's costs as much");
    }

    #[tokio::test]
    async fn nobody_logs_in_without_a_stored_hash_and_the_queue_is_bounded() {
        let hasher = Hasher::new(1, 1);
        assert!(!hasher.check("x".into(), None).await.unwrap());
        let full = Hasher::new(1, 0);
        assert!(matches!(
            full.hash("x".into()).await,
            Err(PasswordError::Overloaded)
        ));
    }
}
