//! Connections: how each database is opened, and why it may refuse.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, SqliteConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::SqliteConnectOptions,
};

use crate::{
    database::Connection,
    failure,
    open_error::OpenError,
    readers::{Readers, SqliteReaders},
    sqlite::SqliteWriter,
};

/// How long SQLite itself waits for a lock; the writer tries again after that.
const BUSY_TIMEOUT: Duration = Duration::from_millis(200);
/// How long a PostgreSQL server may take to answer at first.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Different texts that a connection keeps compiled.
const STATEMENTS: usize = 128;
/// How the writer's connection to SQLite works.
const PRAGMAS: [(&str, &str); 6] = [
    ("journal_mode", "WAL"),
    // KiB of pages kept: hot reads find theirs, and commits do not read what they change.
    ("cache_size", "-16384"),
    // A commit is acknowledged only when it would survive a power loss.
    ("synchronous", "FULL"),
    ("foreign_keys", "ON"),
    // Checkpoints are made beside the writer, never by it.
    ("wal_autocheckpoint", "0"),
    // Bytes that the log keeps on disk when it begins anew.
    ("journal_size_limit", "67108864"),
];

/// Where a database is.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Sqlite {
        path: PathBuf,
        options: Box<SqliteConnectOptions>,
    },
    Postgres {
        options: Box<PgConnectOptions>,
    },
}

impl Source {
    /// From `sqlite:PATH` or `postgres://…`.
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let unknown = |why: String| OpenError::Address { why };
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains(":memory:") {
                return Err(unknown("sqlite: wants the path of a file".to_owned()));
            }
            let options = SqliteConnectOptions::new()
                .filename(path)
                .busy_timeout(BUSY_TIMEOUT)
                .statement_cache_capacity(STATEMENTS)
                .disable_statement_logging();
            return Ok(Self::Sqlite {
                path: PathBuf::from(path),
                options: Box::new(options),
            });
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url).map_err(|it| unknown(it.to_string()))?;
            let options = options
                .application_name("ringbook")
                .statement_cache_capacity(STATEMENTS)
                .disable_statement_logging();
            return Ok(Self::Postgres {
                options: Box::new(options),
            });
        }
        Err(unknown(
            "expected sqlite:PATH or postgres://USER@HOST/DATABASE".to_owned(),
        ))
    }

    /// A connection that writes.
    pub(crate) async fn writer(&self) -> Result<Connection, sqlx::Error> {
        match self {
            Self::Sqlite { path, .. } => {
                keep_private(path);
                let opened = SqliteWriter::open(path, &PRAGMAS, BUSY_TIMEOUT, STATEMENTS);
                Ok(Connection::Sqlite(opened?))
            }
            Self::Postgres { options } => {
                let connecting = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
                let conn = connecting.map_err(|_| sqlx::Error::PoolTimedOut)??;
                Ok(Connection::Postgres(conn))
            }
        }
    }

    /// A connection that copies the log of SQLite into its file; none for PostgreSQL, whose server
    /// does that itself.
    pub(crate) async fn checkpoints(&self) -> Result<Option<SqliteConnection>, sqlx::Error> {
        match self {
            Self::Sqlite { options, .. } => Ok(Some(options.connect().await?)),
            Self::Postgres { .. } => Ok(None),
        }
    }

    /// Connections that read; the database is there and has its schema.
    pub(crate) async fn readers(&self, most: u32) -> Result<Readers, sqlx::Error> {
        match self {
            Self::Sqlite { options, .. } => {
                let options = (**options).clone().read_only(true);
                let readers = SqliteReaders::open(options, most).await?;
                Ok(Readers::Sqlite(Box::new(readers)))
            }
            Self::Postgres { options } => {
                let pool = PgPoolOptions::new()
                    .max_connections(most)
                    .acquire_timeout(CONNECT_TIMEOUT);
                Ok(Readers::Postgres(
                    pool.connect_with((**options).clone()).await?,
                ))
            }
        }
    }
}

/// Makes a new file for its owner only: it holds secrets of telephones. SQLite gives the files
/// beside it the same rights. What goes wrong here, connecting says better.
fn keep_private(path: &Path) {
    let mut new = OpenOptions::new();
    let _ = new.write(true).create_new(true).mode(0o600).open(path);
}

/// Why opening failed, in words for the operator.
pub(crate) fn refusal(source: &Source, error: &sqlx::Error) -> OpenError {
    let what = match source {
        Source::Sqlite { path, .. } => path.display().to_string(),
        Source::Postgres { options } => format!(
            "{}:{}/{}",
            options.get_host(),
            options.get_port(),
            options.get_database().unwrap_or_default()
        ),
    };
    let message = error.to_string();
    let remedy = failure::remedy(error);
    let code = match error {
        sqlx::Error::Database(database) => database.code().unwrap_or_default().into_owned(),
        sqlx::Error::Io(io) if io.kind() == std::io::ErrorKind::PermissionDenied => {
            return OpenError::Permission {
                what,
                message,
                remedy,
            };
        }
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => {
            return OpenError::Unreachable {
                what,
                message,
                remedy,
            };
        }
        _ => {
            return OpenError::Failed {
                what,
                message,
                remedy,
            };
        }
    };
    match (source, code.parse::<u32>().map(|code| code & 0xff)) {
        (Source::Sqlite { .. }, Ok(5 | 6)) => OpenError::Locked { what, remedy },
        (Source::Sqlite { .. }, Ok(8 | 14)) => OpenError::Permission {
            what,
            message,
            remedy,
        },
        (Source::Postgres { .. }, _) if code.starts_with("28") || code == "42501" => {
            OpenError::Permission {
                what,
                message,
                remedy,
            }
        }
        (Source::Postgres { .. }, _) if code.starts_with("3D") || code.starts_with("57") => {
            OpenError::Unreachable {
                what,
                message,
                remedy,
            }
        }
        _ => OpenError::Failed {
            what,
            message,
            remedy,
        },
    }
}
