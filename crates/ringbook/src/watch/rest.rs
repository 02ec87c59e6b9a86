//! A client of the REST API that says in words what was refused.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to the API, with or without a session.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    client: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// Who has logged in.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Me {
    /// Id of the user.
    pub(crate) id: String,
    /// The name that colleagues see.
    pub(crate) name: String,
}

#[derive(Deserialize)]
struct Begun {
    token: String,
    user: Me,
}

/// What a refusal says (RFC 9457 §3.1).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
}

impl Rest {
    /// A connection without a session to the daemon at `url`, such as `http://127.0.0.1:8080`.
    pub(crate) fn new(url: &str) -> Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .context("the HTTP client cannot be made")?;
        let base = url.trim_end_matches('/').to_owned();
        Ok(Self {
            client,
            base,
            token: None,
        })
    }

    /// The same connection with a session of its own.
    pub(crate) async fn log_in(&self, login: &str, password: &str) -> Result<(Self, Me)> {
        let body = json!({ "login": login, "password": password });
        let begun: Begun = self.post("session", &body).await?;
        let session = Self {
            token: Some(begun.token),
            ..self.clone()
        };
        Ok((session, begun.user))
    }

    /// The token of the session; empty without one.
    pub(crate) fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// Where the API is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Reads `path`, which stands below `/api/v1/`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.ask(Method::GET, path, None).await
    }

    /// Posts a JSON body.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Posts a JSON body; there is nothing in the answer.
    pub(crate) async fn act(&self, path: &str, body: &Value) -> Result<()> {
        self.send(Method::POST, path, Some(body)).await.map(drop)
    }

    /// Removes what `path` names.
    pub(crate) async fn remove(&self, path: &str) -> Result<()> {
        self.send(Method::DELETE, path, None).await.map(drop)
    }

    /// Reads something that is not JSON.
    pub(crate) async fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        self.send(Method::GET, path, None).await
    }

    /// Whether the daemon answers and says that it is well.
    pub(crate) async fn is_up(&self) -> bool {
        let answer = self
            .client
            .get(format!("{}/health", self.base))
            .send()
            .await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T> {
        let bytes = self.send(method.clone(), path, body).await?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{method} {path}: the answer is not what was expected"))
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Vec<u8>> {
        let url = format!("{}/api/v1/{path}", self.base);
        let mut request = self.client.request(method.clone(), &url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("{method} {url}"))?;
        let status = response.status();
        let bytes = response
            .bytes()
            .await
            .with_context(|| format!("{method} {url}"))?;
        if !status.is_success() {
            bail!("{method} {path}: {}", refusal(status, &bytes));
        }
        Ok(bytes.to_vec())
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> String {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    match (problem.title.as_str(), problem.detail.as_str()) {
        ("", _) => status.to_string(),
        (title, "") => format!("{} {title}", status.as_u16()),
        (title, detail) => format!("{} {title}: {detail}", status.as_u16()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_api() {
        let body =
            br#"{"type":"x","title":"A field was refused","status":422,"detail":"name: is empty"}"#;
        let said = refusal(StatusCode::UNPROCESSABLE_ENTITY, body);
        assert_eq!(said, "422 A field was refused: name: is empty");
        assert_eq!(
            refusal(StatusCode::BAD_GATEWAY, b"<html>"),
            "502 Bad Gateway"
        );
    }
}
