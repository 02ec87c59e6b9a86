//! Between the PBX and people: carries out what calls ask for (identify, reserve, commit,
//! announce), and brings what happened to every screen that may see it, as JSON frames.
//!
//! Invariant: a frame carries a cursor only if its fact is durable, frames with a cursor reach a
//! client in the order of the journal, each once, and the frame of a card is sent before the effect
//! that announces it ends. Codes and facts only: words in a human language are made on display. No
//! SQL, HTTP or SIP ever stands here.

mod attachment;
mod card;
mod clients;
mod clock;
mod commits;
mod counters;
mod cursor;
mod desk;
mod frame;
mod hub;
mod presence;
mod room;
mod roster;
mod screens;
mod settings;

pub use attachment::Attachment;
pub use clients::{AttachError, Closed, Viewer};
pub use counters::Counts;
pub use desk::Desk;
pub use hub::Hub;
pub use presence::Presence;
pub use settings::{Deps, Settings};
