//! `ringbook user`: the first administrator comes from here.

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use crm::{Base as _, Language, Role, UserData};
use model::Reach;

use crate::{
    cli::{ConfigFile, language_of},
    store_open,
};

/// What can be done with users.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Add a user and print the password, this once.
    Add {
        /// The name to log in with.
        login: String,
        /// `administrator` or `agent`.
        #[arg(long)]
        role: String,
        /// The name that colleagues see; else the login.
        #[arg(long)]
        name: Option<String>,
        /// The short number, for those who answer calls.
        #[arg(long)]
        short_number: Option<String>,
        /// `ru` or `en`; else the configuration's.
        #[arg(long)]
        language: Option<String>,
        #[command(flatten)]
        file: ConfigFile,
    },
}

/// Carries the command out; the text to print.
///
/// # Errors
/// The database cannot be used, or the login or short number is taken.
pub(crate) async fn carry_out(command: Command) -> Result<String> {
    let Command::Add {
        login,
        role,
        name,
        short_number,
        language,
        file,
    } = command;
    let role = match role.as_str() {
        "administrator" => Role::Administrator,
        "agent" => Role::Agent,
        other => bail!("role \"{other}\" is not known; write administrator or agent"),
    };
    let checked = file.load()?;
    let code = language.unwrap_or_else(|| checked.config.general.language.get_ref().clone());
    let language: Language = language_of(&code)?;
    let password = api::password::make();
    let hash = api::password::hash(&password).context("the password cannot be hashed")?;
    let store = store_open::open(&checked, true).await?;
    let data = UserData {
        name: name.unwrap_or_else(|| login.clone()),
        login: login.clone(),
        short_number,
        role,
        language,
        away: false,
        ring_timeout_secs: 20,
        wrap_up_secs: 15,
        may_call: Reach::default(),
        call_waiting: false,
        deputy: None,
    };
    let user = store
        .users()
        .create(data)
        .await
        .with_context(|| format!("user \"{login}\""))?;
    store.users().set_password(user.id, &hash).await?;
    store.close().await;
    Ok(format!("login: {login}\npassword: {password}\n"))
}
