//! Why a database cannot be used, with the remedy: one line for the operator.

/// Opening the store was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The address is none of ours.
    #[error("the address of the database is wrong: {why}")]
    Address {
        /// What would be right.
        why: String,
    },
    /// The default region for numbers is not known.
    #[error("{region} is no region: give the two letters of a country (ISO 3166), such as RU")]
    Region {
        /// What was given.
        region: String,
    },
    /// The server does not answer, or has no such database.
    #[error("{what} cannot be reached: {message}; {remedy}")]
    Unreachable {
        /// File or server.
        what: String,
        /// What the driver says.
        message: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Another program holds the file.
    #[error("{what} is locked; {remedy}")]
    Locked {
        /// The file.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The rights do not suffice.
    #[error("{what} may not be used: {message}; {remedy}")]
    Permission {
        /// File or server.
        what: String,
        /// What the driver says.
        message: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A newer Ringbook has changed the tables.
    #[error(
        "the database has schema {found}, this program knows {known}: install the newer Ringbook that made it, or restore a backup from before"
    )]
    NewerSchema {
        /// What stands in the database.
        found: i64,
        /// What this program knows.
        known: i64,
    },
    /// The tables have the number of ours, and are others: they come from between two releases.
    #[error(
        "the database has schema {found}, but not the tables that this program means by that: it was made by a build from between two releases; open it with that build, or begin with a new one"
    )]
    OtherSchema {
        /// What stands in the database.
        found: i64,
    },
    /// The tables are those of an older Ringbook, and changing them was not asked for.
    #[error("the database has schema {found}, this program wants {known}: run `ringbook migrate`")]
    OlderSchema {
        /// What stands in the database.
        found: i64,
        /// What this program wants.
        known: i64,
    },
    /// Something else.
    #[error("{what} failed: {message}; {remedy}")]
    Failed {
        /// File or server.
        what: String,
        /// What the driver says.
        message: String,
        /// What to do.
        remedy: &'static str,
    },
}
