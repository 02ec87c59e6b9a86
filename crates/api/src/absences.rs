//! When users are absent and who stands in for them (R6). Everybody plans for themselves, administrators for all.

use axum::{Json, extract::State, http::StatusCode, response::Response};
use crm::{
    Absence, AbsenceData, AbsenceFilter, Role,
    absence::{MOST_NOTE, MOST_PLANNED},
};
use garde::Validate;
use model::{AbsenceId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::{Body, MergePatch, Params, Path},
    etag::IfMatch,
    moment::Moment,
    problem::Problem,
    resource::{self, Fields, Items, Stored},
    rights,
    session::Identity,
};

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, change, remove))
        .routes(routes!(deputy, set_deputy))
}

/// A time in which a user takes no calls; it begins and ends by itself.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AbsenceFields {
    /// Id of the user who is absent; oneself as usual.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pub user: Option<UserId>,
    /// From then on.
    #[garde(skip)]
    pub from: Moment,
    /// Back from then on; must be later than `from`. Whoever comes back early sets it to that moment.
    #[garde(skip)]
    pub until: Moment,
    /// Id of the user who stands in during this time, if it is not the usual deputy.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pub deputy: Option<UserId>,
    /// Why, in the user's words.
    #[serde(default)]
    #[garde(inner(length(chars, max = MOST_NOTE)))]
    pub note: Option<String>,
}

impl Fields for AbsenceFields {
    type Data = AbsenceData;

    fn of(data: AbsenceData) -> Self {
        Self {
            user: Some(data.user),
            from: data.from.into(),
            until: data.until.into(),
            deputy: data.deputy,
            note: data.note,
        }
    }
}

impl AbsenceFields {
    fn of_whom(self, usual: UserId) -> AbsenceData {
        AbsenceData {
            user: self.user.unwrap_or(usual),
            from: self.from.0,
            until: self.until.0,
            deputy: self.deputy,
            note: self.note,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Only this user's.
    #[param(value_type = Option<String>)]
    user: Option<UserId>,
    /// Only those that end after this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    after: Option<Moment>,
    /// Only those that begin before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    before: Option<Moment>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, usually 50.
    limit: Option<u32>,
}

/// List absences, newest first
///
/// Agents see their own, supervisors and administrators everybody's.
#[utoipa::path(get, path = "/absences", tag = "absences", params(Query),
    responses((status = 200, body = Items<Stored<AbsenceFields>>)))]
async fn list(
    State(state): State<ApiState>,
    identity: Identity,
    Params(query): Params<Query>,
) -> Result<Items<Stored<AbsenceFields>>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let filter = AbsenceFilter {
        user: query.user,
        after: query.after.map(|moment| moment.0),
        before: query.before.map(|moment| moment.0),
        visible_to: rights::narrowed_to(&identity),
    };
    let found = state.base.absences().list(&filter, &page).await?;
    Ok(resource::items(found))
}

/// Plan an absence
///
/// It must not overlap another one of the same user, and its deputy must not close a circle of deputies.
#[utoipa::path(post, path = "/absences", tag = "absences", request_body = AbsenceFields,
    responses((status = 201, body = Stored<AbsenceFields>), (status = 403), (status = 422)))]
async fn create(
    State(state): State<ApiState>,
    identity: Identity,
    Body(fields): Body<AbsenceFields>,
) -> Result<Response, Problem> {
    let data = fields.of_whom(identity.user);
    rights::plan_for(&identity, data.user)?;
    let absence = state.base.absences().create(data).await;
    let absence = absence.map_err(too_many)?;
    state.directory.announce().await;
    Ok(Stored::<AbsenceFields>::of(absence).created())
}

/// The limit is no field of the body.
fn too_many(error: crm::Error) -> Problem {
    match error {
        crm::Error::Invalid {
            field: "absences", ..
        } => Problem::refused(format!(
            "a user has at most {MOST_PLANNED} absences that are not over; remove some first"
        )),
        other => other.into(),
    }
}

async fn visible(state: &ApiState, who: &Identity, id: AbsenceId) -> Result<Absence, Problem> {
    let record = state.base.absences().read(id).await?;
    if who.role != Role::Agent || record.data.user == who.user {
        return Ok(record);
    }
    Err(Problem::from(crm::Error::NotFound("absence")))
}

/// Read an absence
#[utoipa::path(get, path = "/absences/{id}", tag = "absences", params(("id" = String, Path)),
    responses((status = 200, body = Stored<AbsenceFields>), (status = 404)))]
async fn read(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<AbsenceId>,
) -> Result<Stored<AbsenceFields>, Problem> {
    Ok(Stored::of(visible(&state, &identity, id).await?))
}

/// Change an absence
#[utoipa::path(patch, path = "/absences/{id}", tag = "absences", params(("id" = String, Path)),
    request_body(content = AbsenceFields, content_type = "application/merge-patch+json"),
    responses((status = 200, body = Stored<AbsenceFields>), (status = 403), (status = 404), (status = 412)))]
async fn change(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<AbsenceId>,
    patch: MergePatch,
) -> Result<Stored<AbsenceFields>, Problem> {
    let record = visible(&state, &identity, id).await?;
    rights::plan_for(&identity, record.data.user)?;
    let fields: AbsenceFields = resource::patched(&record, &if_match, patch)?;
    let data = fields.of_whom(record.data.user);
    rights::plan_for(&identity, data.user)?;
    let changed = resource::replace(state.base.absences(), &record, data).await?;
    state.directory.announce().await;
    Ok(Stored::of(changed))
}

/// Remove an absence; one that has begun ends at once
#[utoipa::path(delete, path = "/absences/{id}", tag = "absences", params(("id" = String, Path)),
    responses((status = 204), (status = 403), (status = 404), (status = 412)))]
async fn remove(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<AbsenceId>,
) -> Result<StatusCode, Problem> {
    let record = visible(&state, &identity, id).await?;
    rights::plan_for(&identity, record.data.user)?;
    let removed = resource::remove(state.base.absences(), &record, &if_match).await?;
    state.directory.announce().await;
    Ok(removed)
}

/// Who takes the calls of a user's clients whenever the user cannot.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct DeputyFields {
    /// Id of the deputy; none for nobody.
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    deputy: Option<UserId>,
}

/// Read a user's deputy
#[utoipa::path(get, path = "/users/{id}/deputy", tag = "absences", params(("id" = String, Path)),
    responses((status = 200, body = DeputyFields), (status = 404)))]
async fn deputy(
    State(state): State<ApiState>,
    Path(id): Path<UserId>,
) -> Result<Json<DeputyFields>, Problem> {
    let deputy = state.base.users().read(id).await?.data.deputy;
    Ok(Json(DeputyFields { deputy }))
}

/// Set a user's deputy
///
/// Agents set their own, administrators everybody's. A deputy whose own deputies lead back to the user is refused.
#[utoipa::path(put, path = "/users/{id}/deputy", tag = "absences", params(("id" = String, Path)),
    request_body = DeputyFields,
    responses((status = 200, body = DeputyFields), (status = 403), (status = 404), (status = 422)))]
async fn set_deputy(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<UserId>,
    Body(fields): Body<DeputyFields>,
) -> Result<Json<DeputyFields>, Problem> {
    rights::plan_for(&identity, id)?;
    state.base.users().set_deputy(id, fields.deputy).await?;
    state.directory.announce().await;
    Ok(Json(fields))
}
