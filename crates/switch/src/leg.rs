//! One leg: a dialog with a caller or a device, and its media.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use call::LegNo;
use media::{LegKey, LocalSession, Negotiated, SourceRule};
use model::{CallId, DeviceId, TrunkId};
use sip::{
    Request,
    dialog::{Dialog, DialogKey},
    transaction::{ClientKey, Path, ServerKey},
};

use crate::{reliable::Reliable, session_timer::Session};

/// Whose leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The client's, by a trunk.
    Trunk(TrunkId),
    /// A telephone of an agent.
    Device(DeviceId),
}

/// How far the dialog has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The caller's INVITE has no final answer.
    Incoming(ServerKey),
    /// The INVITE to the device is made and stored, not sent.
    Prepared,
    /// The INVITE to the device is sent.
    Calling(ClientKey),
    /// The INVITE to the device is withdrawn; a 200 may still cross.
    Cancelling(ClientKey),
    /// Answered by us; BYE may not go out before the ACK (RFC 3261 §15).
    AwaitingAck {
        /// The INVITE.
        server: ServerKey,
        /// The leg is to be ended as soon as the ACK is there.
        leaving: bool,
    },
    /// In conversation.
    Confirmed,
    /// BYE is sent; its answer is awaited.
    Leaving,
}

/// One leg of a call.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) key: LegKey,
    pub(crate) call: CallId,
    pub(crate) no: LegNo,
    pub(crate) side: Side,
    pub(crate) path: Path,
    pub(crate) phase: Phase,
    pub(crate) local_tag: String,
    /// It goes to an agent's telephone elsewhere.
    pub(crate) elsewhere: bool,
    /// The caller's INVITE as received, or ours to the device.
    pub(crate) invite: Request,
    pub(crate) dialog: Option<Dialog>,
    pub(crate) media: LegMedia,
    /// What our BYE says of the reason (RFC 3326).
    pub(crate) reason: Option<&'static str>,
    /// A BYE whose 200 waits until the end is in the journal.
    pub(crate) hang_up: Option<(ServerKey, Request)>,
    /// The other side put us on hold.
    pub(crate) held: bool,
    /// The trunk asked for credentials and has them: a second time is a refusal.
    pub(crate) challenged: bool,
    /// More came than 100: whoever is called knows of it, and no other place is tried.
    pub(crate) rang: bool,
    /// Requests of ours that have no final answer yet.
    pub(crate) clients: Vec<ClientKey>,
    /// How long the session lives without a refresh.
    pub(crate) session: Session,
    /// Provisional answers that must arrive (RFC 3262).
    pub(crate) reliable: Reliable,
    /// When the leg is looked at next.
    pub(crate) wake: Option<Duration>,
}

impl Leg {
    /// The caller's INVITE, as long as it may be answered or acknowledged.
    pub(crate) fn server(&self) -> Option<ServerKey> {
        match self.phase {
            Phase::Incoming(server) | Phase::AwaitingAck { server, .. } => Some(server),
            _ => None,
        }
    }
}

/// The media of a leg.
#[derive(Debug)]
pub(crate) struct LegMedia {
    pub(crate) session: LocalSession,
    pub(crate) source: SourceRule,
    pub(crate) negotiated: Option<Negotiated>,
    /// Our answer to the caller's offer, or our offer to a caller who made none, as it goes out with the 200.
    pub(crate) answer: Vec<u8>,
    /// The INVITE whose 2xx carries an offer of ours; its ACK brings the answer.
    pub(crate) unanswered: Option<ServerKey>,
    pub(crate) state: MediaState,
}

/// Whether the media plane knows the leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MediaState {
    /// `Open` is ordered, or confirmed.
    Open,
    /// `Close` is ordered, or the plane could not open it.
    Closed,
}

/// What a request of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Calls a device.
    Invite,
    /// Ends a leg.
    Bye,
    /// Asks whether the party is there.
    Probe,
    /// Tells how a transfer goes.
    Notify,
    /// Keeps the session alive (RFC 4028).
    Refresh,
    /// Acknowledges a provisional answer (RFC 3262).
    Prack,
}

/// All legs, found by what messages and calls name them.
#[derive(Debug, Default)]
pub(crate) struct Legs {
    table: BTreeMap<LegKey, Leg>,
    of_call: BTreeMap<(CallId, LegNo), LegKey>,
    dialogs: HashMap<DialogKey, LegKey>,
    servers: HashMap<ServerKey, LegKey>,
    clients: HashMap<ClientKey, (LegKey, Purpose)>,
    /// Dialogs over connections, by the number of the connection; 0 for those whose connection broke.
    flows: BTreeSet<(u64, LegKey)>,
    wakes: BTreeSet<(Duration, LegKey)>,
    last_key: u64,
}

impl Legs {
    pub(crate) fn new_key(&mut self) -> LegKey {
        self.last_key += 1;
        LegKey(self.last_key)
    }

    /// How many legs came or went by this trunk.
    pub(crate) fn by_trunk(&self, trunk: TrunkId) -> usize {
        let legs = self.table.values();
        legs.filter(|leg| leg.side == Side::Trunk(trunk)).count()
    }

    /// The legs of one telephone.
    pub(crate) fn of_device(&self, device: DeviceId) -> impl Iterator<Item = &Leg> {
        let legs = self.table.values();
        legs.filter(move |leg| leg.side == Side::Device(device))
    }

    /// Whether an agent's telephone elsewhere rings.
    pub(crate) fn rings_elsewhere(&self) -> bool {
        let mut legs = self.table.values();
        legs.any(|leg| leg.elsewhere && matches!(leg.phase, Phase::Calling(_)))
    }

    pub(crate) fn insert(&mut self, leg: Leg) {
        self.of_call.insert((leg.call, leg.no), leg.key);
        if let Phase::Incoming(server) = leg.phase {
            self.servers.insert(server, leg.key);
        }
        self.table.insert(leg.key, leg);
    }

    /// Forgets the leg and every name it had.
    pub(crate) fn remove(&mut self, key: LegKey) -> Option<Leg> {
        let leg = self.table.remove(&key)?;
        if let Some(at) = leg.wake {
            self.wakes.remove(&(at, key));
        }
        self.of_call.remove(&(leg.call, leg.no));
        if let Some(dialog) = &leg.dialog {
            self.dialogs.remove(dialog.key());
            self.flows.remove(&(dialog.target_path().flow, key));
        }
        if let Some(server) = leg.server() {
            self.servers.remove(&server);
        }
        if let Some(server) = leg.media.unanswered {
            self.servers.remove(&server);
        }
        for client in &leg.clients {
            self.clients.remove(client);
        }
        Some(leg)
    }

    pub(crate) fn find(&self, key: LegKey) -> Option<&Leg> {
        self.table.get(&key)
    }

    pub(crate) fn find_mut(&mut self, key: LegKey) -> Option<&mut Leg> {
        self.table.get_mut(&key)
    }

    pub(crate) fn key_of(&self, call: CallId, no: LegNo) -> Option<LegKey> {
        self.of_call.get(&(call, no)).copied()
    }

    /// The legs of one call, in the order of their numbers.
    pub(crate) fn of_call(&self, call: CallId) -> impl Iterator<Item = &Leg> {
        let keys = self
            .of_call
            .range((call, LegNo(0))..=(call, LegNo(u16::MAX)));
        keys.filter_map(|(_, key)| self.table.get(key))
    }

    pub(crate) fn by_dialog(&self, dialog: &DialogKey) -> Option<LegKey> {
        self.dialogs.get(dialog).copied()
    }

    pub(crate) fn by_server(&self, server: ServerKey) -> Option<LegKey> {
        self.servers.get(&server).copied()
    }

    /// The leg a request of ours belongs to, and what it was for.
    pub(crate) fn by_client(&self, client: ClientKey) -> Option<(LegKey, Purpose)> {
        self.clients.get(&client).copied()
    }

    pub(crate) fn name_client(&mut self, client: ClientKey, leg: LegKey, purpose: Purpose) {
        if let Some(leg) = self.table.get_mut(&leg) {
            leg.clients.push(client);
        }
        self.clients.insert(client, (leg, purpose));
    }

    pub(crate) fn forget_client(&mut self, client: ClientKey) {
        if let Some((key, _)) = self.clients.remove(&client) {
            if let Some(leg) = self.table.get_mut(&key) {
                leg.clients.retain(|open| *open != client);
            }
        }
    }

    /// The 2xx to this INVITE carries an offer of ours.
    pub(crate) fn await_answer(&mut self, key: LegKey, server: ServerKey) {
        if let Some(leg) = self.table.get_mut(&key) {
            leg.media.unanswered = Some(server);
            self.servers.insert(server, key);
        }
    }

    /// The ACK of this INVITE came; whether an answer was to be in it.
    pub(crate) fn answer_came(&mut self, key: LegKey, server: ServerKey) -> bool {
        let Some(leg) = self.table.get_mut(&key) else {
            return false;
        };
        let awaited = leg.media.unanswered == Some(server);
        if awaited {
            leg.media.unanswered = None;
            if leg.server() != Some(server) {
                self.servers.remove(&server);
            }
        }
        awaited
    }

    /// When the first leg is to be looked at.
    pub(crate) fn next_wake(&self) -> Option<Duration> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// A leg that is to be looked at now; it is so until it is rescheduled.
    pub(crate) fn due(&self, now: Duration) -> Option<LegKey> {
        let (at, key) = self.wakes.first()?;
        (*at <= now).then_some(*key)
    }

    /// The leg's timers have changed.
    pub(crate) fn reschedule(&mut self, key: LegKey) {
        let Some(leg) = self.table.get_mut(&key) else {
            return;
        };
        let next = [leg.session.next(), leg.reliable.next()];
        let next = next.into_iter().flatten().min();
        if let Some(old) = std::mem::replace(&mut leg.wake, next) {
            self.wakes.remove(&(old, key));
        }
        self.wakes.extend(next.map(|at| (at, key)));
    }

    /// The leg goes on in another call, under another number.
    pub(crate) fn move_to(&mut self, key: LegKey, call: CallId, no: LegNo) {
        if let Some(leg) = self.table.get_mut(&key) {
            self.of_call.remove(&(leg.call, leg.no));
            (leg.call, leg.no) = (call, no);
            self.of_call.insert((call, no), key);
        }
    }

    /// Gives the leg its dialog; requests within it find the leg from now on.
    pub(crate) fn set_dialog(&mut self, key: LegKey, dialog: Dialog) {
        if let Some(leg) = self.table.get_mut(&key) {
            self.dialogs.insert(dialog.key().clone(), key);
            if dialog.target_path().transport.reliable() {
                self.flows.insert((dialog.target_path().flow, key));
            }
            leg.dialog = Some(dialog);
        }
    }

    /// Requests of ours in the leg's dialog go this way from now on.
    pub(crate) fn reroute(&mut self, key: LegKey, path: Path) {
        let Some(dialog) = self.table.get_mut(&key).and_then(|leg| leg.dialog.as_mut()) else {
            return;
        };
        self.flows.remove(&(dialog.target_path().flow, key));
        if path.transport.reliable() {
            self.flows.insert((path.flow, key));
        }
        dialog.reroute(path);
    }

    /// The legs whose dialogs use this connection.
    pub(crate) fn on_path(&self, path: &Path) -> Vec<LegKey> {
        let uses = |key: &LegKey| {
            let dialog = self.table.get(key).and_then(|leg| leg.dialog.as_ref());
            dialog.is_some_and(|dialog| dialog.target_path() == *path)
        };
        self.on_flow(path.flow).filter(uses).collect()
    }

    /// The legs whose connection broke.
    pub(crate) fn adrift(&self) -> Vec<LegKey> {
        self.on_flow(0).collect()
    }

    pub(crate) fn is_adrift(&self, key: LegKey) -> bool {
        self.flows.contains(&(0, key))
    }

    fn on_flow(&self, flow: u64) -> impl Iterator<Item = LegKey> {
        let range = (flow, LegKey(0))..=(flow, LegKey(u64::MAX));
        self.flows.range(range).map(|(_, key)| *key)
    }

    /// Moves the leg on; an INVITE that can no longer be acknowledged is forgotten.
    pub(crate) fn set_phase(&mut self, key: LegKey, phase: Phase) {
        let Some(leg) = self.table.get_mut(&key) else {
            return;
        };
        let before = leg.server();
        leg.phase = phase;
        if let (Some(server), None) = (before, leg.server()) {
            self.servers.remove(&server);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn dialogs(&self) -> usize {
        self.dialogs.len()
    }
}
