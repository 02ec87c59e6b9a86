//! Notes on clients.

use model::{ClientRef, NoteId, UserId};
use serde::{Deserialize, Serialize};

use crate::{Record, Resource};

/// A note as stored.
pub type Note = Record<NoteId, NoteData>;

/// What a note says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteData {
    /// On whom: a person, an organisation, or both.
    pub client: ClientRef,
    /// Who wrote it.
    pub author: UserId,
    /// The text, at most [`crate::note::MOST_TEXT`] characters.
    pub text: String,
}

/// Most characters of a note.
pub const MOST_TEXT: usize = 10_000;

/// What notes can be narrowed by. The newest come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteFilter {
    /// Only those on this client: the parts that are given must agree.
    pub client: ClientRef,
    /// Only those on clients that this agent may see.
    pub visible_to: Option<UserId>,
}

impl Resource for NoteData {
    type Id = NoteId;
    type Filter = NoteFilter;
    const NAME: &'static str = "note";
}
