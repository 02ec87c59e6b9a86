//! What the switch tells: agents' states to the screens, bindings to the store, refusals to the log.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use call::Notice;
use cti::Hub;
use model::{Binding, DeviceId};
use store::Store;
use tokio::sync::{Notify, mpsc, oneshot};

use crm::Base as _;

/// Takes notices until the switch is gone; `drained` is told when the last call is over.
pub(crate) async fn run(
    mut notices: mpsc::Receiver<Notice>,
    hub: Hub,
    store: Store,
    drained: oneshot::Sender<()>,
) {
    let mut drained = Some(drained);
    let unsaved = Arc::new(Unsaved::default());
    // A store that does not answer must not keep agents' states from the screens.
    tokio::spawn(save(Arc::clone(&unsaved), store));
    while let Some(notice) = notices.recv().await {
        take(notice, &hub, &unsaved, &mut drained);
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

fn take(notice: Notice, hub: &Hub, unsaved: &Unsaved, drained: &mut Option<oneshot::Sender<()>>) {
    match notice {
        Notice::Agent(change) => hub.agent_changed(change),
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
        Notice::Drained => {
            if let Some(drained) = drained.take() {
                // Nobody waits when the process does not stop.
                let _ = drained.send(());
            }
        }
    }
}
