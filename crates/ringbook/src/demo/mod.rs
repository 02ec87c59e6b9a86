//! `ringbook demo`: the real daemon, an invented company, virtual telephones and callers with real SIP and spoken
//! audio over loopback; what is printed was read back from the daemon and from the files.

mod call_back;
mod company;
mod daemon;
mod desk;
mod evidence;
mod folder;
mod leg;
mod names;
mod proof;
mod queue;
mod registration;
mod scenes;
mod second_stage;
mod speech;
mod theatre;
mod user_agent;
mod voice;

use std::{fs, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context as _, Result};
use crm::Language;
use jiff::tz::TimeZone;

use self::{company::Company, daemon::Daemon, folder::Folder, speech::Speeches, theatre::Theatre};
use crate::{
    watch::{self, line, rest::Rest},
    words::Words,
};

/// Lines of the daemon's log that are shown when something did not happen.
const LAST_LINES: usize = 15;
/// Exit code after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

/// How the demo is played.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder for configuration, database, recordings and logs; one of an earlier demo is replaced.
    #[arg(long, default_value = "demo-data")]
    folder: PathBuf,
    /// Folder of the spoken words; they are made there if they are missing.
    #[arg(long, env = "RINGBOOK_SPEECH")]
    speech: Option<PathBuf>,
    /// Leave the daemon running until Ctrl-C, so that other telephones can register.
    #[arg(long)]
    keep_running: bool,
    /// `ru` or `en`; else as LANG says.
    #[arg(long)]
    language: Option<String>,
}

/// Plays the demo.
///
/// # Errors
/// Something did not happen as it must; the message says what.
pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let language = watch::language(options.language.as_deref())?;
    let words = Words::new(language)?;
    let folder = Folder::prepare(&options.folder, language)?;
    let mut daemon = None;
    let played = tokio::select! {
        played = play(&folder, &words, language, &options, &mut daemon) => Some(played),
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| None).context("signals")?,
    };
    if let Some(Err(error)) = played {
        // The error itself is told at the very end.
        let _ = last_words(&folder, &words);
        return Err(fallen(daemon, error).await);
    }
    if played.is_some() && options.keep_running {
        let facts = [
            ("url", format!("http://{}", folder.http)),
            ("sip", folder.sip.to_string()),
        ];
        line(&words.say("demo-keeps-running", &facts))?;
        tokio::signal::ctrl_c().await.context("signals")?;
    }
    let stopped = match daemon {
        Some(daemon) => daemon.stop().await,
        None => Ok(()),
    };
    if played.is_some() {
        return stopped.map(|()| ExitCode::SUCCESS);
    }
    line(&words.say("demo-interrupted", &[]))?;
    stopped.map(|()| ExitCode::from(INTERRUPTED))
}

async fn play(
    folder: &Folder,
    words: &Words,
    language: Language,
    options: &Options,
    running: &mut Option<Daemon>,
) -> Result<()> {
    let began = Instant::now();
    let say = |key: &str, facts: &[(&str, String)]| line(&words.say(key, facts));
    let speeches = Speeches::prepare(
        options
            .speech
            .as_deref()
            .unwrap_or(&folder.root.join("speech")),
        language,
    )
    .await?;
    let password = administrator(folder).await?;
    let anonymous = Rest::new(&format!("http://{}", folder.http))?;
    let daemon = running.insert(Daemon::start(folder, &anonymous).await?);
    let process = daemon.id().unwrap_or_default().to_string();
    let facts = [
        ("process", process),
        ("sip", folder.sip.to_string()),
        ("url", anonymous.base().to_owned()),
        ("folder", folder.root.display().to_string()),
    ];
    say("demo-started", &facts)?;
    let (rest, _) = anonymous.log_in("admin", &password).await?;
    let seeding = Instant::now();
    let company = company::seed(&rest, folder.gateway).await?;
    company::check(&rest).await?;
    logins(folder, &company, &password)?;
    let facts = [
        ("managers", company.managers.len().to_string()),
        ("lines", company.lines.len().to_string()),
        ("organisations", company::ORGANISATIONS.to_string()),
        ("persons", company::PERSONS.to_string()),
        ("time", words.length(millis(seeding))),
    ];
    say("demo-company", &facts)?;
    let zone = TimeZone::get("Europe/Moscow").context("the time zone")?;
    let theatre = Theatre::open(folder, words, &zone, &rest, &company, &speeches).await?;
    scenes::play(&theatre).await?;
    theatre.close().await?;
    daemon.check()?;
    say("demo-done", &[("time", words.length(millis(began)))])?;
    further(words, folder, &company)
}

/// Stops the daemon after an error; one that had ended by itself is the cause.
async fn fallen(daemon: Option<Daemon>, error: anyhow::Error) -> anyhow::Error {
    let Some(mut daemon) = daemon else {
        return error;
    };
    match daemon.check() {
        Ok(()) => {
            // What went wrong before counts more than a daemon that does not stop.
            let _ = daemon.stop().await;
            error
        }
        Err(ended) => error.context(ended),
    }
}

/// Creates the administrator as a person would; the password.
async fn administrator(folder: &Folder) -> Result<String> {
    let arguments = [
        "user",
        "add",
        "admin",
        "--role",
        "administrator",
        "--name",
        "Администратор",
    ];
    let printed = daemon::command(folder, &arguments).await?;
    let password = printed
        .lines()
        .find_map(|line| line.strip_prefix("password: "));
    password
        .map(str::to_owned)
        .context("ringbook user add printed no password")
}

/// Keeps what a person needs to look around.
fn logins(folder: &Folder, company: &Company, password: &str) -> Result<()> {
    let mut text = format!("login admin, password {password}\n");
    for manager in &company.managers {
        let (account, secret) = &manager.device;
        text += &format!(
            "login {}, password {} · {} · SIP account {account}, secret {secret}, server {}\n",
            manager.login, manager.password, manager.name, folder.sip
        );
    }
    folder.write("logins.txt", &text)
}

fn further(words: &Words, folder: &Folder, company: &Company) -> Result<()> {
    let number = company
        .clients
        .first()
        .map(|client| client.number.clone())
        .unwrap_or_default();
    let facts = [
        ("folder", folder.root.display().to_string()),
        ("config", folder.config().display().to_string()),
        ("number", format!("+{number}")),
        ("url", format!("http://{}", folder.http)),
    ];
    for key in [
        "demo-look-files",
        "demo-look-trace",
        "demo-look-again",
        "demo-look-api",
    ] {
        line(&words.say(key, &facts))?;
    }
    Ok(())
}

/// Prints the end of the daemon's log, if it wrote any.
fn last_words(folder: &Folder, words: &Words) -> Result<()> {
    let log = fs::read_to_string(folder.log()).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    if lines.is_empty() {
        return Ok(());
    }
    line(&words.say(
        "demo-last-words",
        &[("log", folder.log().display().to_string())],
    ))?;
    lines[lines.len().saturating_sub(LAST_LINES)..]
        .iter()
        .try_for_each(|text| line(text))
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
