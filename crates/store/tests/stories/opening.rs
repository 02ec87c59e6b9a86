//! Opening a database, and the words in which that is refused.

use crm::Journal;
use rstest::rstest;
use sqlx::{Connection, SqliteConnection};
use store::{OpenError, Options, Store};

use crate::{
    postgres::cluster,
    scene::{Kind, Place, line, open},
};

async fn refusal(url: &str) -> OpenError {
    let opened = Store::open(url, 1, "RU", Options::default()).await;
    opened.expect_err("this database cannot be opened")
}

/// Runs a statement beside the store, as somebody else's program would.
async fn beside(url: &str, sql: &str) {
    match url.strip_prefix("sqlite:") {
        Some(path) => {
            let mut conn = SqliteConnection::connect(path).await.unwrap();
            sqlx::query(sql).execute(&mut conn).await.unwrap();
            conn.close().await.unwrap();
        }
        None => {
            let mut conn = sqlx::PgConnection::connect(url).await.unwrap();
            sqlx::query(sql).execute(&mut conn).await.unwrap();
            conn.close().await.unwrap();
        }
    }
}

#[rstest]
#[tokio::test]
async fn the_tables_of_a_newer_ringbook_are_refused_and_left_alone(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let place = Place::new(kind).await;
    place.open().await.close().await;
    beside(
        &place.url,
        "INSERT INTO schema_version (version, applied_at) VALUES (99, 0)",
    )
    .await;
    let error = refusal(&place.url).await;
    assert!(
        matches!(error, OpenError::NewerSchema { found: 99, .. }),
        "{error}"
    );
    beside(&place.url, "DELETE FROM schema_version WHERE version = 99").await;
    place.open().await.close().await;
}

#[rstest]
#[tokio::test]
async fn tables_from_between_two_releases_are_refused(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let place = Place::new(kind).await;
    place.open().await.close().await;
    beside(
        &place.url,
        "UPDATE store_facts SET value = 'other' WHERE name = 'schema'",
    )
    .await;
    let error = refusal(&place.url).await;
    assert!(
        matches!(error, OpenError::OtherSchema { found: 1 }),
        "{error}"
    );
}

#[rstest]
#[tokio::test]
async fn the_epoch_stays_over_a_restart_and_differs_between_databases(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let (one, two) = (Place::new(kind).await, Place::new(kind).await);
    let store = one.open().await;
    let epoch = store.epoch().to_owned();
    line(&store, "+74950000001").await;
    store.close().await;
    assert_eq!(one.open().await.epoch(), epoch);
    assert_ne!(two.open().await.epoch(), epoch);
    assert_eq!(two.open().await.node(), 1);
}

#[rstest]
#[tokio::test]
async fn a_closed_store_says_so(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let place = Place::new(kind).await;
    let store = place.open().await;
    store.close().await;
    let refused = crm::Users::set_away(&store, model::UserId(1), true).await;
    assert!(
        matches!(refused, Err(crm::Error::Unavailable { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn wrong_addresses_and_regions_are_named() {
    for url in ["mysql://x", "sqlite:", "sqlite::memory:", ""] {
        assert!(
            matches!(refusal(url).await, OpenError::Address { .. }),
            "{url}"
        );
    }
    let place = Place::new(Kind::Sqlite).await;
    let opened = Store::open(&place.url, 1, "Russia", Options::default()).await;
    assert!(matches!(opened, Err(OpenError::Region { .. })));
}

#[tokio::test]
async fn a_path_that_is_no_file_is_a_matter_of_rights() {
    let folder = tempfile::tempdir().unwrap();
    let error = refusal(&format!("sqlite:{}", folder.path().display())).await;
    assert!(matches!(error, OpenError::Permission { .. }), "{error:?}");
    let error = refusal(&format!(
        "sqlite:{}/missing/ringbook.db",
        folder.path().display()
    ))
    .await;
    assert!(matches!(error, OpenError::Permission { .. }), "{error:?}");
}

#[tokio::test]
async fn a_new_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new(Kind::Sqlite).await;
    let _store = place.open().await;
    let path = place.url.strip_prefix("sqlite:").unwrap();
    for file in [path.to_owned(), format!("{path}-wal")] {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ringbook.db");
    std::fs::write(&path, "This is a letter, not a database.".repeat(100)).unwrap();
    let error = refusal(&format!("sqlite:{}", path.display())).await;
    assert!(error.to_string().contains("restore a backup"), "{error}");
}

#[tokio::test]
async fn a_locked_file_is_refused_at_start() {
    let place = Place::new(Kind::Sqlite).await;
    place.open().await.close().await;
    let path = place.url.strip_prefix("sqlite:").unwrap();
    let mut other = SqliteConnection::connect(path).await.unwrap();
    sqlx::query("PRAGMA locking_mode = EXCLUSIVE")
        .execute(&mut other)
        .await
        .unwrap();
    sqlx::query("BEGIN EXCLUSIVE")
        .execute(&mut other)
        .await
        .unwrap();
    let error = refusal(&place.url).await;
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_or_lacks_the_database_is_unreachable() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = refusal(&format!("postgres://ringbook@{gone}/ringbook")).await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    let error = refusal(&cluster().url("no_such_database")).await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    assert!(
        error.to_string().contains("create the database first"),
        "{error}"
    );
}

#[tokio::test]
async fn two_who_open_an_empty_database_at_once_make_its_tables_once() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let place = Place::new(kind).await;
        let (one, two) = tokio::join!(open(&place.url), open(&place.url));
        assert_eq!(one.epoch(), two.epoch());
    }
}
