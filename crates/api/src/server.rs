//! The router over all resources, and serving it.

use std::future::Future;

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::Response,
};
use tokio::net::TcpListener;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    ApiState, absences, agents,
    body::MOST_BODY_BYTES,
    calls, controls, deals, devices, events, hand_overs, health, interactions, lines,
    listener::{Bounded, Peer},
    notes, obligations, offices,
    openapi::{self, Document},
    orders, organisations, parked, persons,
    problem::Problem,
    recordings, rights, session, tasks, trunks, users,
};

fn routes() -> OpenApiRouter<ApiState> {
    let resources = OpenApiRouter::new()
        .merge(openapi::router())
        .merge(session::router())
        .merge(users::router())
        .merge(absences::router())
        .merge(hand_overs::router())
        .merge(devices::router())
        .merge(lines::router())
        .merge(trunks::router())
        .merge(offices::router())
        .merge(organisations::router())
        .merge(persons::router())
        .merge(notes::router())
        .merge(deals::router())
        .merge(tasks::router())
        .merge(obligations::router())
        .merge(calls::router())
        .merge(orders::router())
        .merge(controls::router())
        .merge(parked::router())
        .merge(recordings::router())
        .merge(interactions::router())
        .merge(agents::router())
        .merge(events::router());
    OpenApiRouter::with_openapi(openapi::blank())
        .merge(health::router())
        .nest("/api/v1", resources)
}

/// The OpenAPI document of all routes.
pub fn document() -> OpenApi {
    let mut document = routes().into_openapi();
    openapi::complete(&mut document);
    document
}

/// All routes, to be served by [`serve`], which tells them the address of the peer.
pub fn router(state: ApiState) -> Router {
    let json = document().to_json().unwrap_or_default();
    let (router, _) = routes().split_for_parts();
    router
        .layer(middleware::from_fn_with_state(state.clone(), rights::guard))
        .fallback(|request: Request| async move { Problem::not_found(request.uri().path()) })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(DefaultBodyLimit::max(MOST_BODY_BYTES))
        .layer(Extension(Document(json.into())))
        .layer(middleware::from_fn(careful))
        .with_state(state)
}

/// Answers are for this client and this moment, and mean what their type says.
async fn careful(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Most connections at a time, WebSockets included.
pub const MOST_CONNECTIONS: usize = 16_384;

/// Serves `router` until `stop` is done; requests that run are finished. WebSockets end by
/// [`cti::Hub::close`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = Bounded::new(listener, MOST_CONNECTIONS);
    let service = router.into_make_service_with_connect_info::<Peer>();
    axum::serve(listener, service)
        .with_graceful_shutdown(stop)
        .await
}
