//! Fills memory from the database at the start, in portions.

use model::{CallId, ClientRef, LineId, Utc};

use crate::{
    client,
    database::args,
    failure::Failure,
    index::{Entry, Flags, Who},
    memory::{MemoryChange, Shared},
    number::{self, Owner},
    readers::Readers,
    repository::Reader,
    schema::Trouble,
    words::from_json,
};

/// Clients read at a time: a company with a million numbers must not fill memory twice.
const PORTION: i64 = 5_000;

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Database(error) => Self::Database(error),
            Failure::Refused(error) => Self::Database(sqlx::Error::Decode(Box::new(error))),
        }
    }
}

/// Returns the last place in the journal of this node.
pub(crate) async fn fill(pool: &Readers, shared: &Shared, node: u16) -> Result<i64, Trouble> {
    clients(pool, shared, Owner::Organisation).await?;
    clients(pool, shared, Owner::Person).await?;
    open_deals(pool, shared).await?;
    activity(pool, shared).await?;
    running(pool, shared, node).await?;
    let sql = "SELECT MAX(seq) FROM journal WHERE node = $1";
    let rows = pool.rows(sql, &args![i64::from(node)]).await?;
    let last = rows
        .into_iter()
        .next()
        .map(|mut row| row.opt_int())
        .transpose()?;
    Ok(last.flatten().unwrap_or(0))
}

async fn clients(pool: &Readers, shared: &Shared, owner: Owner) -> Result<(), Trouble> {
    let (table, who): (_, fn(i64) -> Who) = match owner {
        Owner::Person => ("persons", Who::Person),
        Owner::Organisation => ("organisations", Who::Organisation),
    };
    let sql = format!(
        "SELECT id, name, manager, flags FROM {table} WHERE removed_at IS NULL AND id > $1 ORDER BY id LIMIT $2"
    );
    let mut after = 0;
    loop {
        let mut portion: Vec<(i64, Entry, Vec<crm::NormalNumber>)> = Vec::new();
        for mut row in pool.rows(&sql, &args![after, PORTION]).await? {
            let id = row.int()?;
            let entry = Entry {
                name: row.text()?.into(),
                manager: row.opt_int()?,
                flags: Flags::of(&from_json::<Vec<_>>(&row.text()?)?),
                ..Entry::default()
            };
            portion.push((id, entry, Vec::new()));
        }
        let Some(last) = portion.last().map(|it| it.0) else {
            return Ok(());
        };
        let range = args![after, last];
        let column = owner.column();
        let condition = format!("{column} > $1 AND {column} <= $2");
        let mut reader = Reader::Pool(pool);
        for (id, number) in number::load(&mut reader, &condition, &range, owner).await? {
            if let Ok(at) = portion.binary_search_by_key(&id, |it| it.0) {
                portion[at].2.push(number::normal(&number));
            }
        }
        if let Owner::Person = owner {
            let sql = "SELECT person_id, organisation_id FROM memberships \
                       WHERE person_id > $1 AND person_id <= $2 ORDER BY person_id, place";
            for mut row in pool.rows(sql, &range).await? {
                let (person, organisation) = (row.int()?, row.int()?);
                if let Ok(at) = portion.binary_search_by_key(&person, |it| it.0) {
                    portion[at].1.organisations.push(organisation);
                }
            }
        }
        let put = |(id, entry, numbers)| MemoryChange::Put {
            who: who(id),
            entry,
            numbers,
        };
        shared.learn(portion.into_iter().map(put));
        after = last;
    }
}

async fn open_deals(pool: &Readers, shared: &Shared) -> Result<(), Trouble> {
    let sql = "SELECT person_id, organisation_id, COUNT(*) FROM deals \
               WHERE removed_at IS NULL AND state = 'open' GROUP BY person_id, organisation_id";
    for mut row in pool.rows(sql, &[]).await? {
        let client = client::decode(&mut row)?;
        let more = row.int()?;
        shared.learn([MemoryChange::OpenDeals { client, more }]);
    }
    Ok(())
}

async fn activity(pool: &Readers, shared: &Shared) -> Result<(), Trouble> {
    let sql = "SELECT i.person_id, i.organisation_id, i.line_id, \
               MAX(CASE WHEN i.missed = 0 THEN c.ended_at END) FROM interactions i \
               JOIN calls c ON c.id = i.call_id \
               WHERE i.person_id IS NOT NULL OR i.organisation_id IS NOT NULL \
               GROUP BY i.person_id, i.organisation_id, i.line_id";
    for mut row in pool.rows(sql, &[]).await? {
        let client = client::decode(&mut row)?;
        let line = row.opt_int()?.map(LineId);
        let talked_at = row.opt_int()?;
        let at = Utc::from_micros(talked_at.unwrap_or(0));
        // No call has the id 0: it stands for all those that ended before this start.
        let call = CallId(0);
        shared.learn([
            MemoryChange::Known { call, client, line },
            MemoryChange::Ended {
                call,
                at,
                talked: talked_at.is_some(),
            },
        ]);
    }
    Ok(())
}

async fn running(pool: &Readers, shared: &Shared, node: u16) -> Result<(), Trouble> {
    let sql = "SELECT person_id, organisation_id, id, line_id FROM calls \
               WHERE node = $1 AND ended_at IS NULL";
    for mut row in pool.rows(sql, &args![i64::from(node)]).await? {
        let client: ClientRef = client::decode(&mut row)?;
        let call = CallId(row.int()?);
        let line = row.opt_int()?.map(LineId);
        shared.learn([MemoryChange::Known { call, client, line }]);
    }
    Ok(())
}

/// Ended calls whose dialogs an earlier process did not live to forget.
pub(crate) async fn ended(pool: &Readers, node: u16) -> Result<Vec<CallId>, Trouble> {
    let sql =
        "SELECT id FROM calls WHERE node = $1 AND snapshot IS NOT NULL AND ended_at IS NOT NULL";
    let rows = pool.rows(sql, &args![i64::from(node)]).await?;
    let ids = rows.into_iter().map(|mut row| Ok(CallId(row.int()?)));
    ids.collect()
}
