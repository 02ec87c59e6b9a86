//! Client organisations.

use axum::{extract::State, http::StatusCode, response::Response};
use crm::{Organisation, OrganisationData, OrganisationFilter};
use garde::Validate;
use model::{Flag, NumberId, OrganisationId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::{Body, MergePatch, Params, Path},
    clients::{self, Flags, NumberFields},
    etag::IfMatch,
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
        .routes(routes!(add_number))
        .routes(routes!(remove_number))
        .routes(routes!(set_flags))
}

/// An organisation.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrganisationFields {
    /// Its name.
    #[garde(length(chars, min = 1, max = 300))]
    pub name: String,
    /// Id of the assigned manager, who also answers for its persons without one of their own.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pub manager: Option<UserId>,
    /// Marks: `vip`, `undesirable`, `core`, `do_not_call`.
    #[serde(default)]
    #[garde(length(max = 8))]
    #[schema(value_type = Vec<String>)]
    pub flags: Vec<Flag>,
    /// Its own numbers (switchboard).
    #[serde(default)]
    #[garde(length(max = crm::number::MOST_PER_CLIENT), dive)]
    pub numbers: Vec<NumberFields>,
}

impl Fields for OrganisationFields {
    type Data = OrganisationData;

    fn of(data: OrganisationData) -> Self {
        Self {
            name: data.name,
            manager: data.manager,
            flags: data.flags,
            numbers: data.numbers.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<OrganisationFields> for OrganisationData {
    fn from(fields: OrganisationFields) -> Self {
        Self {
            name: fields.name,
            manager: fields.manager,
            flags: clients::tidy(fields.flags),
            numbers: fields.numbers.into_iter().map(Into::into).collect(),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Part of the name.
    text: Option<String>,
    /// Only those assigned to this user.
    #[param(value_type = Option<String>)]
    manager: Option<UserId>,
    /// Only those with this number, in any way of writing.
    number: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, usually 50.
    limit: Option<u32>,
}

/// List organisations
#[utoipa::path(get, path = "/organisations", tag = "organisations", params(Query),
    responses((status = 200, body = Items<Stored<OrganisationFields>>)))]
async fn list(
    State(state): State<ApiState>,
    identity: Identity,
    Params(query): Params<Query>,
) -> Result<Items<Stored<OrganisationFields>>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let filter = OrganisationFilter {
        text: query.text,
        manager: query.manager,
        number: query.number,
        visible_to: rights::narrowed_to(&identity),
    };
    let organisations = state.base.organisations().list(&filter, &page).await?;
    Ok(resource::items(organisations))
}

/// Create an organisation
#[utoipa::path(post, path = "/organisations", tag = "organisations",
    request_body = OrganisationFields,
    responses((status = 201, body = Stored<OrganisationFields>), (status = 422)))]
async fn create(
    State(state): State<ApiState>,
    identity: Identity,
    Body(fields): Body<OrganisationFields>,
) -> Result<Response, Problem> {
    rights::assign(&identity, None, fields.manager)?;
    let organisation = state.base.organisations().create(fields.into()).await?;
    Ok(Stored::<OrganisationFields>::of(organisation).created())
}

async fn visible(
    state: &ApiState,
    identity: &Identity,
    id: OrganisationId,
) -> Result<Organisation, Problem> {
    let record = state.base.organisations().read(id).await?;
    rights::see_client(state, identity, clients::organisation(id), "organisation").await?;
    Ok(record)
}

async fn changeable(
    state: &ApiState,
    identity: &Identity,
    id: OrganisationId,
) -> Result<Organisation, Problem> {
    let record = state.base.organisations().read(id).await?;
    rights::change_client(state, identity, clients::organisation(id), "organisation").await?;
    Ok(record)
}

/// Read an organisation
#[utoipa::path(get, path = "/organisations/{id}", tag = "organisations",
    params(("id" = String, Path)),
    responses((status = 200, body = Stored<OrganisationFields>), (status = 404)))]
async fn read(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<OrganisationId>,
) -> Result<Stored<OrganisationFields>, Problem> {
    Ok(Stored::of(visible(&state, &identity, id).await?))
}

/// Change an organisation
#[utoipa::path(patch, path = "/organisations/{id}", tag = "organisations",
    params(("id" = String, Path)),
    request_body(content = OrganisationFields, content_type = "application/merge-patch+json"),
    responses((status = 200, body = Stored<OrganisationFields>), (status = 404), (status = 412)))]
async fn change(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<OrganisationId>,
    patch: MergePatch,
) -> Result<Stored<OrganisationFields>, Problem> {
    let record = changeable(&state, &identity, id).await?;
    let fields: OrganisationFields = resource::patched(&record, &if_match, patch)?;
    rights::assign(&identity, record.data.manager, fields.manager)?;
    store(&state, &record, fields.into()).await
}

/// Remove an organisation; calls and history that name it stay
#[utoipa::path(delete, path = "/organisations/{id}", tag = "organisations",
    params(("id" = String, Path)),
    responses((status = 204), (status = 404), (status = 412)))]
async fn remove(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<OrganisationId>,
) -> Result<StatusCode, Problem> {
    let record = changeable(&state, &identity, id).await?;
    resource::remove(state.base.organisations(), &record, &if_match).await
}

/// Add a number to an organisation
#[utoipa::path(post, path = "/organisations/{id}/numbers", tag = "organisations",
    params(("id" = String, Path)), request_body = NumberFields,
    responses((status = 200, body = Stored<OrganisationFields>), (status = 404), (status = 409)))]
async fn add_number(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<OrganisationId>,
    Body(number): Body<NumberFields>,
) -> Result<Stored<OrganisationFields>, Problem> {
    let record = changeable(&state, &identity, id).await?;
    if_match.check(record.version)?;
    let mut data = record.data.clone();
    clients::add_number(&mut data.numbers, number)?;
    store(&state, &record, data).await
}

/// Remove a number from an organisation
#[utoipa::path(delete, path = "/organisations/{id}/numbers/{number}", tag = "organisations",
    params(("id" = String, Path), ("number" = String, Path)),
    responses((status = 200, body = Stored<OrganisationFields>), (status = 404)))]
async fn remove_number(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path((id, number)): Path<(OrganisationId, NumberId)>,
) -> Result<Stored<OrganisationFields>, Problem> {
    let record = changeable(&state, &identity, id).await?;
    if_match.check(record.version)?;
    let mut data = record.data.clone();
    clients::take_number(&mut data.numbers, number)?;
    store(&state, &record, data).await
}

/// Set the marks of an organisation
#[utoipa::path(put, path = "/organisations/{id}/flags", tag = "organisations",
    params(("id" = String, Path)), request_body = Flags,
    responses((status = 200, body = Stored<OrganisationFields>), (status = 404)))]
async fn set_flags(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<OrganisationId>,
    Body(Flags { flags }): Body<Flags>,
) -> Result<Stored<OrganisationFields>, Problem> {
    let record = changeable(&state, &identity, id).await?;
    if_match.check(record.version)?;
    let data = OrganisationData {
        flags: clients::tidy(flags),
        ..record.data.clone()
    };
    store(&state, &record, data).await
}

async fn store(
    state: &ApiState,
    record: &Organisation,
    data: OrganisationData,
) -> Result<Stored<OrganisationFields>, Problem> {
    let changed = resource::replace(state.base.organisations(), record, data).await?;
    Ok(Stored::of(changed))
}
