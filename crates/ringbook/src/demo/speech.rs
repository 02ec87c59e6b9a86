//! What the virtual callers and managers say: spoken by espeak-ng.

use std::{fs, path::Path, process::Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use crm::Language;
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::voice::{Speech, read_speech};

/// Says every sentence into a file of its own; files that are there are kept.
const SCRIPT: &str = include_str!("../../../../tests/scripts/speech.sh");

const REMEDY: &str = "install espeak-ng and sox: apt-get install espeak-ng sox";

/// The spoken words of one language.
#[derive(Debug)]
pub(super) struct Speeches {
    /// A client of the company.
    pub(super) caller: Speech,
    /// The manager whose client it is.
    pub(super) agent: Speech,
    /// Somebody who saw an advertisement.
    pub(super) stranger: Speech,
    /// A manager who steps in.
    pub(super) colleague: Speech,
    /// A manager who speaks with somebody new.
    pub(super) sales: Speech,
}

impl Speeches {
    /// Reads the words from `folder`; those that are missing are spoken first.
    pub(super) async fn prepare(folder: &Path, language: Language) -> Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        speak(folder).await?;
        let read =
            |name: &str| read_speech(&folder.join(format!("{name}-{}.wav", language.code())));
        Ok(Self {
            caller: read("caller")?,
            agent: read("agent")?,
            stranger: read("stranger")?,
            colleague: read("colleague")?,
            sales: read("sales")?,
        })
    }
}

async fn speak(folder: &Path) -> Result<()> {
    let mut bash = Command::new("bash");
    bash.args(["-s", "--"]).arg(folder).kill_on_drop(true);
    bash.stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = bash.spawn().context("bash cannot be started")?;
    let mut stdin = child.stdin.take().context("bash takes no script")?;
    // A shell that stops early closes its input; what went wrong stands in its output.
    let _ = stdin.write_all(SCRIPT.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await.context("bash")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("not found") {
        bail!("the words cannot be spoken: {}; {REMEDY}", said.trim());
    }
    ensure!(
        output.status.success(),
        "the words cannot be spoken ({}): {}",
        output.status,
        said.trim()
    );
    Ok(())
}
