//! Telling the PBX that its directory changed, and waiting until it has taken the change: what the
//! API acknowledged is effective.

use std::time::Duration;

use tokio::sync::watch;

/// How long an answer waits for the PBX; the change is durable in any case and comes into effect.
const MOST_WAIT: Duration = Duration::from_secs(2);

/// The side of the API.
#[derive(Clone, Debug)]
pub struct DirectoryChanged {
    wanted: watch::Sender<u64>,
    applied: watch::Receiver<u64>,
}

/// The side of the PBX: read the directory anew after [`DirectoryWatch::changed`], hand it over,
/// then say so with [`DirectoryWatch::applied`].
#[derive(Debug)]
pub struct DirectoryWatch {
    wanted: watch::Receiver<u64>,
    applied: watch::Sender<u64>,
}

/// The two ends. Changes that come while one is being applied are applied together.
pub fn channel() -> (DirectoryChanged, DirectoryWatch) {
    let (wanted, wanted_watch) = watch::channel(0);
    let (applied, applied_watch) = watch::channel(0);
    (
        DirectoryChanged {
            wanted,
            applied: applied_watch,
        },
        DirectoryWatch {
            wanted: wanted_watch,
            applied,
        },
    )
}

impl DirectoryChanged {
    /// Says that something changed and waits until the PBX works by it, at most two seconds.
    pub async fn announce(&self) {
        let mut number = 0;
        self.wanted.send_modify(|wanted| {
            *wanted += 1;
            number = *wanted;
        });
        let mut applied = self.applied.clone();
        let done = applied.wait_for(|applied| *applied >= number);
        if let Err(error) = tokio::time::timeout(MOST_WAIT, done).await {
            tracing::warn!(%error, "the PBX has not taken a change of its directory yet");
        }
    }
}

impl DirectoryWatch {
    /// Waits for a change and returns its number; none once the API is gone.
    pub async fn changed(&mut self) -> Option<u64> {
        self.wanted.changed().await.ok()?;
        Some(*self.wanted.borrow_and_update())
    }

    /// The directory read after change `number` is in effect.
    pub fn applied(&self, number: u64) {
        self.applied.send_replace(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_announcement_waits_for_the_pbx() {
        let (changed, mut watch) = channel();
        let pbx = tokio::spawn(async move {
            let mut taken = 0;
            while let Some(number) = watch.changed().await {
                taken = number;
                watch.applied(number);
            }
            taken
        });
        tokio::join!(changed.announce(), changed.announce());
        drop(changed);
        assert_eq!(pbx.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_pbx_that_is_gone_holds_nobody_up() {
        let (changed, watch) = channel();
        drop(watch);
        changed.announce().await;
    }
}
