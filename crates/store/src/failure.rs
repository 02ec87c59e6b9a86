//! How errors of the drivers become errors of the domain.

use sqlx::error::{DatabaseError, ErrorKind};

/// Why a piece of work failed inside the store.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The domain says no: nothing is wrong with the database.
    Refused(crm::Error),
    /// The database says no.
    Database(sqlx::Error),
}

/// The result of a piece of work inside the store.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl From<crm::Error> for Failure {
    fn from(error: crm::Error) -> Self {
        Self::Refused(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Failure> for crm::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error,
            Failure::Database(error) => describe(&error),
        }
    }
}

/// What must be unique: the index, the column as SQLite names it, and the field.
const UNIQUE: [(&str, &str, &str); 7] = [
    ("users_login", "users.login_fold", "login"),
    ("users_short_number", "users.short_number", "short_number"),
    ("devices_auth_user", "devices.auth_user", "auth_user"),
    ("lines_number", "lines.number_normal", "number"),
    ("trunks_name", "trunks.name_fold", "name"),
    ("offices_name", "offices.name_fold", "name"),
    (
        "hand_overs_key",
        "hand_overs.idempotency_key",
        "idempotency_key",
    ),
];

/// The error in the words of the domain.
pub(crate) fn describe(error: &sqlx::Error) -> crm::Error {
    if let sqlx::Error::Database(database) = error {
        if let Some(field) = taken(database.as_ref()) {
            return crm::Error::Taken { field };
        }
    }
    crm::Error::Unavailable {
        message: format!("the database failed: {error}"),
        remedy: remedy(error),
    }
}

fn taken(error: &dyn DatabaseError) -> Option<&'static str> {
    if error.kind() != ErrorKind::UniqueViolation {
        return None;
    }
    let message = error.message();
    UNIQUE
        .iter()
        .find(|(index, column, _)| error.constraint() == Some(index) || message.contains(column))
        .map(|(_, _, field)| *field)
}

/// Whether another entry of the journal has the place that was given: then the next one is free.
pub(crate) fn is_place_taken(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else {
        return false;
    };
    database.kind() == ErrorKind::UniqueViolation
        && (database.constraint() == Some("journal_place")
            || database.message().contains("journal.seq"))
}

/// Whether trying the same again can help: anything but a statement that the data contradict.
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => {
            let data = database.kind() != ErrorKind::Other;
            // Classes 22 (data), 23 (integrity) and 42 (syntax, names) of SQLSTATE.
            let state = database.code().unwrap_or_default();
            let hopeless = ["22", "23", "42"]
                .iter()
                .any(|class| state.starts_with(class));
            // SQLite's codes are short numbers; 1 is a wrong statement, 20 a mismatch of types.
            !(data || state == "1" || state == "20" || (state.len() == 5 && hopeless))
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// What the operator can do.
pub(crate) fn remedy(error: &sqlx::Error) -> &'static str {
    let code = match error {
        sqlx::Error::Database(database) => database.code().unwrap_or_default().into_owned(),
        sqlx::Error::Io(_) => return "check that the database server runs and can be reached",
        sqlx::Error::PoolTimedOut => return "the database is overloaded: look for slow queries",
        _ => String::new(),
    };
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(5 | 6) if code.len() < 5 => "another program locks the database file: end it",
        Ok(8) if code.len() < 5 => "make the database file and its folder writable for this user",
        Ok(10) if code.len() < 5 => "check the disk: reading or writing the file failed",
        Ok(11 | 26) if code.len() < 5 => "the file is damaged or no database: restore a backup",
        Ok(13) if code.len() < 5 => "the disk is full: make room",
        Ok(14) if code.len() < 5 => "check the path and the rights of the folder",
        _ if code.starts_with("28") => "check user and password in the address of the database",
        _ if code.starts_with("3D") => "create the database first",
        _ if code.starts_with("42501") => "grant the user rights on the database",
        _ if code.starts_with("53") => "the server has run out of room or connections",
        _ => "the log tells more",
    }
}
