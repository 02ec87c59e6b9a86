//! The domain that people work with: users and their telephones, lines, trunks, the contact base,
//! calls and the history of clients, and the traits behind which a database keeps all that.
//!
//! Every changeable thing is a [`Record`] with a version, kept in a [`Repository`]; [`Base`] hands
//! out all of them, [`Journal`] takes the facts of calls. Invariant: data and traits only; no
//! clock, socket, thread, runtime or SQL ever stands here.

pub mod absence;
pub mod base;
pub mod call;
pub mod card;
pub mod deal;
pub mod device;
pub mod error;
pub mod fold;
pub mod hand_over;
pub mod identification;
pub mod interaction;
pub mod journal;
pub mod line;
pub mod note;
pub mod number;
pub mod obligation;
pub mod office;
pub mod organisation;
pub mod page;
pub mod parking;
pub mod person;
pub mod record;
pub mod recording;
pub mod session;
pub mod settings;
pub mod task;
pub mod trunk;
pub mod user;

pub use absence::{Absence, AbsenceData, AbsenceFilter};
pub use base::Base;
pub use call::{
    Call, CallFilter, Calls, Direction, Offer, Queued, Reception, ReceptionStep, Recording,
    RecordingPause, Route,
};
pub use card::{Card, CardClient, CardMember, CardName, CardObligation, Cards};
pub use deal::{Deal, DealData, DealFilter, DealState};
pub use device::{Device, DeviceData, DeviceFilter, MOST_RING_AFTER_SECS};
pub use error::{Error, Result};
pub use fold::fold;
pub use hand_over::{HandOver, HandOverFilter, HandOverOrder, HandOvers, Holdings};
pub use identification::Identification;
pub use interaction::{Interaction, InteractionFilter, InteractionKind, Interactions};
pub use journal::{Audience, Entry, Journal, Journalled};
pub use line::{Line, LineData, LineFilter, LineSkill};
pub use model::Language;
pub use note::{Note, NoteData, NoteFilter};
pub use number::{NormalNumber, Number, NumberKind, Numbering};
pub use obligation::{
    Obligation, ObligationClosing, ObligationCounts, ObligationFilter, ObligationState, Obligations,
};
pub use office::{Office, OfficeData, OfficeFilter};
pub use organisation::{Organisation, OrganisationData, OrganisationFilter};
pub use page::{Page, PageRequest};
pub use parking::Parking;
pub use person::{Membership, Person, PersonData, PersonFilter};
pub use record::{Record, Repository, Resource};
pub use recording::{Mp3, Recordings, SoundFile, WavFile};
pub use session::{Session, Sessions, TokenHash};
pub use settings::Settings;
pub use task::{Task, TaskData, TaskFilter};
pub use trunk::{Trunk, TrunkData, TrunkFilter};
pub use user::{Role, User, UserData, UserFilter, Users};
