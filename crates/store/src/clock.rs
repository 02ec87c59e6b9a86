//! Wall time, for ids and for when records were made and changed.

use std::time::{SystemTime, UNIX_EPOCH};

use model::Utc;

pub(crate) fn utc() -> Utc {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Utc::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
