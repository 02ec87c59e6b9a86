//! Orders to the PBX that wait for its answer.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use call::{Command, OrderId};
use tokio::{sync::oneshot, time::timeout};

use crate::{ApiState, problem::Problem};

/// How long the PBX and the journal have to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who waits for which answer; as many as there are requests at a time.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    last: AtomicU64,
    waiting: Mutex<HashMap<OrderId, oneshot::Sender<T>>>,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self {
            last: AtomicU64::new(0),
            waiting: Mutex::default(),
        }
    }
}

impl<T> Pending<T> {
    /// Hands the answer to whoever waits for it.
    pub(crate) fn answer(&self, order: OrderId, outcome: T) {
        if let Some(waiting) = self.waiting().remove(&order) {
            // Whoever waited may have gone.
            let _ = waiting.send(outcome);
        }
    }

    /// Gives the order and waits for what comes of it; 503 if the PBX does not say in time.
    pub(crate) async fn ask(
        &self,
        state: &ApiState,
        command: impl FnOnce(OrderId) -> Command,
    ) -> Result<T, Problem> {
        let order = OrderId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let (answer, answered) = oneshot::channel();
        self.waiting().insert(order, answer);
        let _forgotten = Forgotten {
            pending: self,
            order,
        };
        state.order(command(order))?;
        match timeout(PATIENCE, answered).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) | Err(_) => Err(Problem::unavailable(
                "the PBX did not confirm it in time; look at the calls before trying again",
            )),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<OrderId, oneshot::Sender<T>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An order is forgotten however its request ends, also when the client goes away.
struct Forgotten<'a, T> {
    pending: &'a Pending<T>,
    order: OrderId,
}

impl<T> Drop for Forgotten<'_, T> {
    fn drop(&mut self) {
        self.pending.waiting().remove(&self.order);
    }
}
