//! SQLite on the thread of whoever calls: the writer's connection. The asynchronous driver has a
//! thread of its own for each connection, and waking that costs more than a statement.

use std::{borrow::Cow, error::Error, fmt, path::Path, time::Duration};

use rusqlite::{
    Connection, OpenFlags, Statement, ffi,
    types::{ToSqlOutput, Value as SqliteValue, ValueRef},
};
use sqlx::error::{DatabaseError, ErrorKind};

use crate::database::Value;

/// A row as it was read.
pub(crate) type OwnedRow = Vec<SqliteValue>;

/// A connection that writes. Every call blocks until SQLite has answered.
pub(crate) struct SqliteWriter(Connection);

impl SqliteWriter {
    /// Opens the file, which is made if it is not there. Locks are waited for as long as `busy`;
    /// `statements` different texts stay compiled.
    pub(crate) fn open(
        path: &Path,
        pragmas: &[(&str, &str)],
        busy: Duration,
        statements: usize,
    ) -> Result<Self, sqlx::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).and_then(|conn| {
            conn.busy_timeout(busy)?;
            conn.set_prepared_statement_cache_capacity(statements);
            for (name, value) in pragmas {
                conn.pragma_update(None, name, value)?;
            }
            Ok(Self(conn))
        });
        opened.map_err(|error| translate(&error))
    }

    pub(crate) fn rows(&self, sql: &str, args: &[Value]) -> Result<Vec<OwnedRow>, sqlx::Error> {
        let read = || {
            let mut statement = self.0.prepare_cached(sql)?;
            bind(&mut statement, args)?;
            let columns = statement.column_count();
            let mut found = statement.raw_query();
            let mut rows = Vec::new();
            while let Some(row) = found.next()? {
                let values = (0..columns).map(|at| owned(row.get_ref(at)?));
                rows.push(values.collect::<rusqlite::Result<OwnedRow>>()?);
            }
            Ok(rows)
        };
        read().map_err(|error| translate(&error))
    }

    /// Runs one statement; how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, args: &[Value]) -> Result<u64, sqlx::Error> {
        let run = || {
            let mut statement = self.0.prepare_cached(sql)?;
            bind(&mut statement, args)?;
            statement.raw_execute()
        };
        run()
            .map(|changed| changed as u64)
            .map_err(|error| translate(&error))
    }

    /// Runs a statement without arguments and without rows.
    pub(crate) fn command(&self, sql: &str) -> Result<(), sqlx::Error> {
        self.execute(sql, &[]).map(|_| ())
    }

    pub(crate) fn close(self) -> Result<(), sqlx::Error> {
        self.0.close().map_err(|(_, error)| translate(&error))
    }
}

/// The library's own conversion panics at damaged text.
fn owned(value: ValueRef<'_>) -> rusqlite::Result<SqliteValue> {
    Ok(match value {
        ValueRef::Text(text) => SqliteValue::Text(std::str::from_utf8(text)?.to_owned()),
        other => other.into(),
    })
}

/// SQLite counts `$n` as names, in the order in which they appear.
fn bind(statement: &mut Statement<'_>, args: &[Value]) -> rusqlite::Result<()> {
    for at in 1..=statement.parameter_count() {
        let name = statement.parameter_name(at).unwrap_or_default();
        let number: usize = name.trim_start_matches('$').parse().unwrap_or(0);
        let Some(value) = number.checked_sub(1).and_then(|number| args.get(number)) else {
            return Err(rusqlite::Error::InvalidParameterName(name.to_owned()));
        };
        let value = match value {
            Value::Int(Some(it)) => ValueRef::Integer(*it),
            Value::Text(Some(it)) => ValueRef::Text(it.as_bytes()),
            Value::Int(None) | Value::Text(None) => ValueRef::Null,
        };
        statement.raw_bind_parameter(at, ToSqlOutput::Borrowed(value))?;
    }
    Ok(())
}

/// An error of SQLite in the words of the other driver, so that it is told once what to do about it.
#[derive(Debug)]
struct SqliteFailure {
    code: i32,
    message: String,
}

impl fmt::Display for SqliteFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(code: {}) {}", self.code, self.message)
    }
}

impl Error for SqliteFailure {}

impl DatabaseError for SqliteFailure {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.to_string().into())
    }

    fn kind(&self) -> ErrorKind {
        match self.code {
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                ErrorKind::UniqueViolation
            }
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ErrorKind::ForeignKeyViolation,
            ffi::SQLITE_CONSTRAINT_NOTNULL => ErrorKind::NotNullViolation,
            ffi::SQLITE_CONSTRAINT_CHECK => ErrorKind::CheckViolation,
            _ => ErrorKind::Other,
        }
    }

    fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
        self
    }
}

fn translate(error: &rusqlite::Error) -> sqlx::Error {
    let code = error
        .sqlite_error()
        .map_or(ffi::SQLITE_ERROR, |error| error.extended_code);
    sqlx::Error::Database(Box::new(SqliteFailure {
        code,
        message: error.to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> SqliteWriter {
        let path = folder.join("test.db");
        SqliteWriter::open(&path, &[("journal_mode", "WAL")], Duration::ZERO, 8).unwrap()
    }

    #[test]
    fn placeholders_are_counted_by_their_numbers_and_a_missing_argument_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let conn = open(folder.path());
        let args = [Value::Int(Some(1)), Value::Text(Some("two".to_owned()))];
        let rows = conn.rows("SELECT $2, $1, $2", &args).unwrap();
        let two = || SqliteValue::Text("two".to_owned());
        assert_eq!(rows, [[two(), SqliteValue::Integer(1), two()]]);
        assert!(conn.rows("SELECT $3", &args).is_err());
    }

    #[test]
    fn damaged_text_is_an_error_and_a_taken_key_is_told_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let conn = open(folder.path());
        assert!(conn.rows("SELECT CAST(x'ff' AS TEXT)", &[]).is_err());
        conn.command("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            .unwrap();
        let insert = || conn.execute("INSERT INTO t (id) VALUES ($1)", &[Value::Int(Some(7))]);
        assert_eq!(insert().unwrap(), 1);
        let error = insert().unwrap_err();
        let kind = error.as_database_error().map(DatabaseError::kind);
        assert!(matches!(kind, Some(ErrorKind::UniqueViolation)), "{error}");
    }
}
