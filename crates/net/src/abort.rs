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
