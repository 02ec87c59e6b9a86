//! `ringbook recordings verify`: has every conversation sound or a stated reason, and every file its call?

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Result;
use archive::{Problem, Verification};
use clap::Subcommand;

use crate::{
    cli::{self, ConfigFile},
    store_open,
    words::Words,
};

/// What can be done with recordings.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Compare the files with the journal; the exit code is 1 if anything is wrong.
    Verify {
        /// `ru` or `en`; else the configuration's.
        #[arg(long)]
        language: Option<String>,
        #[command(flatten)]
        file: ConfigFile,
    },
}

/// Carries it out; what is to be printed, and the exit code.
///
/// # Errors
/// Configuration or database cannot be used.
pub(crate) async fn carry_out(command: Command) -> Result<(String, ExitCode)> {
    let Command::Verify { language, file } = command;
    let checked = file.load()?;
    let configured = checked.config.general.language.get_ref();
    let words = Words::new(cli::language_of(language.as_deref().unwrap_or(configured))?)?;
    let store = store_open::open(&checked, false).await?;
    let folder = &checked.config.recordings.folder;
    let verification = archive::verify(&store, folder).await?;
    store.close().await;
    let code = match verification.problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    };
    Ok((report(&words, &verification), code))
}

fn report(words: &Words, verification: &Verification) -> String {
    let mut text = String::new();
    for problem in &verification.problems {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", sentence(words, problem));
    }
    let Verification {
        whole,
        with_mp3,
        waiting,
        without_mp3,
        explained,
        not_ordered,
        removed,
        problems,
    } = verification;
    let facts = [
        ("whole", whole.to_string()),
        ("mp3", with_mp3.to_string()),
        ("waiting", waiting.to_string()),
        ("failed", without_mp3.to_string()),
        ("explained", explained.to_string()),
        ("unordered", not_ordered.to_string()),
        ("removed", removed.to_string()),
        ("problems", problems.len().to_string()),
    ];
    text + &words.say("verified", &facts) + "\n"
}

fn sentence(words: &Words, problem: &Problem) -> String {
    match problem {
        Problem::Missing(file) => words.say("verify-missing", &[("file", file.clone())]),
        Problem::Silent(file) => words.say("verify-silent", &[("file", file.clone())]),
        Problem::NotRemoved(file) => words.say("verify-not-removed", &[("file", file.clone())]),
        Problem::Stray(file) => words.say("verify-stray", &[("file", file.clone())]),
        Problem::OtherLength {
            file,
            expected,
            found,
        } => {
            let facts = [
                ("file", file.clone()),
                ("expected", expected.to_string()),
                ("found", found.to_string()),
            ];
            words.say("verify-length", &facts)
        }
        Problem::Unreadable { file, reason } => {
            let facts = [("file", file.clone()), ("reason", reason.clone())];
            words.say("verify-unreadable", &facts)
        }
    }
}
