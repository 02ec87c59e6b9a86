//! One conversation: legs, ringing, answer, hold and hang-up, and the contract between the PBX and
//! the rooms around it: [`Event`] (facts for the journal), [`Effect`] (what takes time outside),
//! [`Command`] and [`Notice`].
//!
//! Invariant: a call ends exactly once, each of its effects ends exactly once, and it releases
//! every leg and reservation it took. No protocol, socket, clock or SQL ever stands here.

pub mod call;
pub mod cause;
pub mod command;
mod conference;
mod consultation;
pub mod control;
mod conversation;
mod distribution;
mod echo;
pub mod effect;
pub mod event;
pub mod io;
mod ledger;
mod mobile;
mod offer;
mod outside;
mod parking;
mod picking;
mod placing;
mod probe;
pub mod reception;
mod recording;
mod transfer;
mod waiting;

pub use call::{Call, Context};
pub use cause::{Cause, Party};
pub use command::{Command, Notice, OrderId, OrderRefused, Refusal};
pub use conference::Conferring;
pub use control::{Act, Control, ControlRefused, Ordered};
pub use effect::{Effect, EffectEnd, EffectId, EffectRequest, ShownBy};
pub use event::{Event, EventKind, Lead, OfferEnd};
pub use io::{
    AgentStep, Bridge, Consulted, Echo, Inbound, Input, Internal, Joining, LegNo, Origin, Outbound,
    Output, Placed, Ready, RecordingSummary, Turn, Words,
};
pub use picking::Picker;
pub use reception::{Choice, Closed, MenuFor, Service};
pub use transfer::Recipient;
