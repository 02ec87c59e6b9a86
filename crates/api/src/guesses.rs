//! Guessing limits: how often a source may try a login, and how many logins a source may try.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use model::Utc;

/// Failed attempts of one source at one login before it has to wait.
const MOST_PER_LOGIN: u32 = 5;
/// Different logins that one source may fail at before it has to wait.
const MOST_LOGINS: usize = 20;
/// How long failures count.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Most remembered pairs of source and login; beyond that the oldest is forgotten.
const MOST_ENTRIES: usize = 4_096;

#[derive(Clone, Copy, Debug)]
struct Tries {
    count: u32,
    since: Utc,
}

/// The bounded table of attempts.
#[derive(Debug, Default)]
pub struct Guesses {
    table: Mutex<BTreeMap<(IpAddr, String), Tries>>,
}

impl Guesses {
    /// Counts an attempt before it is checked, so that parallel attempts count too. Returns how many
    /// seconds to wait if it is one too many; the answer does not depend on whether the login exists.
    pub fn attempt(&self, source: IpAddr, login: &str, now: Utc) -> Result<(), u64> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let from_source = (source, String::new())..;
        let mut oldest = now;
        let mut logins = 0;
        let mut stale = Vec::new();
        for ((_, tried), tries) in table
            .range(from_source)
            .take_while(|((address, _), _)| *address == source)
        {
            if now.since(tries.since) >= WINDOW {
                stale.push(tried.clone());
            } else if tried != login {
                logins += 1;
                oldest = oldest.min(tries.since);
            }
        }
        for tried in stale {
            table.remove(&(source, tried));
        }
        if logins >= MOST_LOGINS {
            return Err(wait(oldest, now));
        }
        if table.len() >= MOST_ENTRIES {
            forget_oldest(&mut table);
        }
        let tries = table.entry((source, login.to_owned())).or_insert(Tries {
            count: 0,
            since: now,
        });
        if tries.count >= MOST_PER_LOGIN {
            return Err(wait(tries.since, now));
        }
        tries.count += 1;
        Ok(())
    }

    /// The attempt was right: the pair starts afresh.
    pub fn succeeded(&self, source: IpAddr, login: &str) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.remove(&(source, login.to_owned()));
    }
}

fn wait(since: Utc, now: Utc) -> u64 {
    WINDOW.saturating_sub(now.since(since)).as_secs().max(1)
}

fn forget_oldest(table: &mut BTreeMap<(IpAddr, String), Tries>) {
    let oldest = table
        .iter()
        .min_by_key(|(_, tries)| tries.since)
        .map(|(key, _)| key.clone());
    if let Some(key) = oldest {
        table.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Utc {
        Utc::from_secs(1_000_000 + secs)
    }

    #[test]
    fn the_sixth_attempt_waits_until_the_window_is_over() {
        let guesses = Guesses::default();
        let source = IpAddr::from([192, 0, 2, 1]);
        for second in 0..5 {
            assert!(guesses.attempt(source, "anna", at(second)).is_ok());
        }
        assert_eq!(guesses.attempt(source, "anna", at(10)), Err(890));
        let other = IpAddr::from([192, 0, 2, 2]);
        assert!(guesses.attempt(other, "anna", at(10)).is_ok());
        assert!(guesses.attempt(source, "boris", at(10)).is_ok());
        assert!(guesses.attempt(source, "anna", at(900)).is_ok());
    }

    #[test]
    fn success_starts_afresh() {
        let guesses = Guesses::default();
        let source = IpAddr::from([192, 0, 2, 1]);
        for _ in 0..20 {
            assert!(guesses.attempt(source, "anna", at(0)).is_ok());
            guesses.succeeded(source, "anna");
        }
    }

    #[test]
    fn a_source_may_not_walk_through_logins_and_the_table_is_bounded() {
        let guesses = Guesses::default();
        let source = IpAddr::from([192, 0, 2, 1]);
        for n in 0..20 {
            assert!(guesses.attempt(source, &format!("user{n}"), at(0)).is_ok());
        }
        assert!(guesses.attempt(source, "user20", at(1)).is_err());
        for n in 0..5_000_u32 {
            let source = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            assert!(guesses.attempt(source, "x", at(2)).is_ok());
        }
        assert!(guesses.table.lock().unwrap().len() <= MOST_ENTRIES);
    }
}
