//! The WebSocket of an agent's workspace: collects every frame and says `shown` to every card.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use crate::{daemon::PATIENCE, rest::Rest};

#[derive(Debug, Default)]
struct Inbox {
    frames: Mutex<Vec<(Instant, Value)>>,
    grown: Notify,
}

/// An open WebSocket.
#[derive(Debug)]
pub struct Events {
    inbox: Arc<Inbox>,
    task: tokio::task::JoinHandle<()>,
}

impl Events {
    /// Opens the events of a session, from behind the frame with cursor `after` if one is named.
    pub async fn open(rest: &Rest, after: Option<&str>) -> Self {
        let mut url = format!("{}/api/v1/events", rest.base().replacen("http", "ws", 1));
        if let Some(after) = after {
            url = format!("{url}?after={after}");
        }
        let mut request = url.into_client_request().expect("an address");
        let bearer = format!("Bearer {}", rest.token)
            .parse()
            .expect("a token is text");
        request.headers_mut().insert("Authorization", bearer);
        let (stream, _) = tokio_tungstenite::connect_async(request)
            .await
            .expect("the WebSocket opens");
        let (mut send, mut receive) = stream.split();
        let inbox = Arc::new(Inbox::default());
        let shared = Arc::clone(&inbox);
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = receive.next().await {
                let Message::Text(text) = message else {
                    continue;
                };
                let Ok(frame) = serde_json::from_str::<Value>(&text) else {
                    continue;
                };
                if frame["type"] == "call.offered" {
                    let shown = json!({ "type": "shown", "call": frame["call"], "attempt": frame["attempt"] });
                    // Whoever is gone needs no answer.
                    let _ = send.send(Message::text(shown.to_string())).await;
                }
                shared
                    .frames
                    .lock()
                    .expect("nobody panics with the inbox")
                    .push((Instant::now(), frame));
                shared.grown.notify_waiters();
            }
        });
        let events = Self { inbox, task };
        events.frame("ready", |_| true).await;
        events
    }

    /// All frames so far.
    pub fn frames(&self) -> Vec<Value> {
        let frames = self
            .inbox
            .frames
            .lock()
            .expect("nobody panics with the inbox");
        frames.iter().map(|(_, frame)| frame.clone()).collect()
    }

    /// The first frame of this type that satisfies, and when it came.
    pub async fn frame(&self, kind: &str, satisfies: impl Fn(&Value) -> bool) -> (Instant, Value) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let grown = self.inbox.grown.notified();
            {
                let frames = self
                    .inbox
                    .frames
                    .lock()
                    .expect("nobody panics with the inbox");
                let wanted =
                    |(_, frame): &&(Instant, Value)| frame["type"] == kind && satisfies(frame);
                if let Some(found) = frames.iter().find(wanted) {
                    return found.clone();
                }
            }
            let waited = tokio::time::timeout_at(deadline, grown).await;
            assert!(waited.is_ok(), "no {kind} among {:#?}", self.frames());
        }
    }

    /// The cursor of the last frame that has one.
    pub fn cursor(&self) -> Option<String> {
        self.frames()
            .iter()
            .rev()
            .find_map(|frame| frame["cursor"].as_str().map(str::to_owned))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}
