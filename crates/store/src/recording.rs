//! Recordings after hang-up.

use std::time::Duration;

use async_trait::async_trait;
use crm::{Mp3, Recording, Recordings, Result, SoundFile, WavFile};
use model::{CallId, RecordingId, Utc};

use crate::{
    Store,
    call::{self, RECORDING},
    database::{Row, Value, args},
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
        self.recordings(&sql, &args).await
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

    async fn older_than(
        &self,
        before: Utc,
        file: SoundFile,
        (start, id): (Utc, RecordingId),
        limit: u32,
    ) -> Result<Vec<Recording>> {
        let there = match file {
            SoundFile::Wav => "r.wav_removed_at IS NULL",
            SoundFile::Mp3 => "r.mp3_bytes IS NOT NULL AND r.mp3_removed_at IS NULL",
        };
        let sql = format!(
            "SELECT r.call_id, {RECORDING} FROM recordings r JOIN calls t ON t.id = r.call_id \
             WHERE r.ready = 1 AND r.length_ms > 0 AND {there} AND r.started_at < $1 \
             AND (r.started_at, r.id) > ($2, $3) AND t.node = $4 ORDER BY r.started_at, r.id LIMIT $5"
        );
        let node = i64::from(self.inner.node);
        let limit = limit.clamp(1, MOST_READ);
        let args = args![before.micros(), start.micros(), id.0, node, limit];
        self.recordings(&sql, &args).await
    }

    async fn mark_removed(&self, ids: Vec<RecordingId>, file: SoundFile) -> Result<()> {
        self.write(MarkRemoved { ids, file }).await
    }

    async fn half_removed(&self, after: RecordingId, limit: u32) -> Result<Vec<Recording>> {
        let sql = format!(
            "SELECT r.call_id, {RECORDING} FROM recordings r JOIN calls t ON t.id = r.call_id \
             WHERE r.removing = 1 AND r.id > $1 AND t.node = $2 ORDER BY r.id LIMIT $3"
        );
        let node = i64::from(self.inner.node);
        let args = args![after.0, node, limit.clamp(1, MOST_READ)];
        self.recordings(&sql, &args).await
    }

    async fn set_gone(&self, ids: Vec<RecordingId>) -> Result<()> {
        self.write(SetGone { ids }).await
    }
}

impl Store {
    /// Rows of a call's id and [`RECORDING`].
    async fn recordings(&self, sql: &str, args: &[Value]) -> Result<Vec<Recording>> {
        let decode = |mut row: Row| {
            let call = CallId(row.int()?);
            call::recording(&mut row, call)
        };
        let rows = self.rows(sql, args).await?;
        let found: std::result::Result<Vec<_>, _> = rows.into_iter().map(decode).collect();
        let found = found.map_err(Failure::Database)?;
        Ok(found.into_iter().flatten().collect())
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

struct MarkRemoved {
    ids: Vec<RecordingId>,
    file: SoundFile,
}

#[async_trait]
impl Change for MarkRemoved {
    type Output = ();

    async fn apply(&self, writing: &mut Writing) -> Outcome<()> {
        let sql = match self.file {
            SoundFile::Wav => {
                "UPDATE recordings SET wav_removed_at = $1, removing = 1 WHERE id = $2"
            }
            SoundFile::Mp3 => {
                "UPDATE recordings SET mp3_removed_at = $1, removing = 1 WHERE id = $2"
            }
        };
        for id in &self.ids {
            let args = args![writing.now.micros(), id.0];
            writing.conn.execute(sql, &args).await?;
        }
        Ok(())
    }
}

struct SetGone {
    ids: Vec<RecordingId>,
}

#[async_trait]
impl Change for SetGone {
    type Output = ();

    async fn apply(&self, writing: &mut Writing) -> Outcome<()> {
        for id in &self.ids {
            let sql = "UPDATE recordings SET removing = 0 WHERE id = $1";
            writing.conn.execute(sql, &args![id.0]).await?;
        }
        Ok(())
    }
}
