//! The two drivers behind one face: every statement is the same text for both.

use std::borrow::Cow;

use futures_util::TryStreamExt;
use sqlx::{
    Arguments, Connection as _, Either, Executor, PgConnection, Row as _, SqliteConnection,
    postgres::{PgArguments, PgRow},
    sqlite::{SqliteArguments, SqliteRow},
};

/// An argument of a statement. A null knows its type: PostgreSQL wants that.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
}

/// What can be an argument.
pub(crate) trait IntoValue {
    fn value(self) -> Value;
}

macro_rules! values {
    ($($from:ty, $it:ident => $value:expr;)*) => {$(
        impl IntoValue for $from {
            fn value(self) -> Value {
                let $it = self;
                $value
            }
        }
    )*};
}

values! {
    i64, it => Value::Int(Some(it));
    u32, it => Value::Int(Some(i64::from(it)));
    u64, it => Value::Int(Some(i64::try_from(it).unwrap_or(i64::MAX)));
    bool, it => Value::Int(Some(i64::from(it)));
    Option<i64>, it => Value::Int(it);
    Option<u32>, it => Value::Int(it.map(i64::from));
    String, it => text(it);
    &str, it => text(it.to_owned());
    Option<String>, it => it.map_or(Value::Text(None), text);
    Option<&str>, it => it.map_or(Value::Text(None), |it| text(it.to_owned()));
    Value, it => it;
}

/// PostgreSQL knows no NUL in text.
fn text(mut text: String) -> Value {
    if text.contains('\0') {
        text.retain(|c| c != '\0');
    }
    Value::Text(Some(text))
}

/// Arguments in the order of their placeholders.
macro_rules! args {
    ($($value:expr),* $(,)?) => {
        Vec::from([$($crate::database::IntoValue::value($value)),*])
    };
}
pub(crate) use args;

/// A statement with its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) sql: Cow<'static, str>,
    pub(crate) args: Vec<Value>,
}

impl Statement {
    pub(crate) fn new(sql: impl Into<Cow<'static, str>>, args: Vec<Value>) -> Self {
        Self {
            sql: sql.into(),
            args,
        }
    }
}

/// One row, read column by column from the left.
pub(crate) struct Row {
    inner: Driver,
    at: usize,
}

enum Driver {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn int(&mut self) -> Result<i64, sqlx::Error> {
        let at = self.step();
        match &self.inner {
            Driver::Sqlite(row) => row.try_get_unchecked(at),
            Driver::Postgres(row) => row.try_get_unchecked(at),
        }
    }

    pub(crate) fn opt_int(&mut self) -> Result<Option<i64>, sqlx::Error> {
        let at = self.step();
        match &self.inner {
            Driver::Sqlite(row) => row.try_get_unchecked(at),
            Driver::Postgres(row) => row.try_get_unchecked(at),
        }
    }

    pub(crate) fn text(&mut self) -> Result<String, sqlx::Error> {
        let at = self.step();
        match &self.inner {
            Driver::Sqlite(row) => row.try_get_unchecked(at),
            Driver::Postgres(row) => row.try_get_unchecked(at),
        }
    }

    pub(crate) fn opt_text(&mut self) -> Result<Option<String>, sqlx::Error> {
        let at = self.step();
        match &self.inner {
            Driver::Sqlite(row) => row.try_get_unchecked(at),
            Driver::Postgres(row) => row.try_get_unchecked(at),
        }
    }

    pub(crate) fn flag(&mut self) -> Result<bool, sqlx::Error> {
        Ok(self.opt_int()?.unwrap_or(0) != 0)
    }

    pub(crate) fn skip(&mut self, columns: usize) {
        self.at += columns;
    }

    fn step(&mut self) -> usize {
        let at = self.at;
        self.at += 1;
        at
    }
}

fn sqlite_args(values: &[Value]) -> SqliteArguments<'static> {
    let mut args = SqliteArguments::default();
    args.reserve(values.len(), 0);
    for value in values {
        // Encoding a number or a text for SQLite cannot fail.
        let _ = match value {
            Value::Int(it) => args.add(*it),
            Value::Text(it) => args.add(it.clone()),
        };
    }
    args
}

fn pg_args(values: &[Value]) -> PgArguments {
    let mut args = PgArguments::default();
    args.reserve(values.len(), 0);
    for value in values {
        // Encoding fails only beyond 2 GiB, far above every limit of this crate.
        let _ = match value {
            Value::Int(it) => args.add(*it),
            Value::Text(it) => args.add(it.as_deref()),
        };
    }
    args
}

/// Which ends of their transaction statements bring along.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) begin: bool,
    pub(crate) commit: bool,
}

impl Ends {
    /// In the middle of a transaction.
    pub(crate) const NONE: Self = Self {
        begin: false,
        commit: false,
    };
}

/// A connection of the writer or the checkpoints.
pub(crate) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Connection {
    pub(crate) async fn rows(
        &mut self,
        sql: &str,
        args: &[Value],
    ) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(conn) => sqlite_rows(conn, sql, args).await,
            Self::Postgres(conn) => pg_rows(conn, sql, args).await,
        }
    }

    /// Runs one statement; how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: &str, args: &[Value]) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(conn) => {
                let query = sqlx::query_with(sql, sqlite_args(args));
                Ok(query.execute(conn).await?.rows_affected())
            }
            Self::Postgres(conn) => {
                let query = sqlx::query_with(sql, pg_args(args));
                Ok(query.execute(conn).await?.rows_affected())
            }
        }
    }

    /// A word without arguments, such as `COMMIT`.
    pub(crate) async fn command(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(conn) => conn.execute(sqlx::raw_sql(sql)).await.map(|_| ()),
            Self::Postgres(conn) => conn.execute(sqlx::raw_sql(sql)).await.map(|_| ()),
        }
    }

    pub(crate) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(_) => self.command("BEGIN IMMEDIATE").await,
            Self::Postgres(_) => self.command("BEGIN").await,
        }
    }

    /// Runs the statements in their order; how many rows each changed. On SQLite they go to the
    /// driver's thread as one text with the transaction's ends, since each way there costs more
    /// than a statement.
    pub(crate) async fn run(
        &mut self,
        statements: &[Statement],
        ends: Ends,
    ) -> Result<Vec<u64>, sqlx::Error> {
        if let Self::Sqlite(conn) = self {
            return sqlite_run(conn, statements, ends).await;
        }
        if ends.begin {
            self.begin().await?;
        }
        let mut changed = Vec::with_capacity(statements.len());
        for statement in statements {
            changed.push(self.execute(&statement.sql, &statement.args).await?);
        }
        if ends.commit {
            self.command("COMMIT").await?;
        }
        Ok(changed)
    }

    pub(crate) async fn close(self) {
        let ended = match self {
            Self::Sqlite(conn) => conn.close().await,
            Self::Postgres(conn) => conn.close().await,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a database connection did not close cleanly");
        }
    }
}

pub(crate) async fn sqlite_rows(
    conn: &mut SqliteConnection,
    sql: &str,
    args: &[Value],
) -> Result<Vec<Row>, sqlx::Error> {
    let query = sqlx::query_with(sql, sqlite_args(args));
    let rows = query.fetch_all(conn).await?;
    Ok(rows
        .into_iter()
        .map(|row| Row {
            inner: Driver::Sqlite(row),
            at: 0,
        })
        .collect())
}

pub(crate) async fn pg_rows(
    conn: &mut PgConnection,
    sql: &str,
    args: &[Value],
) -> Result<Vec<Row>, sqlx::Error> {
    let query = sqlx::query_with(sql, pg_args(args));
    let rows = query.fetch_all(conn).await?;
    Ok(rows
        .into_iter()
        .map(|row| Row {
            inner: Driver::Postgres(row),
            at: 0,
        })
        .collect())
}

/// SQLite's placeholders `$n` are counted over the whole text, so those of later statements move.
async fn sqlite_run(
    conn: &mut SqliteConnection,
    statements: &[Statement],
    ends: Ends,
) -> Result<Vec<u64>, sqlx::Error> {
    let mut sql = String::with_capacity(2_048);
    let mut args = SqliteArguments::default();
    let mut taken = 0;
    if ends.begin {
        sql.push_str("BEGIN IMMEDIATE;");
    }
    for statement in statements {
        move_placeholders(&statement.sql, taken, &mut sql);
        sql.push(';');
        taken += statement.args.len();
        for value in &statement.args {
            let _ = match value {
                Value::Int(it) => args.add(*it),
                Value::Text(it) => args.add(it.clone()),
            };
        }
    }
    if ends.commit {
        sql.push_str("COMMIT");
    }
    let results: Vec<_> = conn
        .fetch_many(sqlx::query_with(&sql, args))
        .try_collect()
        .await?;
    Ok(results
        .into_iter()
        .filter_map(Either::left)
        .map(|done| done.rows_affected())
        .skip(usize::from(ends.begin))
        .take(statements.len())
        .collect())
}

fn move_placeholders(sql: &str, by: usize, into: &mut String) {
    let mut parts = sql.split('$');
    into.extend(parts.next());
    for part in parts {
        let end = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        let number: usize = part[..end].parse().unwrap_or(0);
        into.push('$');
        into.push_str(&(number + by).to_string());
        into.push_str(&part[end..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_later_statements_move() {
        let mut sql = String::new();
        move_placeholders("UPDATE t SET a = $2 WHERE b = $10", 3, &mut sql);
        assert_eq!(sql, "UPDATE t SET a = $5 WHERE b = $13");
    }

    #[test]
    fn text_never_carries_nul() {
        assert_eq!("a\0b".value(), Value::Text(Some("ab".to_owned())));
    }
}
