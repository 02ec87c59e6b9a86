//! Everything a database keeps for people, in one place.

use crate::{
    AbsenceData, Calls, Cards, DealData, DeviceData, HandOvers, Identification, Interactions,
    LineData, NoteData, Obligations, OfficeData, OrganisationData, PersonData, Repository,
    Sessions, Settings, TaskData, TrunkData, Users,
};

/// All repositories of one database.
pub trait Base: Send + Sync {
    /// The users.
    fn users(&self) -> &dyn Users;
    /// When they are absent.
    fn absences(&self) -> &dyn Repository<AbsenceData>;
    /// The clients of those who left.
    fn hand_overs(&self) -> &dyn HandOvers;
    /// Their sessions.
    fn sessions(&self) -> &dyn Sessions;
    /// Their telephones, in the order of their names.
    fn devices(&self) -> &dyn Repository<DeviceData>;
    /// Our numbers, in the order of their names.
    fn lines(&self) -> &dyn Repository<LineData>;
    /// Our telephone companies, in the order of their names.
    fn trunks(&self) -> &dyn Repository<TrunkData>;
    /// Our offices, in the order of their names.
    fn offices(&self) -> &dyn Repository<OfficeData>;
    /// The PBX's view of all these.
    fn settings(&self) -> &dyn Settings;
    /// The client organisations.
    fn organisations(&self) -> &dyn Repository<OrganisationData>;
    /// The persons on the client's side.
    fn persons(&self) -> &dyn Repository<PersonData>;
    /// Notes on them.
    fn notes(&self) -> &dyn Repository<NoteData>;
    /// Deals with them.
    fn deals(&self) -> &dyn Repository<DealData>;
    /// Tasks of users.
    fn tasks(&self) -> &dyn Repository<TaskData>;
    /// Calls back that are owed to clients.
    fn obligations(&self) -> &dyn Obligations;
    /// The history.
    fn interactions(&self) -> &dyn Interactions;
    /// The calls.
    fn calls(&self) -> &dyn Calls;
    /// Who has which number.
    fn identification(&self) -> &dyn Identification;
    /// The cards.
    fn cards(&self) -> &dyn Cards;
}
