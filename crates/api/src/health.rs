//! `/health` and `/metrics`.

use std::fmt::Write;

use axum::{
    Json,
    extract::{ConnectInfo, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use crm::Role;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{ApiState, listener::Peer, problem::Problem, session::Identity};

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(metrics))
}

/// How the process is.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ok`, or else the answer is a problem.
    status: &'static str,
    /// The version of Ringbook.
    version: &'static str,
}

/// Whether the process and its store answer
#[utoipa::path(get, path = "/health", tag = "health", security(()),
    responses((status = 200, body = Health), (status = 503)))]
async fn health(State(state): State<ApiState>) -> Result<Json<Health>, Problem> {
    let page = crm::PageRequest::first(1);
    state
        .base
        .trunks()
        .list(&crm::TrunkFilter {}, &page)
        .await?;
    Ok(Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    }))
}

/// Counters for Prometheus
///
/// Without a token only from the machine itself; else an administrator's token is needed.
#[utoipa::path(get, path = "/metrics", tag = "health", security((), ("bearer" = [])),
    responses((status = 200, content_type = "text/plain", body = String), (status = 401),
        (status = 403)))]
async fn metrics(
    State(state): State<ApiState>,
    source: Option<axum::Extension<ConnectInfo<Peer>>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let is_local = source.is_some_and(|source| source.0.0.0.ip().to_canonical().is_loopback());
    // A proxy on this machine speaks for others.
    let is_proxied = headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded");
    if !is_local || is_proxied {
        let identity = Identity::of(&state, &headers).await?;
        if identity.role != Role::Administrator {
            return Err(Problem::forbidden("only an administrator may read these"));
        }
    }
    let mut text = String::new();
    for counter in &state.counters {
        let kind = if counter.is_gauge { "gauge" } else { "counter" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}",
            name = counter.name,
            help = counter.help,
            value = (counter.read)(),
        );
    }
    // Without them if the store does not answer: the other numbers tell why.
    if let Ok(counts) = state.base.obligations().counts().await {
        let gauges = [
            ("open", "Calls back that are owed to clients.", counts.open),
            (
                "overdue",
                "Those of them whose deadline has passed.",
                counts.overdue,
            ),
        ];
        for (which, help, value) in gauges {
            let name = format!("ringbook_obligations_{which}");
            let _ = writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"
            );
        }
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Ok((kind, text).into_response())
}
