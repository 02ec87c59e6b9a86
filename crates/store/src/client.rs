//! References to clients in notes, deals and tasks.

use crm::{Error, Result};
use model::{ClientRef, OrganisationId, PersonId};

use crate::{database::Row, failure::Outcome, repository::expect_there, writer::Writing};

/// The two columns `person_id, organisation_id`.
pub(crate) fn decode(row: &mut Row) -> std::result::Result<ClientRef, sqlx::Error> {
    Ok(ClientRef {
        person: row.opt_int()?.map(PersonId),
        organisation: row.opt_int()?.map(OrganisationId),
    })
}

/// Refuses a client that is nobody.
pub(crate) fn expect_somebody(client: ClientRef) -> Result<()> {
    match client.person.is_none() && client.organisation.is_none() {
        true => Err(Error::invalid(
            "client",
            "must name a person or an organisation",
        )),
        false => Ok(()),
    }
}

/// Refuses a client that is not there, unless it is the one from before.
pub(crate) async fn expect_known(
    writing: &mut Writing,
    old: Option<ClientRef>,
    new: ClientRef,
) -> Outcome<()> {
    if old == Some(new) {
        return Ok(());
    }
    expect_there(writing, "persons", "client", new.person.map(|it| it.0)).await?;
    expect_there(
        writing,
        "organisations",
        "client",
        new.organisation.map(|it| it.0),
    )
    .await
}
