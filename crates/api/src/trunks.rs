//! Connections to telephone companies.

use axum::{extract::State, http::StatusCode, response::Response};
use crm::{TrunkData, TrunkFilter};
use garde::Validate;
use ipnet::IpNet;
use model::TrunkId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::{Body, MergePatch, Params, Path},
    etag::IfMatch,
    problem::Problem,
    resource::{self, Fields, Items, Stored},
};

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, change, remove))
}

/// A trunk.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrunkFields {
    /// What the administrator calls it; unique.
    #[garde(length(chars, min = 1, max = 100))]
    pub name: String,
    /// Where its signalling comes from: addresses or networks such as `203.0.113.0/24`.
    #[garde(length(min = 1, max = 64))]
    #[schema(value_type = Vec<String>)]
    pub networks: Vec<Network>,
    /// Where its media may come from, besides the address in its SDP.
    #[serde(default)]
    #[garde(length(max = 64))]
    #[schema(value_type = Vec<String>)]
    pub media_networks: Vec<Network>,
    /// P-Asserted-Identity from it is believed (RFC 3325).
    #[serde(default)]
    #[garde(skip)]
    pub trusted_identity: bool,
    /// Most simultaneous calls; none for no limit of its own.
    #[serde(default)]
    #[garde(range(min = 1))]
    pub most_calls: Option<u32>,
}

/// An address or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Network(pub IpNet);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let network = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| {
            serde::de::Error::custom(
                "not a network: expected an address such as 203.0.113.7 or a network such as \
                 203.0.113.0/24",
            )
        })
    }
}

impl Fields for TrunkFields {
    type Data = TrunkData;

    fn of(data: TrunkData) -> Self {
        Self {
            name: data.name,
            networks: data.networks.into_iter().map(Network).collect(),
            media_networks: data.media_networks.into_iter().map(Network).collect(),
            trusted_identity: data.trusted_identity,
            most_calls: data.most_calls,
        }
    }
}

impl From<TrunkFields> for TrunkData {
    fn from(fields: TrunkFields) -> Self {
        let plain = |networks: Vec<Network>| networks.into_iter().map(|one| one.0).collect();
        Self {
            name: fields.name,
            networks: plain(fields.networks),
            media_networks: plain(fields.media_networks),
            trusted_identity: fields.trusted_identity,
            most_calls: fields.most_calls,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, usually 50.
    limit: Option<u32>,
}

/// List trunks
#[utoipa::path(get, path = "/trunks", tag = "trunks", params(Query),
    responses((status = 200, body = Items<Stored<TrunkFields>>)))]
async fn list(
    State(state): State<ApiState>,
    Params(query): Params<Query>,
) -> Result<Items<Stored<TrunkFields>>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let trunks = state.base.trunks().list(&TrunkFilter {}, &page).await?;
    Ok(resource::items(trunks))
}

/// Create a trunk
#[utoipa::path(post, path = "/trunks", tag = "trunks", request_body = TrunkFields,
    responses((status = 201, body = Stored<TrunkFields>), (status = 409), (status = 422)))]
async fn create(
    State(state): State<ApiState>,
    Body(fields): Body<TrunkFields>,
) -> Result<Response, Problem> {
    let trunk = state.base.trunks().create(fields.into()).await?;
    state.directory.announce().await;
    Ok(Stored::<TrunkFields>::of(trunk).created())
}

/// Read a trunk
#[utoipa::path(get, path = "/trunks/{id}", tag = "trunks", params(("id" = String, Path)),
    responses((status = 200, body = Stored<TrunkFields>), (status = 404)))]
async fn read(
    State(state): State<ApiState>,
    Path(id): Path<TrunkId>,
) -> Result<Stored<TrunkFields>, Problem> {
    Ok(Stored::of(state.base.trunks().read(id).await?))
}

/// Change a trunk
#[utoipa::path(patch, path = "/trunks/{id}", tag = "trunks", params(("id" = String, Path)),
    request_body(content = TrunkFields, content_type = "application/merge-patch+json"),
    responses((status = 200, body = Stored<TrunkFields>), (status = 404), (status = 412)))]
async fn change(
    State(state): State<ApiState>,
    if_match: IfMatch,
    Path(id): Path<TrunkId>,
    patch: MergePatch,
) -> Result<Stored<TrunkFields>, Problem> {
    let record = state.base.trunks().read(id).await?;
    let fields: TrunkFields = resource::patched(&record, &if_match, patch)?;
    let changed = resource::replace(state.base.trunks(), &record, fields.into()).await?;
    state.directory.announce().await;
    Ok(Stored::of(changed))
}

/// Remove a trunk
#[utoipa::path(delete, path = "/trunks/{id}", tag = "trunks", params(("id" = String, Path)),
    responses((status = 204), (status = 404), (status = 412)))]
async fn remove(
    State(state): State<ApiState>,
    if_match: IfMatch,
    Path(id): Path<TrunkId>,
) -> Result<StatusCode, Problem> {
    let record = state.base.trunks().read(id).await?;
    let status = resource::remove(state.base.trunks(), &record, &if_match).await?;
    state.directory.announce().await;
    Ok(status)
}
