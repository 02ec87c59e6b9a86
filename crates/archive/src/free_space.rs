//! Watches how much room the disk of the recordings has left.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::fs::statvfs;

/// How often it is looked at.
const PERIOD: Duration = Duration::from_secs(60);

/// Looks at the free space of a folder until it is dropped.
#[derive(Debug)]
pub struct FreeSpace {
    folder: PathBuf,
    alarm_bytes: u64,
    free: Arc<AtomicU64>,
    is_low: bool,
}

/// What the log has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Low,
    Enough,
}

impl FreeSpace {
    /// Warns when fewer than `alarm_bytes` are free where `folder` is; 0 never warns.
    #[must_use]
    pub fn new(folder: PathBuf, alarm_bytes: u64) -> Self {
        Self {
            folder,
            alarm_bytes,
            free: Arc::default(),
            is_low: false,
        }
    }

    /// Bytes that were free when it was last looked at.
    #[must_use]
    pub fn free_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.free)
    }

    /// Looks now and every minute, for ever.
    pub async fn run(mut self) {
        loop {
            let folder = self.folder.clone();
            // A disk that hangs must not hold up a thread on which others work.
            let looked = tokio::task::spawn_blocking(move || free_bytes(&folder)).await;
            match looked.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Ok(free) => self.take(free),
                Err(error) => {
                    tracing::warn!(%error, folder = %self.folder.display(), "the free space of the recordings folder cannot be read");
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    fn take(&mut self, free: u64) {
        self.free.store(free, Ordering::Relaxed);
        let change = self.judge(free);
        let (folder, free_mb) = (self.folder.display(), free >> 20);
        match change {
            Some(Change::Low) => tracing::error!(
                %folder,
                free_mb,
                "the disk of the recordings is getting full; make room, or recordings will have gaps"
            ),
            Some(Change::Enough) => {
                tracing::info!(%folder, free_mb, "the disk of the recordings has room again");
            }
            None => {}
        }
    }

    fn judge(&mut self, free: u64) -> Option<Change> {
        let is_low = free < self.alarm_bytes;
        let was_low = std::mem::replace(&mut self.is_low, is_low);
        (is_low != was_low).then_some(if is_low { Change::Low } else { Change::Enough })
    }
}

/// What a process without special rights may still write.
fn free_bytes(folder: &Path) -> io::Result<u64> {
    let space = statvfs(folder)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_warns_once_and_says_when_there_is_room_again() {
        let mut space = FreeSpace::new(PathBuf::new(), 100);
        let told: Vec<_> = [500, 100, 99, 10, 99, 100, 500, 0]
            .map(|free| space.judge(free))
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(told, [Change::Low, Change::Enough, Change::Low]);
        let mut never = FreeSpace::new(PathBuf::new(), 0);
        assert_eq!(never.judge(0), None);
    }

    #[test]
    fn the_free_space_of_a_folder_can_be_read_and_of_none_cannot() {
        assert!(free_bytes(&std::env::temp_dir()).unwrap() > 0);
        assert!(free_bytes(Path::new("/nowhere/at/all")).is_err());
    }
}
