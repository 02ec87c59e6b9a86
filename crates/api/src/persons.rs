//! Persons on the client's side.

use axum::{extract::State, http::StatusCode, response::Response};
use crm::{Membership, Person, PersonData, PersonFilter, person::MOST_MEMBERSHIPS};
use garde::Validate;
use model::{Flag, NumberId, OrganisationId, PersonId, UserId};
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
        .routes(routes!(add_membership))
        .routes(routes!(remove_membership))
}

/// A person.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonFields {
    /// The full name.
    #[garde(length(chars, min = 1, max = 300))]
    pub name: String,
    /// Id of the assigned manager; if none, the first organisation with a manager lends its own.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pub manager: Option<UserId>,
    /// Marks: `vip`, `undesirable`, `core`, `do_not_call`.
    #[serde(default)]
    #[garde(length(max = 8))]
    #[schema(value_type = Vec<String>)]
    pub flags: Vec<Flag>,
    /// The numbers.
    #[serde(default)]
    #[garde(length(max = crm::number::MOST_PER_CLIENT), dive)]
    pub numbers: Vec<NumberFields>,
    /// Where the person works, the main organisation first.
    #[serde(default)]
    #[garde(length(max = MOST_MEMBERSHIPS), dive)]
    pub memberships: Vec<MembershipFields>,
}

/// A person's place in an organisation.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MembershipFields {
    /// Id of the organisation.
    #[garde(skip)]
    #[schema(value_type = String)]
    pub organisation: OrganisationId,
    /// As what.
    #[serde(default)]
    #[garde(length(chars, min = 1, max = 200))]
    pub position: Option<String>,
}

impl From<Membership> for MembershipFields {
    fn from(membership: Membership) -> Self {
        Self {
            organisation: membership.organisation,
            position: membership.position,
        }
    }
}

impl From<MembershipFields> for Membership {
    fn from(fields: MembershipFields) -> Self {
        Self {
            organisation: fields.organisation,
            position: fields.position,
        }
    }
}

impl Fields for PersonFields {
    type Data = PersonData;

    fn of(data: PersonData) -> Self {
        Self {
            name: data.name,
            manager: data.manager,
            flags: data.flags,
            numbers: data.numbers.into_iter().map(Into::into).collect(),
            memberships: data.memberships.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<PersonFields> for PersonData {
    fn from(fields: PersonFields) -> Self {
        Self {
            name: fields.name,
            manager: fields.manager,
            flags: clients::tidy(fields.flags),
            numbers: fields.numbers.into_iter().map(Into::into).collect(),
            memberships: fields.memberships.into_iter().map(Into::into).collect(),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Part of the name.
    text: Option<String>,
    /// Only those whose manager, their own or lent by an organisation, is this user.
    #[param(value_type = Option<String>)]
    manager: Option<UserId>,
    /// Only those of this organisation.
    #[param(value_type = Option<String>)]
    organisation: Option<OrganisationId>,
    /// Only those with this number, in any way of writing.
    number: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, usually 50.
    limit: Option<u32>,
}

/// List persons
#[utoipa::path(get, path = "/persons", tag = "persons", params(Query),
    responses((status = 200, body = Items<Stored<PersonFields>>)))]
async fn list(
    State(state): State<ApiState>,
    identity: Identity,
    Params(query): Params<Query>,
) -> Result<Items<Stored<PersonFields>>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let filter = PersonFilter {
        text: query.text,
        manager: query.manager,
        organisation: query.organisation,
        number: query.number,
        visible_to: rights::narrowed_to(&identity),
    };
    let persons = state.base.persons().list(&filter, &page).await?;
    Ok(resource::items(persons))
}

/// Create a person
#[utoipa::path(post, path = "/persons", tag = "persons",
    request_body = PersonFields,
    responses((status = 201, body = Stored<PersonFields>), (status = 422)))]
async fn create(
    State(state): State<ApiState>,
    identity: Identity,
    Body(fields): Body<PersonFields>,
) -> Result<Response, Problem> {
    rights::assign(&identity, None, fields.manager)?;
    let person = state.base.persons().create(fields.into()).await?;
    Ok(Stored::<PersonFields>::of(person).created())
}

async fn visible(state: &ApiState, identity: &Identity, id: PersonId) -> Result<Person, Problem> {
    let record = state.base.persons().read(id).await?;
    rights::see_client(state, identity, clients::person(id), "person").await?;
    Ok(record)
}

async fn changeable(
    state: &ApiState,
    identity: &Identity,
    id: PersonId,
) -> Result<Person, Problem> {
    let record = state.base.persons().read(id).await?;
    rights::change_client(state, identity, clients::person(id), "person").await?;
    Ok(record)
}

/// Read a person
#[utoipa::path(get, path = "/persons/{id}", tag = "persons",
    params(("id" = String, Path)),
    responses((status = 200, body = Stored<PersonFields>), (status = 404)))]
async fn read(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<PersonId>,
) -> Result<Stored<PersonFields>, Problem> {
    Ok(Stored::of(visible(&state, &identity, id).await?))
}

/// Change a person
#[utoipa::path(patch, path = "/persons/{id}", tag = "persons",
    params(("id" = String, Path)),
    request_body(content = PersonFields, content_type = "application/merge-patch+json"),
    responses((status = 200, body = Stored<PersonFields>), (status = 404), (status = 412)))]
async fn change(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<PersonId>,
    patch: MergePatch,
) -> Result<Stored<PersonFields>, Problem> {
    let record = changeable(&state, &identity, id).await?;
    let fields: PersonFields = resource::patched(&record, &if_match, patch)?;
    rights::assign(&identity, record.data.manager, fields.manager)?;
    store(&state, &record, fields.into()).await
}

/// Remove a person; calls and history that name it stay
#[utoipa::path(delete, path = "/persons/{id}", tag = "persons",
    params(("id" = String, Path)),
    responses((status = 204), (status = 404), (status = 412)))]
async fn remove(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<PersonId>,
) -> Result<StatusCode, Problem> {
    let record = changeable(&state, &identity, id).await?;
    resource::remove(state.base.persons(), &record, &if_match).await
}

/// Add a number to a person
#[utoipa::path(post, path = "/persons/{id}/numbers", tag = "persons",
    params(("id" = String, Path)), request_body = NumberFields,
    responses((status = 200, body = Stored<PersonFields>), (status = 404), (status = 409)))]
async fn add_number(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<PersonId>,
    Body(number): Body<NumberFields>,
) -> Result<Stored<PersonFields>, Problem> {
    let record = changeable(&state, &identity, id).await?;
    if_match.check(record.version)?;
    let mut data = record.data.clone();
    clients::add_number(&mut data.numbers, number)?;
    store(&state, &record, data).await
}

/// Remove a number from a person
#[utoipa::path(delete, path = "/persons/{id}/numbers/{number}", tag = "persons",
    params(("id" = String, Path), ("number" = String, Path)),
    responses((status = 200, body = Stored<PersonFields>), (status = 404)))]
async fn remove_number(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path((id, number)): Path<(PersonId, NumberId)>,
) -> Result<Stored<PersonFields>, Problem> {
    let record = changeable(&state, &identity, id).await?;
    if_match.check(record.version)?;
    let mut data = record.data.clone();
    clients::take_number(&mut data.numbers, number)?;
    store(&state, &record, data).await
}

/// Set the marks of a person
#[utoipa::path(put, path = "/persons/{id}/flags", tag = "persons",
    params(("id" = String, Path)), request_body = Flags,
    responses((status = 200, body = Stored<PersonFields>), (status = 404)))]
async fn set_flags(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<PersonId>,
    Body(Flags { flags }): Body<Flags>,
) -> Result<Stored<PersonFields>, Problem> {
    let record = changeable(&state, &identity, id).await?;
    if_match.check(record.version)?;
    let data = PersonData {
        flags: clients::tidy(flags),
        ..record.data.clone()
    };
    store(&state, &record, data).await
}

/// Say that a person works in an organisation, or as what
#[utoipa::path(post, path = "/persons/{id}/memberships", tag = "persons",
    params(("id" = String, Path)), request_body = MembershipFields,
    responses((status = 200, body = Stored<PersonFields>), (status = 404), (status = 409)))]
async fn add_membership(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<PersonId>,
    Body(new): Body<MembershipFields>,
) -> Result<Stored<PersonFields>, Problem> {
    let record = changeable(&state, &identity, id).await?;
    if_match.check(record.version)?;
    let mut data = record.data.clone();
    let is_full = data.memberships.len() >= MOST_MEMBERSHIPS;
    let known = data
        .memberships
        .iter_mut()
        .find(|one| one.organisation == new.organisation);
    match known {
        Some(known) => known.position = new.position,
        None if is_full => {
            return Err(Problem::refused(format!(
                "a person belongs to at most {MOST_MEMBERSHIPS} organisations; remove one first"
            )));
        }
        None => data.memberships.push(new.into()),
    }
    store(&state, &record, data).await
}

/// Say that a person does not work in an organisation any more
#[utoipa::path(delete, path = "/persons/{id}/memberships/{organisation}", tag = "persons",
    params(("id" = String, Path), ("organisation" = String, Path)),
    responses((status = 200, body = Stored<PersonFields>), (status = 404)))]
async fn remove_membership(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path((id, organisation)): Path<(PersonId, OrganisationId)>,
) -> Result<Stored<PersonFields>, Problem> {
    let record = changeable(&state, &identity, id).await?;
    if_match.check(record.version)?;
    let mut data = record.data.clone();
    let before = data.memberships.len();
    data.memberships
        .retain(|one| one.organisation != organisation);
    if data.memberships.len() == before {
        return Err(Problem::from(crm::Error::NotFound("membership")));
    }
    store(&state, &record, data).await
}

async fn store(
    state: &ApiState,
    record: &Person,
    data: PersonData,
) -> Result<Stored<PersonFields>, Problem> {
    let changed = resource::replace(state.base.persons(), record, data).await?;
    Ok(Stored::of(changed))
}
