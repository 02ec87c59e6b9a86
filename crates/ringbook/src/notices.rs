//! What the switch tells: agents' states to the screens, bindings to the store, refusals to the log.

use std::collections::HashMap;

use call::Notice;
use cti::Hub;
use model::{Binding, DeviceId};
use store::Store;
use tokio::sync::{mpsc, oneshot};

use crm::Base as _;

/// Takes notices until the switch is gone; `drained` is told when the last call is over.
pub(crate) async fn run(
    mut notices: mpsc::Receiver<Notice>,
    hub: Hub,
    store: Store,
    drained: oneshot::Sender<()>,
) {
    let mut drained = Some(drained);
    let mut bindings: HashMap<DeviceId, Vec<Binding>> = HashMap::new();
    while let Some(notice) = notices.recv().await {
        take(notice, &hub, &mut bindings, &mut drained);
        // What waits already is taken together: a device that registered twice is stored once.
        while let Ok(notice) = notices.try_recv() {
            take(notice, &hub, &mut bindings, &mut drained);
        }
        for (device, bindings) in bindings.drain() {
            if let Err(error) = store.settings().save_bindings(device, bindings).await {
                tracing::warn!(%device, %error, "registrations could not be stored: after a restart the phone must register anew");
            }
        }
    }
}

fn take(
    notice: Notice,
    hub: &Hub,
    bindings: &mut HashMap<DeviceId, Vec<Binding>>,
    drained: &mut Option<oneshot::Sender<()>>,
) {
    match notice {
        Notice::Agent(change) => hub.agent_changed(change),
        Notice::Bindings {
            device,
            bindings: now,
        } => {
            bindings.insert(device, now);
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
