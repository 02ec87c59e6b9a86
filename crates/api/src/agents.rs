//! What the agents do now (S8).

use axum::extract::State;
use crm::{Role, UserFilter};
use model::{AgentState, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::Params,
    moment::Moment,
    problem::Problem,
    resource::{self, Items},
    session::Identity,
};

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// An agent and what they do now.
#[derive(Debug, Serialize, ToSchema)]
struct AgentView {
    /// Id of the user.
    user: String,
    name: String,
    short_number: Option<String>,
    /// `available`, `reserved`, `ringing`, `talking`, `wrap_up` or `away`; none if the PBX has not
    /// told yet.
    state: Option<&'static str>,
    /// `absent` (as planned), `chosen` or `unregistered`, if away.
    #[schema(value_type = Option<String>)]
    reason: Option<model::AwayReason>,
    /// Id of the call; shown of the own state and to supervisors and administrators.
    call: Option<String>,
    since: Option<Moment>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Part of the name or the login.
    text: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, usually 50.
    limit: Option<u32>,
}

/// List the users with what they do now
#[utoipa::path(get, path = "/agents", tag = "agents", params(Query),
    responses((status = 200, body = Items<AgentView>)))]
async fn list(
    State(state): State<ApiState>,
    identity: Identity,
    Params(query): Params<Query>,
) -> Result<Items<AgentView>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let filter = UserFilter {
        text: query.text,
        role: None,
    };
    let users = state.base.users().list(&filter, &page).await?;
    let presence = state.hub.presence();
    let view = |user: crm::User| {
        let present = presence.state(user.id);
        let sees_call = identity.role != Role::Agent || identity.user == user.id;
        AgentView {
            user: user.id.to_string(),
            name: user.data.name,
            short_number: user.data.short_number,
            state: present.map(|present| present.state.name()),
            reason: present.and_then(|present| match present.state {
                AgentState::Away { reason } => Some(reason),
                _ => None,
            }),
            call: present
                .filter(|_| sees_call)
                .and_then(|present| call_of(present.state))
                .map(|call| call.to_string()),
            since: present.map(|present| Moment(present.since)),
        }
    };
    Ok(users.map(view).into())
}

fn call_of(state: AgentState) -> Option<model::CallId> {
    match state {
        AgentState::Reserved { call }
        | AgentState::Ringing { call }
        | AgentState::Talking { call }
        | AgentState::WrapUp { call } => Some(call),
        AgentState::Available | AgentState::Away { .. } => None,
    }
}

/// The call that an agent is offered, talks in or wraps up.
pub fn current_call(state: &ApiState, agent: UserId) -> Option<model::CallId> {
    call_of(state.hub.presence().state(agent)?.state)
}
