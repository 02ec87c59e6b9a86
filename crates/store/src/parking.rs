//! Where clients were parked: written with the facts of their calls, read with these.

use call::{Cause, Event, EventKind};
use crm::{Call, Parking};
use model::{CallId, UserId, Utc};

use crate::{
    Store,
    database::{Row, Statement, Value, args},
    failure::Outcome,
    select::placeholders,
};

const COLUMNS: &str = "p.call_id, p.place, p.agent, p.parked_at, p.left_at";
/// Of calls that run: what an end leaves open is over with the call.
const NOW: &str =
    "parkings p JOIN calls t ON t.id = p.call_id WHERE p.left_at IS NULL AND t.ended_at IS NULL";

/// What a fact says about places.
pub(crate) fn derive(event: &Event) -> Option<Statement> {
    let (call, at) = (event.call.0, event.at.micros());
    match &event.kind {
        EventKind::Parked { by, place, .. } => Some(Statement::new(
            "INSERT INTO parkings (event_id, call_id, place, agent, parked_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (event_id) DO NOTHING",
            args![event.id.0, call, i64::from(*place), by.0, at],
        )),
        EventKind::Transferred { .. }
        | EventKind::Unclaimed { .. }
        | EventKind::Ended {
            cause: Cause::LeftWhileParked,
            ..
        } => Some(Statement::new(
            "UPDATE parkings SET left_at = $1 WHERE call_id = $2 AND left_at IS NULL",
            args![at, call],
        )),
        _ => None,
    }
}

fn decode(row: &mut Row) -> Result<Parking, sqlx::Error> {
    Ok(Parking {
        call: CallId(row.int()?),
        place: row.int()? as u8,
        by: UserId(row.int()?),
        at: Utc::from_micros(row.int()?),
        left_at: row.opt_int()?.map(Utc::from_micros),
    })
}

impl Store {
    /// Says of calls that run where their clients are parked.
    pub(crate) async fn add_parked(&self, calls: &mut [Call]) -> Outcome<()> {
        let running = calls.iter().filter(|call| call.ended_at.is_none());
        let talked = running.filter(|call| call.started_at.is_some());
        let ids: Vec<Value> = talked.map(|call| Value::Int(Some(call.id.0))).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let those = placeholders(1, ids.len());
        let sql = format!("SELECT {COLUMNS} FROM {NOW} AND p.call_id IN ({those})");
        for mut row in self.rows(&sql, &ids).await? {
            let parking = decode(&mut row)?;
            let its = calls.iter_mut().filter(|call| call.id == parking.call);
            its.for_each(|call| call.parked = Some(parking));
        }
        Ok(())
    }

    /// Every client who is parked now.
    pub(crate) async fn parked_now(&self) -> Outcome<Vec<Parking>> {
        let sql = format!("SELECT {COLUMNS} FROM {NOW} ORDER BY p.place");
        let mut parked = Vec::new();
        for mut row in self.rows(&sql, &args![]).await? {
            parked.push(decode(&mut row)?);
        }
        Ok(parked)
    }

    /// Where the client of this call was parked.
    pub(crate) async fn parkings(&self, call: CallId) -> Outcome<Vec<Parking>> {
        let sql =
            format!("SELECT {COLUMNS} FROM parkings p WHERE p.call_id = $1 ORDER BY p.event_id");
        let mut parkings = Vec::new();
        for mut row in self.rows(&sql, &args![call.0]).await? {
            parkings.push(decode(&mut row)?);
        }
        Ok(parkings)
    }
}
