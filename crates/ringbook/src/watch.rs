//! `ringbook watch`: each card as it comes, on the terminal (S1–S3).

pub(crate) mod frame;
pub(crate) mod lines;
pub(crate) mod rest;
pub(crate) mod socket;

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use crm::Language;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;

use self::{
    frame::{Fact, Frame},
    lines::Lines,
    rest::Rest,
    socket::{OpenError, Socket},
};
use crate::{
    cli::{language_of, say},
    words::Words,
};

/// Between two attempts to reach the daemon again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What to watch.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Address of the daemon.
    #[arg(long, default_value = "http://127.0.0.1:8080", env = "RINGBOOK_URL")]
    url: String,
    /// Who logs in. The password comes from RINGBOOK_PASSWORD, from --password-stdin, or is asked for.
    #[arg(long)]
    login: String,
    /// Read the password from standard input.
    #[arg(long)]
    password_stdin: bool,
    /// `ru` or `en`; else as LANG says.
    #[arg(long)]
    language: Option<String>,
}

/// Prints frames until it is interrupted or the session ends.
///
/// # Errors
/// The log-in is refused, the session ends, or standard output is closed.
pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let words = Words::new(language(options.language.as_deref())?)?;
    let password = password(&options, &words)?;
    let (rest, me) = Rest::new(&options.url)?
        .log_in(&options.login, &password)
        .await?;
    let names = names(&rest).await?;
    line(&words.say(
        "screen-watching",
        &[("name", me.name), ("url", options.url)],
    ))?;
    let watching = Watching {
        me: me.id,
        rest,
        words,
        names,
        zone: TimeZone::system(),
        after: None,
    };
    tokio::select! {
        ended = watching.run() => ended.map(|()| ExitCode::SUCCESS),
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| ExitCode::SUCCESS).context("signals"),
    }
}

/// The language asked for, else that of the terminal; Russian where the terminal says neither.
pub(crate) fn language(asked: Option<&str>) -> Result<Language> {
    if let Some(code) = asked {
        return language_of(code);
    }
    let says = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = says("LC_ALL")
        .or_else(|| says("LC_MESSAGES"))
        .or_else(|| says("LANG"));
    Ok(match locale {
        Some(locale) if locale.starts_with("en") => Language::English,
        _ => Language::Russian,
    })
}

/// Prints one line.
pub(crate) fn line(text: &str) -> Result<()> {
    say(&format!("{text}\n"))
}

/// The names of all users by id, as far as the session may see them.
pub(crate) async fn names(rest: &Rest) -> Result<BTreeMap<String, String>> {
    #[derive(Deserialize)]
    struct Agents {
        items: Vec<Agent>,
    }
    #[derive(Deserialize)]
    struct Agent {
        user: String,
        name: String,
    }
    let agents: Agents = rest.get("agents?limit=200").await?;
    Ok(agents
        .items
        .into_iter()
        .map(|agent| (agent.user, agent.name))
        .collect())
}

fn password(options: &Options, words: &Words) -> Result<String> {
    let given = std::env::var("RINGBOOK_PASSWORD")
        .ok()
        .filter(|given| !given.is_empty());
    if let Some(given) = given.filter(|_| !options.password_stdin) {
        return Ok(given);
    }
    if !options.password_stdin && io::stdin().is_terminal() {
        let mut terminal = io::stderr();
        write!(
            terminal,
            "{}",
            words.say("screen-password", &[("login", options.login.clone())])
        )?;
        terminal.flush()?;
    }
    let mut typed = String::new();
    io::stdin()
        .lock()
        .read_line(&mut typed)
        .context("the password cannot be read")?;
    let typed = typed.trim_end_matches(['\r', '\n']);
    if typed.is_empty() {
        bail!("no password: set RINGBOOK_PASSWORD, or pass it with --password-stdin");
    }
    Ok(typed.to_owned())
}

struct Watching {
    me: String,
    rest: Rest,
    words: Words,
    names: BTreeMap<String, String>,
    zone: TimeZone,
    after: Option<String>,
}

impl Watching {
    async fn run(mut self) -> Result<()> {
        let mut pause = FIRST_PAUSE;
        loop {
            match Socket::open(&self.rest, self.after.as_deref()).await {
                Ok(socket) => {
                    pause = FIRST_PAUSE;
                    let why = self.follow(socket).await?;
                    line(
                        &self
                            .words
                            .say("screen-connection-lost", &[("why", format!("{why:#}"))]),
                    )?;
                }
                // 401: the session is over; every other attempt would end like this one.
                Err(OpenError::Refused(401)) => bail!("the session is over; log in again"),
                Err(error @ (OpenError::Address(_) | OpenError::Refused(400..500))) => {
                    return Err(error.into());
                }
                Err(error) => line(
                    &self
                        .words
                        .say("screen-connection-lost", &[("why", error.to_string())]),
                )?,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Prints frames until the connection ends; why it did.
    async fn follow(&mut self, mut socket: Socket) -> Result<anyhow::Error> {
        let key = if self.after.is_some() {
            "screen-resumed-after"
        } else {
            "screen-connected"
        };
        line(
            &self
                .words
                .say(key, &[("cursor", self.after.clone().unwrap_or_default())]),
        )?;
        loop {
            let value = match socket.next().await {
                Ok(value) => value,
                Err(why) => return Ok(why),
            };
            if let Err(why) = self.show(&mut socket, value).await? {
                return Ok(why);
            }
        }
    }

    async fn show(&mut self, socket: &mut Socket, value: Value) -> Result<Result<()>> {
        let frame: Frame = match serde_json::from_value(value) {
            Ok(frame) => frame,
            Err(error) => {
                line(
                    &self
                        .words
                        .say("screen-unreadable", &[("why", error.to_string())]),
                )?;
                return Ok(Ok(()));
            }
        };
        let name = |id: &str| self.names.get(id).cloned().unwrap_or_else(|| id.to_owned());
        let lines = Lines {
            words: &self.words,
            zone: &self.zone,
            name: &name,
        };
        for text in lines.of(&frame.fact) {
            line(&text)?;
        }
        let shown = match (&frame.fact, &frame.call) {
            // Cards of colleagues are seen too where the rights allow it; they are theirs to confirm.
            (Fact::Offered(offered), Some(call)) if offered.agent == self.me => {
                socket.say_shown(call, offered.attempt).await
            }
            _ => Ok(()),
        };
        if frame.cursor.is_some() {
            self.after = frame.cursor;
        }
        Ok(shown)
    }
}
