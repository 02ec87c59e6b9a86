//! The WebSocket: events go out, `shown` comes in.

use std::time::Duration;

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code, rejection},
    },
    http::HeaderMap,
    response::Response,
};
use cti::{AttachError, Attachment, Closed, Viewer};
use futures_util::SinkExt;
use model::CallId;
use serde::Deserialize;
use tokio::{
    sync::broadcast,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{ApiState, body::Params, origin, problem::Problem, session::Identity};

/// Most bytes of a message from a client.
const MOST_MESSAGE_BYTES: usize = 4 * 1024;
/// Most messages from a client between two pings.
const MOST_MESSAGES: u32 = 1_000;
/// So often the database is asked whether the session still runs: its end is told by whoever ends it, unless that is
/// another process.
const PINGS_PER_QUESTION: u32 = 10;
/// How long a client may refuse to take a frame.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// Frames written before the next look at what the client sends.
const MOST_BATCH: usize = 64;

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(events))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Cursor of the last frame that the client knows; it then gets everything after that.
    after: Option<String>,
}

/// Events as they happen (WebSocket)
///
/// Frames are JSON objects `{id, cursor, at, type, …}`; `agent.changed` has no id and no cursor but `agents`, a list of
/// `{agent, since, state, …}`. The token comes by `Authorization` or as
/// `Sec-WebSocket-Protocol: bearer, TOKEN`. A client says `{"type":"shown","call":"…","attempt":0}`
/// after it has painted a card.
#[utoipa::path(get, path = "/events", tag = "events", params(Query),
    responses((status = 101, description = "The WebSocket is open"), (status = 400), (status = 403),
        (status = 422), (status = 503)))]
async fn events(
    State(state): State<ApiState>,
    identity: Identity,
    headers: HeaderMap,
    Params(query): Params<Query>,
    upgrade: Result<WebSocketUpgrade, rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    origin::check(&headers, &state.settings.allowed_origins)?;
    let upgrade = upgrade.map_err(|_| {
        Problem::malformed("this is a WebSocket: send an upgrade request (RFC 6455 §4.1)")
    })?;
    let viewer = Viewer {
        user: identity.user,
        role: identity.role,
        language: identity.language,
    };
    let attachment = state.hub.attach(viewer, query.after.as_deref());
    let attachment = attachment.map_err(|error| match error {
        AttachError::BadCursor => Problem::field("after", error.to_string()),
        AttachError::TooManyClients => Problem::unavailable(error.to_string()),
    })?;
    let connection = Connection {
        ended: state.ended_sessions.subscribe(),
        state,
        identity,
        attachment,
        pings: 0,
        messages: 0,
        heard: true,
    };
    Ok(upgrade
        .protocols(["bearer"])
        // Clients say little: the usual 128 KiB for each would be cleared again at every look at its socket.
        .read_buffer_size(MOST_MESSAGE_BYTES)
        .max_message_size(MOST_MESSAGE_BYTES)
        .max_frame_size(MOST_MESSAGE_BYTES)
        .on_upgrade(move |socket| connection.run(socket)))
}

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Said {
    /// The card of this offer is on the screen.
    Shown { call: CallId, attempt: u16 },
}

/// Why a connection is closed: code and reason of the close frame (RFC 6455 §7.4).
type Farewell = (u16, String);

struct Connection {
    state: ApiState,
    identity: Identity,
    attachment: Attachment,
    ended: broadcast::Receiver<model::SessionId>,
    pings: u32,
    /// From the client since the last ping.
    messages: u32,
    /// The client has sent anything since the last ping, a pong included.
    heard: bool,
}

impl Connection {
    async fn run(mut self, mut socket: WebSocket) {
        let Some((code, reason)) = self.talk(&mut socket).await else {
            return;
        };
        tracing::debug!(user = %self.identity.user, code, %reason, "a WebSocket is closed");
        let farewell = CloseFrame {
            code,
            reason: reason.into(),
        };
        let goodbye = socket.send(Message::Close(Some(farewell)));
        // A client that does not read gets no farewell.
        let _ = timeout(Duration::from_secs(1), goodbye).await;
    }

    /// Runs until the client is gone (none) or is to be closed.
    async fn talk(&mut self, socket: &mut WebSocket) -> Option<Farewell> {
        let period = self.state.settings.ping_interval;
        let mut pings = interval_at(Instant::now() + period, period);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                frame = self.attachment.next() => match frame {
                    Ok(frame) => self.write(socket, &frame).await?,
                    Err(reason) => return Some((code(reason), reason.to_string())),
                },
                message = socket.recv() => {
                    if let Some(farewell) = self.hear(message?.ok()?) {
                        return Some(farewell);
                    }
                }
                ended = self.ended.recv() => {
                    let concerned = match ended {
                        Ok(session) => session == self.identity.session,
                        Err(_) => !self.is_logged_in().await,
                    };
                    if concerned {
                        return Some((close_code::POLICY, Closed::Revoked.to_string()));
                    }
                }
                _ = pings.tick() => {
                    if !std::mem::take(&mut self.heard) {
                        return Some((close_code::AWAY, "no answer to ping".to_owned()));
                    }
                    self.pings += 1;
                    let over = self.identity.is_over();
                    let asked = self.pings % PINGS_PER_QUESTION == 0;
                    if over || (asked && !self.is_logged_in().await) {
                        return Some((close_code::POLICY, Closed::Revoked.to_string()));
                    }
                    self.messages = 0;
                    let ping = socket.send(Message::Ping(Default::default()));
                    timeout(WRITE_PATIENCE, ping).await.ok()?.ok()?;
                }
            }
        }
    }

    /// Writes a frame and those that wait behind it; none if the client is gone.
    async fn write(&mut self, socket: &mut WebSocket, first: &str) -> Option<()> {
        let attachment = &mut self.attachment;
        let written = async {
            socket.feed(Message::text(first)).await?;
            for _ in 1..MOST_BATCH {
                let Some(frame) = attachment.try_next() else {
                    break;
                };
                socket.feed(Message::text(&*frame)).await?;
            }
            socket.flush().await
        };
        timeout(WRITE_PATIENCE, written).await.ok()?.ok()
    }

    fn hear(&mut self, message: Message) -> Option<Farewell> {
        self.heard = true;
        self.messages += 1;
        if self.messages > MOST_MESSAGES {
            return Some((close_code::POLICY, "too many messages".to_owned()));
        }
        let text = match message {
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) => return None,
            Message::Close(_) => return Some((close_code::NORMAL, String::new())),
            Message::Binary(_) => {
                return Some((
                    close_code::UNSUPPORTED,
                    "only text is understood".to_owned(),
                ));
            }
        };
        match serde_json::from_str(&text) {
            Ok(Said::Shown { call, attempt }) => {
                self.state.hub.shown(self.identity.user, call, attempt);
                None
            }
            Err(error) => {
                // RFC 6455 §5.5: a control frame has at most 125 bytes, two of them the code.
                let reason = format!("not understood: {error}");
                let reason = reason.chars().filter(char::is_ascii).take(120).collect();
                Some((close_code::POLICY, reason))
            }
        }
    }

    async fn is_logged_in(&self) -> bool {
        let found = Identity::by_token(&self.state, self.identity.token).await;
        // A store that does not answer ends nobody's connection.
        found.map_or_else(|problem| problem.status().as_u16() != 401, |_| true)
    }
}

fn code(reason: Closed) -> u16 {
    match reason {
        Closed::Slow | Closed::Unavailable => close_code::AGAIN,
        Closed::Revoked => close_code::POLICY,
        Closed::Shutdown => close_code::AWAY,
    }
}
