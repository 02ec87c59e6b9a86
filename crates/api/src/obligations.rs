//! Calls back that are owed to clients whom nobody answered (H5). They open and close by calls; by hand
//! they can only be waived.

use axum::{Json, extract::State};
use crm::{Obligation, ObligationFilter, ObligationState, obligation::MOST_REASON};
use garde::Validate;
use model::{ObligationEnd, ObligationId, OrganisationId, PersonId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::{Body, Params, Path},
    clients::ClientFields,
    moment::{self, Moment},
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
        .routes(routes!(waive))
}

/// A call back that is or was owed.
#[derive(Debug, Serialize, ToSchema)]
struct ObligationView {
    id: String,
    /// `open`, `closed` (by a conversation) or `waived`.
    #[schema(value_type = String)]
    state: ObligationState,
    /// To whom; nobody for a number that was not in the contact base when it called.
    client: ClientFields,
    /// The client's name as of now.
    client_name: Option<String>,
    /// The number of the last missed call.
    number: String,
    /// Id of the line that the first missed call came by.
    line: Option<String>,
    /// Id of the agent who is to call; without one, everybody may.
    responsible: Option<String>,
    responsible_name: Option<String>,
    /// When the first missed call ended.
    opened_at: Moment,
    /// By when to call; later missed calls do not move it.
    due: Moment,
    /// Open after its deadline, or ended after it.
    overdue: bool,
    /// Missed calls of the client meanwhile, the first included.
    missed_calls: u32,
    /// Id of the first of them.
    first_call: String,
    /// Id of the last of them.
    last_call: String,
    /// When that ended.
    last_missed_at: Moment,
    closed_at: Option<Moment>,
    /// `conversation` or `waived`.
    closed_by: Option<&'static str>,
    /// Id of the call of that conversation.
    closed_call: Option<String>,
    /// Id of the user who waived it.
    waived_by: Option<String>,
    /// Why it was waived.
    reason: Option<String>,
}

impl From<Obligation> for ObligationView {
    fn from(owed: Obligation) -> Self {
        let (state, overdue) = (owed.state(), owed.is_overdue(moment::now()));
        let closed_at = owed.closed.as_ref().map(|closing| closing.at.into());
        let (mut closed_by, mut closed_call, mut waived) = (None, None, None);
        match owed.closed.map(|closing| closing.end) {
            None => {}
            Some(ObligationEnd::Conversation { closed_call: call }) => {
                (closed_by, closed_call) = (Some("conversation"), Some(call.to_string()));
            }
            Some(ObligationEnd::Waived { waived_by, reason }) => {
                (closed_by, waived) = (Some("waived"), Some((waived_by.to_string(), reason)));
            }
        }
        let (waived_by, reason) = waived.unzip();
        Self {
            id: owed.id.to_string(),
            state,
            client: owed.client.into(),
            client_name: owed.client_name,
            number: owed.number,
            line: owed.line.map(|id| id.to_string()),
            responsible: owed.responsible.map(|id| id.to_string()),
            responsible_name: owed.responsible_name,
            opened_at: owed.opened_at.into(),
            due: owed.due.into(),
            overdue,
            missed_calls: owed.missed_calls,
            first_call: owed.first_call.to_string(),
            last_call: owed.last_call.to_string(),
            last_missed_at: owed.last_missed_at.into(),
            closed_at,
            closed_by,
            closed_call,
            waived_by,
            reason,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// `open`, `closed` (by a conversation) or `waived`.
    #[param(value_type = Option<String>)]
    state: Option<ObligationState>,
    /// Only those open after their deadline or ended after it; or only all others.
    overdue: Option<bool>,
    /// Only those of this agent.
    #[param(value_type = Option<String>)]
    responsible: Option<UserId>,
    /// Only those owed to this person.
    #[param(value_type = Option<String>)]
    person: Option<PersonId>,
    /// Only those owed to this organisation, its persons included.
    #[param(value_type = Option<String>)]
    organisation: Option<OrganisationId>,
    /// Due at this time or later (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    due_after: Option<Moment>,
    /// Due before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    due_before: Option<Moment>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, usually 50.
    limit: Option<u32>,
}

/// List obligations, newest first
///
/// An agent sees their own and those that nobody is responsible for.
#[utoipa::path(get, path = "/obligations", tag = "obligations", params(Query),
    responses((status = 200, body = Items<ObligationView>)))]
async fn list(
    State(state): State<ApiState>,
    identity: Identity,
    Params(query): Params<Query>,
) -> Result<Items<ObligationView>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let filter = ObligationFilter {
        state: query.state,
        overdue: query.overdue,
        responsible: query.responsible,
        person: query.person,
        organisation: query.organisation,
        due_after: query.due_after.map(|moment| moment.0),
        due_before: query.due_before.map(|moment| moment.0),
        visible_to: rights::narrowed_to(&identity),
    };
    let found = state.base.obligations().list(&filter, &page).await?;
    Ok(found.map(ObligationView::from).into())
}

/// Read an obligation
#[utoipa::path(get, path = "/obligations/{id}", tag = "obligations",
    params(("id" = String, Path)),
    responses((status = 200, body = ObligationView), (status = 404)))]
async fn read(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<ObligationId>,
) -> Result<Json<ObligationView>, Problem> {
    let found = state.base.obligations().read(id).await?;
    rights::see_obligation(&identity, &found)?;
    Ok(Json(found.into()))
}

/// Why an obligation is let go.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct Waiver {
    /// What speaks against calling back.
    #[garde(length(chars, min = 1, max = MOST_REASON))]
    reason: String,
}

/// Let an obligation go, for a reason
///
/// Supervisors and administrators only. It counts as waived, never as closed: only a conversation
/// with the client closes one.
#[utoipa::path(post, path = "/obligations/{id}/waive", tag = "obligations",
    params(("id" = String, Path)), request_body = Waiver,
    responses((status = 200, body = ObligationView), (status = 404), (status = 409),
        (status = 422)))]
async fn waive(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<ObligationId>,
    Body(waiver): Body<Waiver>,
) -> Result<Json<ObligationView>, Problem> {
    let obligations = state.base.obligations();
    let waived = obligations.waive(id, identity.user, &waiver.reason).await;
    // Also after an error: the store may have kept what it could not confirm.
    state.hub.journal_grew();
    Ok(Json(waived?.into()))
}
