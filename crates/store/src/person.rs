//! Persons, their numbers and where they work.

use async_trait::async_trait;
use crm::{Error, Membership, PersonData, PersonFilter, Record, Result, fold};
use model::{OrganisationId, PersonId, UserId};

use crate::{
    check,
    database::{Row, Value, args},
    failure::Outcome,
    index::{Entry, Flags, Who},
    memory::{MemoryChange, Shared},
    number::{self, Owner},
    repository::{Reader, Table, expect_there, within},
    rights,
    select::{self, Order, Select},
    words::{from_json, json},
    writer::Writing,
};

#[async_trait]
impl Table for PersonData {
    const TABLE: &'static str = "persons";
    const COLUMNS: &'static [&'static str] = &["name", "name_fold", "manager", "flags"];
    const ORDER: Order = Order::Name("name_fold");

    fn id(raw: i64) -> PersonId {
        PersonId(raw)
    }

    fn raw(id: PersonId) -> i64 {
        id.0
    }

    fn prepare(&mut self, shared: &Shared) -> Result<()> {
        check::text("name", &self.name, check::NAME)?;
        check::count(
            "memberships",
            self.memberships.len(),
            crm::person::MOST_MEMBERSHIPS,
        )?;
        let mut organisations = Vec::with_capacity(self.memberships.len());
        for membership in &self.memberships {
            check::optional("memberships", membership.position.as_deref(), check::NAME)?;
            if organisations.contains(&membership.organisation) {
                let why = "must name each organisation once";
                return Err(Error::invalid("memberships", why));
            }
            organisations.push(membership.organisation);
        }
        self.flags.sort_unstable();
        self.flags.dedup();
        number::prepare(&mut self.numbers, shared)
    }

    fn values(&self) -> Vec<Value> {
        args![
            self.name.as_str(),
            fold(&self.name),
            self.manager.map(|it| it.0),
            json(&self.flags)
        ]
    }

    fn decode(row: &mut Row) -> std::result::Result<Self, sqlx::Error> {
        let name = row.text()?;
        row.skip(1);
        Ok(Self {
            name,
            manager: row.opt_int()?.map(UserId),
            flags: from_json(&row.text()?)?,
            ..Self::default()
        })
    }

    fn narrow(filter: &PersonFilter, shared: &Shared, select: &mut Select) {
        select.and_contains("t.name_fold", filter.text.as_deref());
        select.and_int(rights::OF_PERSON, filter.manager.map(|it| it.0));
        if let Some(organisation) = filter.organisation {
            select.and(
                "t.id IN (SELECT m.person_id FROM memberships m WHERE m.organisation_id = ?)",
                args![organisation.0],
            );
        }
        if let Some(number) = &filter.number {
            select.and(
                "t.id IN (SELECT n.person_id FROM numbers n WHERE n.normal = ?)",
                args![shared.normal(number).normal.as_str()],
            );
        }
        rights::narrow(select, filter.visible_to, rights::OF_PERSON, None);
    }

    fn sort_key(&self) -> String {
        fold(&self.name)
    }

    async fn load_rest(
        reader: &mut Reader<'_>,
        records: &mut [Record<PersonId, Self>],
    ) -> Outcome<()> {
        let Some((within, ids)) = within("person_id", records) else {
            return Ok(());
        };
        for (owner, number) in number::load(reader, &within, &ids, Owner::Person).await? {
            if let Some(record) = records.iter_mut().find(|it| it.id.0 == owner) {
                record.data.numbers.push(number);
            }
        }
        let sql = format!(
            "SELECT person_id, organisation_id, position FROM memberships WHERE {within} ORDER BY person_id, place"
        );
        for mut row in reader.rows(&sql, &ids).await? {
            let person = row.int()?;
            let membership = Membership {
                organisation: OrganisationId(row.int()?),
                position: row.opt_text()?,
            };
            if let Some(record) = records.iter_mut().find(|it| it.id.0 == person) {
                record.data.memberships.push(membership);
            }
        }
        Ok(())
    }

    async fn save_rest(
        writing: &mut Writing,
        id: i64,
        old: Option<&Self>,
        new: Option<&mut Self>,
    ) -> Outcome<()> {
        let before = old.map(|it| it.numbers.as_slice()).unwrap_or_default();
        let belonged = old.map(|it| it.memberships.as_slice()).unwrap_or_default();
        let Some(new) = new else {
            number::save(writing, Owner::Person, id, before, &mut []).await?;
            save_memberships(writing, id, belonged, &[]).await?;
            writing.learnt.push(MemoryChange::Removed(Who::Person(id)));
            return Ok(());
        };
        if old.is_none_or(|old| old.manager != new.manager) {
            expect_there(writing, "users", "manager", new.manager.map(|it| it.0)).await?;
        }
        number::save(writing, Owner::Person, id, before, &mut new.numbers).await?;
        save_memberships(writing, id, belonged, &new.memberships).await?;
        writing.learnt.push(MemoryChange::Put {
            who: Who::Person(id),
            entry: Entry {
                name: new.name.as_str().into(),
                manager: new.manager.map(|it| it.0),
                flags: Flags::of(&new.flags),
                organisations: new.memberships.iter().map(|it| it.organisation.0).collect(),
            },
            numbers: new.numbers.iter().map(number::normal).collect(),
        });
        Ok(())
    }
}

async fn save_memberships(
    writing: &mut Writing,
    id: i64,
    old: &[Membership],
    new: &[Membership],
) -> Outcome<()> {
    if old == new {
        return Ok(());
    }
    for membership in new {
        if !old
            .iter()
            .any(|it| it.organisation == membership.organisation)
        {
            let organisation = Some(membership.organisation.0);
            expect_there(writing, "organisations", "memberships", organisation).await?;
        }
    }
    if !old.is_empty() {
        writing
            .conn
            .execute("DELETE FROM memberships WHERE person_id = $1", &args![id])
            .await?;
    }
    if new.is_empty() {
        return Ok(());
    }
    let columns = "person_id, organisation_id, place, position";
    let sql = select::insert("memberships", columns, 4, new.len());
    let mut values = Vec::with_capacity(new.len() * 4);
    for (place, membership) in new.iter().enumerate() {
        let position = membership.position.as_deref();
        values.extend(args![id, membership.organisation.0, place as i64, position]);
    }
    writing.conn.execute(&sql, &values).await?;
    Ok(())
}
