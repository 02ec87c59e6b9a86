//! Whether every conversation has sound or a stated reason, and every file its call.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crm::{Recording, Recordings};
use model::RecordingId;

/// Recordings read at a time.
const PAGE: u32 = 500;

/// Facts of a call may be in the journal so much later than its file is in the folder.
const LATE: Duration = Duration::from_secs(60);

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Recordings whose file is as the journal says.
    pub whole: u64,
    /// Recordings whose MP3 is as the journal says.
    pub with_mp3: u64,
    /// Recordings whose MP3 is still to be made.
    pub waiting: u64,
    /// Recordings whose MP3 cannot be made; the reason is stored.
    pub without_mp3: u64,
    /// Recordings without sound, or with gaps, whose reason or places are stored.
    pub explained: u64,
    /// Conversations whose line is not recorded.
    pub not_ordered: u64,
    /// Files that were removed because of their age.
    pub removed: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// What is wrong with one file, named relative to the recordings folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// The journal knows it, the folder does not.
    Missing(String),
    /// It has another length than the journal says, in bytes.
    OtherLength {
        /// The file.
        file: String,
        /// As the journal says.
        expected: u64,
        /// As it is.
        found: u64,
    },
    /// It cannot be looked at.
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// No call of the journal has it, and it is older than a minute: facts of calls may be late, not that late.
    Stray(String),
    /// It was to be removed because of its age, and is still there.
    NotRemoved(String),
    /// It has no sound, and no reason for that is stored.
    Silent(String),
}

/// Compares the journal with the folder, file by file. What is being recorded or converted meanwhile is left out.
///
/// # Errors
/// The database does not answer.
pub async fn verify(recordings: &dyn Recordings, folder: &Path) -> crm::Result<Verification> {
    // The folder first: what is recorded from now on is not among these.
    let (files, unreadable) = files_below(folder);
    let mut verification = Verification {
        not_ordered: recordings.conversations_without().await?,
        problems: unreadable,
        ..Verification::default()
    };
    let mut known = HashSet::new();
    let mut after = RecordingId(0);
    loop {
        let page = recordings.after(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for recording in page {
            let wav = PathBuf::from(&recording.file);
            if recording.mp3_error.is_none() {
                known.insert(wav.with_extension("mp3"));
            }
            known.insert(wav);
            if recording.ready {
                verification.judge(folder, &recording);
            }
        }
    }
    let strays = files.into_iter().filter(|file| !known.contains(file));
    let strays = strays.map(|file| Problem::Stray(file.display().to_string()));
    verification.problems.extend(strays);
    verification.problems.sort();
    Ok(verification)
}

impl Verification {
    fn judge(&mut self, folder: &Path, recording: &Recording) {
        self.explained += u64::from(recording.error.is_some() || recording.gaps_ms > 0);
        match (recording.length_ms, &recording.error) {
            (0, Some(_)) => return,
            (0, None) => self.problems.push(Problem::Silent(recording.file.clone())),
            _ => {}
        }
        match (recording.mp3_bytes, &recording.mp3_error) {
            (None, None) => self.waiting += 1,
            (None, Some(_)) => self.without_mp3 += 1,
            _ => {}
        }
        let mp3 = Path::new(&recording.file).with_extension("mp3");
        let mp3 = mp3.display().to_string();
        match recording.wav_removed_at {
            Some(_) => self.judge_removed(folder, recording.file.clone()),
            None => self.whole += self.judge_kept(folder, recording.file.clone(), recording.bytes),
        }
        match (recording.mp3_removed_at, recording.mp3_bytes) {
            (Some(_), _) => self.judge_removed(folder, mp3),
            (None, Some(bytes)) => self.with_mp3 += self.judge_kept(folder, mp3, bytes),
            (None, None) => {}
        }
    }

    /// One if the file is as the journal says.
    fn judge_kept(&mut self, folder: &Path, file: String, bytes: u64) -> u64 {
        let problem = check(folder, file, bytes);
        let whole = u64::from(problem.is_none());
        self.problems.extend(problem);
        whole
    }

    fn judge_removed(&mut self, folder: &Path, file: String) {
        self.removed += 1;
        if fs::symlink_metadata(folder.join(&file)).is_ok() {
            self.problems.push(Problem::NotRemoved(file));
        }
    }
}

fn check(folder: &Path, file: String, expected: u64) -> Option<Problem> {
    match fs::metadata(folder.join(&file)) {
        Ok(metadata) if metadata.len() == expected => None,
        Ok(metadata) => Some(Problem::OtherLength {
            file,
            expected,
            found: metadata.len(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Problem::Missing(file)),
        Err(error) => Some(Problem::Unreadable {
            file,
            reason: error.to_string(),
        }),
    }
}

/// Every file below the folder that is older than a minute, relative to it; and the folders that cannot be read.
fn files_below(folder: &Path) -> (Vec<PathBuf>, Vec<Problem>) {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        let entries = fs::read_dir(&next).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        match entries {
            Ok(entries) => {
                for entry in entries.into_iter().filter(is_ours) {
                    let path = entry.path();
                    if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                        open.push(path);
                    } else if let (Ok(name), true) = (path.strip_prefix(folder), is_old(&entry)) {
                        files.push(name.to_owned());
                    }
                }
            }
            Err(error) => problems.push(Problem::Unreadable {
                file: next.display().to_string(),
                reason: error.to_string(),
            }),
        }
    }
    (files, problems)
}

/// The file system's own folder, where the recordings are a disk of their own, is not.
fn is_ours(entry: &fs::DirEntry) -> bool {
    entry.file_name() != "lost+found"
}

fn is_old(entry: &fs::DirEntry) -> bool {
    let age = entry.metadata().and_then(|metadata| metadata.modified());
    age.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LATE))
}
