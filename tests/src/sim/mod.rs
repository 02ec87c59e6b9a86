//! A call centre around the pure exchange, in virtual time: telephones, a trunk with callers, a network that loses,
//! doubles and reorders, a contact base, a store, a ledger and screens, all of it drawn from one seed.
//!
//! The telephones and callers read and write SIP as text and know nothing of the product's crates, so that an error
//! in those cannot cancel itself out. What must hold is read from the wire, the journal and released resources.

pub mod caller;
pub mod centre;
pub mod chance;
pub mod company;
pub mod connections;
pub mod consulting;
pub mod digest;
mod exchange;
mod extensions;
mod fairness;
mod hands;
pub mod invariants;
mod life;
pub mod message;
mod mood;
pub mod names;
pub mod network;
pub mod phone;
pub mod plane;
pub mod reliable;
pub mod sessions;
mod setup;
pub mod talk;
pub mod wire;
pub mod world;

pub use caller::{Caller, Describes, Intent, Outcome};
pub use centre::{Centre, Dialled};
pub use mood::{Answering, Habits, Talking, Timer};
pub use setup::Setup;
pub use world::Store;
