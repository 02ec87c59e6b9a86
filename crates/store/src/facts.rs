//! Facts of calls as statements: the journal's rows, and the tables that people query, made from
//! them in the same transaction. Every statement can be given again without harm.

use call::{Event, EventKind, Lead};
use crm::{Entry, Reception};
use model::{CallId, CallerIdentity, UserId};

use crate::{
    database::{Statement, args},
    memory::MemoryChange,
    parking, select,
    words::{json, word},
    writer::Writing,
};

pub(crate) mod owed;
mod patch;

use patch::CallPatch;

/// Entries that go into one transaction, their bodies made outside the writer.
pub(crate) struct Facts {
    entries: Vec<Entry<Event>>,
    bodies: Vec<String>,
}

impl Facts {
    pub(crate) fn new(entries: Vec<Entry<Event>>) -> crm::Result<Self> {
        let body = |entry: &Entry<Event>| serde_json::to_string(&entry.event);
        let bodies: Result<Vec<_>, _> = entries.iter().map(body).collect();
        let bodies = bodies.map_err(|error| crm::Error::invalid("event", error.to_string()))?;
        Ok(Self { entries, bodies })
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.entries.iter().map(|entry| &entry.event)
    }

    /// Calls that these facts end.
    pub(crate) fn ended(&self) -> impl Iterator<Item = CallId> {
        let ended = |entry: &Entry<Event>| match entry.event.kind {
            EventKind::Ended { .. } => Some(entry.event.call),
            _ => None,
        };
        self.entries.iter().filter_map(ended)
    }

    /// All statements, the journal's own first.
    pub(crate) fn statements(&self, writing: &mut Writing) -> Vec<Statement> {
        let bodies = self.bodies.iter().map(String::as_str);
        let entries = self.entries.iter().zip(bodies);
        let entries = entries.map(|(entry, body)| (&entry.event, body, entry.late));
        let mut made = vec![journal(entries, writing)];
        let mut patches: Vec<CallPatch> = Vec::new();
        let mut after = Vec::new();
        for Entry { event, .. } in &self.entries {
            let known = patches.iter().position(|patch| patch.call == event.call);
            let at = known.unwrap_or_else(|| {
                patches.push(CallPatch::new(event.call));
                patches.len() - 1
            });
            patches[at].take(event, writing.shared.numbering());
            derive(event, writing, &mut after);
        }
        made.extend(
            patches
                .into_iter()
                .filter_map(|patch| patch.statement(writing.node)),
        );
        made.extend(after);
        made
    }

    /// What memory learns from these facts.
    pub(crate) fn learn(&self, learnt: &mut Vec<MemoryChange>) {
        for Entry { event, .. } in &self.entries {
            let call = event.call;
            match &event.kind {
                EventKind::Arrived { caller, line, .. } => learnt.push(MemoryChange::Known {
                    call,
                    client: best(caller),
                    line: Some(*line),
                }),
                EventKind::Dialled {
                    callee: None,
                    client,
                    line,
                    ..
                } => learnt.push(MemoryChange::Known {
                    call,
                    client: best(client),
                    line: *line,
                }),
                EventKind::Identified { caller } => learnt.push(MemoryChange::Known {
                    call,
                    client: best(caller),
                    line: None,
                }),
                EventKind::Ended { missed, .. } => learnt.push(MemoryChange::Ended {
                    call,
                    at: event.at,
                    talked: !missed,
                }),
                _ => {}
            }
        }
    }
}

/// The journal's rows of these events, each in the next place.
fn journal<'a>(
    entries: impl ExactSizeIterator<Item = (&'a Event, &'a str, bool)>,
    writing: &mut Writing,
) -> Statement {
    let columns = "node, seq, id, call_id, at, type, body, late";
    let sql = select::insert("journal", columns, 8, entries.len());
    let mut values = Vec::with_capacity(entries.len() * 8);
    for (event, body, late) in entries {
        writing.seq += 1;
        values.extend(args![
            i64::from(writing.node),
            writing.seq,
            event.id.0,
            event.call.0,
            event.at.micros(),
            event.kind.name(),
            body,
            late,
        ]);
    }
    Statement::new(sql + " ON CONFLICT (id) DO NOTHING", values)
}

/// The best match, or nobody.
fn best(caller: &CallerIdentity) -> model::ClientRef {
    caller
        .matches
        .first()
        .map(|it| it.client)
        .unwrap_or_default()
}

/// The rows beside the call itself: offers, recording, history.
fn derive(event: &Event, writing: &mut Writing, into: &mut Vec<Statement>) {
    let (call, at) = (event.call, event.at.micros());
    into.extend(parking::derive(event));
    match &event.kind {
        EventKind::Offered { agent, attempt, rule, owner, .. } => {
            into.push(Statement::new(
                "INSERT INTO offers (call_id, attempt, event_id, agent, rule, owner, offered_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (call_id, attempt) DO NOTHING",
                args![
                    call.0,
                    i64::from(*attempt),
                    event.id.0,
                    agent.0,
                    json(rule),
                    owner.map(|it| it.0),
                    at
                ],
            ));
        }
        EventKind::Ringing { agent, lead } => {
            into.push(OfferPatch { ringing_at: Some(at), lead: *lead, ..OfferPatch::default() }.of(call, *agent));
        }
        EventKind::OfferAccepted { agent, device } => {
            let patch = OfferPatch { accepted_at: Some(at), device: Some(device.0), ..OfferPatch::default() };
            into.push(patch.of(call, *agent));
        }
        EventKind::OfferEnded { agent, end } => {
            let end = word(end);
            into.push(OfferPatch { end: Some(end), ..OfferPatch::default() }.of(call, *agent));
        }
        EventKind::Received { .. } | EventKind::MenuChosen { .. } => into.extend(received(event)),
        EventKind::MessageStarted { recording: file }
        | EventKind::ConversationStarted { recording: Some(file), .. } => into.push(Statement::new(
            "INSERT INTO recordings (id, call_id, file, started_at, ready, length_ms, bytes, gaps_ms, error) \
             VALUES ($1, $2, $3, $4, 0, 0, 0, 0, NULL) ON CONFLICT (call_id) DO NOTHING",
            args![writing.make_id(), call.0, file.as_str(), at],
        )),
        EventKind::RecordingReady { file, length_ms, bytes, gaps_ms, gaps, error } => {
            let gaps = (!gaps.is_empty()).then(|| json(gaps));
            into.push(Statement::new(
                "INSERT INTO recordings (id, call_id, file, started_at, ready, length_ms, bytes, gaps_ms, gaps, error) \
                 VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8, $9) ON CONFLICT (call_id) DO UPDATE SET \
                 file = excluded.file, ready = 1, length_ms = excluded.length_ms, bytes = excluded.bytes, \
                 gaps_ms = excluded.gaps_ms, gaps = excluded.gaps, error = excluded.error",
                args![
                    writing.make_id(), call.0, file.as_str(), at, *length_ms, *bytes, *gaps_ms, gaps,
                    error.as_deref()
                ],
            ));
            into.push(Statement::new(
                "UPDATE recording_pauses SET length_ms = CASE WHEN at_ms < $1 THEN $1 - at_ms ELSE 0 END \
                 WHERE call_id = $2 AND length_ms IS NULL",
                args![*length_ms, call.0],
            ));
        }
        EventKind::RecordingPaused { by, at_ms } => into.push(Statement::new(
            "INSERT INTO recording_pauses (call_id, at_ms, paused_by) VALUES ($1, $2, $3) \
             ON CONFLICT (call_id, at_ms) DO NOTHING",
            args![call.0, *at_ms, by.0],
        )),
        EventKind::RecordingResumed { by, at_ms, length_ms } => into.push(Statement::new(
            "UPDATE recording_pauses SET length_ms = $1, resumed_by = $2 WHERE call_id = $3 AND at_ms = $4",
            args![*length_ms, by.0, call.0, *at_ms],
        )),
        EventKind::Identified { caller } => identified(call, caller, into),
        EventKind::Ended { talk_ms, missed, .. } => into.push(Statement::new(
            // One entry per conversation, for the client whom the call then has; colleagues are no clients.
            "INSERT INTO interactions (id, kind, direction, call_id, person_id, organisation_id, line_id, \
             agent, at, missed, talk_ms) SELECT $1, 'call', direction, id, person_id, organisation_id, line_id, \
             agent, arrived_at, $2, $3 FROM calls WHERE id = $4 AND direction <> 'internal' ON CONFLICT (call_id) DO NOTHING",
            args![writing.make_id(), *missed, *talk_ms, call.0],
        )),
        _ => {}
    }
}

/// What the caller heard or chose before anybody's telephone rang.
fn received(event: &Event) -> Option<Statement> {
    let (what, opens_at) = match &event.kind {
        EventKind::Received {
            line,
            closed,
            instead,
            opens_at,
            ..
        } => {
            let what = Reception::Received {
                line: *line,
                closed: *closed,
                instead: *instead,
            };
            (what, *opens_at)
        }
        EventKind::MenuChosen { keys, to } => {
            let keys = keys.clone();
            (Reception::Chosen { keys, to: *to }, None)
        }
        _ => return None,
    };
    Some(Statement::new(
        "INSERT INTO receptions (event_id, call_id, at, opens_at, step) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (event_id) DO NOTHING",
        args![
            event.id.0,
            event.call.0,
            event.at.micros(),
            opens_at.map(|it| it.micros()),
            json(&what),
        ],
    ))
}

/// The caller became known after the call was routed, perhaps after it ended.
fn identified(call: CallId, caller: &CallerIdentity, into: &mut Vec<Statement>) {
    let client = best(caller);
    let (person, organisation) = (
        client.person.map(|it| it.0),
        client.organisation.map(|it| it.0),
    );
    let name = caller.matches.first().map(|it| it.name.as_str());
    into.push(Statement::new(
        "UPDATE calls SET person_id = $1, organisation_id = $2, client_name = $3, caller = $4 WHERE id = $5",
        args![person, organisation, name, json(caller), call.0],
    ));
    into.push(Statement::new(
        "UPDATE interactions SET person_id = $1, organisation_id = $2 WHERE call_id = $3",
        args![person, organisation, call.0],
    ));
}

/// What an event says about an offer made before.
#[derive(Default)]
struct OfferPatch {
    ringing_at: Option<i64>,
    accepted_at: Option<i64>,
    device: Option<i64>,
    end: Option<String>,
    lead: Option<Lead>,
}

impl OfferPatch {
    fn of(self, call: CallId, agent: UserId) -> Statement {
        let lead = self.lead;
        Statement::new(
            "UPDATE offers SET ringing_at = COALESCE($1, ringing_at), accepted_at = COALESCE($2, accepted_at), \
             device_id = COALESCE($3, device_id), ended = COALESCE($4, ended), lead_us = COALESCE($5, lead_us), \
             lead_confirmed = COALESCE($6, lead_confirmed), lead_clients = COALESCE($7, lead_clients) \
             WHERE call_id = $8 AND attempt = (SELECT MAX(o.attempt) FROM offers o WHERE o.call_id = $8 AND o.agent = $9)",
            args![
                self.ringing_at,
                self.accepted_at,
                self.device,
                self.end,
                lead.map(|it| i64::try_from(it.micros).unwrap_or(i64::MAX)),
                lead.map(|it| i64::from(it.confirmed)),
                lead.map(|it| i64::from(it.clients)),
                call.0,
                agent.0,
            ],
        )
    }
}
