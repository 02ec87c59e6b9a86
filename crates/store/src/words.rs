//! Closed sets of words as text columns, and lists as JSON texts.

use serde::{Serialize, de::DeserializeOwned};

/// The word that JSON has for a value without fields.
pub(crate) fn word(value: &impl Serialize) -> String {
    json(value).trim_matches('"').to_owned()
}

/// Back from [`word`].
pub(crate) fn from_word<T: DeserializeOwned>(word: &str) -> Result<T, sqlx::Error> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).map_err(damaged)
}

pub(crate) fn json(value: &impl Serialize) -> String {
    // Plain records of numbers, texts and lists always have a JSON form.
    serde_json::to_string(value).unwrap_or_default()
}

pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(damaged)
}

fn damaged(error: serde_json::Error) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
