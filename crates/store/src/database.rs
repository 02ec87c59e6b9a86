//! The drivers behind one face: every statement is the same text for both databases.

use std::borrow::Cow;

use rusqlite::types::Value as SqliteValue;
use sqlx::{
    Arguments, Connection as _, Executor, PgConnection, Row as _, SqliteConnection,
    postgres::{PgArguments, PgRow},
    sqlite::{SqliteArguments, SqliteRow},
};

use crate::sqlite::{OwnedRow, SqliteWriter};

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
    Owned(OwnedRow),
    Postgres(PgRow),
}

/// A column of a row, whoever read it.
macro_rules! column {
    ($row:expr, $($value:pat => $read:expr),+) => {{
        let at = $row.step();
        match &$row.inner {
            Driver::Sqlite(row) => row.try_get_unchecked(at),
            Driver::Postgres(row) => row.try_get_unchecked(at),
            Driver::Owned(row) => match row.get(at) {
                $(Some($value) => Ok($read),)+
                other => Err(sqlx::Error::Protocol(format!("column {at} is {other:?}"))),
            },
        }
    }};
}

impl Row {
    fn new(inner: Driver) -> Self {
        Self { inner, at: 0 }
    }

    pub(crate) fn int(&mut self) -> Result<i64, sqlx::Error> {
        column!(self, SqliteValue::Integer(it) => *it)
    }

    pub(crate) fn opt_int(&mut self) -> Result<Option<i64>, sqlx::Error> {
        column!(self, SqliteValue::Integer(it) => Some(*it), SqliteValue::Null => None)
    }

    pub(crate) fn text(&mut self) -> Result<String, sqlx::Error> {
        column!(self, SqliteValue::Text(it) => it.clone())
    }

    pub(crate) fn opt_text(&mut self) -> Result<Option<String>, sqlx::Error> {
        column!(self, SqliteValue::Text(it) => Some(it.clone()), SqliteValue::Null => None)
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

/// A connection of the writer.
pub(crate) enum Connection {
    Sqlite(SqliteWriter),
    Postgres(PgConnection),
}

impl Connection {
    pub(crate) async fn rows(
        &mut self,
        sql: &str,
        args: &[Value],
    ) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(conn) => {
                let rows = conn.rows(sql, args)?.into_iter();
                Ok(rows.map(|row| Row::new(Driver::Owned(row))).collect())
            }
            Self::Postgres(conn) => pg_rows(conn, sql, args).await,
        }
    }

    /// Runs one statement; how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: &str, args: &[Value]) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(conn) => conn.execute(sql, args),
            Self::Postgres(conn) => {
                let query = sqlx::query_with(sql, pg_args(args));
                Ok(query.execute(conn).await?.rows_affected())
            }
        }
    }

    /// A word without arguments, such as `COMMIT`.
    pub(crate) async fn command(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(conn) => conn.command(sql),
            Self::Postgres(conn) => conn.execute(sqlx::raw_sql(sql)).await.map(|_| ()),
        }
    }

    pub(crate) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(_) => self.command("BEGIN IMMEDIATE").await,
            Self::Postgres(_) => self.command("BEGIN").await,
        }
    }

    /// Runs the statements in their order; how many rows each changed.
    pub(crate) async fn run(&mut self, statements: &[Statement]) -> Result<Vec<u64>, sqlx::Error> {
        let mut changed = Vec::with_capacity(statements.len());
        for statement in statements {
            changed.push(self.execute(&statement.sql, &statement.args).await?);
        }
        Ok(changed)
    }

    pub(crate) async fn close(self) {
        let ended = match self {
            Self::Sqlite(conn) => conn.close(),
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
        .map(|row| Row::new(Driver::Sqlite(row)))
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
        .map(|row| Row::new(Driver::Postgres(row)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_carries_nul() {
        assert_eq!("a\0b".value(), Value::Text(Some("ab".to_owned())));
    }
}
