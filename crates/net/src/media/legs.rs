//! The legs of one media thread, by slot for the packets and by key for the orders.

use std::collections::HashMap;

use media::LegKey;

use super::leg::Leg;

/// A slab of legs. A slot is stable while its leg stays on the thread.
#[derive(Debug, Default)]
pub(crate) struct Legs {
    slots: Vec<Option<Box<Leg>>>,
    free: Vec<u32>,
    by_key: HashMap<LegKey, u32>,
}

impl Legs {
    pub(crate) fn insert(&mut self, leg: Box<Leg>) -> u32 {
        let key = leg.key;
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.slots.get_mut(slot as usize) {
                    *place = Some(leg);
                }
                slot
            }
            None => {
                self.slots.push(Some(leg));
                (self.slots.len() - 1) as u32
            }
        };
        self.by_key.insert(key, slot);
        slot
    }

    pub(crate) fn remove(&mut self, key: LegKey) -> Option<Box<Leg>> {
        let slot = self.by_key.remove(&key)?;
        let leg = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(leg)
    }

    pub(crate) fn slot(&self, key: LegKey) -> Option<u32> {
        self.by_key.get(&key).copied()
    }

    pub(crate) fn at(&mut self, slot: u32) -> Option<&mut Leg> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    /// Takes a leg out for a moment, so that its peer can be touched too; [`Legs::restore`] puts it back.
    pub(crate) fn take(&mut self, slot: u32) -> Option<Box<Leg>> {
        self.slots.get_mut(slot as usize)?.take()
    }

    pub(crate) fn restore(&mut self, slot: u32, leg: Box<Leg>) {
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(leg);
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Leg> {
        self.slots.iter_mut().filter_map(Option::as_deref_mut)
    }
}
