//! The agents' WebSockets: each answers `shown` on receipt and notes when which call's card came.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use crate::rest::Rest;

/// When the first card of every call came, by the id of the call.
#[derive(Clone, Debug, Default)]
pub struct Cards(Arc<Mutex<BTreeMap<String, Instant>>>);

impl Cards {
    /// All so far.
    pub fn all(&self) -> BTreeMap<String, Instant> {
        self.0.lock().expect("nobody panics with the cards").clone()
    }

    fn note(&self, call: &str) {
        let mut cards = self.0.lock().expect("nobody panics with the cards");
        cards.entry(call.to_owned()).or_insert_with(Instant::now);
    }
}

/// Opens the WebSocket of a session; it stays open until the runtime ends.
pub async fn open(rest: &Rest, cards: Cards) {
    let url = format!("{}/api/v1/events", rest.base().replacen("http", "ws", 1));
    let mut request = url.into_client_request().expect("an address");
    let bearer = format!("Bearer {}", rest.token).parse();
    request
        .headers_mut()
        .insert("Authorization", bearer.expect("a token is text"));
    let (stream, _) = tokio_tungstenite::connect_async(request)
        .await
        .expect("the WebSocket opens");
    let (mut send, mut receive) = stream.split();
    tokio::spawn(async move {
        while let Some(Ok(message)) = receive.next().await {
            let Message::Text(text) = message else {
                continue;
            };
            if !text.contains("\"call.offered\"") {
                continue;
            }
            let Ok(frame) = serde_json::from_str::<Value>(&text) else {
                continue;
            };
            if let ("call.offered", Some(call)) =
                (frame["type"].as_str().unwrap_or(""), frame["call"].as_str())
            {
                cards.note(call);
                let shown = json!({ "type": "shown", "call": call, "attempt": frame["attempt"] });
                // A daemon that has gone is found missing by whoever counts.
                let _ = send.send(Message::text(shown.to_string())).await;
            }
        }
    });
}
