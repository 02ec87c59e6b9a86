//! What can go wrong in a repository, with the verdict an API needs.

/// The result of a repository.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a repository did not do what it was asked to. Nothing was stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such thing, or it was removed.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Somebody else changed it since it was read: read it again and repeat the change.
    #[error("the {what} was changed meanwhile: it now has version {current}")]
    Conflict {
        /// The kind of resource.
        what: &'static str,
        /// The version it has now.
        current: i64,
    },
    /// It has ended and can be changed no more.
    #[error("the {0} is not open any more")]
    Over(&'static str),
    /// The user cannot be removed before somebody else has what they have in hand.
    #[error("the user still has clients or work ({0})")]
    StillHolds(crate::Holdings),
    /// Another record has this value already, and it must be unique.
    #[error("this {field} is taken")]
    Taken {
        /// The field, as the data types name it.
        field: &'static str,
    },
    /// The field names something that does not exist.
    #[error("{field} names nothing that exists")]
    Dangling {
        /// The field, as the data types name it.
        field: &'static str,
    },
    /// The value of a field cannot be accepted.
    #[error("{field}: {why}")]
    Invalid {
        /// The field, as the data types name it.
        field: &'static str,
        /// What is wrong and what would be right.
        why: String,
    },
    /// The writer's queue is full; the caller counts it and tries again or gives up.
    #[error("the store is too far behind: its queue is full")]
    Full,
    /// The database does not answer or answers nonsense.
    #[error("{message}; {remedy}")]
    Unavailable {
        /// What happened.
        message: String,
        /// What the operator can do.
        remedy: &'static str,
    },
}

impl Error {
    /// An [`Error::Invalid`].
    pub fn invalid(field: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            why: why.into(),
        }
    }
}
