//! Opening the database as the configuration says.

use anyhow::Result;
use store::{Options, Store};

use crate::config::Checked;

/// Opens the store; with `migrate` older tables are brought up to date.
///
/// # Errors
/// The database cannot be used; the error says the remedy.
pub(crate) async fn open(checked: &Checked, migrate: bool) -> Result<Store> {
    let general = &checked.config.general;
    let options = Options {
        migrate,
        ..Options::default()
    };
    let url = checked.config.store.url.get_ref();
    Ok(Store::open(
        url,
        *general.node.get_ref(),
        general.default_region.get_ref(),
        options,
    )
    .await?)
}

/// Brings the tables up to date and says so.
///
/// # Errors
/// The database cannot be used; the error says the remedy.
pub(crate) async fn migrate(checked: &Checked) -> Result<&'static str> {
    let store = open(checked, true).await?;
    store.close().await;
    Ok("the tables are up to date")
}
