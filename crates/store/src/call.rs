//! Calls as people look them up.

use std::sync::Arc;

use async_trait::async_trait;
use call::{Event, EventKind};
use crm::{
    Audience, Call, CallFilter, Calls, Error, Offer, Page, PageRequest, Parking, ReceptionStep,
    Recording, RecordingPause, Result, Route,
};
use model::{CallId, DeviceId, Explanation, LineId, RecordingId, TrunkId, UserId, Utc};

use crate::{
    Store, client,
    database::{Row, Value, args},
    failure::{Failure, Outcome},
    rights,
    select::{self, Order, Select, placeholders},
    words::{from_json, from_word},
};

const COLUMNS: &str = "t.id, t.direction, t.trunk_id, t.line_id, t.number_from, t.number_to, t.person_id, \
     t.organisation_id, t.client_name, t.agent, t.arrived_at, t.answered_at, t.queued_at, t.started_at, t.ended_at, t.cause, \
     t.ended_by, t.talk_ms, t.wait_ms, t.missed, t.transferred_to";
pub(crate) const RECORDING: &str = "r.id, r.file, r.started_at, r.ready, r.length_ms, r.bytes, r.gaps_ms, r.gaps, \
     r.error, r.mp3_bytes, r.mp3_error, r.wav_removed_at, r.mp3_removed_at";
const FROM: &str = "calls t LEFT JOIN recordings r ON r.call_id = t.id";

fn decode(row: &mut Row) -> std::result::Result<Call, sqlx::Error> {
    let id = CallId(row.int()?);
    Ok(Call {
        id,
        direction: from_word(&row.text()?)?,
        trunk: row.opt_int()?.map(TrunkId),
        line: row.opt_int()?.map(LineId),
        from: row.text()?,
        to: row.text()?,
        client: client::decode(row)?,
        client_name: row.opt_text()?,
        agent: row.opt_int()?.map(UserId),
        arrived_at: Utc::from_micros(row.int()?),
        answered_at: row.opt_int()?.map(Utc::from_micros),
        queued_at: row.opt_int()?.map(Utc::from_micros),
        started_at: row.opt_int()?.map(Utc::from_micros),
        ended_at: row.opt_int()?.map(Utc::from_micros),
        cause: row.opt_text()?,
        ended_by: row.opt_text()?,
        talk_ms: row.opt_int()?.unwrap_or(0).unsigned_abs(),
        wait_ms: row.opt_int()?.unwrap_or(0).unsigned_abs(),
        missed: row.flag()?,
        transferred_to: row.opt_text()?,
        recording: recording(row, id)?,
        pauses: Vec::new(),
        parked: None,
    })
}

pub(crate) fn recording(
    row: &mut Row,
    call: CallId,
) -> std::result::Result<Option<Recording>, sqlx::Error> {
    let Some(id) = row.opt_int()? else {
        return Ok(None);
    };
    Ok(Some(Recording {
        id: RecordingId(id),
        call,
        file: row.text()?,
        started_at: Utc::from_micros(row.int()?),
        ready: row.flag()?,
        length_ms: row.int()?.unsigned_abs(),
        bytes: row.int()?.unsigned_abs(),
        gaps_ms: row.int()?.unsigned_abs(),
        gaps: match row.opt_text()? {
            Some(gaps) => from_json(&gaps)?,
            None => Vec::new(),
        },
        error: row.opt_text()?,
        mp3_bytes: row.opt_int()?.map(i64::unsigned_abs),
        mp3_error: row.opt_text()?,
        wav_removed_at: row.opt_int()?.map(Utc::from_micros),
        mp3_removed_at: row.opt_int()?.map(Utc::from_micros),
    }))
}

/// The explanation of an offer, from its event.
fn explanation(body: &str) -> std::result::Result<Explanation, sqlx::Error> {
    match from_json::<Event>(body)?.kind {
        EventKind::Offered { explanation, .. } => Ok(Arc::unwrap_or_clone(explanation)),
        other => Err(sqlx::Error::Decode(
            format!("{} stands where an offer should", other.name()).into(),
        )),
    }
}

fn decode_offer(row: &mut Row) -> std::result::Result<Offer, sqlx::Error> {
    Ok(Offer {
        agent: UserId(row.int()?),
        agent_name: row.opt_text()?,
        attempt: row.int()? as u16,
        rule: from_json(&row.text()?)?,
        explanation: explanation(&row.text()?)?,
        owner: row.opt_int()?.map(UserId),
        offered_at: Utc::from_micros(row.int()?),
        ringing_at: row.opt_int()?.map(Utc::from_micros),
        accepted_at: row.opt_int()?.map(Utc::from_micros),
        device: row.opt_int()?.map(DeviceId),
        end: row.opt_text()?,
        lead_us: row.opt_int()?.map(i64::unsigned_abs),
        lead_confirmed: row.flag()?,
        lead_clients: row.opt_int()?.unwrap_or(0) as u32,
    })
}

fn decode_step(row: &mut Row) -> std::result::Result<ReceptionStep, sqlx::Error> {
    Ok(ReceptionStep {
        at: Utc::from_micros(row.int()?),
        what: from_json(&row.text()?)?,
    })
}

#[async_trait]
impl Calls for Store {
    async fn read(&self, id: CallId) -> Result<Call> {
        let sql = format!("SELECT {COLUMNS}, {RECORDING} FROM {FROM} WHERE t.id = $1");
        let rows = self.rows(&sql, &args![id.0]).await?;
        let mut row = rows.into_iter().next().ok_or(Error::NotFound("call"))?;
        let mut call = [decode(&mut row).map_err(Failure::Database)?];
        self.add_pauses(&mut call).await?;
        self.add_parked(&mut call).await?;
        let [call] = call;
        Ok(call)
    }

    async fn list(&self, filter: &CallFilter, page: &PageRequest) -> Result<Page<Call>> {
        let mut select = Select::new(format!(
            "SELECT {COLUMNS}, {RECORDING} FROM {FROM} WHERE 1 = 1"
        ));
        const TOOK_PART: &str = "t.id IN (SELECT vo.call_id FROM offers vo WHERE vo.agent = ?)";
        if let Some(agent) = filter.agent {
            select.and(TOOK_PART, args![agent.0]);
        }
        of_client(&mut select, "person_id", filter.person.map(|it| it.0));
        of_client(
            &mut select,
            "organisation_id",
            filter.organisation.map(|it| it.0),
        );
        select.and_int("t.line_id", filter.line.map(|it| it.0));
        if let Some(number) = &filter.number {
            let normal = self.inner.shared.normal(number);
            select.and("t.number_client = ?", args![normal.normal.as_str()]);
        }
        select.and_int("COALESCE(t.missed, 0)", filter.missed.map(i64::from));
        if let Some(since) = filter.since {
            select.and("t.arrived_at >= ?", args![since.micros()]);
        }
        if let Some(before) = filter.before {
            select.and("t.arrived_at < ?", args![before.micros()]);
        }
        rights::narrow(
            &mut select,
            filter.visible_to,
            rights::OF_CLIENT,
            Some(TOOK_PART),
        );
        let (sql, args) = select.paged("t.", Order::Newest, page)?;
        let rows = self.rows(&sql, &args).await?;
        let items: std::result::Result<Vec<_>, _> =
            rows.into_iter().map(|mut row| decode(&mut row)).collect();
        let mut items = items.map_err(Failure::Database)?;
        self.add_pauses(&mut items).await?;
        self.add_parked(&mut items).await?;
        Ok(select::page(items, page, |it| (String::new(), it.id.0)))
    }

    async fn route(&self, id: CallId) -> Result<Route> {
        let sql = "SELECT caller, exhausted, queued FROM calls WHERE id = $1";
        let rows = self.rows(sql, &args![id.0]).await?;
        let mut row = rows.into_iter().next().ok_or(Error::NotFound("call"))?;
        let mut read = || {
            let caller = from_json(&row.text()?)?;
            let exhausted = row.opt_text()?.map(|text| from_json(&text)).transpose()?;
            let queued = row.opt_text()?.map(|text| from_json(&text)).transpose()?;
            Ok::<_, sqlx::Error>((caller, exhausted, queued))
        };
        let (caller, exhausted, queued) = read().map_err(Failure::Database)?;
        let sql = "SELECT o.agent, u.name, o.attempt, o.rule, j.body, o.owner, o.offered_at, \
                   o.ringing_at, o.accepted_at, o.device_id, o.ended, o.lead_us, o.lead_confirmed, \
                   o.lead_clients FROM offers o JOIN journal j ON j.id = o.event_id \
                   LEFT JOIN users u ON u.id = o.agent \
                   WHERE o.call_id = $1 ORDER BY o.attempt";
        let rows = self.rows(sql, &args![id.0]).await?;
        let offers: std::result::Result<Vec<_>, _> = rows
            .into_iter()
            .map(|mut row| decode_offer(&mut row))
            .collect();
        let sql = "SELECT at, step FROM receptions WHERE call_id = $1 ORDER BY event_id";
        let mut received = Vec::new();
        for mut row in self.rows(sql, &args![id.0]).await? {
            received.push(decode_step(&mut row).map_err(Failure::Database)?);
        }
        Ok(Route {
            call: id,
            caller,
            received,
            offers: offers.map_err(Failure::Database)?,
            queued,
            parkings: self.parkings(id).await?,
            exhausted,
        })
    }

    async fn parked(&self) -> Result<Vec<Parking>> {
        Ok(self.parked_now().await?)
    }

    async fn audience(&self, id: CallId) -> Result<Audience> {
        let sql = "SELECT person_id, organisation_id FROM calls WHERE id = $1";
        let rows = self.rows(sql, &args![id.0]).await?;
        let mut row = rows.into_iter().next().ok_or(Error::NotFound("call"))?;
        let client = client::decode(&mut row).map_err(Failure::Database)?;
        let mut participants = self.participants(&[id]).await?;
        Ok(Audience {
            participants: participants.drain(..).map(|(_, agent)| agent).collect(),
            client,
            owner: self.inner.shared.memory().index.owner(client),
        })
    }

    async fn by_number(&self, number: &str, limit: u32) -> Result<Vec<Call>> {
        let filter = CallFilter {
            number: Some(number.to_owned()),
            ..CallFilter::default()
        };
        Ok(Calls::list(self, &filter, &PageRequest::first(limit))
            .await?
            .items)
    }
}

/// Calls have no index by client, which every arriving call would have to write: the history has
/// one, and the calls that it lacks are those that run.
fn of_client(select: &mut Select, column: &str, id: Option<i64>) {
    if id.is_some() {
        let condition = format!(
            "t.id IN (SELECT i.call_id FROM interactions i WHERE i.{column} = ? UNION \
             SELECT c.id FROM calls c WHERE c.ended_at IS NULL AND c.{column} = ?)"
        );
        select.and(&condition, args![id, id]);
    }
}

impl Store {
    /// Says of recorded calls where they were paused.
    async fn add_pauses(&self, calls: &mut [Call]) -> Outcome<()> {
        let recorded = calls.iter().filter(|call| call.recording.is_some());
        let ids: Vec<Value> = recorded.map(|call| Value::Int(Some(call.id.0))).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "SELECT call_id, at_ms, length_ms, paused_by, resumed_by FROM recording_pauses \
             WHERE call_id IN ({}) ORDER BY call_id, at_ms",
            placeholders(1, ids.len())
        );
        for mut row in self.rows(&sql, &ids).await? {
            let of = CallId(row.int()?);
            let pause = RecordingPause {
                at_ms: row.int()?.unsigned_abs(),
                length_ms: row.opt_int()?.map(i64::unsigned_abs),
                paused_by: UserId(row.int()?),
                resumed_by: row.opt_int()?.map(UserId),
            };
            let its = calls.iter_mut().filter(|call| call.id == of);
            its.for_each(|call| call.pauses.push(pause));
        }
        Ok(())
    }

    /// Who was offered these calls, in the order of the offers.
    pub(crate) async fn participants(&self, calls: &[CallId]) -> Outcome<Vec<(CallId, UserId)>> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT call_id, agent FROM offers WHERE call_id IN ({}) ORDER BY call_id, attempt",
            placeholders(1, calls.len())
        );
        let ids: Vec<Value> = calls.iter().map(|it| Value::Int(Some(it.0))).collect();
        let mut found = Vec::new();
        for mut row in self.rows(&sql, &ids).await? {
            let offer = (CallId(row.int()?), UserId(row.int()?));
            if !found.contains(&offer) {
                found.push(offer);
            }
        }
        Ok(found)
    }
}
