//! What the two databases really say differently, side by side.

use std::borrow::Cow;

use crate::database::Connection;

/// Two processes that migrate at once come one after the other. SQLite's write lock does that.
pub(crate) async fn lock_schema(conn: &mut Connection) -> Result<(), sqlx::Error> {
    match conn {
        Connection::Sqlite(_) => Ok(()),
        Connection::Postgres(_) => {
            // Any number that all our processes agree on.
            conn.command("SELECT pg_advisory_xact_lock(746464266)")
                .await
        }
    }
}

/// A statement that defines a table. SQLite keeps rows in the order of a key only if its type is
/// called INTEGER, which has 64 bits there, or if the table is made without numbers of its own; any
/// other key is a second tree to write.
pub(crate) fn definition<'a>(conn: &Connection, statement: &'a str) -> Cow<'a, str> {
    match conn {
        Connection::Sqlite(_) => {
            let mut statement =
                statement.replace("id BIGINT PRIMARY KEY", "id INTEGER PRIMARY KEY");
            if statement.contains("PRIMARY KEY (") {
                statement.push_str(" WITHOUT ROWID");
            }
            Cow::Owned(statement)
        }
        Connection::Postgres(_) => Cow::Borrowed(statement),
    }
}

/// Whether the table of schema versions is there.
pub(crate) async fn has_schema(conn: &mut Connection) -> Result<bool, sqlx::Error> {
    let sql = match conn {
        Connection::Sqlite(_) => {
            "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'"
        }
        Connection::Postgres(_) => {
            "SELECT COUNT(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'schema_version'"
        }
    };
    let rows = conn.rows(sql, &[]).await?;
    let count = rows
        .into_iter()
        .next()
        .map(|mut row| row.int())
        .transpose()?;
    Ok(count.unwrap_or(0) > 0)
}
