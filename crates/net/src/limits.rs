//! Descriptor limits: what the media plane needs and what the system grants.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of one leg: its RTP and its RTCP socket.
pub const DESCRIPTORS_PER_LEG: u64 = 2;

/// Descriptors kept for everything else: SIP, HTTP clients, the database, the log.
pub const DESCRIPTORS_RESERVED: u64 = 2048;

/// Raises the soft limit of open files to the hard limit and returns what holds now.
///
/// One call needs 5 descriptors (two legs and a recording); `RLIMIT_NOFILE` must be at least
/// `5 × calls + 2048`. Without the right to raise it the present soft limit stays.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let soft = limit.current.unwrap_or(u64::MAX);
    if limit.current == limit.maximum {
        return soft;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::warn!(%error, soft, "the limit of open files cannot be raised");
            soft
        }
    }
}

/// How many legs fit under a limit of `descriptors` open files; half of the reserve stays even when that is low.
#[must_use]
pub fn most_legs(descriptors: u64) -> usize {
    let reserved = DESCRIPTORS_RESERVED.min(descriptors / 2);
    // A recording per two legs is the fifth descriptor of a call.
    let legs = (descriptors - reserved) * 2 / (2 * DESCRIPTORS_PER_LEG + 1);
    usize::try_from(legs).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let granted = raise_descriptor_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(Some(granted), limit.current.or(Some(u64::MAX)));
    }

    #[test]
    fn a_call_takes_five_descriptors() {
        assert_eq!(most_legs(2048 + 5 * 1000), 2000);
        assert_eq!(most_legs(1000), 200);
        assert_eq!(most_legs(0), 0);
    }
}
