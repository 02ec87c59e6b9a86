//! Parked clients (T3): put into a numbered place with music, and taken out of it by anybody.

use axum::{Json, extract::State, http::StatusCode};
use call::Act;
use crm::Parking;
use model::CallId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState, body::Path, controls, moment::Moment, problem::Problem, rights, session::Identity,
};

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(parked))
        .routes(routes!(park))
        .routes(routes!(retrieve))
}

/// Where a client is parked.
#[derive(Debug, Serialize, ToSchema)]
pub struct ParkedView {
    /// The place: `*5` and this number, dialled on any telephone, takes the client out.
    place: u8,
    /// Id of the agent who parked the client.
    by: String,
    /// Since when.
    at: Moment,
}

impl From<Parking> for ParkedView {
    fn from(parking: Parking) -> Self {
        Self {
            place: parking.place,
            by: parking.by.to_string(),
            at: parking.at.into(),
        }
    }
}

/// One stay of a client in a place.
#[derive(Debug, Serialize, ToSchema)]
pub struct ParkingView {
    #[serde(flatten)]
    parked: ParkedView,
    /// When the client left the place; none while they are there, or if somebody else ended the call there.
    left_at: Option<Moment>,
}

impl From<Parking> for ParkingView {
    fn from(parking: Parking) -> Self {
        Self {
            left_at: parking.left_at.map(Moment),
            parked: parking.into(),
        }
    }
}

/// A taken place. Whose client it is, is for the card to say.
#[derive(Debug, Serialize, ToSchema)]
struct PlaceView {
    /// Id of the call.
    call: String,
    #[serde(flatten)]
    parked: ParkedView,
}

/// The taken places.
#[derive(Debug, Serialize, ToSchema)]
struct Places {
    items: Vec<PlaceView>,
}

/// List the places where clients are parked
#[utoipa::path(get, path = "/parked", tag = "calls", responses((status = 200, body = Places)))]
async fn parked(State(state): State<ApiState>) -> Result<Json<Places>, Problem> {
    let parked = state.base.calls().parked().await?.into_iter();
    let items = parked.map(|parking| PlaceView {
        call: parking.call.to_string(),
        parked: parking.into(),
    });
    Ok(Json(Places {
        items: items.collect(),
    }))
}

/// Park the client
///
/// The client hears music in the lowest free place, which the event `call.parked` and `parked` of the call name, and whoever
/// talked is free. Anybody takes the client out by `retrieve`, or by dialling `*5` and the place. If nobody does within the
/// time of the configuration, whoever parked the client is rung, and after that the line's agents.
#[utoipa::path(post, path = "/calls/{id}/park", tag = "calls", params(("id" = String, Path)),
    responses((status = 204), (status = 403), (status = 404), (status = 409), (status = 503)))]
async fn park(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<CallId>,
) -> Result<StatusCode, Problem> {
    controls::carry_out(&state, &identity, id, Act::Park).await
}

/// Take a parked client
///
/// One's own telephones ring, with the card; the client stays in the place until one is taken up. Every user with a short
/// number may, whosever client it is.
#[utoipa::path(post, path = "/calls/{id}/retrieve", tag = "calls", params(("id" = String, Path)),
    responses((status = 204), (status = 404), (status = 409), (status = 503)))]
async fn retrieve(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<CallId>,
) -> Result<StatusCode, Problem> {
    let parked = state.base.calls().parked().await?;
    if !parked.iter().any(|parking| parking.call == id) {
        rights::see_call(&state, &identity, id).await?;
    }
    controls::order(&state, &identity, id, Act::Retrieve).await
}
