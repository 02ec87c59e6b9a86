//! The command line.

use std::{
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use crm::Language;
use jiff::tz::TimeZone;
use tokio::runtime::{Builder, Runtime};

use crate::{
    config::{self, Checked, ConfigError},
    demo, recordings, serve, store_open, trace, user, watch,
    words::Words,
};

/// Exit code for a configuration that cannot be used.
const BAD_CONFIGURATION: u8 = 2;

/// Virtual PBX and CRM core in one process.
#[derive(Parser)]
#[command(name = "ringbook", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon until it is told to stop.
    Serve(ConfigFile),
    /// Play an invented company's calls on this machine and show what happens.
    Demo(demo::Options),
    /// Read the configuration and say whether it can be used.
    CheckConfig(ConfigFile),
    /// Bring the database's tables up to date and stop.
    Migrate(ConfigFile),
    /// Look after the people who log in.
    User {
        #[command(subcommand)]
        command: user::Command,
    },
    /// Say in words why the last calls from a number went where they went.
    Trace {
        /// The calling number, in any form.
        number: String,
        /// `ru` or `en`; else the configuration's.
        #[arg(long)]
        language: Option<String>,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Look after the recordings.
    Recordings {
        #[command(subcommand)]
        command: recordings::Command,
    },
    /// Log in, print each card as it comes, and tell the daemon that it was shown.
    Watch(watch::Options),
}

/// Which configuration.
#[derive(clap::Args)]
pub(crate) struct ConfigFile {
    /// The configuration file; without it the defaults count.
    #[arg(long, short, value_name = "FILE", env = "RINGBOOK_CONFIG")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// Reads and checks it.
    pub(crate) fn load(&self) -> Result<Checked, ConfigError> {
        config::load(self.config.as_deref())
    }
}

/// Carries out what the command line says.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match carry_out(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            say_error(&format!("{error:#}"));
            let bad_configuration = error.downcast_ref::<ConfigError>().is_some();
            ExitCode::from(if bad_configuration {
                BAD_CONFIGURATION
            } else {
                1
            })
        }
    }
}

fn carry_out(command: Command) -> Result<ExitCode> {
    match command {
        Command::Serve(file) => {
            let checked = file.load()?;
            log_to_stderr();
            runtime()?.block_on(serve::run(checked))?;
        }
        Command::Demo(options) => return runtime()?.block_on(demo::run(options)),
        Command::CheckConfig(file) => {
            let checked = file.load()?;
            say(&serve::summary(&checked))?;
            for warning in runtime()?.block_on(crate::reach::warnings(&checked)) {
                say_error(&warning);
            }
        }
        Command::Migrate(file) => {
            let checked = file.load()?;
            let version = runtime()?.block_on(store_open::migrate(&checked))?;
            say(&format!("{version}\n"))?;
        }
        Command::User { command } => {
            let text = runtime()?.block_on(user::carry_out(command))?;
            say(&text)?;
        }
        Command::Trace {
            number,
            language,
            file,
        } => {
            let checked = file.load()?;
            let general = &checked.config.general;
            let language = language_of(language.as_deref().unwrap_or(general.language.get_ref()))?;
            let zone = TimeZone::get(general.time_zone.get_ref()).context("the time zone")?;
            let words = Words::new(language)?;
            let report = runtime()?.block_on(async {
                let store = store_open::open(&checked, false).await?;
                trace::report(&store, &words, &zone, &number).await
            })?;
            say(&report)?;
        }
        Command::Recordings { command } => {
            let (text, code) = runtime()?.block_on(recordings::carry_out(command))?;
            say(&text)?;
            return Ok(code);
        }
        Command::Watch(options) => return runtime()?.block_on(watch::run(options)),
    }
    Ok(ExitCode::SUCCESS)
}

/// The language named by its code.
///
/// # Errors
/// It is neither `ru` nor `en`.
pub(crate) fn language_of(code: &str) -> Result<Language> {
    match code {
        "ru" => Ok(Language::Russian),
        "en" => Ok(Language::English),
        other => anyhow::bail!("language \"{other}\" is not known; write ru or en"),
    }
}

/// Prints to standard output; a closed pipe is an error like any other.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("standard output")
}

fn say_error(text: &str) {
    // Nothing is left to do when even that cannot be written.
    let _ = writeln!(std::io::stderr(), "ringbook: {text}");
}

/// Half of the cores: the switch, the media threads and the writer have threads of their own, and
/// workers that take tasks from each other cost more than the tasks.
fn runtime() -> Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Builder::new_multi_thread()
        .worker_threads(cores.div_ceil(2))
        .enable_all()
        .build()
        .context("the runtime cannot start")
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("RINGBOOK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,sqlx=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
