//! Deals with clients.

use axum::{extract::State, http::StatusCode, response::Response};
use crm::{Deal, DealData, DealFilter, DealState};
use garde::Validate;
use model::{ClientRef, DealId, OrganisationId, PersonId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::{Body, MergePatch, Params, Path},
    clients::ClientFields,
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
}

/// A deal.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DealFields {
    /// What it is about.
    #[garde(length(chars, min = 1, max = 300))]
    pub title: String,
    /// With whom: a person, an organisation, or both.
    #[garde(dive)]
    pub client: ClientFields,
    /// Id of the user who leads it.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pub manager: Option<UserId>,
    /// How far it is, in the company's own words.
    #[garde(length(chars, min = 1, max = 100))]
    pub stage: String,
    /// `open`, `won` or `lost`.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = String, example = "open")]
    pub state: DealState,
    /// Its worth in hundredths of the currency.
    #[serde(default)]
    #[garde(range(min = 0))]
    pub amount_minor: Option<i64>,
    /// The currency (ISO 4217).
    #[serde(default = "rouble")]
    #[garde(custom(is_currency))]
    pub currency: String,
}

fn rouble() -> String {
    "RUB".to_owned()
}

fn is_currency(code: &str, _: &()) -> garde::Result {
    if code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(garde::Error::new(
        "must be three capital letters, such as RUB",
    ))
}

impl Fields for DealFields {
    type Data = DealData;

    fn of(data: DealData) -> Self {
        Self {
            title: data.title,
            client: data.client.into(),
            manager: data.manager,
            stage: data.stage,
            state: data.state,
            amount_minor: data.amount_minor,
            currency: data.currency,
        }
    }
}

impl TryFrom<DealFields> for DealData {
    type Error = Problem;

    fn try_from(fields: DealFields) -> Result<Self, Problem> {
        Ok(Self {
            title: fields.title,
            client: fields.client.required()?,
            manager: fields.manager,
            stage: fields.stage,
            state: fields.state,
            amount_minor: fields.amount_minor,
            currency: fields.currency,
        })
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Part of the title.
    text: Option<String>,
    /// Only those with this person.
    #[param(value_type = Option<String>)]
    person: Option<PersonId>,
    /// Only those with this organisation.
    #[param(value_type = Option<String>)]
    organisation: Option<OrganisationId>,
    /// Only those that this user leads.
    #[param(value_type = Option<String>)]
    manager: Option<UserId>,
    /// Only those in this state.
    #[param(value_type = Option<String>)]
    state: Option<DealState>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, usually 50.
    limit: Option<u32>,
}

/// List deals
#[utoipa::path(get, path = "/deals", tag = "deals", params(Query),
    responses((status = 200, body = Items<Stored<DealFields>>)))]
async fn list(
    State(state): State<ApiState>,
    identity: Identity,
    Params(query): Params<Query>,
) -> Result<Items<Stored<DealFields>>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let filter = DealFilter {
        text: query.text,
        client: ClientRef {
            person: query.person,
            organisation: query.organisation,
        },
        manager: query.manager,
        state: query.state,
        visible_to: rights::narrowed_to(&identity),
    };
    Ok(resource::items(
        state.base.deals().list(&filter, &page).await?,
    ))
}

/// Create a deal
#[utoipa::path(post, path = "/deals", tag = "deals", request_body = DealFields,
    responses((status = 201, body = Stored<DealFields>), (status = 422)))]
async fn create(
    State(state): State<ApiState>,
    identity: Identity,
    Body(fields): Body<DealFields>,
) -> Result<Response, Problem> {
    let data = DealData::try_from(fields)?;
    rights::change_client(&state, &identity, data.client, "client").await?;
    rights::assign(&identity, None, data.manager)?;
    let deal = state.base.deals().create(data).await?;
    Ok(Stored::<DealFields>::of(deal).created())
}

/// Whoever leads a deal sees and changes it, whosever client it is with.
async fn visible(state: &ApiState, identity: &Identity, id: DealId) -> Result<Deal, Problem> {
    let record = state.base.deals().read(id).await?;
    if record.data.manager != Some(identity.user) {
        rights::see_client(state, identity, record.data.client, "deal").await?;
    }
    Ok(record)
}

async fn changeable(state: &ApiState, identity: &Identity, id: DealId) -> Result<Deal, Problem> {
    let record = state.base.deals().read(id).await?;
    if record.data.manager != Some(identity.user) {
        rights::change_client(state, identity, record.data.client, "deal").await?;
    }
    Ok(record)
}

/// Read a deal
#[utoipa::path(get, path = "/deals/{id}", tag = "deals", params(("id" = String, Path)),
    responses((status = 200, body = Stored<DealFields>), (status = 404)))]
async fn read(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<DealId>,
) -> Result<Stored<DealFields>, Problem> {
    Ok(Stored::of(visible(&state, &identity, id).await?))
}

/// Change a deal
#[utoipa::path(patch, path = "/deals/{id}", tag = "deals", params(("id" = String, Path)),
    request_body(content = DealFields, content_type = "application/merge-patch+json"),
    responses((status = 200, body = Stored<DealFields>), (status = 404), (status = 412)))]
async fn change(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<DealId>,
    patch: MergePatch,
) -> Result<Stored<DealFields>, Problem> {
    let record = changeable(&state, &identity, id).await?;
    let fields: DealFields = resource::patched(&record, &if_match, patch)?;
    let data = DealData::try_from(fields)?;
    rights::assign(&identity, record.data.manager, data.manager)?;
    if data.client != record.data.client {
        rights::change_client(&state, &identity, data.client, "client").await?;
    }
    let changed = resource::replace(state.base.deals(), &record, data).await?;
    Ok(Stored::of(changed))
}

/// Remove a deal
#[utoipa::path(delete, path = "/deals/{id}", tag = "deals", params(("id" = String, Path)),
    responses((status = 204), (status = 404), (status = 412)))]
async fn remove(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<DealId>,
) -> Result<StatusCode, Problem> {
    let record = changeable(&state, &identity, id).await?;
    resource::remove(state.base.deals(), &record, &if_match).await
}
