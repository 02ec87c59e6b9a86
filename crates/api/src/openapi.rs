//! The OpenAPI document, made from the routes themselves.

use axum::{Extension, response::IntoResponse};
use utoipa::{
    PartialSchema,
    openapi::{
        InfoBuilder, OpenApi, OpenApiBuilder, Response, SecurityRequirement,
        path::Operation,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    problem::{FieldError, ProblemBody},
};

/// The document as bytes, made once.
#[derive(Clone, Debug)]
pub struct Document(pub axum::body::Bytes);

/// The document that the routes are entered into.
pub fn blank() -> OpenApi {
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Ringbook")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Telephony and client base in one process. Ids are strings, times RFC 3339 in \
                     UTC, lists come in pages (`cursor`, `limit`), errors are problem details \
                     (RFC 9457), changes honour If-Match.",
                ))
                .build(),
        )
        .build()
}

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(document))
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "health", security(()),
    responses((status = 200, content_type = "application/json")))]
async fn document(Extension(document): Extension<Document>) -> impl IntoResponse {
    let kind = [(axum::http::header::CONTENT_TYPE, "application/json")];
    (kind, document.0)
}

/// Adds what is the same for every route: the bearer token and the form of refusals.
pub fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(
        "bearer",
        SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
    );
    for (name, schema) in [
        ("Problem", ProblemBody::<'static>::schema()),
        ("FieldError", FieldError::schema()),
    ] {
        components.schemas.insert(name.to_owned(), schema);
    }
    document.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>(
        "bearer",
        [],
    )]);
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ];
        for operation in operations.into_iter().flatten() {
            describe_refusals(operation);
        }
    }
}

/// Every response from 400 on, and whatever is not listed, is a problem.
fn describe_refusals(operation: &mut Operation) {
    use utoipa::openapi::{Ref, RefOr, content::Content, response::ResponseBuilder};
    let refusal = |description: &str| -> Response {
        ResponseBuilder::new()
            .description(description)
            .content(
                "application/problem+json",
                Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem")))),
            )
            .build()
    };
    for (status, response) in &mut operation.responses.responses {
        if status.starts_with('4') || status.starts_with('5') {
            *response = RefOr::T(refusal("Refused; the problem says why and what to do"));
        }
    }
    operation
        .responses
        .responses
        .insert("default".to_owned(), RefOr::T(refusal("Any other refusal")));
}
