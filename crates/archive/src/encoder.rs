//! One recording through `lame`.

use std::{
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use thiserror::Error;
use tokio::{
    fs::{self, File},
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, Command},
};

/// Codes read from the file at a time.
const CHUNK: usize = 32 * 1024;
/// The longest that one file may take: 74 hours of sound, the most that a recording holds, need about an hour.
const PATIENCE: Duration = Duration::from_secs(2 * 3_600);

/// A code of G.711 as a linear sample of 16 bits.
pub type Sample = fn(u8) -> i16;
/// How the codes behind this header of a recording are read; none if it is no header of ours.
pub type LawOf = fn(&[u8]) -> Option<Sample>;

/// How MP3 files are made.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// The program, `lame` or a path.
    pub program: PathBuf,
    /// Bits per second of both channels together, in thousands: 8 to 64, since the sound has 8,000 samples a second.
    pub kbits: u32,
    /// Length of a recording's header in bytes.
    pub header_bytes: usize,
    /// Reads that header.
    pub law_of: LawOf,
}

/// Why there is no MP3.
#[derive(Debug, Error)]
pub enum Trouble {
    /// The program is missing or must not be run.
    #[error(
        "{program} cannot be run: {source}; install the package lame, or switch MP3 off in [recordings] mp3"
    )]
    NoProgram {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The recording cannot be read as one.
    #[error("{0}")]
    BadRecording(String),
    /// The program failed, or its file could not be written.
    #[error("{0}")]
    Failed(String),
}

impl Encoder {
    /// Makes `mp3` from the recording `wav`; the length of the new file in bytes.
    ///
    /// # Errors
    /// See [`Trouble`]. Nothing that bears the name `mp3` is left then.
    pub async fn encode(&self, wav: &Path, mp3: &Path) -> Result<u64, Trouble> {
        let unfinished = mp3.with_extension("mp3.part");
        let made = tokio::time::timeout(PATIENCE, self.write(wav, &unfinished)).await;
        let made = made.unwrap_or_else(|_| Err(Trouble::Failed("it took too long".to_owned())));
        let finished = match made {
            Ok(()) => finish(&unfinished, mp3).await,
            Err(trouble) => Err(trouble),
        };
        if finished.is_err() {
            // It may never have been there.
            let _ = fs::remove_file(&unfinished).await;
        }
        finished
    }

    async fn write(&self, wav: &Path, unfinished: &Path) -> Result<(), Trouble> {
        let unreadable = |error: io::Error| {
            Trouble::BadRecording(format!("{} cannot be read: {error}", wav.display()))
        };
        let mut file = File::open(wav).await.map_err(unreadable)?;
        let mut header = vec![0; self.header_bytes];
        file.read_exact(&mut header).await.map_err(unreadable)?;
        let sample = (self.law_of)(&header).ok_or_else(|| {
            Trouble::BadRecording(format!("{} is no recording of ours", wav.display()))
        })?;
        let mut child = self.start(unfinished)?;
        let input = child.stdin.take();
        let mut errors = child.stderr.take();
        let feed = feed(&mut file, input, sample);
        let listen = async {
            let mut text = String::new();
            if let Some(errors) = &mut errors {
                // What it has to say helps, and is not needed.
                let _ = errors.read_to_string(&mut text).await;
            }
            text
        };
        let (fed, said) = tokio::join!(feed, listen);
        let status = child
            .wait()
            .await
            .map_err(|error| Trouble::Failed(error.to_string()))?;
        match status.code() {
            Some(0) => {}
            // What `nice` says of a program that it cannot run (POSIX).
            Some(126 | 127) => {
                return Err(self.no_program(io::Error::other(complaint(status, &said))));
            }
            _ => return Err(Trouble::Failed(complaint(status, &said))),
        }
        fed.map_err(unreadable)
    }

    fn start(&self, unfinished: &Path) -> Result<Child, Trouble> {
        Command::new("nice")
            .args(["-n", "19"])
            .arg(&self.program)
            .args([
                "--quiet",
                "-r",
                "-s",
                "8",
                "--bitwidth",
                "16",
                "--signed",
                "--little-endian",
            ])
            .args(["-m", "s", "-q", "7", "-b", &self.kbits.to_string(), "-"])
            .arg(unfinished)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| self.no_program(source))
    }

    fn no_program(&self, source: io::Error) -> Trouble {
        Trouble::NoProgram {
            program: self.program.display().to_string(),
            source,
        }
    }
}

/// Gives the program every code as a sample. A program that goes away early is no error here: its status says why.
async fn feed(file: &mut File, input: Option<ChildStdin>, sample: Sample) -> io::Result<()> {
    let Some(mut input) = input else {
        return Ok(());
    };
    let mut codes = vec![0; CHUNK];
    let mut samples = Vec::with_capacity(2 * CHUNK);
    loop {
        let read = file.read(&mut codes).await?;
        if read == 0 {
            return Ok(());
        }
        samples.clear();
        for code in &codes[..read] {
            samples.extend(sample(*code).to_le_bytes());
        }
        if input.write_all(&samples).await.is_err() {
            return Ok(());
        }
    }
}

/// Makes the file durable and gives it its name.
async fn finish(unfinished: &Path, mp3: &Path) -> Result<u64, Trouble> {
    let finish = async {
        let file = File::open(unfinished).await?;
        file.sync_all().await?;
        let bytes = file.metadata().await?.len();
        fs::rename(unfinished, mp3).await?;
        Ok(bytes)
    };
    finish
        .await
        .map_err(|error: io::Error| Trouble::Failed(format!("{}: {error}", mp3.display())))
}

/// The last line that the program said, else its status.
fn complaint(status: ExitStatus, said: &str) -> String {
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    match last {
        Some(line) => line.trim().chars().take(300).collect(),
        None => status.to_string(),
    }
}
