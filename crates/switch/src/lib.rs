//! The whole PBX as one state machine over `sip`, `media`, `call` and `routing`: datagrams, commands,
//! media events and ends of effects go in; datagrams, media commands, effects and notices come out.
//!
//! Invariant: it routes events and decides nothing itself. Who answers is decided by `routing`, what a
//! call does next by `call`, what goes on the wire by `sip`. Timers, ports, reservations and places
//! in the event queue that a call takes come back to zero when it is over. No clock, socket, thread
//! or runtime ever stands here; randomness comes in as a seed.

mod answers;
mod caller_leg;
mod calls;
mod codes;
mod conferences;
mod consultations;
mod control;
mod delayed_offer;
mod device_leg;
mod dialling;
mod dialogs;
mod directory;
mod flows;
mod info;
mod io;
mod leg;
mod media_paths;
mod mutant;
mod names;
mod parking;
mod reception;
mod recovery;
mod refusal;
mod registration;
mod reliable;
mod screening;
mod session_timer;
mod settings;
mod stranded;
mod switch;
mod transfers;
mod trunk_challenge;
mod trunk_leg;
mod trunk_registration;
mod trunk_terms;
mod trunk_watch;
mod waiting;
mod words;

pub use io::{Input, Output, Resources};
pub use settings::{Limits, RegisterSecs, Settings};
pub use sip::transaction::{Path, TimerTable, Transport};
pub use switch::{Part, Switch};
