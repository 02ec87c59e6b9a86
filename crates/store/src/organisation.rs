//! Client organisations.

use async_trait::async_trait;
use crm::{OrganisationData, OrganisationFilter, Record, Result, fold};
use model::{OrganisationId, UserId};

use crate::{
    check,
    database::{Row, Value, args},
    failure::Outcome,
    index::{Entry, Flags, Who},
    memory::{MemoryChange, Shared},
    number::{self, Owner},
    repository::{Reader, Table, expect_there, within},
    rights,
    select::{Order, Select},
    words::{from_json, json},
    writer::Writing,
};

#[async_trait]
impl Table for OrganisationData {
    const TABLE: &'static str = "organisations";
    const COLUMNS: &'static [&'static str] = &["name", "name_fold", "manager", "flags"];
    const ORDER: Order = Order::Name("name_fold");

    fn id(raw: i64) -> OrganisationId {
        OrganisationId(raw)
    }

    fn raw(id: OrganisationId) -> i64 {
        id.0
    }

    fn prepare(&mut self, shared: &Shared) -> Result<()> {
        check::text("name", &self.name, check::NAME)?;
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
            numbers: Vec::new(),
        })
    }

    fn narrow(filter: &OrganisationFilter, shared: &Shared, select: &mut Select) {
        select.and_contains("t.name_fold", filter.text.as_deref());
        select.and_int("t.manager", filter.manager.map(|it| it.0));
        if let Some(number) = &filter.number {
            select.and(
                "t.id IN (SELECT n.organisation_id FROM numbers n WHERE n.normal = ?)",
                args![shared.normal(number).normal.as_str()],
            );
        }
        rights::narrow(select, filter.visible_to, "t.manager", None);
    }

    fn sort_key(&self) -> String {
        fold(&self.name)
    }

    async fn load_rest(
        reader: &mut Reader<'_>,
        records: &mut [Record<OrganisationId, Self>],
    ) -> Outcome<()> {
        let Some((within, ids)) = within(Owner::Organisation.column(), records) else {
            return Ok(());
        };
        for (owner, number) in number::load(reader, &within, &ids, Owner::Organisation).await? {
            if let Some(record) = records.iter_mut().find(|it| it.id.0 == owner) {
                record.data.numbers.push(number);
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
        let Some(new) = new else {
            number::save(writing, Owner::Organisation, id, before, &mut []).await?;
            let sql = "DELETE FROM memberships WHERE organisation_id = $1";
            writing.conn.execute(sql, &args![id]).await?;
            writing
                .learnt
                .push(MemoryChange::Removed(Who::Organisation(id)));
            return Ok(());
        };
        if old.is_none_or(|old| old.manager != new.manager) {
            expect_there(writing, "users", "manager", new.manager.map(|it| it.0)).await?;
        }
        number::save(writing, Owner::Organisation, id, before, &mut new.numbers).await?;
        writing.learnt.push(MemoryChange::Put {
            who: Who::Organisation(id),
            entry: Entry {
                name: new.name.as_str().into(),
                manager: new.manager.map(|it| it.0),
                flags: Flags::of(&new.flags),
                ..Entry::default()
            },
            numbers: new.numbers.iter().map(number::normal).collect(),
        });
        Ok(())
    }
}
