//! Tasks of users.

use async_trait::async_trait;
use crm::{Result, TaskData, TaskFilter};
use model::{CallId, TaskId, UserId, Utc};

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
impl Table for TaskData {
    const TABLE: &'static str = "tasks";
    const COLUMNS: &'static [&'static str] = &[
        "title",
        "title_fold",
        "person_id",
        "organisation_id",
        "assignee",
        "due",
        "done_at",
        "call_id",
    ];
    const ORDER: Order = Order::Newest;

    fn id(raw: i64) -> TaskId {
        TaskId(raw)
    }

    fn raw(id: TaskId) -> i64 {
        id.0
    }

    fn prepare(&mut self, _shared: &Shared) -> Result<()> {
        check::text("title", &self.title, check::NAME)
    }

    fn values(&self) -> Vec<Value> {
        args![
            self.title.as_str(),
            crm::fold(&self.title),
            self.client.person.map(|it| it.0),
            self.client.organisation.map(|it| it.0),
            self.assignee.0,
            self.due.map(Utc::micros),
            self.done_at.map(Utc::micros),
            self.call.map(|it| it.0),
        ]
    }

    fn decode(row: &mut Row) -> std::result::Result<Self, sqlx::Error> {
        let title = row.text()?;
        row.skip(1);
        Ok(Self {
            title,
            client: client::decode(row)?,
            assignee: UserId(row.int()?),
            due: row.opt_int()?.map(Utc::from_micros),
            done_at: row.opt_int()?.map(Utc::from_micros),
            call: row.opt_int()?.map(CallId),
        })
    }

    fn narrow(filter: &TaskFilter, _shared: &Shared, select: &mut Select) {
        select.and_contains("t.title_fold", filter.text.as_deref());
        rights::narrow_client(select, filter.client);
        select.and_int("t.assignee", filter.assignee.map(|it| it.0));
        match filter.done {
            Some(true) => select.and("t.done_at IS NOT NULL", Vec::new()),
            Some(false) => select.and("t.done_at IS NULL", Vec::new()),
            None => {}
        }
        // A task for no client is its assignee's own affair.
        let owner = owner();
        rights::narrow(select, filter.visible_to, &owner, Some("t.assignee = ?"));
    }

    async fn save_rest(
        writing: &mut Writing,
        _id: i64,
        old: Option<&Self>,
        new: Option<&mut Self>,
    ) -> Outcome<()> {
        let Some(new) = new else { return Ok(()) };
        client::expect_known(writing, old.map(|it| it.client), new.client).await?;
        if old.is_none_or(|old| old.assignee != new.assignee) {
            expect_there(writing, "users", "assignee", Some(new.assignee.0)).await?;
        }
        Ok(())
    }
}

/// Whose a task is: the client's manager; without a client, the assignee.
fn owner() -> String {
    format!(
        "CASE WHEN t.person_id IS NULL AND t.organisation_id IS NULL THEN t.assignee ELSE {} END",
        rights::OF_CLIENT
    )
}
