//! What ended calls mean for calls back that are owed (H5). Only here, inside the transaction that
//! writes the end of the call, is it known whether one is owed already; so the facts
//! `obligation.opened` and `obligation.closed` are made here and follow the facts that were given.

use call::{Event, EventKind};
use crm::{
    Audience, Direction, Obligation, ObligationClosing,
    obligation::{self, Consequence, Creditor, LEAST_TALK_MS, USUAL_CALLBACK_MINUTES},
};
use model::{CallId, ClientRef, EventId, LineId, ObligationEnd, ObligationId, UserId, Utc};

use super::journal;
use crate::{
    client,
    database::{Row, Value, args},
    obligation::find,
    words::{from_word, json},
    writer::Writing,
};

type Made<T> = Result<T, sqlx::Error>;

/// What of an ended call counts here.
struct Ended {
    call: CallId,
    client: ClientRef,
    client_name: Option<String>,
    /// The client's number in its normal form; empty if withheld.
    number: String,
    line: Option<LineId>,
    callback_minutes: u32,
    last_offered: Option<UserId>,
    at: Utc,
    /// When the office opens that was closed.
    opens_at: Option<Utc>,
    consequence: Option<Consequence>,
}

/// Opens, joins or closes what this fact, new in the journal, asks for.
pub(crate) async fn follow(writing: &mut Writing, event: &Event) -> Made<()> {
    let may_open = match event.kind {
        EventKind::Ended {
            missed, talk_ms, ..
        } if missed || talk_ms >= LEAST_TALK_MS => missed,
        // Who it was may become known after the conversation.
        EventKind::Identified { .. } => false,
        _ => return Ok(()),
    };
    let Some(ended) = read(writing, event.call).await? else {
        return Ok(());
    };
    match ended.consequence {
        Some(Consequence::Opens) if may_open => open(writing, &ended).await,
        Some(Consequence::Closes) => settle(writing, &ended).await,
        _ => Ok(()),
    }
}

/// Who may see a fact about an obligation, whatever the call: the agent responsible; with nobody
/// responsible, everybody. None for other facts.
pub(crate) fn audience(event: &Event) -> Option<Audience> {
    match &event.kind {
        EventKind::ObligationOpened {
            client,
            responsible,
            ..
        }
        | EventKind::ObligationClosed {
            client,
            responsible,
            ..
        } => Some(Audience {
            participants: Vec::new(),
            client: *client,
            owner: *responsible,
        }),
        _ => None,
    }
}

async fn read(writing: &mut Writing, call: CallId) -> Made<Option<Ended>> {
    let sql = "SELECT c.direction, c.person_id, c.organisation_id, c.client_name, c.number_from, c.number_to, \
               c.line_id, l.callback_minutes, c.agent, c.ended_at, \
               (SELECT MAX(r.opens_at) FROM receptions r WHERE r.call_id = c.id), c.missed, c.talk_ms \
               FROM calls c LEFT JOIN lines l ON l.id = c.line_id WHERE c.id = $1 AND c.ended_at IS NOT NULL";
    let rows = writing.conn.rows(sql, &args![call.0]).await?;
    let row = rows.into_iter().next();
    let mut ended = row.map(|mut row| decode(&mut row, call)).transpose()?;
    if let Some(ended) = &mut ended {
        // What we dialled stands as it was dialled.
        ended.number = writing.shared.normal(&ended.number).normal.clone();
    }
    Ok(ended)
}

fn decode(row: &mut Row, call: CallId) -> Made<Ended> {
    let direction: Direction = from_word(&row.text()?)?;
    let (client, client_name) = (client::decode(row)?, row.opt_text()?);
    let (from, to) = (row.text()?, row.text()?);
    let line = row.opt_int()?.map(LineId);
    let minutes = row.opt_int()?.and_then(|it| u32::try_from(it).ok());
    let last_offered = row.opt_int()?.map(UserId);
    let at = Utc::from_micros(row.int()?);
    let opens_at = row.opt_int()?.map(Utc::from_micros);
    let (missed, talk_ms) = (row.flag()?, row.opt_int()?.unwrap_or(0).unsigned_abs());
    Ok(Ended {
        call,
        client,
        client_name,
        number: match direction {
            Direction::Inbound => from,
            Direction::Outbound | Direction::Internal => to,
        },
        line,
        callback_minutes: minutes.unwrap_or(USUAL_CALLBACK_MINUTES),
        last_offered,
        at,
        opens_at,
        consequence: obligation::consequence(direction, missed, talk_ms),
    })
}

/// The manager, or who stands in during an absence (R6); nobody, which is everybody, if they are absent too.
async fn present(writing: &mut Writing, manager: UserId, ended: &Ended) -> Made<Option<UserId>> {
    let sql = "SELECT a.deputy, u.deputy FROM absences a JOIN users u ON u.id = a.user_id \
               WHERE a.user_id = $1 AND a.removed_at IS NULL AND a.from_at <= $2 AND a.until_at > $2 \
               ORDER BY a.id LIMIT 1";
    let at = ended.at.micros();
    let absent = writing.conn.rows(sql, &args![manager.0, at]).await?;
    let Some(mut absence) = absent.into_iter().next() else {
        return Ok(Some(manager));
    };
    let deputies = [absence.opt_int()?, absence.opt_int()?].map(|it| it.map(UserId));
    for deputy in deputies.into_iter().chain([ended.last_offered]).flatten() {
        let absences = writing.conn.rows(sql, &args![deputy.0, at]).await?;
        if deputy != manager && absences.is_empty() {
            return Ok(Some(deputy));
        }
    }
    Ok(None)
}

/// A missed call opens an obligation or joins the one that is open.
async fn open(writing: &mut Writing, ended: &Ended) -> Made<()> {
    let Some(creditor) = Creditor::of(ended.client, &ended.number) else {
        return Ok(());
    };
    if join(writing, ended, &creditor).await? {
        return Ok(());
    }
    let id = ObligationId(writing.make_id());
    let owner = writing.shared.memory().index.owner(ended.client);
    let responsible = match owner {
        Some(owner) => present(writing, owner, ended).await?,
        None => ended.last_offered,
    };
    // Nobody calls back from a closed office.
    let from = ended.opens_at.map_or(ended.at, |opens| opens.max(ended.at));
    let due = obligation::due(from, ended.callback_minutes);
    let sql = "INSERT INTO obligations (id, creditor, person_id, organisation_id, number, line_id, responsible, \
               opened_at, due, missed_calls, first_call, last_call, last_missed_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $10, $8) \
               ON CONFLICT (creditor) WHERE closed_at IS NULL DO NOTHING";
    let values = args![
        id.0,
        creditor.key(),
        ended.client.person.map(|it| it.0),
        ended.client.organisation.map(|it| it.0),
        ended.number.as_str(),
        ended.line.map(|it| it.0),
        responsible.map(|it| it.0),
        ended.at.micros(),
        due.micros(),
        ended.call.0,
    ];
    if writing.conn.execute(sql, &values).await? == 0 {
        // Another node was faster.
        return join(writing, ended, &creditor).await.map(drop);
    }
    let opened = EventKind::ObligationOpened {
        obligation: id,
        client: ended.client,
        client_name: ended.client_name.clone(),
        number: ended.number.clone(),
        line: ended.line,
        responsible,
        due,
    };
    note(writing, ended.call, ended.at, opened).await
}

/// Counts a further missed call; false if nothing is owed to this client.
async fn join(writing: &mut Writing, ended: &Ended, creditor: &Creditor) -> Made<bool> {
    let number = Creditor::Number(ended.number.clone());
    let (condition, values) = match creditor {
        // Who called before may have called unrecognised, or have been removed since.
        Creditor::Number(number) => ("number = $1", args![number.as_str()]),
        known => ("creditor IN ($1, $2)", args![known.key(), number.key()]),
    };
    // What is owed to the person goes before what is owed to the number.
    let sql = format!(
        "SELECT id FROM obligations WHERE closed_at IS NULL AND {condition} \
         ORDER BY CASE WHEN person_id IS NULL AND organisation_id IS NULL THEN 1 ELSE 0 END, id LIMIT 1"
    );
    let found = writing.conn.rows(&sql, &values).await?.into_iter().next();
    let Some(mut found) = found else {
        return Ok(false);
    };
    let sql = "UPDATE obligations SET missed_calls = missed_calls + 1, last_call = $1, last_missed_at = $2, \
               number = COALESCE($3, number) WHERE id = $4 AND closed_at IS NULL";
    let number = Some(ended.number.as_str()).filter(|it| !it.is_empty());
    let values = args![ended.call.0, ended.at.micros(), number, found.int()?];
    Ok(writing.conn.execute(sql, &values).await? > 0)
}

/// A conversation closes everything that is owed to the one who talked.
async fn settle(writing: &mut Writing, ended: &Ended) -> Made<()> {
    let Some(creditor) = Creditor::of(ended.client, &ended.number) else {
        return Ok(());
    };
    let (condition, values) = match &creditor {
        Creditor::Number(number) => ("t.number = $1", args![number.as_str()]),
        known => (
            "t.creditor IN (SELECT CAST($1 AS TEXT) UNION ALL SELECT CAST($2 AS TEXT) \
             UNION ALL SELECT CAST($3 AS TEXT) UNION ALL SELECT 'organisation:' || CAST(m.organisation_id AS TEXT) \
             FROM memberships m WHERE m.person_id = $4)",
            settled(ended, known),
        ),
    };
    let condition = format!("t.closed_at IS NULL AND {condition} ORDER BY t.id");
    for found in find(writing, &condition, &values).await? {
        let closing = ObligationClosing {
            at: ended.at,
            end: ObligationEnd::Conversation {
                closed_call: ended.call,
            },
        };
        close(writing, &found, &closing).await?;
    }
    Ok(())
}

/// The client, the organisation that the client stands for, the number, and the person who may
/// stand for further ones.
fn settled(ended: &Ended, creditor: &Creditor) -> Vec<Value> {
    let organisation = ended.client.organisation.map(Creditor::Organisation);
    args![
        creditor.key(),
        organisation.map(|it| it.key()),
        Creditor::Number(ended.number.clone()).key(),
        ended.client.person.map(|it| it.0),
    ]
}

/// Closes one and says so in the journal; false if it is closed already.
pub(crate) async fn close(
    writing: &mut Writing,
    found: &Obligation,
    closing: &ObligationClosing,
) -> Made<bool> {
    let (call, waived) = match &closing.end {
        ObligationEnd::Conversation { closed_call } => (Some(*closed_call), None),
        ObligationEnd::Waived { waived_by, reason } => (None, Some((waived_by.0, reason.as_str()))),
    };
    let sql = "UPDATE obligations SET closed_at = $1, closed_call = $2, waived_by = $3, reason = $4 \
               WHERE id = $5 AND closed_at IS NULL";
    let values = args![
        closing.at.micros(),
        call.map(|it| it.0),
        waived.map(|it| it.0),
        waived.map(|it| it.1),
        found.id.0,
    ];
    if writing.conn.execute(sql, &values).await? == 0 {
        return Ok(false);
    }
    let closed = EventKind::ObligationClosed {
        obligation: found.id,
        client: found.client,
        client_name: found.client_name.clone(),
        number: found.number.clone(),
        responsible: found.responsible,
        end: closing.end.clone(),
    };
    note(writing, call.unwrap_or(found.last_call), closing.at, closed).await?;
    Ok(true)
}

/// Puts a fact of the writer's own into the next place of the journal.
async fn note(writing: &mut Writing, call: CallId, at: Utc, kind: EventKind) -> Made<()> {
    let id = EventId(writing.make_id());
    let event = Event { id, call, at, kind };
    let statement = journal(
        [(&event, json(&event).as_str(), false)].into_iter(),
        writing,
    );
    let written = writing.conn.execute(&statement.sql, &statement.args).await;
    written.map(drop)
}
