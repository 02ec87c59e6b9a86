//! What is owed to clients whom nobody answered, as people look it up and let it go (H5).

use async_trait::async_trait;
use crm::{
    Error, Obligation, ObligationClosing, ObligationCounts, ObligationFilter, ObligationState,
    Obligations, Page, PageRequest, Result, obligation::MOST_REASON,
};
use model::{CallId, LineId, ObligationEnd, ObligationId, UserId, Utc};

use crate::{
    Store, check, client, clock,
    database::{Row, Value, args},
    facts::owed,
    failure::{Failure, Outcome},
    rights,
    select::{self, Order, Select},
    work::Change,
    writer::Writing,
};

/// Everything up to and including a first condition; what [`decode`] reads.
const SELECT: &str = "SELECT t.id, t.person_id, t.organisation_id, COALESCE(p.name, o.name), t.number, t.line_id, \
     t.responsible, u.name, t.opened_at, t.due, t.missed_calls, t.first_call, t.last_call, t.last_missed_at, \
     t.closed_at, t.closed_call, t.waived_by, t.reason FROM obligations t \
     LEFT JOIN persons p ON p.id = t.person_id LEFT JOIN organisations o ON o.id = t.organisation_id \
     LEFT JOIN users u ON u.id = t.responsible WHERE ";

fn decode(row: &mut Row) -> std::result::Result<Obligation, sqlx::Error> {
    Ok(Obligation {
        id: ObligationId(row.int()?),
        client: client::decode(row)?,
        client_name: row.opt_text()?,
        number: row.text()?,
        line: row.opt_int()?.map(LineId),
        responsible: row.opt_int()?.map(UserId),
        responsible_name: row.opt_text()?,
        opened_at: Utc::from_micros(row.int()?),
        due: Utc::from_micros(row.int()?),
        missed_calls: u32::try_from(row.int()?).unwrap_or(u32::MAX),
        first_call: CallId(row.int()?),
        last_call: CallId(row.int()?),
        last_missed_at: Utc::from_micros(row.int()?),
        closed: closing(row)?,
    })
}

fn closing(row: &mut Row) -> std::result::Result<Option<ObligationClosing>, sqlx::Error> {
    let Some(at) = row.opt_int()? else {
        return Ok(None);
    };
    let conversation = row.opt_int()?.map(CallId);
    let (waived_by, reason) = (row.opt_int()?, row.opt_text()?);
    let end = match conversation {
        Some(closed_call) => ObligationEnd::Conversation { closed_call },
        None => ObligationEnd::Waived {
            waived_by: UserId(waived_by.unwrap_or(0)),
            reason: reason.unwrap_or_default(),
        },
    };
    Ok(Some(ObligationClosing {
        at: Utc::from_micros(at),
        end,
    }))
}

/// Those that the condition holds for, as the writer sees them.
pub(crate) async fn find(
    writing: &mut Writing,
    condition: &str,
    args: &[Value],
) -> std::result::Result<Vec<Obligation>, sqlx::Error> {
    let rows = writing
        .conn
        .rows(&format!("{SELECT}{condition}"), args)
        .await?;
    rows.into_iter().map(|mut row| decode(&mut row)).collect()
}

#[async_trait]
impl Obligations for Store {
    async fn read(&self, id: ObligationId) -> Result<Obligation> {
        let sql = format!("{SELECT}t.id = $1");
        let rows = self.rows(&sql, &args![id.0]).await?;
        let mut row = rows
            .into_iter()
            .next()
            .ok_or(Error::NotFound("obligation"))?;
        Ok(decode(&mut row).map_err(Failure::Database)?)
    }

    async fn list(
        &self,
        filter: &ObligationFilter,
        page: &PageRequest,
    ) -> Result<Page<Obligation>> {
        let mut select = Select::new(format!("{SELECT}1 = 1"));
        match filter.state {
            Some(ObligationState::Open) => select.and("t.closed_at IS NULL", Vec::new()),
            Some(ObligationState::Closed) => select.and("t.closed_call IS NOT NULL", Vec::new()),
            Some(ObligationState::Waived) => select.and("t.waived_by IS NOT NULL", Vec::new()),
            None => {}
        }
        if let Some(overdue) = filter.overdue {
            let than = if overdue { ">" } else { "<=" };
            let condition = format!("COALESCE(t.closed_at, ?) {than} t.due");
            select.and(&condition, args![clock::utc().micros()]);
        }
        select.and_int("t.responsible", filter.responsible.map(|it| it.0));
        select.and_int("t.person_id", filter.person.map(|it| it.0));
        select.and_int("t.organisation_id", filter.organisation.map(|it| it.0));
        if let Some(after) = filter.due_after {
            select.and("t.due >= ?", args![after.micros()]);
        }
        if let Some(before) = filter.due_before {
            select.and("t.due < ?", args![before.micros()]);
        }
        rights::narrow(&mut select, filter.visible_to, "t.responsible", None);
        let (sql, args) = select.paged("t.", Order::Newest, page)?;
        let rows = self.rows(&sql, &args).await?;
        let items: std::result::Result<Vec<_>, _> =
            rows.into_iter().map(|mut row| decode(&mut row)).collect();
        let items = items.map_err(Failure::Database)?;
        Ok(select::page(items, page, |it| (String::new(), it.id.0)))
    }

    async fn waive(&self, id: ObligationId, by: UserId, reason: &str) -> Result<Obligation> {
        check::text("reason", reason, MOST_REASON)?;
        let reason = reason.to_owned();
        self.write(Waive { id, by, reason }).await
    }

    async fn counts(&self) -> Result<ObligationCounts> {
        let sql = "SELECT COUNT(*), CAST(SUM(CASE WHEN due < $1 THEN 1 ELSE 0 END) AS BIGINT) \
                   FROM obligations WHERE closed_at IS NULL";
        let rows = self.rows(sql, &args![clock::utc().micros()]).await?;
        let mut counts = ObligationCounts::default();
        if let Some(mut row) = rows.into_iter().next() {
            counts.open = row.int().map_err(Failure::Database)?.unsigned_abs();
            let overdue = row.opt_int().map_err(Failure::Database)?;
            counts.overdue = overdue.unwrap_or(0).unsigned_abs();
        }
        Ok(counts)
    }
}

struct Waive {
    id: ObligationId,
    by: UserId,
    reason: String,
}

#[async_trait]
impl Change for Waive {
    type Output = Obligation;

    async fn apply(&self, writing: &mut Writing) -> Outcome<Obligation> {
        let found = find(writing, "t.id = $1", &args![self.id.0]).await?;
        let found = found
            .into_iter()
            .next()
            .ok_or(Error::NotFound("obligation"))?;
        let closing = ObligationClosing {
            at: writing.now,
            end: ObligationEnd::Waived {
                waived_by: self.by,
                reason: self.reason.clone(),
            },
        };
        if !owed::close(writing, &found, &closing).await? {
            return Err(Error::Over("obligation").into());
        }
        Ok(Obligation {
            closed: Some(closing),
            ..found
        })
    }
}
