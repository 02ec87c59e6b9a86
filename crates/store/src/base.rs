//! Everything in one place.

use crm::{
    AbsenceData, Base, Calls, Cards, DealData, DeviceData, HandOvers, Identification, Interactions,
    LineData, NoteData, Obligations, OfficeData, OrganisationData, PersonData, Repository,
    Sessions, Settings, TaskData, TrunkData, Users,
};

use crate::Store;

impl Base for Store {
    fn users(&self) -> &dyn Users {
        self
    }
    fn absences(&self) -> &dyn Repository<AbsenceData> {
        self
    }
    fn hand_overs(&self) -> &dyn HandOvers {
        self
    }
    fn sessions(&self) -> &dyn Sessions {
        self
    }
    fn devices(&self) -> &dyn Repository<DeviceData> {
        self
    }
    fn lines(&self) -> &dyn Repository<LineData> {
        self
    }
    fn trunks(&self) -> &dyn Repository<TrunkData> {
        self
    }
    fn offices(&self) -> &dyn Repository<OfficeData> {
        self
    }
    fn settings(&self) -> &dyn Settings {
        self
    }
    fn organisations(&self) -> &dyn Repository<OrganisationData> {
        self
    }
    fn persons(&self) -> &dyn Repository<PersonData> {
        self
    }
    fn notes(&self) -> &dyn Repository<NoteData> {
        self
    }
    fn deals(&self) -> &dyn Repository<DealData> {
        self
    }
    fn tasks(&self) -> &dyn Repository<TaskData> {
        self
    }
    fn obligations(&self) -> &dyn Obligations {
        self
    }
    fn interactions(&self) -> &dyn Interactions {
        self
    }
    fn calls(&self) -> &dyn Calls {
        self
    }
    fn identification(&self) -> &dyn Identification {
        self
    }
    fn cards(&self) -> &dyn Cards {
        self
    }
}
