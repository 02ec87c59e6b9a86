//! The journal as cti and the switch see it.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use call::{Cause, Event};
use crm::{Audience, Entry, Journal, Journalled, Result};
use model::{CallId, ClientRef, DialogSnapshot, OpenCall, UserId, Utc};

use crate::{
    Store, client,
    database::{Row, args},
    facts::{Facts, owed},
    failure::Failure,
    words::{from_json, from_word},
};

/// Most entries read at a time.
const MOST_READ: u32 = 1_000;
/// Most entries of one transaction: SQLite takes at most 32,766 arguments, a fact has eight.
const MOST_APPENDED: usize = 1_000;

/// An entry before its participants are known.
struct Found {
    seq: i64,
    event: Event,
    late: bool,
    client: ClientRef,
}

fn decode(row: &mut Row) -> std::result::Result<Found, sqlx::Error> {
    Ok(Found {
        seq: row.int()?,
        event: from_json(&row.text()?)?,
        late: row.flag()?,
        client: client::decode(row)?,
    })
}

fn decode_open(row: &mut Row) -> std::result::Result<OpenCall, sqlx::Error> {
    let call = CallId(row.int()?);
    let arrived_at = Utc::from_micros(row.int()?);
    let started_at = row.opt_int()?.map(Utc::from_micros);
    let cause: Option<Cause> = row.opt_text()?.map(|it| from_word(&it)).transpose()?;
    let missed = row.opt_int()?.is_some_and(|it| it != 0);
    // A conversation that started is missed all the same if the call ended before the caller was answered; after a
    // crash nobody knows whether the caller was.
    let refused = cause.filter(|it| missed || *it == Cause::Crash);
    Ok(OpenCall {
        call,
        arrived_at,
        started_at,
        ended: cause.is_some(),
        refused: refused.map(Cause::sip_status),
        agent: row.opt_int()?.map(UserId),
        recording: row.opt_text()?,
        recorded_ms: None,
        snapshot: row.opt_text()?.map(DialogSnapshot),
    })
}

#[async_trait]
impl Journal<Event> for Store {
    async fn append(&self, batch: Vec<Entry<Event>>) -> Result<Vec<i64>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        if batch.len() > MOST_APPENDED {
            let why = format!("must have at most {MOST_APPENDED} entries");
            return Err(crm::Error::invalid("batch", why));
        }
        self.write_facts(Facts::new(batch)?).await
    }

    async fn read_after(&self, seq: i64, limit: u32) -> Result<Vec<Journalled<Event>>> {
        let sql = "SELECT j.seq, j.body, j.late, c.person_id, c.organisation_id FROM journal j \
                   LEFT JOIN calls c ON c.id = j.call_id \
                   WHERE j.node = $1 AND j.seq > $2 ORDER BY j.seq LIMIT $3";
        let limit = limit.clamp(1, MOST_READ);
        let rows = self
            .rows(sql, &args![i64::from(self.inner.node), seq, limit])
            .await?;
        let found: std::result::Result<Vec<_>, _> =
            rows.into_iter().map(|mut row| decode(&mut row)).collect();
        let found: Vec<Found> = found.map_err(Failure::Database)?;
        let mut calls: Vec<CallId> = found.iter().map(|it| it.event.call).collect();
        calls.sort_unstable();
        calls.dedup();
        let offers = self.participants(&calls).await?;
        let memory = self.inner.shared.memory();
        let entry = |it: Found| {
            let from = offers.partition_point(|(call, _)| *call < it.event.call);
            let of_call = offers[from..]
                .iter()
                .take_while(|(call, _)| *call == it.event.call);
            let audience = owed::audience(&it.event).unwrap_or_else(|| Audience {
                participants: of_call.map(|(_, agent)| *agent).collect(),
                client: it.client,
                owner: memory.index.owner(it.client),
            });
            Journalled {
                seq: it.seq,
                late: it.late,
                audience,
                event: it.event,
            }
        };
        Ok(found.into_iter().map(entry).collect())
    }

    fn last_seq(&self) -> i64 {
        self.inner.progress.seq.load(Ordering::Acquire)
    }

    fn epoch(&self) -> &str {
        &self.inner.epoch
    }

    fn node(&self) -> u16 {
        self.inner.node
    }

    async fn open_calls(&self) -> Result<Vec<OpenCall>> {
        let sql = "SELECT t.id, t.arrived_at, t.started_at, t.cause, t.missed, t.agent, r.file, t.snapshot FROM calls t \
                   LEFT JOIN recordings r ON r.call_id = t.id AND r.ready = 0 WHERE t.node = $1 AND t.id IN \
                   (SELECT o.id FROM calls o WHERE o.node = $1 AND (o.ended_at IS NULL OR o.snapshot IS NOT NULL) \
                   UNION SELECT o.call_id FROM recordings o WHERE o.ready = 0) ORDER BY t.id";
        let rows = self.rows(sql, &args![i64::from(self.inner.node)]).await?;
        let calls: std::result::Result<Vec<_>, _> = rows
            .into_iter()
            .map(|mut row| decode_open(&mut row))
            .collect();
        Ok(calls.map_err(Failure::Database)?)
    }
}
