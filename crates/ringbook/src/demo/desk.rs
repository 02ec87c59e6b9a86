//! A manager's workspace: a WebSocket client that says `shown` on receipt and keeps what came.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::watch::{
    frame::{Fact, Frame, Offered},
    rest::Rest,
    socket::Socket,
};

/// Most frames that are kept.
const MOST_FRAMES: usize = 10_000;

/// A frame and when it came.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) frame: Frame,
    pub(super) at: Instant,
}

/// An open workspace; it closes when this is dropped.
#[derive(Debug)]
pub(super) struct Desk {
    user: String,
    frames: watch::Receiver<Vec<Received>>,
    task: JoinHandle<()>,
}

/// A card as it came.
#[derive(Clone, Debug)]
pub(super) struct Card {
    pub(super) call: String,
    pub(super) offered: Box<Offered>,
    pub(super) at: Instant,
}

impl Desk {
    /// Opens the workspace of `user`, who has logged in.
    pub(super) async fn open(rest: &Rest, user: &str) -> Result<Self> {
        let socket = Socket::open(rest, None).await?;
        let (keep, frames) = watch::channel(Vec::new());
        Ok(Self {
            user: user.to_owned(),
            frames,
            task: tokio::spawn(sit(socket, user.to_owned(), keep)),
        })
    }

    /// How many frames there are: what comes later has this place or a later one.
    pub(super) fn mark(&self) -> usize {
        self.frames.borrow().len()
    }

    /// Waits for a frame of place `since` or later in which `find` finds something; none if it does not come in time.
    pub(super) async fn find<T>(
        &self,
        since: usize,
        patience: Duration,
        mut find: impl FnMut(&Received) -> Option<T>,
    ) -> Option<T> {
        let mut frames = self.frames.clone();
        let mut found = None;
        let wanted = frames.wait_for(|frames| {
            found = frames.iter().skip(since).find_map(&mut find);
            found.is_some()
        });
        timeout(patience, wanted).await.ok()?.ok()?;
        found
    }

    /// Waits for the card with which a call from `number` is offered to this desk.
    /// Clients of colleagues and of nobody are seen here too when others are offered their calls.
    pub(super) async fn card(
        &self,
        since: usize,
        number: &str,
        patience: Duration,
    ) -> Option<Card> {
        self.find(since, patience, |received| {
            match (&received.frame.fact, &received.frame.call) {
                (Fact::Offered(offered), Some(call))
                    if offered.agent == self.user
                        && offered.card.caller.number.as_deref() == Some(number) =>
                {
                    Some(Card {
                        call: call.clone(),
                        offered: offered.clone(),
                        at: received.at,
                    })
                }
                _ => None,
            }
        })
        .await
    }

    /// Waits until a fact about `call` comes.
    pub(super) async fn fact(
        &self,
        call: &str,
        patience: Duration,
        mut is: impl FnMut(&Fact) -> bool,
    ) -> Option<Fact> {
        self.find(0, patience, |received| {
            let fits = received.frame.call.as_deref() == Some(call) && is(&received.frame.fact);
            fits.then(|| received.frame.fact.clone())
        })
        .await
    }

    /// Waits until the last that was told of an agent's state and its reason fits; none if it does not in time.
    pub(super) async fn state(
        &self,
        agent: &str,
        patience: Duration,
        fits: impl Fn(&str, Option<&str>) -> bool,
    ) -> Option<()> {
        let mut frames = self.frames.clone();
        let wanted = frames.wait_for(|frames| {
            let last = frames
                .iter()
                .rev()
                .find_map(|received| match &received.frame.fact {
                    Fact::AgentChanged { agents } => agents.iter().find(|now| now.agent == agent),
                    _ => None,
                });
            last.is_some_and(|now| fits(&now.state, now.reason.as_deref()))
        });
        timeout(patience, wanted).await.ok()?.ok().map(|_| ())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn sit(mut socket: Socket, user: String, keep: watch::Sender<Vec<Received>>) {
    while let Ok(value) = socket.next().await {
        let at = Instant::now();
        let Ok(frame) = serde_json::from_value::<Frame>(value) else {
            continue;
        };
        let card = match (&frame.fact, &frame.call) {
            (Fact::Offered(offered), Some(call)) if offered.agent == user => Some((call, offered)),
            _ => None,
        };
        if let Some((call, offered)) = card {
            if socket.say_shown(call, offered.attempt).await.is_err() {
                break;
            }
        }
        keep.send_modify(|frames| {
            if frames.len() < MOST_FRAMES {
                frames.push(Received { frame, at });
            }
        });
    }
    socket.close().await;
}
