//! The history of clients: one entry per conversation.

use axum::{Json, extract::State};
use crm::{Interaction, InteractionFilter};
use model::{InteractionId, OrganisationId, PersonId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::{Params, Path},
    calls,
    clients::{self, ClientFields},
    moment::Moment,
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
}

/// One entry of a client's history.
#[derive(Debug, Serialize, ToSchema)]
struct InteractionView {
    id: String,
    /// `call`.
    #[schema(value_type = String)]
    kind: crm::InteractionKind,
    /// `inbound`, `outbound` or `internal`.
    direction: &'static str,
    /// With whom, as far as known.
    client: ClientFields,
    /// Id of the call; each has one entry.
    call: String,
    /// Id of the line called.
    line: Option<String>,
    /// Id of the agent of the conversation, else of the last offer.
    agent: Option<String>,
    agent_name: Option<String>,
    /// When the call arrived.
    at: Moment,
    /// No conversation took place.
    missed: bool,
    /// Length of the conversation in milliseconds.
    talk_ms: u64,
    /// Where to hear the recording, once it is complete.
    recording_url: Option<String>,
}

impl From<Interaction> for InteractionView {
    fn from(entry: Interaction) -> Self {
        Self {
            id: entry.id.to_string(),
            kind: entry.kind,
            direction: entry.direction.name(),
            client: entry.client.into(),
            call: entry.call.to_string(),
            line: entry.line.map(|id| id.to_string()),
            agent: entry.agent.map(|id| id.to_string()),
            agent_name: entry.agent_name,
            at: entry.at.into(),
            missed: entry.missed,
            talk_ms: entry.talk_ms,
            recording_url: entry.recording.map(|_| calls::url(entry.call)),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Only this person's.
    #[param(value_type = Option<String>)]
    person: Option<PersonId>,
    /// Only this organisation's, its persons' included.
    #[param(value_type = Option<String>)]
    organisation: Option<OrganisationId>,
    /// Only this agent's.
    #[param(value_type = Option<String>)]
    agent: Option<UserId>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, usually 50.
    limit: Option<u32>,
}

/// List the history, newest first
#[utoipa::path(get, path = "/interactions", tag = "interactions", params(Query),
    responses((status = 200, body = Items<InteractionView>)))]
async fn list(
    State(state): State<ApiState>,
    identity: Identity,
    Params(query): Params<Query>,
) -> Result<Items<InteractionView>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let mut filter = InteractionFilter {
        person: query.person,
        organisation: query.organisation,
        agent: query.agent,
        visible_to: rights::narrowed_to(&identity),
    };
    // The client on the line is seen whole until wrap-up ends, a colleague's too.
    let on_the_line = match (filter.person, filter.organisation) {
        (Some(person), None) => {
            rights::is_on_the_line(&state, &identity, clients::person(person)).await?
        }
        _ => false,
    };
    if on_the_line {
        filter.visible_to = None;
    }
    let entries = state.base.interactions().list(&filter, &page).await?;
    Ok(entries.map(InteractionView::from).into())
}

/// Read one entry of the history
#[utoipa::path(get, path = "/interactions/{id}", tag = "interactions",
    params(("id" = String, Path)),
    responses((status = 200, body = InteractionView), (status = 404)))]
async fn read(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<InteractionId>,
) -> Result<Json<InteractionView>, Problem> {
    let entry = state.base.interactions().read(id).await?;
    rights::see_call(&state, &identity, entry.call).await?;
    Ok(Json(entry.into()))
}
