//! A panic of a media thread, the recorder or the switch ends the process: recovery is that of a crash.

/// Aborts the process when it is dropped by a panic.
pub(crate) struct AbortOnPanic {
    thread: &'static str,
}

impl AbortOnPanic {
    /// Guards the rest of the present scope.
    pub(crate) fn new(thread: &'static str) -> Self {
        Self { thread }
    }
}

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                thread = self.thread,
                "a thread that calls depend on has panicked: the process aborts and recovers at its next start"
            );
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::ExitStatusExt,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn a_panic_under_the_guard_ends_the_process_and_an_ordinary_end_does_not() {
        const INNER: &str = "RINGBOOK_TEST_PANIC";
        if std::env::var_os(INNER).is_some() {
            let thread = std::thread::spawn(|| {
                let _guard = AbortOnPanic::new("test");
                panic!("on purpose");
            });
            let _ = thread.join();
            std::process::exit(0);
        }
        drop(AbortOnPanic::new("test"));
        let status = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "abort::tests::a_panic_under_the_guard_ends_the_process_and_an_ordinary_end_does_not",
            ])
            .env(INNER, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        // SIGABRT.
        assert_eq!(status.signal(), Some(6));
    }
}
