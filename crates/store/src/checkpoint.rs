//! Keeps SQLite's log short without ever making a transaction wait for it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sqlx::SqliteConnection;

use crate::{connect::Source, database, writer::Progress};

/// How often it is asked whether there is something to do.
const PERIOD: Duration = Duration::from_secs(1);
/// Pieces of work after which the log is copied into the file. Each copy competes with commits
/// for the disk, so a busy company has few of them; a quiet one has them when nothing happens.
const PIECES: u64 = 4_000;
/// Seconds after which it is copied anyway.
const MOST_SECS: u32 = 15;
/// Pages (of 4 KiB) beyond which the log begins anew; the writer waits for that once.
const LONG: i64 = 16_384;

/// Runs until it is aborted.
pub(crate) async fn run(mut conn: SqliteConnection, source: Source, progress: Arc<Progress>) {
    let (mut copied, mut seen, mut secs) = (0, 0, 0);
    loop {
        tokio::time::sleep(PERIOD).await;
        let written = progress.pieces.load(Ordering::Relaxed);
        let quiet = written == std::mem::replace(&mut seen, written);
        secs += 1;
        if written == copied || !(quiet || written - copied > PIECES || secs > MOST_SECS) {
            continue;
        }
        match keep_short(&mut conn).await {
            Ok(()) => (copied, secs) = (written, 0),
            Err(error) => {
                tracing::warn!(%error, "a checkpoint failed; the log grows until one succeeds");
                if let Ok(Some(fresh)) = source.checkpoints().await {
                    conn = fresh;
                }
            }
        }
    }
}

async fn keep_short(conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let copied = database::sqlite_rows(conn, "PRAGMA wal_checkpoint(PASSIVE)", &[]).await?;
    // Columns: whether it was blocked, pages in the log, pages copied.
    let pages = copied.into_iter().next().map(|mut row| {
        row.skip(1);
        row.int()
    });
    if pages.transpose()?.unwrap_or(0) > LONG {
        // Nearly everything has been copied beside the writer: what is left is little.
        database::sqlite_rows(conn, "PRAGMA wal_checkpoint(RESTART)", &[]).await?;
    }
    Ok(())
}
