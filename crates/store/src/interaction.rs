//! The history of clients.

use async_trait::async_trait;
use crm::{
    Error, Interaction, InteractionFilter, InteractionKind, Interactions, Page, PageRequest, Result,
};
use model::{CallId, InteractionId, LineId, UserId, Utc};

use crate::{
    Store, client,
    database::{Row, args},
    failure::Failure,
    rights,
    select::{self, Order, Select},
    words::from_word,
};

/// The columns that [`decode`] reads, of `interactions t` with its recording `r` and agent `u`.
pub(crate) const COLUMNS: &str = "t.id, t.person_id, t.organisation_id, t.call_id, t.line_id, t.agent, t.at, \
     t.missed, t.talk_ms, t.direction, u.name, r.file";
/// Where those come from.
pub(crate) const FROM: &str = "interactions t LEFT JOIN users u ON u.id = t.agent \
     LEFT JOIN recordings r ON r.call_id = t.call_id AND r.ready = 1";

pub(crate) fn decode(row: &mut Row) -> std::result::Result<Interaction, sqlx::Error> {
    Ok(Interaction {
        id: InteractionId(row.int()?),
        kind: InteractionKind::Call,
        client: client::decode(row)?,
        call: CallId(row.int()?),
        line: row.opt_int()?.map(LineId),
        agent: row.opt_int()?.map(UserId),
        at: Utc::from_micros(row.int()?),
        missed: row.flag()?,
        talk_ms: row.int()?.unsigned_abs(),
        direction: from_word(&row.text()?)?,
        agent_name: row.opt_text()?,
        recording: row.opt_text()?,
    })
}

#[async_trait]
impl Interactions for Store {
    async fn read(&self, id: InteractionId) -> Result<Interaction> {
        let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE t.id = $1");
        let rows = self.rows(&sql, &args![id.0]).await?;
        let mut row = rows
            .into_iter()
            .next()
            .ok_or(Error::NotFound("interaction"))?;
        Ok(decode(&mut row).map_err(Failure::Database)?)
    }

    async fn list(
        &self,
        filter: &InteractionFilter,
        page: &PageRequest,
    ) -> Result<Page<Interaction>> {
        let mut select = Select::new(format!("SELECT {COLUMNS} FROM {FROM} WHERE 1 = 1"));
        select.and_int("t.person_id", filter.person.map(|it| it.0));
        select.and_int("t.organisation_id", filter.organisation.map(|it| it.0));
        select.and_int("t.agent", filter.agent.map(|it| it.0));
        let took_part = Some("t.call_id IN (SELECT vo.call_id FROM offers vo WHERE vo.agent = ?)");
        rights::narrow(&mut select, filter.visible_to, rights::OF_CLIENT, took_part);
        let (sql, args) = select.paged("t.", Order::Newest, page)?;
        let rows = self.rows(&sql, &args).await?;
        let items: std::result::Result<Vec<_>, _> =
            rows.into_iter().map(|mut row| decode(&mut row)).collect();
        let items = items.map_err(Failure::Database)?;
        Ok(select::page(items, page, |it| (String::new(), it.id.0)))
    }
}
