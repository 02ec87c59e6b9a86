//! Deals with clients.

use async_trait::async_trait;
use crm::{DealData, DealFilter, DealState, Error, Result, fold};
use model::{DealId, UserId};

use crate::{
    check, client,
    database::{Row, Value, args},
    failure::Outcome,
    memory::{MemoryChange, Shared},
    repository::{Table, expect_there},
    rights,
    select::{Order, Select},
    words::from_word,
    writer::Writing,
};

#[async_trait]
impl Table for DealData {
    const TABLE: &'static str = "deals";
    const COLUMNS: &'static [&'static str] = &[
        "title",
        "title_fold",
        "person_id",
        "organisation_id",
        "manager",
        "stage",
        "state",
        "amount_minor",
        "currency",
    ];
    const ORDER: Order = Order::Newest;

    fn id(raw: i64) -> DealId {
        DealId(raw)
    }

    fn raw(id: DealId) -> i64 {
        id.0
    }

    fn prepare(&mut self, _shared: &Shared) -> Result<()> {
        check::text("title", &self.title, check::NAME)?;
        check::text("stage", &self.stage, check::NAME)?;
        client::expect_somebody(self.client)?;
        let letters = self.currency.bytes().all(|b| b.is_ascii_uppercase());
        match letters && self.currency.len() == 3 {
            true => Ok(()),
            false => Err(Error::invalid(
                "currency",
                "must be three capitals (ISO 4217)",
            )),
        }
    }

    fn values(&self) -> Vec<Value> {
        args![
            self.title.as_str(),
            fold(&self.title),
            self.client.person.map(|it| it.0),
            self.client.organisation.map(|it| it.0),
            self.manager.map(|it| it.0),
            self.stage.as_str(),
            self.state.name(),
            self.amount_minor,
            self.currency.as_str(),
        ]
    }

    fn decode(row: &mut Row) -> std::result::Result<Self, sqlx::Error> {
        let title = row.text()?;
        row.skip(1);
        Ok(Self {
            title,
            client: client::decode(row)?,
            manager: row.opt_int()?.map(UserId),
            stage: row.text()?,
            state: from_word(&row.text()?)?,
            amount_minor: row.opt_int()?,
            currency: row.text()?,
        })
    }

    fn narrow(filter: &DealFilter, _shared: &Shared, select: &mut Select) {
        select.and_contains("t.title_fold", filter.text.as_deref());
        rights::narrow_client(select, filter.client);
        select.and_int("t.manager", filter.manager.map(|it| it.0));
        if let Some(state) = filter.state {
            select.and("t.state = ?", args![state.name()]);
        }
        let own = Some("t.manager = ?");
        rights::narrow(select, filter.visible_to, rights::OF_CLIENT, own);
    }

    async fn save_rest(
        writing: &mut Writing,
        _id: i64,
        old: Option<&Self>,
        new: Option<&mut Self>,
    ) -> Outcome<()> {
        if let Some(new) = &new {
            client::expect_known(writing, old.map(|it| it.client), new.client).await?;
            if old.is_none_or(|old| old.manager != new.manager) {
                expect_there(writing, "users", "manager", new.manager.map(|it| it.0)).await?;
            }
        }
        for (deal, more) in [(old, -1), (new.as_deref(), 1)] {
            if let Some(deal) = deal.filter(|it| it.state == DealState::Open) {
                writing.learnt.push(MemoryChange::OpenDeals {
                    client: deal.client,
                    more,
                });
            }
        }
        Ok(())
    }
}
