//! A leaver's clients go to successors in one act (R6).

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use crm::{
    HandOver, HandOverFilter, HandOverOrder, Holdings,
    hand_over::{MOST_NOTE, MOST_SUCCESSORS, Share},
};
use garde::Validate;
use model::{HandOverId, OrganisationId, PersonId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::{Body, Params, Path},
    moment::Moment,
    orders::key_in,
    problem::Problem,
    resource::{self, Items},
    session::Identity,
};

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(holdings, hand_over))
        .routes(routes!(list))
        .routes(routes!(read))
}

/// To whom.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct HandOverFields {
    /// Id of the one user who gets everything.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    to: Option<UserId>,
    /// Or ids of several users among whom the clients are split evenly. Persons stay with their organisation, and deals,
    /// tasks and calls back with their client.
    #[serde(default)]
    #[garde(inner(length(min = 1, max = MOST_SUCCESSORS)))]
    #[schema(value_type = Option<Vec<String>>)]
    among: Option<Vec<UserId>>,
    /// A note that each client gets.
    #[serde(default)]
    #[garde(inner(length(chars, max = MOST_NOTE)))]
    note: Option<String>,
}

impl HandOverFields {
    fn successors(&self) -> Result<Vec<UserId>, Problem> {
        match (self.to, &self.among) {
            (Some(to), None) => Ok(vec![to]),
            (None, Some(among)) => Ok(among.clone()),
            _ => Err(Problem::field(
                "to",
                "name one user here, or several in `among`",
            )),
        }
    }
}

/// What was or would be nobody's without the user.
#[derive(Debug, Serialize, ToSchema)]
struct HoldingsView {
    persons: u64,
    organisations: u64,
    /// Open ones.
    deals: u64,
    /// Those that are not done.
    tasks: u64,
    /// Calls back that are owed.
    obligations: u64,
}

impl From<Holdings> for HoldingsView {
    fn from(held: Holdings) -> Self {
        Self {
            persons: held.persons,
            organisations: held.organisations,
            deals: held.deals,
            tasks: held.tasks,
            obligations: held.obligations,
        }
    }
}

/// What one successor got.
#[derive(Debug, Serialize, ToSchema)]
struct ShareView {
    /// Id of the user.
    user: String,
    name: Option<String>,
    moved: HoldingsView,
}

impl From<Share> for ShareView {
    fn from(share: Share) -> Self {
        Self {
            user: share.user.to_string(),
            name: share.name,
            moved: share.moved.into(),
        }
    }
}

/// A hand-over that was carried out.
#[derive(Debug, Serialize, ToSchema)]
struct HandOverView {
    id: String,
    at: Moment,
    /// Id of the user who gave the order.
    by: String,
    by_name: Option<String>,
    /// Id of the user whose clients they were.
    from: String,
    from_name: Option<String>,
    note: Option<String>,
    /// Everything that moved.
    moved: HoldingsView,
    /// Who got how much.
    to: Vec<ShareView>,
}

impl From<HandOver> for HandOverView {
    fn from(done: HandOver) -> Self {
        Self {
            moved: done.moved().into(),
            id: done.id.to_string(),
            at: done.at.into(),
            by: done.by.to_string(),
            by_name: done.by_name,
            from: done.from.to_string(),
            from_name: done.from_name,
            note: done.note,
            to: done.to.into_iter().map(ShareView::from).collect(),
        }
    }
}

/// What a user has in hand
///
/// A user who has nothing in hand can be removed.
#[utoipa::path(get, path = "/users/{id}/hand-over", tag = "hand-overs", params(("id" = String, Path)),
    responses((status = 200, body = HoldingsView), (status = 404)))]
async fn holdings(
    State(state): State<ApiState>,
    Path(id): Path<UserId>,
) -> Result<Json<HoldingsView>, Problem> {
    state.base.users().read(id).await?;
    Ok(Json(state.base.hand_overs().holdings(id).await?.into()))
}

/// Hand over everything that a user has in hand
///
/// All persons and organisations assigned to the user, open deals, open tasks and open calls back move in one act; the next
/// call of each client goes to the successor. A request with the same `Idempotency-Key` moves nothing and gets the same
/// answer.
#[utoipa::path(post, path = "/users/{id}/hand-over", tag = "hand-overs", request_body = HandOverFields,
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = HandOverView), (status = 404), (status = 409), (status = 422)))]
async fn hand_over(
    State(state): State<ApiState>,
    identity: Identity,
    headers: HeaderMap,
    Path(id): Path<UserId>,
    Body(fields): Body<HandOverFields>,
) -> Result<Response, Problem> {
    let order = HandOverOrder {
        from: id,
        to: fields.successors()?,
        by: identity.user,
        note: fields.note,
        key: key_in(&headers)?,
    };
    let done = state.base.hand_overs().carry_out(&order).await?;
    let location = [(LOCATION, format!("/api/v1/hand-overs/{}", done.id))];
    let view = Json(HandOverView::from(done));
    Ok((StatusCode::CREATED, location, view).into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Only of this leaver.
    #[param(value_type = Option<String>)]
    from: Option<UserId>,
    /// Only those that moved this person.
    #[param(value_type = Option<String>)]
    person: Option<PersonId>,
    /// Only those that moved this organisation.
    #[param(value_type = Option<String>)]
    organisation: Option<OrganisationId>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, usually 50.
    limit: Option<u32>,
}

/// List hand-overs, newest first
#[utoipa::path(get, path = "/hand-overs", tag = "hand-overs", params(Query),
    responses((status = 200, body = Items<HandOverView>)))]
async fn list(
    State(state): State<ApiState>,
    Params(query): Params<Query>,
) -> Result<Items<HandOverView>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let filter = HandOverFilter {
        from: query.from,
        person: query.person,
        organisation: query.organisation,
    };
    let found = state.base.hand_overs().list(&filter, &page).await?;
    Ok(found.map(HandOverView::from).into())
}

/// Read a hand-over
#[utoipa::path(get, path = "/hand-overs/{id}", tag = "hand-overs", params(("id" = String, Path)),
    responses((status = 200, body = HandOverView), (status = 404)))]
async fn read(
    State(state): State<ApiState>,
    Path(id): Path<HandOverId>,
) -> Result<Json<HandOverView>, Problem> {
    Ok(Json(state.base.hand_overs().read(id).await?.into()))
}
