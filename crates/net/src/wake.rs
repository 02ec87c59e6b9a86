//! Waking a thread that waits in epoll, at the price of a system call only when it really sleeps.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering, fence},
};

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::Notify;

/// An eventfd with a flag that says whether its reader sleeps. A reader that is a task waits for
/// [`Wake::woken`] instead of the descriptor.
///
/// The reader calls [`Wake::announce_sleep`], looks at its queues once more, blocks on the descriptor, and
/// calls [`Wake::awake`]. A writer pushes into its queue and calls [`Wake::notify`]. The two fences make sure
/// that either the reader sees the entry or the writer sees the sleeper.
#[derive(Debug)]
pub(crate) struct Wake {
    fd: OwnedFd,
    asleep: AtomicBool,
    /// The reader is a task: the descriptor is left alone.
    is_task: AtomicBool,
    task: Notify,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            fd: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            asleep: AtomicBool::new(false),
            is_task: AtomicBool::new(false),
            task: Notify::new(),
        })
    }

    /// Says that there is something in a queue of the reader.
    pub(crate) fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            if self.is_task.load(Ordering::Relaxed) {
                return self.task.notify_one();
            }
            // It fails only when the counter is full, and then the reader is woken anyway.
            let _ = rustix::io::write(&self.fd, &1_u64.to_ne_bytes());
        }
    }

    /// From now on the reader is a task, which waits for [`Wake::woken`].
    pub(crate) fn read_by_task(&self) {
        self.is_task.store(true, Ordering::Relaxed);
        // Whoever looked just before has written to the descriptor.
        self.task.notify_one();
    }

    /// Ends when somebody notified a sleeper; perhaps one time too often.
    pub(crate) async fn woken(&self) {
        self.task.notified().await;
    }

    /// The reader is about to sleep; it must look at its queues once more after this.
    pub(crate) fn announce_sleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The reader is awake again, or did not go to sleep after all.
    pub(crate) fn awake(&self) {
        if !self.asleep.swap(false, Ordering::AcqRel) && !self.is_task.load(Ordering::Relaxed) {
            let mut count = [0; 8];
            let _ = rustix::io::read(&self.fd, &mut count);
        }
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn readable(wake: &Wake) -> bool {
        let mut fds = [PollFd::new(wake, PollFlags::IN)];
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut fds, Some(&zero)).unwrap() == 1
    }

    #[test]
    fn only_a_sleeper_costs_a_system_call_and_it_is_woken_once() {
        let wake = Wake::new().unwrap();
        wake.notify();
        assert!(!readable(&wake));
        wake.announce_sleep();
        wake.notify();
        wake.notify();
        assert!(readable(&wake));
        wake.awake();
        assert!(!readable(&wake));
    }

    #[test]
    fn whoever_changes_their_mind_about_sleeping_is_not_woken_later() {
        let wake = Wake::new().unwrap();
        wake.announce_sleep();
        wake.awake();
        wake.notify();
        assert!(!readable(&wake));
    }
}
