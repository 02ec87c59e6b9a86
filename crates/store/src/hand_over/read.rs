//! Hand-overs as people look them up.

use async_trait::async_trait;
use crm::{
    Error, HandOver, HandOverFilter, HandOverOrder, HandOvers, Holdings, Page, PageRequest, Result,
    hand_over::Share,
};
use model::{HandOverId, UserId, Utc};

use super::{CarryOut, Kind, holdings, prepare};
use crate::{
    Store,
    database::{Row, Value, args},
    failure::{Failure, Outcome},
    repository::Reader,
    select::{self, Order, Select, placeholders},
};

/// Everything up to and including a first condition.
const SELECT: &str = "SELECT t.id, t.at, t.done_by, b.name, t.leaver, l.name, t.note FROM hand_overs t \
     LEFT JOIN users b ON b.id = t.done_by LEFT JOIN users l ON l.id = t.leaver WHERE ";

fn decode(row: &mut Row) -> std::result::Result<HandOver, sqlx::Error> {
    Ok(HandOver {
        id: HandOverId(row.int()?),
        at: Utc::from_micros(row.int()?),
        by: UserId(row.int()?),
        by_name: row.opt_text()?,
        from: UserId(row.int()?),
        from_name: row.opt_text()?,
        note: row.opt_text()?,
        to: Vec::new(),
    })
}

fn decode_share(row: &mut Row) -> std::result::Result<Share, sqlx::Error> {
    Ok(Share {
        user: UserId(row.int()?),
        name: row.opt_text()?,
        moved: Holdings {
            persons: row.int()?.unsigned_abs(),
            organisations: row.int()?.unsigned_abs(),
            deals: row.int()?.unsigned_abs(),
            tasks: row.int()?.unsigned_abs(),
            obligations: row.int()?.unsigned_abs(),
        },
    })
}

async fn add_shares(reader: &mut Reader<'_>, found: &mut [HandOver]) -> Outcome<()> {
    if found.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT s.hand_over_id, s.successor, u.name, s.persons, s.organisations, s.deals, s.tasks, s.obligations \
         FROM hand_over_shares s LEFT JOIN users u ON u.id = s.successor \
         WHERE s.hand_over_id IN ({}) ORDER BY s.hand_over_id, s.place",
        placeholders(1, found.len())
    );
    let ids: Vec<Value> = found.iter().map(|it| Value::Int(Some(it.id.0))).collect();
    for mut row in reader.rows(&sql, &ids).await? {
        let id = row.int()?;
        let share = decode_share(&mut row)?;
        if let Some(one) = found.iter_mut().find(|it| it.id.0 == id) {
            one.to.push(share);
        }
    }
    Ok(())
}

pub(super) async fn one(reader: &mut Reader<'_>, id: i64) -> Outcome<HandOver> {
    let rows = reader
        .rows(&format!("{SELECT}t.id = $1"), &args![id])
        .await?;
    let mut row = rows
        .into_iter()
        .next()
        .ok_or(Error::NotFound("hand-over"))?;
    let mut found = [decode(&mut row)?];
    add_shares(reader, &mut found).await?;
    let [found] = found;
    Ok(found)
}

#[async_trait]
impl HandOvers for Store {
    async fn carry_out(&self, order: &HandOverOrder) -> Result<HandOver> {
        prepare(order)?;
        self.write(CarryOut(order.clone())).await
    }

    async fn read(&self, id: HandOverId) -> Result<HandOver> {
        Ok(one(&mut Reader::Pool(&self.inner.readers), id.0).await?)
    }

    async fn list(&self, filter: &HandOverFilter, page: &PageRequest) -> Result<Page<HandOver>> {
        let mut select = Select::new(format!("{SELECT}1 = 1"));
        select.and_int("t.leaver", filter.from.map(|it| it.0));
        let person = filter.person.map(|it| (Kind::Person, it.0));
        let organisation = filter.organisation.map(|it| (Kind::Organisation, it.0));
        for (kind, id) in [person, organisation].into_iter().flatten() {
            select.and(
                "t.id IN (SELECT i.hand_over_id FROM hand_over_items i WHERE i.kind = ? AND i.item = ?)",
                args![kind.word(), id],
            );
        }
        let (sql, args) = select.paged("t.", Order::Newest, page)?;
        let rows = self.rows(&sql, &args).await?;
        let items: std::result::Result<Vec<_>, _> =
            rows.into_iter().map(|mut row| decode(&mut row)).collect();
        let items = items.map_err(Failure::Database)?;
        let mut page = select::page(items, page, |it| (String::new(), it.id.0));
        add_shares(&mut Reader::Pool(&self.inner.readers), &mut page.items).await?;
        Ok(page)
    }

    async fn holdings(&self, user: UserId) -> Result<Holdings> {
        let mut reader = Reader::Pool(&self.inner.readers);
        Ok(holdings(&mut reader, user.0).await?)
    }
}
