//! Calls as people look them up, and why each went where it went: the journal makes them.

use axum::{Json, extract::State};
use crm::{Call, CallFilter, Offer, Reception, Recording, RecordingPause, Route};
use model::{
    CallId, CallerIdentity, Explanation, GapReason, LineId, OrganisationId, PersonId, Priority,
    RecordingGap, Rule, UserId,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::{Params, Path},
    clients::ClientFields,
    moment::Moment,
    parked::{ParkedView, ParkingView},
    problem::Problem,
    resource::{self, Items},
    rights,
    session::Identity,
};

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(route))
}

/// One conversation, or the attempt at one.
#[derive(Debug, Serialize, ToSchema)]
struct CallView {
    id: String,
    /// `inbound`, `outbound` or `internal`.
    direction: &'static str,
    /// Id of the trunk it came by, or went by.
    trunk: Option<String>,
    /// Id of the line called, or whose number the client saw.
    line: Option<String>,
    /// The calling number in its normal form, empty if withheld; the short number of an agent who called.
    from: String,
    /// The number called as it came.
    to: String,
    /// The best match, as far as the caller is known.
    client: ClientFields,
    /// Name of the best match.
    client_name: Option<String>,
    /// Id of the agent of the conversation, else of the last offer.
    agent: Option<String>,
    arrived_at: Moment,
    /// When we answered the line.
    answered_at: Option<Moment>,
    /// When the caller began to wait in the queue; none if there was no need.
    queued_at: Option<Moment>,
    /// When the conversation started.
    started_at: Option<Moment>,
    /// When it ended; none while it runs.
    ended_at: Option<Moment>,
    /// Why it ended.
    cause: Option<String>,
    /// Who ended it: `client`, `agent` or `system`.
    ended_by: Option<String>,
    /// From the start of the conversation to the end, in milliseconds.
    talk_ms: u64,
    /// From arrival to the conversation or the end, in milliseconds.
    wait_ms: u64,
    /// No conversation took place; false while the call runs.
    missed: bool,
    /// The number outside to which an agent handed the conversation.
    transferred_to: Option<String>,
    recording: Option<RecordingView>,
    /// Where the client is parked at the moment.
    parked: Option<ParkedView>,
}

/// The recording of a conversation.
#[derive(Debug, Serialize, ToSchema)]
struct RecordingView {
    /// Where to hear it.
    url: String,
    /// File, relative to the recordings folder.
    file: String,
    started_at: Moment,
    /// The file is complete.
    ready: bool,
    /// Length in milliseconds, once it is complete.
    length_ms: u64,
    /// Size of the file, once it is complete.
    bytes: u64,
    /// Sum of the marked gaps in milliseconds.
    gaps_ms: u64,
    /// Where they are, at most the first 100: the file is silent there, or ends before. A crash of the process loses
    /// these marks.
    gaps: Vec<GapView>,
    /// Where people paused it, in their order: the file is silent there.
    pauses: Vec<PauseView>,
    /// Why there is no audio or less than there should be.
    error: Option<String>,
    /// Where to hear the MP3, once it is made.
    mp3_url: Option<String>,
    /// Size of the MP3, once it is made.
    mp3_bytes: Option<u64>,
    /// Why it cannot be made.
    mp3_error: Option<String>,
    /// When the WAV was removed because of its age; `url` answers 410 from then on.
    wav_removed_at: Option<Moment>,
    /// When the MP3 was removed because of its age.
    mp3_removed_at: Option<Moment>,
}

/// A part of a recording in which people wanted nothing recorded.
#[derive(Debug, Serialize, ToSchema)]
struct PauseView {
    /// Where it begins, in milliseconds from the start of the file.
    at_ms: u64,
    /// Its length in milliseconds; none while it lasts.
    length_ms: Option<u64>,
    /// Id of the user who paused.
    paused_by: String,
    /// Id of the user who resumed; none if the conversation ended before.
    resumed_by: Option<String>,
}

impl From<RecordingPause> for PauseView {
    fn from(pause: RecordingPause) -> Self {
        Self {
            at_ms: pause.at_ms,
            length_ms: pause.length_ms,
            paused_by: pause.paused_by.to_string(),
            resumed_by: pause.resumed_by.map(|id| id.to_string()),
        }
    }
}

/// A part of a recording that could not be written.
#[derive(Debug, Serialize, ToSchema)]
struct GapView {
    /// Where it begins, in milliseconds from the start of the file.
    at_ms: u64,
    /// Its length in milliseconds.
    length_ms: u64,
    /// `queue_full`, `disk_full` or `write_failed`.
    reason: &'static str,
}

impl From<RecordingGap> for GapView {
    fn from(gap: RecordingGap) -> Self {
        Self {
            at_ms: gap.at_ms,
            length_ms: gap.length_ms,
            reason: match gap.reason {
                GapReason::QueueFull => "queue_full",
                GapReason::DiskFull => "disk_full",
                GapReason::WriteFailed => "write_failed",
            },
        }
    }
}

impl RecordingView {
    fn new(recording: Recording, pauses: Vec<RecordingPause>) -> Self {
        Self {
            pauses: pauses.into_iter().map(PauseView::from).collect(),
            url: url(recording.call),
            mp3_url: recording
                .mp3_bytes
                .filter(|_| recording.mp3_removed_at.is_none())
                .map(|_| mp3_url(recording.call)),
            mp3_bytes: recording.mp3_bytes,
            mp3_error: recording.mp3_error,
            wav_removed_at: recording.wav_removed_at.map(Moment),
            mp3_removed_at: recording.mp3_removed_at.map(Moment),
            file: recording.file,
            started_at: recording.started_at.into(),
            ready: recording.ready,
            length_ms: recording.length_ms,
            bytes: recording.bytes,
            gaps_ms: recording.gaps_ms,
            gaps: recording.gaps.into_iter().map(GapView::from).collect(),
            error: recording.error,
        }
    }
}

fn mp3_url(call: CallId) -> String {
    format!("/api/v1/calls/{call}/recording.mp3")
}

/// Where the recording of a call is heard.
pub fn url(call: CallId) -> String {
    format!("/api/v1/calls/{call}/recording.wav")
}

impl From<Call> for CallView {
    fn from(call: Call) -> Self {
        Self {
            id: call.id.to_string(),
            direction: call.direction.name(),
            trunk: call.trunk.map(|id| id.to_string()),
            line: call.line.map(|id| id.to_string()),
            from: call.from,
            to: call.to,
            client: call.client.into(),
            client_name: call.client_name,
            agent: call.agent.map(|id| id.to_string()),
            arrived_at: call.arrived_at.into(),
            answered_at: call.answered_at.map(Moment),
            queued_at: call.queued_at.map(Moment),
            started_at: call.started_at.map(Moment),
            ended_at: call.ended_at.map(Moment),
            cause: call.cause,
            ended_by: call.ended_by,
            talk_ms: call.talk_ms,
            wait_ms: call.wait_ms,
            missed: call.missed,
            parked: call.parked.map(ParkedView::from),
            transferred_to: call.transferred_to,
            recording: call
                .recording
                .map(|recording| RecordingView::new(recording, call.pauses)),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Only those this agent took part in.
    #[param(value_type = Option<String>)]
    agent: Option<UserId>,
    /// Only with this person.
    #[param(value_type = Option<String>)]
    person: Option<PersonId>,
    /// Only with this organisation.
    #[param(value_type = Option<String>)]
    organisation: Option<OrganisationId>,
    /// Only to this line.
    #[param(value_type = Option<String>)]
    line: Option<LineId>,
    /// Only from or to this number of a client, in any way of writing.
    number: Option<String>,
    /// Only missed, or only not missed ones.
    missed: Option<bool>,
    /// Arrived at this time or later (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Moment>,
    /// Arrived before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    before: Option<Moment>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, usually 50.
    limit: Option<u32>,
}

/// List calls, newest first
#[utoipa::path(get, path = "/calls", tag = "calls", params(Query),
    responses((status = 200, body = Items<CallView>)))]
async fn list(
    State(state): State<ApiState>,
    identity: Identity,
    Params(query): Params<Query>,
) -> Result<Items<CallView>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let filter = CallFilter {
        agent: query.agent,
        person: query.person,
        organisation: query.organisation,
        line: query.line,
        number: query.number,
        missed: query.missed,
        since: query.since.map(|moment| moment.0),
        before: query.before.map(|moment| moment.0),
        visible_to: rights::narrowed_to(&identity),
    };
    let calls = state.base.calls().list(&filter, &page).await?;
    Ok(calls.map(CallView::from).into())
}

/// Read a call
#[utoipa::path(get, path = "/calls/{id}", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, body = CallView), (status = 404)))]
async fn read(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<CallId>,
) -> Result<Json<CallView>, Problem> {
    rights::see_call(&state, &identity, id).await?;
    Ok(Json(state.base.calls().read(id).await?.into()))
}

/// Why a call went where it went: codes with facts, words are made on display.
#[derive(Debug, Serialize, ToSchema)]
struct RouteView {
    call: String,
    /// Who called, as far as known when the call was routed, or identified since.
    #[schema(value_type = Object)]
    caller: CallerIdentity,
    /// What the caller met before anybody's telephone rang: `received` by a line, open or closed, and `chosen` from its menu.
    received: Vec<StepView>,
    /// The offers, in their order.
    offers: Vec<OfferView>,
    /// The queue, if the caller had to wait.
    queued: Option<QueuedView>,
    /// Where the client was parked, in order.
    parkings: Vec<ParkingView>,
    /// The last decision, if it found nobody (else).
    #[schema(value_type = Option<Object>)]
    exhausted: Option<Explanation>,
}

/// A moment before anybody's telephone rang.
#[derive(Debug, Serialize, ToSchema)]
struct StepView {
    at: Moment,
    /// `step` with its facts: `line`, `closed` and `instead`, or `keys` and `to`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    what: Reception,
}

/// How the caller came into the queue.
#[derive(Debug, Serialize, ToSchema)]
struct QueuedView {
    at: Moment,
    /// The place among those who waited for the line, 1 for the first.
    place: u32,
    /// `first`, `usual` or `last`.
    #[schema(value_type = String)]
    priority: Priority,
    /// The decision that found nobody free.
    #[schema(value_type = Object)]
    explanation: Explanation,
}

/// One offer of the call to an agent.
#[derive(Debug, Serialize, ToSchema)]
struct OfferView {
    /// Id of the agent.
    agent: String,
    agent_name: Option<String>,
    /// 0 for the first offer of the call.
    attempt: u16,
    /// Why this agent.
    #[schema(value_type = Object)]
    rule: Rule,
    /// The decision that chose the agent: everybody considered, with rule and verdict.
    #[schema(value_type = Object)]
    explanation: Explanation,
    /// Id of the assigned manager, if it was not this agent.
    owner: Option<String>,
    offered_at: Moment,
    /// When the INVITE left.
    ringing_at: Option<Moment>,
    /// When the agent took the call.
    accepted_at: Option<Moment>,
    /// Id of the telephone it was taken on.
    device: Option<String>,
    /// How it ended without a conversation.
    end: Option<String>,
    /// How long before the ring the card was on the screen, in microseconds.
    lead_us: Option<u64>,
    /// A client of the agent confirmed that.
    lead_confirmed: bool,
    /// How many of the agent's clients were connected.
    lead_clients: u32,
}

impl From<Offer> for OfferView {
    fn from(offer: Offer) -> Self {
        Self {
            agent: offer.agent.to_string(),
            agent_name: offer.agent_name,
            attempt: offer.attempt,
            rule: offer.rule,
            explanation: offer.explanation,
            owner: offer.owner.map(|id| id.to_string()),
            offered_at: offer.offered_at.into(),
            ringing_at: offer.ringing_at.map(Moment),
            accepted_at: offer.accepted_at.map(Moment),
            device: offer.device.map(|id| id.to_string()),
            end: offer.end,
            lead_us: offer.lead_us,
            lead_confirmed: offer.lead_confirmed,
            lead_clients: offer.lead_clients,
        }
    }
}

impl From<Route> for RouteView {
    fn from(route: Route) -> Self {
        Self {
            call: route.call.to_string(),
            caller: route.caller,
            received: (route.received.into_iter())
                .map(|step| StepView {
                    at: step.at.into(),
                    what: step.what,
                })
                .collect(),
            offers: route.offers.into_iter().map(Into::into).collect(),
            queued: route.queued.map(|queued| QueuedView {
                at: queued.at.into(),
                place: queued.place,
                priority: queued.priority,
                explanation: queued.explanation,
            }),
            parkings: route.parkings.into_iter().map(Into::into).collect(),
            exhausted: route.exhausted,
        }
    }
}

/// Why a call went where it went
#[utoipa::path(get, path = "/calls/{id}/route", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, body = RouteView), (status = 404)))]
async fn route(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<CallId>,
) -> Result<Json<RouteView>, Problem> {
    rights::see_call(&state, &identity, id).await?;
    Ok(Json(state.base.calls().route(id).await?.into()))
}
