//! The WebSocket.

use std::time::Duration;

use call::{Effect, EffectEnd, ShownBy};
use futures_util::{SinkExt, StreamExt};
use model::CallId;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, handshake::client::Request},
};

use crate::house::{Client, House, PATIENCE};

struct Screen {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    protocol: Option<String>,
}

fn request(house: &House, query: &str, headers: &[(&'static str, &str)]) -> Request {
    let url = format!("ws://{}/api/v1/events{query}", house.address);
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

/// Opens the WebSocket, or the status of the refusal.
async fn open(request: Request) -> Result<Screen, u16> {
    match timeout(PATIENCE, connect_async(request)).await.unwrap() {
        Ok((socket, response)) => {
            let protocol = response.headers().get("sec-websocket-protocol");
            let protocol = protocol.map(|value| value.to_str().unwrap().to_owned());
            Ok(Screen { socket, protocol })
        }
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

fn bearer(client: &Client) -> String {
    format!("Bearer {}", client.token.as_ref().unwrap())
}

impl Screen {
    async fn of(house: &House, client: &Client, query: &str) -> Self {
        let request = request(house, query, &[("authorization", &bearer(client))]);
        let mut screen = open(request)
            .await
            .map_err(|status| status.to_string())
            .unwrap();
        if query.is_empty() {
            screen.until("ready").await;
        }
        screen
    }

    async fn message(&mut self) -> Message {
        timeout(PATIENCE, self.socket.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    }

    async fn frame(&mut self) -> Value {
        loop {
            match self.message().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The frames up to and with the first of this type.
    async fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            frames.push(self.frame().await);
            if frames[frames.len() - 1]["type"] == kind {
                return frames;
            }
        }
    }

    async fn say(&mut self, value: Value) {
        self.socket
            .send(Message::text(value.to_string()))
            .await
            .unwrap();
    }

    /// Code and reason of the close frame.
    async fn farewell(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.message().await {
                let frame = frame.expect("a reason");
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }
}

fn kinds(frames: &[Value]) -> Vec<&str> {
    frames
        .iter()
        .map(|frame| frame["type"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_card_comes_before_the_ring_and_shown_confirms_it() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let line = house.line("+7 495 123-45-67").await;
    let person = json!({"name": "Petr", "manager": anna.user, "flags": ["vip"],
        "numbers": [{"typed": "8 916 000-00-01"}]});
    house.admin.post("persons", person).await.is(201);
    let mut screen = Screen::of(&house, &anna, "").await;
    let call = house.ring("+79160000001", &line, &anna).await;
    let frames = screen.until("call.offered").await;
    let card = &frames[frames.len() - 1];
    assert_eq!(card["call"], call.to_string());
    assert!(card["cursor"].is_string());
    assert!(card.to_string().contains("Petr"), "{card}");
    screen
        .say(json!({"type": "shown", "call": call.to_string(), "attempt": 0}))
        .await;
    let agent = anna.user_id();
    let announced = house
        .effect(call, Effect::Announce { agent, attempt: 0 })
        .await;
    let EffectEnd::Announced { shown, clients, .. } = announced else {
        panic!("{announced:?}");
    };
    assert_eq!(shown, ShownBy::Client);
    assert_eq!(clients, 1);
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_missed_once() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let line = house.line("+7 495 123-45-67").await;
    let mut screen = Screen::of(&house, &anna, "").await;
    let call = house.ring("+79160000001", &line, &anna).await;
    let frames = screen.until("call.offered").await;
    let cursor = frames[frames.len() - 1]["cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    drop(screen);
    house.answer(call, &anna, None).await;
    house.hang_up(call, &anna, false).await;
    let mut screen = Screen::of(&house, &anna, &format!("?after={cursor}")).await;
    let frames = screen.until("ready").await;
    assert_eq!(
        kinds(&frames),
        [
            "offer.accepted",
            "line.answered",
            "conversation.started",
            "call.ended",
            "ready"
        ]
    );
    let next = house.ring("+79160000002", &line, &anna).await;
    let frames = screen.until("call.offered").await;
    assert_eq!(frames[frames.len() - 1]["call"], next.to_string());
    let mut other = Screen::of(&house, &anna, "?after=other-1-5").await;
    assert_eq!(other.frame().await["type"], "resync");
    let bad = request(
        &house,
        "?after=nonsense",
        &[("authorization", &bearer(&anna))],
    );
    assert_eq!(open(bad).await.err(), Some(422));
}

#[tokio::test]
async fn each_user_receives_what_their_rights_allow() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let boris = house.user("boris", "agent", Some("102")).await;
    let line = house.line("+7 495 123-45-67").await;
    let person = json!({"name": "Petr", "manager": anna.user,
        "numbers": [{"typed": "8 916 000-00-01"}]});
    house.admin.post("persons", person).await.is(201);
    let mut at_anna = Screen::of(&house, &anna, "").await;
    let mut at_boris = Screen::of(&house, &boris, "").await;
    let mut at_admin = Screen::of(&house, &house.admin, "").await;
    let annas = house.ring("+79160000001", &line, &anna).await;
    house.hang_up(annas, &anna, true).await;
    let stranger = house.ring("+79160000002", &line, &anna).await;
    house.hang_up(stranger, &anna, true).await;
    let calls = |frames: &[Value]| -> Vec<String> {
        let offered = frames
            .iter()
            .filter(|frame| frame["type"] == "call.offered");
        offered
            .map(|frame| frame["call"].as_str().unwrap().to_owned())
            .collect()
    };
    let (annas, stranger) = (annas.to_string(), stranger.to_string());
    for screen in [&mut at_anna, &mut at_admin] {
        let mut frames = screen.until("call.ended").await;
        frames.extend(screen.until("call.ended").await);
        assert_eq!(calls(&frames), [annas.clone(), stranger.clone()]);
    }
    let frames = at_boris.until("call.ended").await;
    assert_eq!(calls(&frames), [stranger]);
}

#[tokio::test]
async fn pages_of_other_origins_may_not_connect() {
    let house = House::build().await;
    let token = bearer(&house.admin);
    let ours = format!("http://{}", house.address);
    for (origin, expected) in [
        (None, None),
        (Some(ours.as_str()), None),
        (Some("https://crm.example"), None),
        (Some("https://evil.example"), Some(403)),
        (Some("null"), Some(403)),
    ] {
        let mut headers = vec![("authorization", token.as_str())];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let opened = open(request(&house, "", &headers)).await;
        assert_eq!(opened.err(), expected, "{origin:?}");
    }
}

#[tokio::test]
async fn a_browser_sends_its_token_as_a_protocol() {
    let house = House::build().await;
    let offered = format!("bearer, {}", house.admin.token.as_ref().unwrap());
    let screen = open(request(&house, "", &[("sec-websocket-protocol", &offered)])).await;
    // The answer names the protocol, never the token.
    assert_eq!(
        screen.map(|screen| screen.protocol),
        Ok(Some("bearer".to_owned()))
    );
    let junk = request(&house, "", &[("sec-websocket-protocol", "bearer, junk")]);
    assert_eq!(open(junk).await.err(), Some(401));
    assert_eq!(open(request(&house, "", &[])).await.err(), Some(401));
    house.admin.get("events").await.is(400);
}

#[tokio::test]
async fn what_is_not_understood_closes_with_a_reason() {
    let house = House::build().await;
    for text in [
        "{}",
        "shown",
        "{\"type\":\"shown\",\"call\":\"x\",\"attempt\":0}",
        "\u{1F600}",
    ] {
        let mut screen = Screen::of(&house, &house.admin, "").await;
        screen.socket.send(Message::text(text)).await.unwrap();
        let (code, reason) = screen.farewell().await;
        assert_eq!(code, 1008, "{text}");
        assert!(reason.contains("not understood"), "{reason}");
    }
    let mut screen = Screen::of(&house, &house.admin, "").await;
    screen
        .socket
        .send(Message::binary(vec![1, 2, 3]))
        .await
        .unwrap();
    assert_eq!(screen.farewell().await.0, 1003);
    let mut screen = Screen::of(&house, &house.admin, "").await;
    // It may be cut off before all of it is written.
    let _ = screen.socket.send(Message::text("x".repeat(100_000))).await;
    let ended = async { while let Some(Ok(_)) = screen.socket.next().await {} };
    timeout(PATIENCE, ended).await.unwrap();
}

#[tokio::test]
async fn a_flood_of_messages_closes_the_connection() {
    let house = House::build().await;
    let mut screen = Screen::of(&house, &house.admin, "").await;
    let shown = json!({"type": "shown", "call": CallId(1).to_string(), "attempt": 0}).to_string();
    for _ in 0..1_100 {
        if screen
            .socket
            .send(Message::text(shown.clone()))
            .await
            .is_err()
        {
            break;
        }
    }
    let (code, reason) = screen.farewell().await;
    assert_eq!((code, reason.as_str()), (1008, "too many messages"));
}

#[tokio::test]
async fn logging_out_closes_the_sockets_of_that_session_only() {
    let house = House::build().await;
    let first = house.user("anna", "agent", Some("101")).await;
    let second = house.log_in("anna", &first.user).await;
    let mut at_first = Screen::of(&house, &first, "").await;
    let mut at_second = Screen::of(&house, &second, "").await;
    first.delete("session").await.is(204);
    assert_eq!(at_first.farewell().await.0, 1008);
    let line = house.line("100").await;
    house.ring("+79160000001", &line, &second).await;
    at_second.until("call.offered").await;
    house
        .admin
        .delete(&format!("users/{}", second.user))
        .await
        .is(204);
    assert_eq!(at_second.farewell().await.0, 1008);
}

#[tokio::test]
async fn a_client_that_does_not_answer_pings_is_closed() {
    let interval = Duration::from_millis(100);
    let house = House::with(|settings| settings.ping_interval = interval).await;
    let mut alive = Screen::of(&house, &house.admin, "").await;
    let silent = Screen::of(&house, &house.admin, "").await;
    let one_left = async {
        // Reading answers the pings.
        while house.hub.counts().clients > 1 {
            let _ = timeout(interval, alive.socket.next()).await;
        }
    };
    timeout(PATIENCE, one_left).await.unwrap();
    assert_eq!(house.hub.counts().clients, 1);
    drop(silent);
}

#[tokio::test]
async fn the_hub_closes_with_its_reason() {
    let house = House::build().await;
    let mut screen = Screen::of(&house, &house.admin, "").await;
    house.hub.close();
    let (code, reason) = screen.farewell().await;
    assert_eq!((code, reason.as_str()), (1001, "the server stops"));
}

#[tokio::test]
async fn a_waived_obligation_is_told_to_those_concerned_and_not_to_others() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let boris = house.user("boris", "agent", Some("102")).await;
    let boss = house.user("boss", "supervisor", None).await;
    let line = house.line("+7 495 123-45-67").await;
    let mut screens = Vec::new();
    for client in [&anna, &boss, &boris] {
        screens.push(Screen::of(&house, client, "").await);
    }
    let call = house.ring("+79160000001", &line, &anna).await;
    house.hang_up(call, &anna, true).await;
    let mut owed = Vec::new();
    for screen in &mut screens[..2] {
        let frames = screen.until("obligation.opened").await;
        let opened = &frames[frames.len() - 1];
        assert_eq!(opened["responsible"]["id"], anna.user.as_str());
        owed.push(opened["obligation"].as_str().unwrap().to_owned());
    }
    assert_eq!(owed[0], owed[1]);
    let path = format!("obligations/{}/waive", owed[0]);
    boss.post(&path, json!({"reason": "a fax machine"}))
        .await
        .is(200);
    for screen in &mut screens[..2] {
        let frames = screen.until("obligation.closed").await;
        let closed = &frames[frames.len() - 1];
        assert_eq!(closed["closed_by"], "waived");
        assert_eq!(closed["waived_by"], boss.user.as_str());
        assert!(closed["cursor"].is_string());
    }
    // The stranger is nobody's client, so Boris is told of the calls, but not of what Anna owes.
    let next = house.ring("+79160000001", &line, &anna).await;
    house.hang_up(next, &anna, false).await;
    let mut told = screens[2].until("call.ended").await;
    told.extend(screens[2].until("call.ended").await);
    assert!(
        kinds(&told)
            .iter()
            .all(|kind| !kind.starts_with("obligation"))
    );
}
