//! Deliberate bugs for the simulator to find. None is compiled unless `--cfg ringbook_mutant="…"`
//! is given; each leaves its marker in the binary, so that a test can prove the shipped one clean.

/// Names the mutant in the binary.
#[cfg(any(
    ringbook_mutant = "agent_stuck",
    ringbook_mutant = "cancel_lost",
    ringbook_mutant = "crossing_answer"
))]
#[used]
static MARKER: &str = concat!("ringbook-", "mutant", ":present");

/// True in the build that has the named bug.
macro_rules! mutant {
    ($name:literal) => {
        cfg!(ringbook_mutant = $name)
    };
}

pub(crate) use mutant;
