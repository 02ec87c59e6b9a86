//! What the switch tells: agents' states to the screens, bindings to the store, refusals to the log.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use api::{orders::Orders, trunk_states::TrunkStates};
use call::Notice;
use cti::Hub;
use model::{Binding, DeviceId, TrunkCode, TrunkState};
use store::Store;
use tokio::sync::{Notify, mpsc, oneshot};

use crm::Base as _;

/// Whoever is told.
pub(crate) struct Listeners {
    /// The screens.
    pub(crate) hub: Hub,
    /// Those who ordered calls.
    pub(crate) orders: Orders,
    /// Those who ask how the trunks stand.
    pub(crate) trunk_states: TrunkStates,
    /// Whoever waits for the last call to be over.
    pub(crate) drained: Option<oneshot::Sender<()>>,
}

/// Takes notices until the switch is gone.
pub(crate) async fn run(
    mut notices: mpsc::Receiver<Notice>,
    mut listeners: Listeners,
    store: Store,
) {
    let unsaved = Arc::new(Unsaved::default());
    // A store that does not answer must not keep agents' states from the screens.
    tokio::spawn(save(Arc::clone(&unsaved), store));
    while let Some(notice) = notices.recv().await {
        take(notice, &mut listeners, &unsaved);
    }
}

/// Registrations that are to be stored: of each device the latest.
#[derive(Default)]
struct Unsaved {
    bindings: Mutex<HashMap<DeviceId, Vec<Binding>>>,
    grown: Notify,
}

impl Unsaved {
    fn bindings(&self) -> MutexGuard<'_, HashMap<DeviceId, Vec<Binding>>> {
        self.bindings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn save(unsaved: Arc<Unsaved>, store: Store) {
    loop {
        unsaved.grown.notified().await;
        let now = std::mem::take(&mut *unsaved.bindings());
        for (device, bindings) in now {
            if let Err(error) = store.settings().save_bindings(device, bindings).await {
                tracing::warn!(%device, %error, "registrations could not be stored: after a restart the phone must register anew");
            }
        }
    }
}

fn take(notice: Notice, listeners: &mut Listeners, unsaved: &Unsaved) {
    match notice {
        Notice::Agent(change) => listeners.hub.agent_changed(change),
        Notice::Ordered { order, outcome } => listeners.orders.answer(order, outcome),
        Notice::Controlled { order, outcome } => listeners.orders.answer_control(order, outcome),
        Notice::Bindings {
            device,
            bindings: now,
        } => {
            unsaved.bindings().insert(device, now);
            unsaved.grown.notify_one();
        }
        Notice::Refused(refusal) => tracing::warn!(
            method = refusal.method,
            source = %refusal.source,
            account = refusal.account,
            status = refusal.status,
            remedy = refusal.remedy,
            "refused: {}",
            refusal.reason
        ),
        Notice::Trunk { trunk, name, state } => {
            listeners.trunk_states.keep(trunk, state);
            log_trunk(&name, state);
        }
        Notice::Drained => {
            if let Some(drained) = listeners.drained.take() {
                // Nobody waits when the process does not stop.
                let _ = drained.send(());
            }
        }
    }
}

/// One line for each change, with what can be done where something can.
fn log_trunk(name: &str, state: Option<TrunkState>) {
    let Some(TrunkState { code, status, .. }) = state else {
        return tracing::info!(trunk = name, "trunk: not watched any more");
    };
    let (words, remedy) = match code {
        TrunkCode::Unknown => return,
        TrunkCode::Registering => return tracing::info!(trunk = name, "trunk: registering"),
        TrunkCode::Registered => return tracing::info!(trunk = name, "trunk: registered"),
        TrunkCode::Up => return tracing::info!(trunk = name, "trunk: up"),
        TrunkCode::PasswordRefused => (
            "password refused",
            "compare user, password and domain with those that the provider gave you",
        ),
        TrunkCode::Unreachable => (
            "no answer to the registration",
            "look at the proxy's address, at the firewall and at the provider's state",
        ),
        TrunkCode::NameNotFound => (
            "the name of its proxy is not found",
            "look at the name, and at the name servers in [network] resolvers or /etc/resolv.conf",
        ),
        TrunkCode::Refused => (
            "registration refused",
            "ask the provider about this status; the account may be blocked or registered elsewhere",
        ),
        TrunkCode::Down => (
            "down: two questions had no answer",
            "look at the proxy's address, at the firewall and at the provider's state",
        ),
    };
    tracing::warn!(trunk = name, status, remedy, "trunk: {words}");
}
