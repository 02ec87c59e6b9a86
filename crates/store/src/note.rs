//! Notes on clients.

use async_trait::async_trait;
use crm::{NoteData, NoteFilter, Result};
use model::{NoteId, UserId};

use crate::{
    check, client,
    database::{Row, Value, args},
    failure::Outcome,
    memory::Shared,
    repository::{Table, expect_there},
    rights,
    select::{Order, Select},
    writer::Writing,
};

#[async_trait]
impl Table for NoteData {
    const TABLE: &'static str = "notes";
    const COLUMNS: &'static [&'static str] = &["person_id", "organisation_id", "author", "body"];
    const ORDER: Order = Order::Newest;

    fn id(raw: i64) -> NoteId {
        NoteId(raw)
    }

    fn raw(id: NoteId) -> i64 {
        id.0
    }

    fn prepare(&mut self, _shared: &Shared) -> Result<()> {
        client::expect_somebody(self.client)?;
        check::text("text", &self.text, crm::note::MOST_TEXT)
    }

    fn values(&self) -> Vec<Value> {
        args![
            self.client.person.map(|it| it.0),
            self.client.organisation.map(|it| it.0),
            self.author.0,
            self.text.as_str()
        ]
    }

    fn decode(row: &mut Row) -> std::result::Result<Self, sqlx::Error> {
        Ok(Self {
            client: client::decode(row)?,
            author: UserId(row.int()?),
            text: row.text()?,
        })
    }

    fn narrow(filter: &NoteFilter, _shared: &Shared, select: &mut Select) {
        rights::narrow_client(select, filter.client);
        rights::narrow(select, filter.visible_to, rights::OF_CLIENT, None);
    }

    async fn save_rest(
        writing: &mut Writing,
        _id: i64,
        old: Option<&Self>,
        new: Option<&mut Self>,
    ) -> Outcome<()> {
        let Some(new) = new else { return Ok(()) };
        client::expect_known(writing, old.map(|it| it.client), new.client).await?;
        if old.is_none_or(|old| old.author != new.author) {
            expect_there(writing, "users", "author", Some(new.author.0)).await?;
        }
        Ok(())
    }
}
