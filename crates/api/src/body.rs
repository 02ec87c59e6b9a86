//! Reading JSON bodies, queries and path parameters; what cannot be read is named.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use garde::Validate;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::problem::{FieldError, Problem};

/// Most bytes of a JSON body.
pub const MOST_BODY_BYTES: usize = 1024 * 1024;

/// A JSON body, read and validated. Unknown fields are refused by the types themselves.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<S, T> FromRequest<S> for Body<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let value = parse::<T>(&json_bytes(request, state).await?)?;
        value.validate().map_err(|report| refused(&report))?;
        Ok(Self(value))
    }
}

async fn json_bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    if !says_json(request.headers()) {
        return Err(Problem::not_json());
    }
    Bytes::from_request(request, state).await.map_err(|error| {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::too_large(MOST_BODY_BYTES)
        } else {
            Problem::malformed("the body broke off; send it again")
        }
    })
}

fn says_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|essence| essence.trim().to_ascii_lowercase())
        .is_some_and(|essence| {
            essence == "application/json" || essence == "application/merge-patch+json"
        })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            field_error(&path, &inner)
        } else {
            Problem::malformed(format!(
                "malformed JSON at line {}, column {}",
                inner.line(),
                inner.column()
            ))
        }
    })?;
    reader.end().map_err(|error| {
        Problem::malformed(format!(
            "something follows the JSON value at line {}, column {}",
            error.line(),
            error.column()
        ))
    })?;
    Ok(value)
}

/// serde names an unknown or missing field only in its message, not in the path.
fn field_error(path: &str, error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    let named = ["unknown field `", "missing field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start))
        .and_then(|rest| rest.split('`').next());
    let parent = if path == "." { "" } else { path };
    let field = match named {
        Some(name) if parent.is_empty() || parent == name => name.to_owned(),
        // For an unknown field the path may already end in its name.
        Some(name) if parent.ends_with(&format!(".{name}")) => parent.to_owned(),
        Some(name) => format!("{parent}.{name}"),
        None if parent.is_empty() => "body".to_owned(),
        None => parent.to_owned(),
    };
    Problem::field(field, message)
}

fn refused(report: &garde::Report) -> Problem {
    Problem::fields(
        report
            .iter()
            .map(|(path, error)| FieldError {
                field: path.to_string(),
                message: error.to_string(),
            })
            .collect(),
    )
}

/// Query parameters; a bad one is named.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<S, T> FromRequestParts<S> for Params<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri)
            .map(|query| Self(query.0))
            .map_err(|rejection| {
                let text = rejection.body_text();
                let message = text
                    .strip_prefix("Failed to deserialize query string: ")
                    .unwrap_or(&text);
                let field = message
                    .split_once(": ")
                    .map(|(field, _)| field)
                    .filter(|field| field.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
                    .or_else(|| message.split('`').nth(1))
                    .unwrap_or("query");
                Problem::field(field, message)
            })
    }
}

/// The parameter of a path, such as an id. One that cannot be read names nothing: 404.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<S, T> FromRequestParts<S> for Path<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::<T>::from_request_parts(parts, state)
            .await
            .map(|path| Self(path.0))
            .map_err(|_| Problem::not_found(parts.uri.path()))
    }
}

/// A change as a JSON merge patch (RFC 7396): a field that is absent stays, null clears it, an array
/// is replaced as a whole.
#[derive(Debug)]
pub struct MergePatch(Map<String, Value>);

impl MergePatch {
    /// `present` with the changes, read and validated like a whole body.
    pub fn apply<T>(self, present: &T) -> Result<T, Problem>
    where
        T: Serialize + DeserializeOwned + Validate<Context = ()>,
    {
        let mut value = serde_json::to_value(present).map_err(Problem::internal)?;
        merge(&mut value, Value::Object(self.0));
        let changed: T = serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            field_error(&path, &error.into_inner())
        })?;
        changed.validate().map_err(|report| refused(&report))?;
        Ok(changed)
    }
}

// The depth is bounded by serde_json's own limit of 128.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(&key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for MergePatch {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        parse(&json_bytes(request, state).await?).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its reading is tested")]
    struct Outer {
        name: String,
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its reading is tested")]
    struct Inner {
        count: u8,
    }

    async fn refusal(text: &str) -> (u16, serde_json::Value) {
        let response = parse::<Outer>(text.as_bytes()).unwrap_err().into_response();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 65_536)
            .await
            .unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn a_refused_body_names_the_field_or_the_place() {
        for (text, field) in [
            (r#"{"name":"a","inner":{"count":1},"nmae":2}"#, "nmae"),
            (r#"{"name":"a","inner":{"count":1,"x":2}}"#, "inner.x"),
            (r#"{"name":"a","inner":{}}"#, "inner.count"),
            (r#"{"inner":{"count":1}}"#, "name"),
            (r#"{"name":"a","inner":{"count":300}}"#, "inner.count"),
            ("[]", "body"),
        ] {
            let (status, problem) = refusal(text).await;
            assert_eq!(status, 422, "{text}");
            assert_eq!(problem["errors"][0]["field"], field, "{text}: {problem}");
        }
        let (status, problem) = refusal("{\n  \"name\": ,").await;
        assert_eq!(status, 400);
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("line 2, column 11"),
            "{problem}"
        );
        let (status, _) = refusal(r#"{"name":"a","inner":{"count":1}} x"#).await;
        assert_eq!(status, 400);
    }

    #[test]
    fn a_merge_patch_changes_clears_and_keeps() {
        let mut value = serde_json::json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [1, 2]});
        merge(
            &mut value,
            serde_json::json!({"a": null, "b": {"c": 5}, "e": [9]}),
        );
        assert_eq!(value, serde_json::json!({"b": {"c": 5, "d": 3}, "e": [9]}));
    }
}
