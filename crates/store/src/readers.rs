//! Connections that only read. SQLite's are kept by ourselves: `sqlx`'s pool asks a connection
//! whether it lives whenever it is given back, which costs as much as the read; a file does not go
//! away.

use std::sync::{Mutex, PoisonError};

use sqlx::{
    ConnectOptions as _, Connection as _, PgPool, SqliteConnection, sqlite::SqliteConnectOptions,
};
use tokio::sync::Semaphore;

use crate::database::{Row, Value, pg_rows, sqlite_rows};

/// The connections for reading.
pub(crate) enum Readers {
    Sqlite(Box<SqliteReaders>),
    Postgres(PgPool),
}

/// Connections to one file, opened when they are first needed.
pub(crate) struct SqliteReaders {
    options: SqliteConnectOptions,
    idle: Mutex<Vec<SqliteConnection>>,
    places: Semaphore,
}

impl SqliteReaders {
    /// At most `most` connections; the first is opened now.
    pub(crate) async fn open(
        options: SqliteConnectOptions,
        most: u32,
    ) -> Result<Self, sqlx::Error> {
        let first = options.connect().await?;
        Ok(Self {
            options,
            idle: Mutex::new(vec![first]),
            places: Semaphore::new(most as usize),
        })
    }

    async fn rows(&self, sql: &str, args: &[Value]) -> Result<Vec<Row>, sqlx::Error> {
        let place = self.places.acquire().await;
        let _place = place.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.idle().pop();
        let mut conn = match idle {
            Some(conn) => conn,
            None => self.options.connect().await?,
        };
        // A read that is dropped half-way takes its connection along; another is opened then.
        let rows = sqlite_rows(&mut conn, sql, args).await?;
        self.idle().push(conn);
        Ok(rows)
    }

    async fn close(&self) {
        self.places.close();
        let idle = std::mem::take(&mut *self.idle());
        for conn in idle {
            if let Err(error) = conn.close().await {
                tracing::debug!(%error, "a database connection did not close cleanly");
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readers {
    pub(crate) async fn rows(&self, sql: &str, args: &[Value]) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(readers) => readers.rows(sql, args).await,
            Self::Postgres(pool) => pg_rows(&mut *pool.acquire().await?, sql, args).await,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(readers) => readers.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}
