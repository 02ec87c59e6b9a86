//! The store's own limits: the API is stricter, but nothing absurd gets in by another door.

use crm::{Error, Result};

/// Most characters of a name, title or login.
pub(crate) const NAME: usize = 300;

/// Text that must be there.
pub(crate) fn text(field: &'static str, text: &str, most: usize) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::invalid(field, "must not be empty"));
    }
    optional(field, Some(text), most)
}

/// Text that may be absent or empty.
pub(crate) fn optional(field: &'static str, text: Option<&str>, most: usize) -> Result<()> {
    let text = text.unwrap_or_default();
    if text.chars().count() > most {
        return Err(Error::invalid(
            field,
            format!("must have at most {most} characters"),
        ));
    }
    if text.contains('\0') {
        return Err(Error::invalid(field, "must not contain NUL"));
    }
    Ok(())
}

/// A list with a limit.
pub(crate) fn count(field: &'static str, count: usize, most: usize) -> Result<()> {
    match count > most {
        true => Err(Error::invalid(
            field,
            format!("must have at most {most} entries"),
        )),
        false => Ok(()),
    }
}

/// A number of seconds.
pub(crate) fn secs(field: &'static str, secs: u32, least: u32, most: u32) -> Result<()> {
    match (least..=most).contains(&secs) {
        true => Ok(()),
        false => Err(Error::invalid(
            field,
            format!("must be between {least} and {most} seconds"),
        )),
    }
}
