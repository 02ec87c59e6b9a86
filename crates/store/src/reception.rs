//! What callers of a line hear first: limits, and that what is named exists.

use crm::{Error, LineData, Result};
use model::{Destination, Menu, Reception};

use crate::{check, failure::Outcome, repository::expect_there, writer::Writing};

/// Keys of a telephone.
const KEYS: &str = "0123456789*#";

pub(crate) fn check(reception: &Reception) -> Result<()> {
    prompt("reception.announcement", reception.announcement.as_deref())?;
    if let Some(voicemail) = reception.voicemail {
        check::secs("reception.voicemail.most_secs", voicemail.most_secs, 5, 600)?;
    }
    reception
        .menu
        .as_ref()
        .map_or(Ok(()), |menu| check_menu(menu, reception))
}

fn check_menu(menu: &Menu, reception: &Reception) -> Result<()> {
    prompt("reception.menu.prompt", menu.prompt.as_deref())?;
    let field = "reception.menu.choices";
    check::count(field, menu.choices.len(), KEYS.len())?;
    if menu.choices.is_empty() && !menu.extensions {
        return Err(Error::invalid(
            field,
            "must not be empty where extensions cannot be dialled",
        ));
    }
    for (place, choice) in menu.choices.iter().enumerate() {
        if !KEYS.contains(choice.key) {
            return Err(Error::invalid(field, "have keys from 0 to 9, * or #"));
        }
        if menu.choices[..place].iter().any(|it| it.key == choice.key) {
            return Err(Error::invalid(
                field,
                format!("must name the key {} once", choice.key),
            ));
        }
        if choice.to == Destination::Voicemail && reception.voicemail.is_none() {
            return Err(Error::invalid(
                field,
                "lead to a voicemail that the line does not have",
            ));
        }
    }
    Ok(())
}

/// Names of prompts are file names.
fn prompt(field: &'static str, name: Option<&str>) -> Result<()> {
    let plain = |name: &str| {
        let byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=64).contains(&name.len()) && name.bytes().all(byte)
    };
    match name.is_none_or(plain) {
        true => Ok(()),
        false => {
            let why =
                "must be the name of a prompt without folder and ending: letters, digits, - and _";
            Err(Error::invalid(field, why))
        }
    }
}

/// Everything that the line names is there.
pub(crate) async fn expect_all(writing: &mut Writing, id: i64, line: &LineData) -> Outcome<()> {
    expect_there(writing, "offices", "office", line.office.map(|it| it.0)).await?;
    let reception = &line.reception;
    if reception.closed_line.is_some_and(|it| it.0 == id) {
        let why = "must name another line than this one";
        return Err(Error::invalid("reception.closed_line", why).into());
    }
    let closed_line = reception.closed_line.map(|it| it.0);
    expect_there(writing, "lines", "reception.closed_line", closed_line).await?;
    for choice in reception.menu.iter().flat_map(|menu| &menu.choices) {
        let (table, id) = match choice.to {
            Destination::Line(line) => ("lines", line.0),
            Destination::Agent(user) => ("users", user.0),
            Destination::Voicemail => continue,
        };
        expect_there(writing, table, "reception.menu.choices", Some(id)).await?;
    }
    Ok(())
}
