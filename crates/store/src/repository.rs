//! What all changeable records have in common: versions, removal, pages.

use async_trait::async_trait;
use crm::{Error, Page, PageRequest, Record, Repository, Resource, Result};
use model::Utc;

use crate::{
    Store,
    database::{Row, Value, args},
    failure::{Failure, Outcome},
    memory::Shared,
    readers::Readers,
    select::{self, Order, Select, placeholders},
    work::Change,
    writer::Writing,
};

/// How one kind of record stands in its table. Columns common to all come first: `id, version,
/// created_at, updated_at`, and `removed_at` for those that are gone.
#[async_trait]
pub(crate) trait Table: Resource {
    const TABLE: &'static str;
    /// The columns of the data, in the order of [`Table::values`] and [`Table::decode`].
    const COLUMNS: &'static [&'static str];
    const ORDER: Order;

    fn id(raw: i64) -> Self::Id;
    fn raw(id: Self::Id) -> i64;

    /// Fills computed fields and refuses what cannot be kept.
    fn prepare(&mut self, shared: &Shared) -> Result<()>;
    fn values(&self) -> Vec<Value>;
    fn decode(row: &mut Row) -> std::result::Result<Self, sqlx::Error>;
    fn narrow(filter: &Self::Filter, shared: &Shared, select: &mut Select);

    /// The folded text by which a list is ordered, if it is.
    fn sort_key(&self) -> String {
        String::new()
    }

    /// Reads what stands in other tables.
    async fn load_rest(
        _reader: &mut Reader<'_>,
        _records: &mut [Record<Self::Id, Self>],
    ) -> Outcome<()> {
        Ok(())
    }

    /// Writes what stands in other tables and notes what memory learns. `old` is none for a new
    /// record, `new` none for one that is removed. Ids of parts are filled in.
    async fn save_rest(
        _writing: &mut Writing,
        _id: i64,
        _old: Option<&Self>,
        _new: Option<&mut Self>,
    ) -> Outcome<()> {
        Ok(())
    }
}

/// Reads inside or outside the writer.
pub(crate) enum Reader<'a> {
    Pool(&'a Readers),
    Writing(&'a mut Writing),
}

impl Reader<'_> {
    pub(crate) async fn rows(&mut self, sql: &str, args: &[Value]) -> Outcome<Vec<Row>> {
        Ok(match self {
            Self::Pool(pool) => pool.rows(sql, args).await?,
            Self::Writing(writing) => writing.conn.rows(sql, args).await?,
        })
    }
}

fn columns<D: Table>(alias: &str) -> String {
    let common = ["id", "version", "created_at", "updated_at"];
    let all = common.iter().chain(D::COLUMNS);
    all.map(|column| format!("{alias}{column}"))
        .collect::<Vec<_>>()
        .join(", ")
}

pub(crate) fn decode<D: Table>(
    row: &mut Row,
) -> std::result::Result<Record<D::Id, D>, sqlx::Error> {
    Ok(Record {
        id: D::id(row.int()?),
        version: row.int()?,
        created_at: Utc::from_micros(row.int()?),
        updated_at: Utc::from_micros(row.int()?),
        data: D::decode(row)?,
    })
}

/// One record as it is now.
pub(crate) async fn fetch<D: Table>(
    reader: &mut Reader<'_>,
    id: D::Id,
) -> Outcome<Record<D::Id, D>> {
    let columns = columns::<D>("");
    let sql = format!(
        "SELECT {columns} FROM {} WHERE id = $1 AND removed_at IS NULL",
        D::TABLE
    );
    let rows = reader.rows(&sql, &args![D::raw(id)]).await?;
    let mut row = rows.into_iter().next().ok_or(Error::NotFound(D::NAME))?;
    let mut found = [decode::<D>(&mut row)?];
    D::load_rest(reader, &mut found).await?;
    let [found] = found;
    Ok(found)
}

struct Create<D> {
    data: D,
}

#[async_trait]
impl<D: Table> Change for Create<D> {
    type Output = Record<D::Id, D>;

    async fn apply(&self, writing: &mut Writing) -> Outcome<Self::Output> {
        let mut data = self.data.clone();
        let (id, now) = (writing.make_id(), writing.now.micros());
        let names = columns::<D>("");
        let sql = select::insert(D::TABLE, &names, D::COLUMNS.len() + 4, 1);
        let mut values = args![id, 1_i64, now, now];
        values.extend(data.values());
        writing.conn.execute(&sql, &values).await?;
        D::save_rest(writing, id, None, Some(&mut data)).await?;
        Ok(Record {
            id: D::id(id),
            version: 1,
            created_at: writing.now,
            updated_at: writing.now,
            data,
        })
    }
}

struct Update<D: Resource> {
    id: D::Id,
    version: Option<i64>,
    data: D,
}

#[async_trait]
impl<D: Table> Change for Update<D> {
    type Output = Record<D::Id, D>;

    async fn apply(&self, writing: &mut Writing) -> Outcome<Self::Output> {
        let old = fetch::<D>(&mut Reader::Writing(writing), self.id).await?;
        expect_version::<D>(self.version, old.version)?;
        let mut data = self.data.clone();
        let mut sql = format!("UPDATE {} SET version = $1, updated_at = $2", D::TABLE);
        for (at, column) in D::COLUMNS.iter().enumerate() {
            sql.push_str(&format!(", {column} = ${}", at + 3));
        }
        let width = D::COLUMNS.len();
        sql.push_str(&format!(
            " WHERE id = ${} AND version = ${}",
            width + 3,
            width + 4
        ));
        let mut values = args![old.version + 1, writing.now.micros()];
        values.extend(data.values());
        values.extend(args![D::raw(self.id), old.version]);
        let changed = writing.conn.execute(&sql, &values).await?;
        expect_changed::<D>(changed, old.version)?;
        D::save_rest(writing, D::raw(self.id), Some(&old.data), Some(&mut data)).await?;
        Ok(Record {
            version: old.version + 1,
            updated_at: writing.now,
            data,
            ..old
        })
    }
}

struct Remove<D: Resource> {
    id: D::Id,
    version: Option<i64>,
}

#[async_trait]
impl<D: Table> Change for Remove<D> {
    type Output = ();

    async fn apply(&self, writing: &mut Writing) -> Outcome<()> {
        let old = fetch::<D>(&mut Reader::Writing(writing), self.id).await?;
        expect_version::<D>(self.version, old.version)?;
        let sql = format!(
            "UPDATE {} SET version = version + 1, updated_at = $1, removed_at = $1 WHERE id = $2 AND version = $3",
            D::TABLE
        );
        let values = args![writing.now.micros(), D::raw(self.id), old.version];
        let changed = writing.conn.execute(&sql, &values).await?;
        expect_changed::<D>(changed, old.version)?;
        D::save_rest(writing, D::raw(self.id), Some(&old.data), None).await
    }
}

fn expect_version<D: Table>(expected: Option<i64>, current: i64) -> Result<()> {
    match expected {
        Some(expected) if expected != current => Err(Error::Conflict {
            what: D::NAME,
            current,
        }),
        _ => Ok(()),
    }
}

/// Another node may have been faster.
fn expect_changed<D: Table>(changed: u64, read: i64) -> Result<()> {
    match changed {
        0 => Err(Error::Conflict {
            what: D::NAME,
            current: read + 1,
        }),
        _ => Ok(()),
    }
}

#[async_trait]
impl<D: Table> Repository<D> for Store {
    async fn create(&self, mut data: D) -> Result<Record<D::Id, D>> {
        data.prepare(&self.inner.shared)?;
        self.write(Create { data }).await
    }

    async fn read(&self, id: D::Id) -> Result<Record<D::Id, D>> {
        Ok(fetch(&mut Reader::Pool(&self.inner.readers), id).await?)
    }

    async fn update(
        &self,
        id: D::Id,
        version: Option<i64>,
        mut data: D,
    ) -> Result<Record<D::Id, D>> {
        data.prepare(&self.inner.shared)?;
        self.write(Update { id, version, data }).await
    }

    async fn remove(&self, id: D::Id, version: Option<i64>) -> Result<()> {
        self.write(Remove::<D> { id, version }).await
    }

    async fn list(&self, filter: &D::Filter, page: &PageRequest) -> Result<Page<Record<D::Id, D>>> {
        let mut select = Select::new(format!(
            "SELECT {} FROM {} t WHERE t.removed_at IS NULL",
            columns::<D>("t."),
            D::TABLE
        ));
        D::narrow(filter, &self.inner.shared, &mut select);
        let (sql, args) = select.paged("t.", D::ORDER, page)?;
        let rows = self.rows(&sql, &args).await?;
        let records: std::result::Result<Vec<_>, _> = rows
            .into_iter()
            .map(|mut row| decode::<D>(&mut row))
            .collect();
        let records = records.map_err(Failure::Database)?;
        let mut page = select::page(records, page, |it| (it.data.sort_key(), D::raw(it.id)));
        D::load_rest(&mut Reader::Pool(&self.inner.readers), &mut page.items).await?;
        Ok(page)
    }
}

/// `column IN (ids of the records)`, with the values; none for no records.
pub(crate) fn within<D: Table>(
    column: &str,
    records: &[Record<D::Id, D>],
) -> Option<(String, Vec<Value>)> {
    if records.is_empty() {
        return None;
    }
    let condition = format!("{column} IN ({})", placeholders(1, records.len()));
    Some((
        condition,
        records
            .iter()
            .map(|it| Value::Int(Some(D::raw(it.id))))
            .collect(),
    ))
}

/// Refuses a reference to something that is not there.
pub(crate) async fn expect_there(
    writing: &mut Writing,
    table: &str,
    field: &'static str,
    id: Option<i64>,
) -> Outcome<()> {
    let Some(id) = id else { return Ok(()) };
    let sql = format!("SELECT COUNT(*) FROM {table} WHERE id = $1 AND removed_at IS NULL");
    let rows = writing.conn.rows(&sql, &args![id]).await?;
    let count = rows
        .into_iter()
        .next()
        .map(|mut row| row.int())
        .transpose()?;
    match count {
        Some(1..) => Ok(()),
        _ => Err(Error::Dangling { field }.into()),
    }
}
