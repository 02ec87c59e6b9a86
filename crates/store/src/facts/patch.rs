//! What the events of one transaction say about one call: a single row, a single statement.

use call::{Event, EventKind};
use crm::{Direction, Numbering, Queued};
use model::CallId;

use super::best;
use crate::{
    database::{IntoValue, Statement, Value, args},
    words::{json, word},
};

/// Everything new about a call; what is not given stays.
pub(super) struct CallPatch {
    pub(super) call: CallId,
    arrived: Option<Vec<Value>>,
    agent: Option<i64>,
    trunk: Option<i64>,
    answered_at: Option<i64>,
    queued: Option<(i64, String)>,
    transferred_to: Option<String>,
    started_at: Option<i64>,
    end: Option<End>,
    exhausted: Option<String>,
    snapshot: Option<String>,
}

struct End {
    at: i64,
    cause: &'static str,
    by: String,
    talk_ms: u64,
    wait_ms: u64,
    missed: bool,
}

impl CallPatch {
    pub(super) fn new(call: CallId) -> Self {
        Self {
            call,
            arrived: None,
            agent: None,
            trunk: None,
            answered_at: None,
            queued: None,
            transferred_to: None,
            started_at: None,
            end: None,
            exhausted: None,
            snapshot: None,
        }
    }

    pub(super) fn take(&mut self, event: &Event, numbering: &Numbering) {
        let at = event.at.micros();
        match &event.kind {
            EventKind::Arrived { trunk, .. } => {
                self.trunk = Some(trunk.0);
                self.arrived = Some(arrived(event, numbering));
            }
            EventKind::Dialled { agent, .. } => {
                self.agent = Some(agent.0);
                self.arrived = Some(dialled(event));
            }
            EventKind::Routed {
                trunk,
                device,
                outside,
                snapshot,
            } => {
                // The call of a client who calls stays that of the trunk it came by.
                if device.is_none() && outside.is_none() {
                    self.trunk = Some(trunk.0);
                }
                self.snapshot = Some(snapshot.0.clone());
            }
            EventKind::Offered {
                agent, snapshot, ..
            } => {
                self.agent = Some(agent.0);
                self.snapshot = Some(snapshot.0.clone());
            }
            EventKind::OfferAccepted { agent, .. } => self.agent = Some(agent.0),
            EventKind::LineAnswered => self.answered_at = Some(at),
            EventKind::Queued {
                place,
                priority,
                explanation,
                snapshot,
            } => {
                let queued = Queued {
                    at: event.at,
                    place: *place,
                    priority: *priority,
                    explanation: explanation.as_ref().clone(),
                };
                self.queued = Some((at, json(&queued)));
                self.snapshot = Some(snapshot.0.clone());
            }
            EventKind::ConversationStarted {
                agent, snapshot, ..
            } => {
                self.agent = Some(agent.0);
                self.started_at = Some(at);
                self.snapshot = Some(snapshot.0.clone());
            }
            EventKind::Transferred {
                agent, snapshot, ..
            } => {
                self.agent = Some(agent.0);
                self.snapshot = Some(snapshot.0.clone());
            }
            // The client is still with whoever had them.
            EventKind::ConferenceJoined { from, snapshot, .. } => {
                self.agent = Some(from.0);
                self.snapshot = Some(snapshot.0.clone());
            }
            EventKind::ConferenceLeft { stays, .. } => self.agent = Some(stays.0),
            EventKind::Parked { snapshot, .. } => self.snapshot = Some(snapshot.0.clone()),
            EventKind::TransferredOut {
                number, snapshot, ..
            } => {
                self.transferred_to = Some(number.clone());
                self.snapshot = Some(snapshot.0.clone());
            }
            EventKind::RouteExhausted { explanation } => {
                self.exhausted = Some(json(explanation.as_ref()));
            }
            EventKind::Ended {
                cause,
                by,
                agent,
                talk_ms,
                wait_ms,
                missed,
            } => {
                self.agent = agent.map(|it| it.0).or(self.agent);
                self.end = Some(End {
                    at,
                    cause: cause.name(),
                    by: word(by),
                    talk_ms: *talk_ms,
                    wait_ms: *wait_ms,
                    missed: *missed,
                });
            }
            EventKind::Received { snapshot, .. } if !snapshot.0.is_empty() => {
                self.snapshot = Some(snapshot.0.clone());
            }
            EventKind::Received { .. }
            | EventKind::MenuChosen { .. }
            | EventKind::MessageStarted { .. }
            | EventKind::Ringing { .. }
            | EventKind::OfferEnded { .. }
            | EventKind::Held { .. }
            | EventKind::TransferBegun { .. }
            | EventKind::TransferFailed { .. }
            | EventKind::Unclaimed { .. }
            | EventKind::ConferenceBegun { .. }
            | EventKind::Identified { .. }
            | EventKind::RecordingPaused { .. }
            | EventKind::RecordingResumed { .. }
            | EventKind::RecordingReady { .. }
            | EventKind::ObligationOpened { .. }
            | EventKind::ObligationClosed { .. } => {}
        }
    }

    /// None if the events change nothing of the call itself.
    pub(super) fn statement(self, node: u16) -> Option<Statement> {
        let nothing = self.agent.is_none()
            && self.answered_at.is_none()
            && self.queued.is_none()
            && self.transferred_to.is_none()
            && self.started_at.is_none()
            && self.end.is_none()
            && self.exhausted.is_none()
            && self.trunk.is_none()
            && self.snapshot.is_none();
        let call = self.call.0;
        let end = self.end.as_ref();
        let mut values = args![
            self.agent,
            self.answered_at,
            self.started_at,
            end.map(|it| it.at),
            end.map(|it| it.cause),
            end.map(|it| it.by.as_str()),
            end.map(|it| it.talk_ms).map(|it| it as i64),
            end.map(|it| it.wait_ms).map(|it| it as i64),
            end.map(|it| i64::from(it.missed)),
            self.exhausted,
            self.snapshot,
            self.trunk,
            self.queued.as_ref().map(|(at, _)| *at),
            self.queued.as_ref().map(|(_, how)| how.as_str()),
            self.transferred_to,
        ];
        match self.arrived {
            Some(arrived) => {
                values.push(call.value());
                values.push(i64::from(node).value());
                values.extend(arrived);
                Some(Statement::new(INSERT, values))
            }
            None if nothing => None,
            None => {
                values.push(call.value());
                Some(Statement::new(UPDATE, values))
            }
        }
    }
}

/// The columns that only the first event of a call fills, as `INSERT` names them: a client called.
fn arrived(event: &Event, numbering: &Numbering) -> Vec<Value> {
    let EventKind::Arrived {
        line,
        from,
        to,
        caller,
        ..
    } = &event.kind
    else {
        return Vec::new();
    };
    let client = best(caller);
    let number = match caller.number.is_empty() && !from.is_empty() {
        true => numbering.normalise(from).normal,
        false => caller.number.clone(),
    };
    args![
        Direction::Inbound.name(),
        line.0,
        number.as_str(),
        to.as_str(),
        number.as_str(),
        client.person.map(|it| it.0),
        client.organisation.map(|it| it.0),
        caller.matches.first().map(|it| it.name.as_str()),
        json(caller.as_ref()),
        event.at.micros(),
    ]
}

/// The same columns: an agent called a client or a colleague. A colleague's number is no client's.
fn dialled(event: &Event) -> Vec<Value> {
    let EventKind::Dialled {
        from,
        to,
        line,
        callee,
        client,
        ..
    } = &event.kind
    else {
        return Vec::new();
    };
    let (direction, number_client) = match callee {
        Some(_) => (Direction::Internal, ""),
        None => (Direction::Outbound, to.as_str()),
    };
    let who = best(client);
    args![
        direction.name(),
        line.map(|it| it.0),
        from.as_str(),
        to.as_str(),
        number_client,
        who.person.map(|it| it.0),
        who.organisation.map(|it| it.0),
        client.matches.first().map(|it| it.name.as_str()),
        json(client.as_ref()),
        event.at.micros(),
    ]
}

const INSERT: &str = "INSERT INTO calls (agent, answered_at, started_at, ended_at, cause, ended_by, talk_ms, \
     wait_ms, missed, exhausted, snapshot, trunk_id, queued_at, queued, transferred_to, id, node, direction, line_id, number_from, number_to, \
     number_client, person_id, organisation_id, client_name, caller, arrived_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27) \
     ON CONFLICT (id) DO UPDATE SET agent = COALESCE(excluded.agent, calls.agent), \
     answered_at = COALESCE(excluded.answered_at, calls.answered_at), \
     started_at = COALESCE(excluded.started_at, calls.started_at), \
     ended_at = COALESCE(excluded.ended_at, calls.ended_at), cause = COALESCE(excluded.cause, calls.cause), \
     ended_by = COALESCE(excluded.ended_by, calls.ended_by), talk_ms = COALESCE(excluded.talk_ms, calls.talk_ms), \
     wait_ms = COALESCE(excluded.wait_ms, calls.wait_ms), missed = COALESCE(excluded.missed, calls.missed), \
     exhausted = COALESCE(excluded.exhausted, calls.exhausted), \
     snapshot = COALESCE(excluded.snapshot, calls.snapshot), trunk_id = COALESCE(excluded.trunk_id, calls.trunk_id), \
     queued_at = COALESCE(excluded.queued_at, calls.queued_at), queued = COALESCE(excluded.queued, calls.queued), \
     transferred_to = COALESCE(excluded.transferred_to, calls.transferred_to)";

const UPDATE: &str = "UPDATE calls SET agent = COALESCE($1, agent), answered_at = COALESCE($2, answered_at), \
     started_at = COALESCE($3, started_at), ended_at = COALESCE($4, ended_at), cause = COALESCE($5, cause), \
     ended_by = COALESCE($6, ended_by), talk_ms = COALESCE($7, talk_ms), wait_ms = COALESCE($8, wait_ms), \
     missed = COALESCE($9, missed), exhausted = COALESCE($10, exhausted), \
     snapshot = COALESCE($11, snapshot), trunk_id = COALESCE($12, trunk_id), \
     queued_at = COALESCE($13, queued_at), queued = COALESCE($14, queued), \
     transferred_to = COALESCE($15, transferred_to) WHERE id = $16";
