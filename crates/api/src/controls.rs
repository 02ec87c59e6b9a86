//! Control of running calls (S6): an agent's own, or any for supervisors and administrators.

use axum::{extract::State, http::StatusCode};
use call::{Act, Command, Control, ControlRefused};
use crm::Role;
use garde::Validate;
use model::CallId;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::{Body, Path},
    problem::Problem,
    rights,
    session::Identity,
};

/// How an act ended.
pub type Outcome = Result<(), ControlRefused>;

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(transfer))
        .routes(routes!(conference))
        .routes(routes!(hang_up))
        .routes(routes!(pause_recording))
        .routes(routes!(resume_recording))
}

/// To whom a client is handed.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct TransferFields {
    /// The colleague's short number, or any number outside that the agent may call.
    #[garde(length(chars, min = 1, max = 64))]
    to: String,
}

/// Who joins a conversation.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConferenceFields {
    /// The colleague's short number.
    #[garde(length(chars, min = 1, max = 64))]
    to: String,
}

/// Hand the client to somebody else
///
/// A colleague's telephones ring with the card, a number outside is called by a trunk, while the client stays with whoever talks; who hangs up meanwhile is
/// free, and the client hears the ringing. If nobody takes the client, they come back. The answer comes when it has
/// begun and stands in the journal; how it goes on is told by events.
#[utoipa::path(post, path = "/calls/{id}/transfer", tag = "calls", params(("id" = String, Path)),
    request_body = TransferFields,
    responses((status = 204), (status = 403), (status = 404), (status = 409), (status = 422), (status = 503)))]
async fn transfer(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<CallId>,
    Body(fields): Body<TransferFields>,
) -> Result<StatusCode, Problem> {
    carry_out(&state, &identity, id, Act::Transfer { to: fields.to }).await
}

/// Let a colleague join
///
/// The colleague's telephones ring with the card, while client and agent go on talking; from the answer on all three hear
/// one another. If nobody takes it (`offer.ended`), the two go on. Either agent may leave, and the client stays with the
/// other (`conference.left`); the client who hangs up ends the call for all. The answer comes when it has begun and stands
/// in the journal; how it goes on is told by events.
#[utoipa::path(post, path = "/calls/{id}/conference", tag = "calls", params(("id" = String, Path)),
    request_body = ConferenceFields,
    responses((status = 204), (status = 403), (status = 404), (status = 409), (status = 422), (status = 503)))]
async fn conference(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<CallId>,
    Body(fields): Body<ConferenceFields>,
) -> Result<StatusCode, Problem> {
    carry_out(&state, &identity, id, Act::Conference { to: fields.to }).await
}

/// Hang up
///
/// Whoever talks leaves the call, which ends it unless a transfer is under way or a colleague has joined; whoever is offered it declines it.
/// Supervisors and administrators who are not in the call end it.
#[utoipa::path(post, path = "/calls/{id}/hang-up", tag = "calls", params(("id" = String, Path)),
    responses((status = 204), (status = 403), (status = 404), (status = 409), (status = 503)))]
async fn hang_up(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<CallId>,
) -> Result<StatusCode, Problem> {
    carry_out(&state, &identity, id, Act::HangUp).await
}

/// Pause the recording
///
/// For words that are not to be kept, such as the number of a card: the file is silent in that place and keeps its time.
/// Whoever talks may, and supervisors and administrators; also somebody to whom the client is handed meanwhile may resume.
#[utoipa::path(post, path = "/calls/{id}/recording/pause", tag = "calls", params(("id" = String, Path)),
    responses((status = 204), (status = 403), (status = 404), (status = 409), (status = 503)))]
async fn pause_recording(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<CallId>,
) -> Result<StatusCode, Problem> {
    carry_out(&state, &identity, id, Act::PauseRecording).await
}

/// Resume the recording
#[utoipa::path(post, path = "/calls/{id}/recording/resume", tag = "calls", params(("id" = String, Path)),
    responses((status = 204), (status = 403), (status = 404), (status = 409), (status = 503)))]
async fn resume_recording(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<CallId>,
) -> Result<StatusCode, Problem> {
    carry_out(&state, &identity, id, Act::ResumeRecording).await
}

/// Does something with a call that the user may see.
pub(crate) async fn carry_out(
    state: &ApiState,
    identity: &Identity,
    call: CallId,
    act: Act,
) -> Result<StatusCode, Problem> {
    rights::see_call(state, identity, call).await?;
    order(state, identity, call, act).await
}

/// The same with a call that the user was found to have to do with.
pub(crate) async fn order(
    state: &ApiState,
    identity: &Identity,
    call: CallId,
    act: Act,
) -> Result<StatusCode, Problem> {
    if state.base.calls().read(call).await?.ended_at.is_some() {
        return Err(problem(ControlRefused::Over));
    }
    let (by, leads) = (identity.user, identity.role != Role::Agent);
    let command = |order| {
        Command::Control(Control {
            order,
            call,
            by,
            leads,
            act,
        })
    };
    let outcome = state.orders.controls().ask(state, command).await?;
    outcome.map(|()| StatusCode::NO_CONTENT).map_err(problem)
}

fn problem(refused: ControlRefused) -> Problem {
    match refused {
        ControlRefused::Over => Problem::refused("the call is over"),
        ControlRefused::NotTheirs => {
            Problem::forbidden("you are not in this call; a supervisor can do this for whoever is")
        }
        ControlRefused::NotNow => Problem::refused(
            "nobody talks to a client alone in this call now, or a colleague is being rung for it already",
        ),
        ControlRefused::NoColleague => Problem::field(
            "to",
            "is nobody's short number and no number that can be called; see short_number of the users",
        ),
        ControlRefused::NotAllowed => Problem::forbidden(
            "your calls do not reach so far; an administrator can change may_call of the user",
        ),
        ControlRefused::NoTrunk => {
            Problem::refused("no trunk takes calls out; see outbound of the trunks")
        }
        ControlRefused::OwnNumber => {
            Problem::field("to", "is the number of whoever talks; name a colleague")
        }
        ControlRefused::ColleagueBusy => {
            Problem::refused("the colleague is in a call, or is offered one")
        }
        ControlRefused::ColleagueAway => {
            Problem::refused("none of the colleague's telephones can be reached")
        }
        ControlRefused::NoPlace => Problem::refused("every place is taken; try again in a moment"),
        ControlRefused::NotParked => {
            Problem::refused("the client is not parked, or somebody is taking them at this moment")
        }
        ControlRefused::InCall => Problem::refused("you are in a call, or are offered one"),
        ControlRefused::NoTelephone => Problem::refused(
            "you have no telephone that can be rung; it takes a short number and a registered telephone",
        ),
        ControlRefused::NotRecorded => Problem::refused(
            "nothing is recorded: the line is not, or the conversation has not begun",
        ),
    }
}
