//! Errors as problem details (RFC 9457): every refusal says what was wrong, where, and what to do.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// One field that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Path of the field in the body, or the name of the query or path parameter.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

/// A refusal. Becomes an `application/problem+json` answer.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The body of every refusal (RFC 9457 §3.1).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// `urn:ringbook:problem:` and a stable name.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of problem in a few words; the same for every occurrence.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// This occurrence, and the remedy.
    detail: &'a str,
    /// The fields that were refused, if the problem is with fields.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

impl Problem {
    fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            kind,
            title,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// 400: the request cannot be read at all.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed",
            "The request cannot be read",
            detail,
        )
    }

    /// 422: readable, but these fields cannot be accepted.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.field, one.message),
            many => format!("{} fields were refused; see errors", many.len()),
        };
        Self {
            errors,
            ..Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-field",
                "A field was refused",
                detail,
            )
        }
    }

    /// 422 for a single field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldError {
            field: field.into(),
            message: message.into(),
        }])
    }

    /// 401: no token, or one that is unknown or expired (RFC 6750 §3).
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Log in first",
            detail,
        )
        .header(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"ringbook\""),
        )
    }

    /// 403: the role does not allow it.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "Your role does not allow this",
            detail,
        )
    }

    /// 404: `what` does not exist, or the user may not know that it does.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is no such thing",
            format!("{what} does not exist, or you may not see it"),
        )
    }

    /// 410: it was there once.
    pub fn gone(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "gone", "It is no longer kept", detail)
    }

    /// 405: the path exists, the method does not.
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "This method is not possible here",
            "the Allow header lists the methods of this path",
        )
    }

    /// 409: somebody else's change came between our reading and writing.
    pub fn crossed() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "crossed",
            "Another change came between",
            "repeat the request",
        )
    }

    /// 409: the rules of the company forbid it in the present state.
    pub fn refused(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "refused",
            "Not possible in the present state",
            detail,
        )
    }

    /// 409: it collides with what is stored.
    pub fn conflict(field: impl Into<String>, message: impl Into<String>) -> Self {
        let error = FieldError {
            field: field.into(),
            message: message.into(),
        };
        Self {
            errors: vec![error.clone()],
            ..Self::new(
                StatusCode::CONFLICT,
                "conflict",
                "This collides with what is stored",
                format!("{}: {}", error.field, error.message),
            )
        }
    }

    /// 412: somebody changed it since the client read it (RFC 9110 §13.1.1).
    pub fn changed_meanwhile() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "changed-meanwhile",
            "It was changed meanwhile",
            "If-Match does not name the present state: read it again, then repeat the change",
        )
    }

    /// 413: the body is over the limit.
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
            format!("a body may have at most {limit} bytes"),
        )
    }

    /// 415: the body is not what the route reads.
    pub fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-json",
            "The body is not JSON",
            "send the body as JSON with Content-Type: application/json",
        )
    }

    /// 416: no byte of the range exists (RFC 9110 §15.5.17).
    pub fn range_not_satisfiable(length: u64) -> Self {
        let problem = Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "range",
            "The range lies outside the recording",
            format!("the recording has {length} bytes"),
        );
        match HeaderValue::try_from(format!("bytes */{length}")) {
            Ok(value) => problem.header(header::CONTENT_RANGE, value),
            Err(_) => problem,
        }
    }

    /// 429: too many wrong passwords; try again after `secs` seconds.
    pub fn too_many_attempts(secs: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-attempts",
            "Too many wrong attempts",
            format!("wait {secs} seconds, then try again"),
        )
        .header(header::RETRY_AFTER, HeaderValue::from(secs))
    }

    /// 503: something that is needed does not answer now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "Not possible at the moment",
            detail,
        )
        .header(header::RETRY_AFTER, HeaderValue::from(2))
    }

    /// 500: a defect of ours. `cause` goes to the log, never to the client.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed by a defect");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "A defect in Ringbook",
            "the log of the server has the details",
        )
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            kind: format!("urn:ringbook:problem:{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        };
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.extend(self.headers);
        response
    }
}

impl From<crm::Error> for Problem {
    fn from(error: crm::Error) -> Self {
        match error {
            crm::Error::NotFound(what) => Self::not_found(format_args!("this {what}")),
            crm::Error::Conflict { .. } => Self::crossed(),
            crm::Error::Over(what) => {
                Self::conflict("state", format!("this {what} is not open any more"))
            }
            crm::Error::StillHolds(held) => Self::refused(format!(
                "the user still has clients or work ({held}); hand it over first: POST /api/v1/users/{{id}}/hand-over"
            )),
            crm::Error::Taken { field } => {
                Self::conflict(field, "is taken already; choose another one")
            }
            crm::Error::Dangling { field } => {
                Self::field(field, "names nothing that exists; create that first")
            }
            crm::Error::Invalid { field, why } => Self::field(field, why),
            crm::Error::Full => Self::unavailable("the store is behind; try again in a moment"),
            crm::Error::Unavailable { message, remedy } => {
                tracing::error!(%message, %remedy, "the store does not answer");
                Self::unavailable("the store does not answer; try again in a moment")
            }
        }
    }
}
