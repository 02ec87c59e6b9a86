//! Connected clients: who they are, their bounded queues, and who receives what.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use crm::{Audience, Language, Role};
use model::UserId;
use tokio::sync::mpsc;

use crate::frame::Text;

/// Who sits before a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The user.
    pub user: UserId,
    /// Decides what the user may see.
    pub role: Role,
    /// The language of the screen; frames carry codes, so it is for whoever displays them.
    pub language: Language,
}

impl Viewer {
    /// Sees the calls of everybody.
    pub(crate) fn sees_all(&self) -> bool {
        matches!(self.role, Role::Administrator | Role::Supervisor)
    }
}

/// Why a client was not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// Not a cursor of ours: answer 400.
    #[error("this is no cursor: pass the last frame's cursor unchanged, or none")]
    BadCursor,
    /// The limit of connected clients is reached: answer 503.
    #[error("too many clients are connected")]
    TooManyClients,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// More frames waited than a client may leave waiting; it may come back with its cursor.
    #[error("the client does not keep up with the events")]
    Slow,
    /// The user's sessions or rights ended.
    #[error("the session has ended")]
    Revoked,
    /// The database did not give the past events; the client may come back with its cursor.
    #[error("past events cannot be read now")]
    Unavailable,
    /// The process stops.
    #[error("the server stops")]
    Shutdown,
}

const OPEN: u8 = 0;

/// Whether a client is closed, and why: shared by the table and the attachment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Door(Arc<AtomicU8>);

impl Door {
    pub(crate) fn close(&self, reason: Closed) {
        let code = match reason {
            Closed::Slow => 1,
            Closed::Revoked => 2,
            Closed::Unavailable => 3,
            Closed::Shutdown => 4,
        };
        // The first reason stands.
        let _ = self
            .0
            .compare_exchange(OPEN, code, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(crate) fn reason(&self) -> Option<Closed> {
        match self.0.load(Ordering::Acquire) {
            OPEN => None,
            1 => Some(Closed::Slow),
            2 => Some(Closed::Revoked),
            3 => Some(Closed::Unavailable),
            _ => Some(Closed::Shutdown),
        }
    }
}

/// Names one connection.
pub(crate) type ClientNo = u64;

#[derive(Debug)]
struct Client {
    viewer: Viewer,
    queue: mpsc::Sender<Text>,
    door: Door,
}

/// The table of connections.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    next: ClientNo,
    clients: HashMap<ClientNo, Client>,
    by_user: HashMap<UserId, Vec<ClientNo>>,
    /// Connections of those who see everything.
    overseers: Vec<ClientNo>,
}

impl Clients {
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    pub(crate) fn add(
        &mut self,
        viewer: Viewer,
        most_waiting: usize,
    ) -> (ClientNo, Door, mpsc::Receiver<Text>) {
        let (queue, frames) = mpsc::channel(most_waiting.max(1));
        let (no, door) = (self.next, Door::default());
        self.next += 1;
        self.by_user.entry(viewer.user).or_default().push(no);
        if viewer.sees_all() {
            self.overseers.push(no);
        }
        let client = Client {
            viewer,
            queue,
            door: door.clone(),
        };
        self.clients.insert(no, client);
        (no, door, frames)
    }

    pub(crate) fn remove(&mut self, no: ClientNo) {
        let Some(client) = self.clients.remove(&no) else {
            return;
        };
        let user = client.viewer.user;
        if let Some(of_user) = self.by_user.get_mut(&user) {
            of_user.retain(|other| *other != no);
            if of_user.is_empty() {
                self.by_user.remove(&user);
            }
        }
        self.overseers.retain(|other| *other != no);
    }

    /// Closes every connection, or those of one user.
    pub(crate) fn close(&mut self, of: Option<UserId>, reason: Closed) {
        let concerned: Vec<ClientNo> = match of {
            Some(user) => self.of(user).to_vec(),
            None => self.clients.keys().copied().collect(),
        };
        for no in concerned {
            if let Some(client) = self.clients.get(&no) {
                client.door.close(reason);
            }
            self.remove(no);
        }
    }

    /// Who receives the frames of a call, each connection once.
    pub(crate) fn audience(&self, audience: &Audience) -> Vec<ClientNo> {
        if self.clients.is_empty() {
            return Vec::new();
        }
        // Nobody's client is everybody's.
        let Some(owner) = audience.owner else {
            return self.clients.keys().copied().collect();
        };
        let mut receivers = self.overseers.clone();
        let participants = audience.participants.iter().copied();
        for user in participants.chain([owner]) {
            for no in self.by_user.get(&user).into_iter().flatten() {
                if !receivers.contains(no) {
                    receivers.push(*no);
                }
            }
        }
        receivers
    }

    /// The connections of one user.
    pub(crate) fn of(&self, user: UserId) -> &[ClientNo] {
        self.by_user.get(&user).map_or(&[], Vec::as_slice)
    }

    /// Who is told what others do: everybody except one user, or beyond `most` connections only
    /// those who see everything.
    pub(crate) fn presence(&self, most: usize, except: Option<UserId>) -> Vec<ClientNo> {
        let clients = self.clients.iter();
        clients
            .filter(|(_, client)| self.clients.len() <= most || client.viewer.sees_all())
            .filter(|(_, client)| Some(client.viewer.user) != except)
            .map(|(no, _)| *no)
            .collect()
    }

    /// Puts a frame into a client's queue; false if the client was too slow and is gone now.
    pub(crate) fn send(&mut self, no: ClientNo, frame: &Text) -> bool {
        let Some(client) = self.clients.get(&no) else {
            return false;
        };
        if client.queue.try_send(Text::clone(frame)).is_ok() {
            return true;
        }
        client.door.close(Closed::Slow);
        self.remove(no);
        false
    }

    pub(crate) fn user(&self, no: ClientNo) -> Option<UserId> {
        self.clients.get(&no).map(|client| client.viewer.user)
    }
}
