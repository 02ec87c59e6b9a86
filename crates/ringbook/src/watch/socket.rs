//! The WebSocket of `/api/v1/events` from the client's side.

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::HeaderValue},
};

use super::rest::Rest;

/// An open WebSocket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// Why a WebSocket could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The daemon refused: a new attempt makes no sense with this status.
    #[error("the WebSocket was refused with status {0}")]
    Refused(u16),
    /// The daemon is not there or the connection broke.
    #[error("the WebSocket cannot be opened: {0}")]
    Unreachable(#[source] Box<Error>),
    /// The address makes no WebSocket address.
    #[error("{0:#}")]
    Address(anyhow::Error),
}

impl Socket {
    /// Opens the events of the session; what came after the frame with cursor `after` is sent first.
    pub(crate) async fn open(rest: &Rest, after: Option<&str>) -> Result<Self, OpenError> {
        let url = address(rest.base(), after).map_err(OpenError::Address)?;
        let mut request = url
            .into_client_request()
            .map_err(|error| OpenError::Unreachable(Box::new(error)))?;
        let bearer = HeaderValue::try_from(format!("Bearer {}", rest.token()))
            .map_err(|error| OpenError::Address(error.into()))?;
        request.headers_mut().insert("Authorization", bearer);
        match tokio_tungstenite::connect_async(request).await {
            Ok((stream, _)) => Ok(Self { stream }),
            Err(Error::Http(response)) => Err(OpenError::Refused(response.status().as_u16())),
            Err(error) => Err(OpenError::Unreachable(Box::new(error))),
        }
    }

    /// The next frame; an error when the connection has ended, with the daemon's reason if it gave one.
    pub(crate) async fn next(&mut self) -> Result<Value> {
        loop {
            let message = self.stream.next().await;
            match message
                .context("the connection has ended")?
                .context("the connection broke")?
            {
                Message::Text(text) => {
                    return serde_json::from_str(&text).context("a frame is not JSON");
                }
                Message::Close(Some(farewell)) => bail!("{}", farewell.reason),
                Message::Close(None) => bail!("the connection was closed"),
                // Pings are answered by the library as soon as something is read or written.
                _ => {}
            }
        }
    }

    /// Tells the daemon that the card of an offer is on the screen.
    pub(crate) async fn say_shown(&mut self, call: &str, attempt: u16) -> Result<()> {
        let said = json!({ "type": "shown", "call": call, "attempt": attempt });
        let sent = self.stream.send(Message::text(said.to_string())).await;
        sent.context("the connection broke")
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) {
        // Whoever is gone needs no goodbye.
        let _ = self.stream.close(None).await;
    }
}

fn address(base: &str, after: Option<&str>) -> Result<String> {
    let rest = base
        .strip_prefix("http://")
        .with_context(|| format!("\"{base}\" is not reached; write it as http://HOST:PORT"))?;
    let mut url = Url::parse(&format!("ws://{rest}/api/v1/events"))
        .with_context(|| format!("\"{base}\" is no address"))?;
    if let Some(after) = after {
        url.query_pairs_mut().append_pair("after", after);
    }
    Ok(url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_passed_on_unchanged_whatever_stands_in_it() {
        let url = address("http://127.0.0.1:8080", Some("a b/7&x=+")).unwrap();
        let url = Url::parse(&url).unwrap();
        assert_eq!(url.path(), "/api/v1/events");
        assert_eq!(url.query_pairs().next().unwrap().1, "a b/7&x=+");
        assert!(address("https://x", None).is_err());
        assert_eq!(
            address("http://h:1", None).unwrap(),
            "ws://h:1/api/v1/events"
        );
    }
}
