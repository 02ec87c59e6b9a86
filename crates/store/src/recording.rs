//! Recordings after hang-up.

use std::time::Duration;

use async_trait::async_trait;
use crm::{Mp3, Recording, Recordings, Result, WavFile};
use model::{CallId, RecordingId};

use crate::{
    Store,
    call::{self, RECORDING},
    database::{Row, args},
    failure::{Failure, Outcome},
    work::Change,
    writer::Writing,
};

/// Most recordings read at a time.
const MOST_READ: u32 = 1_000;

fn decode(row: &mut Row) -> std::result::Result<WavFile, sqlx::Error> {
    Ok(WavFile {
        id: RecordingId(row.int()?),
        file: row.text()?,
        length: Duration::from_millis(row.int()?.unsigned_abs()),
    })
}

#[async_trait]
impl Recordings for Store {
    async fn without_mp3(&self, limit: u32) -> Result<Vec<WavFile>> {
        let sql = "SELECT r.id, r.file, r.length_ms FROM recordings r JOIN calls t ON t.id = r.call_id \
                   WHERE r.ready = 1 AND r.mp3_at IS NULL AND r.length_ms > 0 AND t.node = $1 \
                   ORDER BY r.id LIMIT $2";
        let limit = limit.clamp(1, MOST_READ);
        let args = args![i64::from(self.inner.node), limit];
        let rows = self.rows(sql, &args).await?;
        let files: std::result::Result<Vec<_>, _> =
            rows.into_iter().map(|mut row| decode(&mut row)).collect();
        Ok(files.map_err(Failure::Database)?)
    }

    async fn after(&self, after: RecordingId, limit: u32) -> Result<Vec<Recording>> {
        let sql = format!(
            "SELECT r.call_id, {RECORDING} FROM recordings r JOIN calls t ON t.id = r.call_id \
             WHERE r.id > $1 AND t.node = $2 ORDER BY r.id LIMIT $3"
        );
        let node = i64::from(self.inner.node);
        let args = args![after.0, node, limit.clamp(1, MOST_READ)];
        let rows = self.rows(&sql, &args).await?;
        let decode = |mut row: Row| {
            let call = CallId(row.int()?);
            call::recording(&mut row, call)
        };
        let found: std::result::Result<Vec<_>, _> = rows.into_iter().map(decode).collect();
        Ok(found
            .map_err(Failure::Database)?
            .into_iter()
            .flatten()
            .collect())
    }

    async fn conversations_without(&self) -> Result<u64> {
        let sql = "SELECT COUNT(*) FROM calls t WHERE t.node = $1 AND t.started_at IS NOT NULL \
                   AND NOT EXISTS (SELECT 1 FROM recordings r WHERE r.call_id = t.id)";
        let rows = self.rows(sql, &args![i64::from(self.inner.node)]).await?;
        let count = rows.into_iter().next().map(|mut row| row.int());
        let count = count.transpose().map_err(Failure::Database)?;
        Ok(count.unwrap_or(0).unsigned_abs())
    }

    async fn set_mp3(&self, id: RecordingId, mp3: Mp3) -> Result<()> {
        self.write(SetMp3 { id, mp3 }).await
    }
}

struct SetMp3 {
    id: RecordingId,
    mp3: Mp3,
}

#[async_trait]
impl Change for SetMp3 {
    type Output = ();

    async fn apply(&self, writing: &mut Writing) -> Outcome<()> {
        let (bytes, reason) = match &self.mp3 {
            Mp3::Made { bytes } => (Some(*bytes as i64), None),
            Mp3::Failed { reason } => (None, Some(reason.as_str())),
        };
        let sql = "UPDATE recordings SET mp3_at = $1, mp3_bytes = $2, mp3_error = $3 WHERE id = $4";
        let args = args![writing.now.micros(), bytes, reason, self.id.0];
        writing.conn.execute(sql, &args).await?;
        Ok(())
    }
}
