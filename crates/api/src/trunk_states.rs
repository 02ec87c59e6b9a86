//! How the trunks stand, as the PBX told last.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use model::{TrunkCode, TrunkId, TrunkState};
use serde::Serialize;
use utoipa::ToSchema;

use crate::moment::Moment;

/// The states of all watched trunks; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TrunkStates(Arc<RwLock<BTreeMap<TrunkId, TrunkState>>>);

impl TrunkStates {
    /// Keeps what was told of a trunk; none once it is not watched any more.
    pub fn keep(&self, trunk: TrunkId, state: Option<TrunkState>) {
        let mut states = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match state {
            Some(state) => states.insert(trunk, state),
            None => states.remove(&trunk),
        };
    }

    /// How many watched trunks are in this state.
    pub fn count(&self, code: TrunkCode) -> u64 {
        let states = self.0.read().unwrap_or_else(PoisonError::into_inner);
        states.values().filter(|state| state.code == code).count() as u64
    }

    /// The state of a trunk as clients read it; unknown if it is not watched.
    pub fn shown(&self, trunk: TrunkId) -> ShownState {
        let states = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let state = states.get(&trunk);
        ShownState {
            code: state.map_or(TrunkCode::Unknown, |state| state.code),
            since: state.map(|state| state.since.into()),
            status: state.and_then(|state| state.status),
        }
    }
}

/// The state of a trunk. Only the PBX changes it.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct ShownState {
    /// `registering`, `registered`, `password_refused`, `unreachable` or `refused` where we register; `up` or `down` where
    /// we only ask whether the trunk is there; `name_not_found` where the name of its proxy has no address; `unknown` where nothing was heard yet or calls do not leave by it.
    #[schema(value_type = String, example = "registered")]
    pub code: TrunkCode,
    /// Since when; none while nothing is known.
    pub since: Option<Moment>,
    /// The SIP status that said so, if one did.
    pub status: Option<u16>,
}
