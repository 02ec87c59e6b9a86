//! The REST API from a client's side.

use serde_json::{Value, json};

/// A session.
#[derive(Clone, Debug)]
pub struct Rest {
    client: reqwest::Client,
    base: String,
    key: Option<String>,
    /// The bearer token; empty before the login.
    pub token: String,
    /// Id of the user who logged in.
    pub user: String,
}

impl Rest {
    /// A client without a session.
    pub fn stranger(base: &str) -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(crate::daemon::PATIENCE)
            .build();
        Self {
            client: client.expect("an HTTP client can be made"),
            base: base.to_owned(),
            key: None,
            token: String::new(),
            user: String::new(),
        }
    }

    /// Logs in.
    pub async fn log_in(base: &str, login: &str, password: &str) -> Self {
        let mut rest = Self::stranger(base);
        let begun = rest
            .post("session", &json!({ "login": login, "password": password }))
            .await;
        rest.token = begun["token"]
            .as_str()
            .expect("a session has a token")
            .to_owned();
        rest.user = begun["user"]["id"]
            .as_str()
            .expect("a session has a user")
            .to_owned();
        rest
    }

    /// Where the API is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Status and body of a request below `/api/v1/`.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Vec<u8>) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method is a word");
        let mut request = self
            .client
            .request(method, format!("{}/api/v1/{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = &self.key {
            request = request.header("Idempotency-Key", key);
        }
        let response = request
            .send()
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let status = response.status().as_u16();
        let body = response
            .bytes()
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        (status, body.to_vec())
    }

    async fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, bytes) = self.ask(method, path, body).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {text}"
        );
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}: {text}"))
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Value {
        self.json("GET", path, None).await
    }

    /// Makes something.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        self.json("POST", path, Some(body)).await
    }

    /// Makes something once, however often it is asked for by this key.
    pub async fn post_with_key(&self, path: &str, body: &Value, key: &str) -> Value {
        let keyed = Self {
            key: Some(key.to_owned()),
            ..self.clone()
        };
        keyed.json("POST", path, Some(body)).await
    }

    /// Reads what is not JSON.
    pub async fn bytes(&self, path: &str) -> Vec<u8> {
        let (status, bytes) = self.ask("GET", path, None).await;
        assert_eq!(status, 200, "GET {path}");
        bytes
    }

    /// Reads until what is read satisfies, at most for [`crate::daemon::PATIENCE`].
    pub async fn until(&self, path: &str, what: &str, satisfies: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + crate::daemon::PATIENCE;
        loop {
            let read = self.get(path).await;
            if satisfies(&read) {
                return read;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{what}: GET {path} still says {read:#}"
            );
            tokio::task::yield_now().await;
        }
    }
}
