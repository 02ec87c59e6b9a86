//! The real daemon as a child process, and the other commands of the same program.

use std::{
    fs::File,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

use super::folder::Folder;
use crate::watch::rest::Rest;

/// How long the daemon may take until it answers, and until it has stopped.
const START: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// A running daemon; it is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts it and waits until it answers.
    pub(super) async fn start(folder: &Folder, rest: &Rest) -> Result<Self> {
        let log = folder.log();
        let log =
            File::create(&log).with_context(|| format!("{} cannot be written", log.display()))?;
        let child = program()?
            .arg("serve")
            .arg("--config")
            .arg(folder.config())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("the daemon cannot be started")?;
        let mut daemon = Self { child };
        let began = Instant::now();
        while !rest.is_up().await {
            daemon.check()?;
            ensure!(
                began.elapsed() < START,
                "the daemon does not answer at {} after {START:?}",
                rest.base()
            );
            sleep(LOOK_AGAIN).await;
        }
        Ok(daemon)
    }

    /// Whether it still runs.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the daemon has ended by itself ({status})"),
            None => Ok(()),
        }
    }

    /// The process.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Stops it as the system would and waits until it has ended well.
    pub(super) async fn stop(mut self) -> Result<()> {
        let id = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(id) = id {
            kill_process(id, Signal::TERM).context("the daemon cannot be told to stop")?;
        }
        let ended = timeout(STOP, self.child.wait()).await;
        let status = ended
            .ok()
            .with_context(|| format!("the daemon has not stopped within {STOP:?}"))??;
        ensure!(status.success(), "the daemon ended with {status}");
        Ok(())
    }
}

/// Runs another command of this program; what it printed.
pub(super) async fn command(folder: &Folder, arguments: &[&str]) -> Result<String> {
    let name = arguments.first().copied().unwrap_or_default();
    let output = program()?
        .args(arguments)
        .arg("--config")
        .arg(folder.config())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("ringbook {name} cannot be started"))?;
    if !output.status.success() {
        bail!(
            "ringbook {name}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("ringbook {name} printed no text"))
}

fn program() -> Result<Command> {
    let program: PathBuf =
        std::env::current_exe().context("the program does not know its own name")?;
    let mut command = Command::new(program);
    // A log or a configuration meant for another daemon is none of this one's business.
    command.env_remove("RINGBOOK_CONFIG");
    Ok(command)
}
