//! One recording through `lame`.

use std::{
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use thiserror::Error;
use tokio::{
    fs::{self, File, OpenOptions},
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStderr, ChildStdin, Command},
};

/// Codes read from the file at a time.
const CHUNK: usize = 32 * 1024;
/// Most bytes of its complaints that are read.
const MOST_SAID: u64 = 16 * 1024;
/// How long the program may take besides the length of the sound.
const PATIENCE: Duration = Duration::from_secs(60);

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
    /// Nothing can be written beside the recording: the disk is full, or the right is missing.
    #[error("the MP3 cannot be written: {0}; make room, or give the process the right")]
    NoRoom(io::Error),
    /// The recording cannot be read at the moment.
    #[error("the recording cannot be read: {0}")]
    Unreadable(io::Error),
    /// The file is no recording of ours.
    #[error("the file is no recording of ours")]
    BadRecording,
    /// The program failed.
    #[error("{0}")]
    Failed(String),
}

impl Encoder {
    /// Makes `mp3` from the recording `wav`, which lasts `length`; the size of the new file in bytes.
    ///
    /// # Errors
    /// See [`Trouble`]. Nothing that bears the name `mp3` is left then.
    pub async fn encode(&self, wav: &Path, mp3: &Path, length: Duration) -> Result<u64, Trouble> {
        let unfinished = mp3.with_extension("mp3.part");
        let made = tokio::time::timeout(PATIENCE + length, self.write(wav, &unfinished)).await;
        let made = made.unwrap_or_else(|_| Err(Trouble::Failed("it took too long".to_owned())));
        let finished = match made {
            Ok(bytes) => finish(&unfinished, mp3)
                .await
                .map(|()| bytes)
                .map_err(Trouble::NoRoom),
            Err(trouble) => Err(trouble),
        };
        if finished.is_err() {
            // It may never have been there.
            let _ = fs::remove_file(&unfinished).await;
        }
        finished
    }

    async fn write(&self, wav: &Path, unfinished: &Path) -> Result<u64, Trouble> {
        let mut wav = File::open(wav).await.map_err(Trouble::Unreadable)?;
        let mut header = vec![0; self.header_bytes];
        match wav.read_exact(&mut header).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Trouble::BadRecording);
            }
            Err(error) => return Err(Trouble::Unreadable(error)),
        }
        let sample = (self.law_of)(&header).ok_or(Trouble::BadRecording)?;
        let mut mp3 = create(unfinished).await.map_err(Trouble::NoRoom)?;
        let mut child = self.start()?;
        let (input, output, errors) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            feed(&mut wav, input, sample)
                .await
                .map_err(Trouble::Unreadable)
        };
        let keep = async {
            let Some(mut output) = output else {
                return Ok(0);
            };
            let bytes = tokio::io::copy(&mut output, &mut mp3).await;
            bytes.map_err(Trouble::NoRoom)
        };
        let listen = async { Ok(listen(errors).await) };
        // Whichever fails first ends the program: it is killed when its handle is dropped.
        let ((), bytes, said) = tokio::try_join!(feed, keep, listen)?;
        let failed = |error: io::Error| Trouble::Failed(error.to_string());
        let status = child.wait().await.map_err(failed)?;
        match status.code() {
            Some(0) if bytes > 0 => {}
            // What `nice` says of a program that it cannot run (POSIX).
            Some(126 | 127) => {
                return Err(self.no_program(io::Error::other(complaint(status, &said))));
            }
            _ => return Err(Trouble::Failed(complaint(status, &said))),
        }
        mp3.sync_all().await.map_err(Trouble::NoRoom)?;
        Ok(bytes)
    }

    /// The file is written by us: `lame` does not notice when its own writes fail. Without the tag (`-t`) that it would
    /// have to go back for.
    fn start(&self) -> Result<Child, Trouble> {
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
            .args([
                "-t",
                "-m",
                "s",
                "-q",
                "7",
                "-b",
                &self.kbits.to_string(),
                "-",
                "-",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
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

/// A new file with the rights of a recording; one that an earlier life left is gone.
async fn create(file: &Path) -> io::Result<File> {
    match fs::remove_file(file).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o640);
    options.open(file).await
}

/// Gives the program every code as a sample. A program that goes away early is no error here: its status says why.
async fn feed(wav: &mut File, input: Option<ChildStdin>, sample: Sample) -> io::Result<()> {
    let Some(mut input) = input else {
        return Ok(());
    };
    let mut codes = vec![0; CHUNK];
    let mut samples = Vec::with_capacity(2 * CHUNK);
    loop {
        let read = wav.read(&mut codes).await?;
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

async fn listen(errors: Option<ChildStderr>) -> String {
    let mut said = Vec::new();
    if let Some(errors) = errors {
        // What it has to say helps, and is not needed.
        let _ = errors.take(MOST_SAID).read_to_end(&mut said).await;
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// Gives the file its name, durably.
async fn finish(unfinished: &Path, mp3: &Path) -> io::Result<()> {
    fs::rename(unfinished, mp3).await?;
    match mp3.parent() {
        Some(folder) => File::open(folder).await?.sync_all().await,
        None => Ok(()),
    }
}

/// The last line that the program said of its failure, else its status. A signal leaves nothing said.
fn complaint(status: ExitStatus, said: &str) -> String {
    // Debian's lame always says this much.
    let chatter = |line: &&str| line.contains("libsndfile") || line.trim().is_empty();
    let last = said.lines().rev().find(|line| !chatter(line));
    match last.filter(|_| status.code().is_some()) {
        Some(line) => line.trim().chars().take(300).collect(),
        None => status.to_string(),
    }
}
