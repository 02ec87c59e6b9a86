//! Keeps SQLite's log short without ever making a transaction wait for it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::{connect::Source, database::Connection, dialect, writer::Progress};

/// How often the log is looked after.
const PERIOD: Duration = Duration::from_secs(1);
/// Pages (of 4 KiB) beyond which the log begins anew; the writer waits for that once.
const LONG: i64 = 16_384;

/// Runs until it is aborted.
pub(crate) async fn run(mut conn: Connection, source: Source, progress: Arc<Progress>) {
    let mut done = 0;
    loop {
        tokio::time::sleep(PERIOD).await;
        let written = progress.transactions.load(Ordering::Relaxed);
        if written == done {
            continue;
        }
        match keep_short(&mut conn).await {
            Ok(()) => done = written,
            Err(error) => {
                tracing::warn!(%error, "a checkpoint failed; the log grows until one succeeds");
                if let Ok(fresh) = source.writer().await {
                    conn = fresh;
                }
            }
        }
    }
}

async fn keep_short(conn: &mut Connection) -> Result<(), sqlx::Error> {
    let pages = dialect::checkpoint(conn, false).await?;
    if pages > LONG {
        dialect::checkpoint(conn, true).await?;
    }
    Ok(())
}
