//! The tables and how they came to be: numbered texts, run in order, each in a transaction.

use sha2::{Digest as _, Sha256};

use crate::{
    clock,
    database::{Connection, args},
    dialect,
    open_error::OpenError,
};

/// The steps; the first makes the tables of an empty database.
const STEPS: [&str; 1] = [include_str!("../schema/0001.sql")];

/// The schema that this program works with.
pub(crate) const KNOWN: i64 = STEPS.len() as i64;

pub(crate) enum Trouble {
    Database(sqlx::Error),
    Refused(OpenError),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Brings the tables up to what this program knows, if `migrate`; else only looks. Returns how
/// many steps were made.
pub(crate) async fn bring_up(conn: &mut Connection, migrate: bool) -> Result<usize, Trouble> {
    let found = match version(conn).await? {
        found if found > KNOWN => {
            return Err(Trouble::Refused(OpenError::NewerSchema {
                found,
                known: KNOWN,
            }));
        }
        found if found == KNOWN => {
            return match fact(conn, "schema").await? {
                Some(made) if made == fingerprint() => Ok(0),
                _ => Err(Trouble::Refused(OpenError::OtherSchema { found })),
            };
        }
        found => found,
    };
    // An empty database has nothing to lose: its first step needs no leave.
    if !migrate && found > 0 {
        return Err(Trouble::Refused(OpenError::OlderSchema {
            found,
            known: KNOWN,
        }));
    }
    conn.begin().await?;
    let made = match steps(conn).await {
        Ok(made) => made,
        Err(error) => {
            conn.command("ROLLBACK").await?;
            return Err(error.into());
        }
    };
    conn.command("COMMIT").await?;
    Ok(made)
}

async fn steps(conn: &mut Connection) -> Result<usize, sqlx::Error> {
    dialect::lock_schema(conn).await?;
    conn.command(
        "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY, applied_at BIGINT NOT NULL)",
    )
    .await?;
    conn.command(
        "CREATE TABLE IF NOT EXISTS store_facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    )
    .await?;
    // Another process may have been faster.
    let found = latest(conn).await?;
    let mut made = 0;
    for (step, text) in STEPS
        .iter()
        .enumerate()
        .skip(usize::try_from(found).unwrap_or(0))
    {
        for statement in statements(text) {
            conn.command(&dialect::definition(conn, &statement)).await?;
        }
        let version = step as i64 + 1;
        let applied_at = clock::utc().micros();
        let sql = "INSERT INTO schema_version (version, applied_at) VALUES ($1, $2)";
        conn.execute(sql, &args![version, applied_at]).await?;
        made += 1;
    }
    let sql = "INSERT INTO store_facts (name, value) VALUES ('schema', $1) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    conn.execute(sql, &args![fingerprint().as_str()]).await?;
    Ok(made)
}

/// Tells these steps from others of the same number.
fn fingerprint() -> String {
    let mut digest = Sha256::new();
    STEPS.iter().for_each(|step| digest.update(step));
    digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

async fn fact(conn: &mut Connection, name: &str) -> Result<Option<String>, sqlx::Error> {
    let sql = "SELECT value FROM store_facts WHERE name = $1";
    let rows = conn.rows(sql, &args![name]).await?;
    rows.into_iter()
        .next()
        .map(|mut row| row.text())
        .transpose()
}

/// 0 for an empty database.
async fn version(conn: &mut Connection) -> Result<i64, sqlx::Error> {
    if !dialect::has_schema(conn).await? {
        return Ok(0);
    }
    latest(conn).await
}

async fn latest(conn: &mut Connection) -> Result<i64, sqlx::Error> {
    let rows = conn
        .rows("SELECT MAX(version) FROM schema_version", &[])
        .await?;
    let found = rows
        .into_iter()
        .next()
        .map(|mut row| row.opt_int())
        .transpose()?;
    Ok(found.flatten().unwrap_or(0))
}

/// The statements of a step without its comments.
fn statements(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"));
    let text: Vec<&str> = lines.collect();
    let text = text.join("\n");
    text.split(';')
        .map(str::trim)
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The epoch of the journal, made at random the first time.
pub(crate) async fn epoch(conn: &mut Connection) -> Result<String, sqlx::Error> {
    use std::hash::{BuildHasher, Hasher};
    // The keys of the standard hasher come from the system's random source.
    let random = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    let made = format!("{random:016x}");
    let sql =
        "INSERT INTO store_facts (name, value) VALUES ('epoch', $1) ON CONFLICT (name) DO NOTHING";
    conn.execute(sql, &args![made.as_str()]).await?;
    let found = fact(conn, "epoch").await?;
    Ok(found.unwrap_or(made))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_falls_into_statements_without_comments() {
        let text = "-- a; b\nCREATE TABLE t (\n  a TEXT\n);\n\nCREATE INDEX i ON t (a);\n";
        assert_eq!(
            statements(text),
            ["CREATE TABLE t (\n  a TEXT\n)", "CREATE INDEX i ON t (a)"]
        );
    }
}
