//! One recording file: G.711 stereo WAV whose header and data are right together at every moment.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
};

use media::{Codec, wav};

/// Recordings are for the process's user and group only.
const FILE_MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;
/// Silence is written in pieces of half a second of stereo.
const SILENCE_BYTES: usize = 8000;

/// Where a recording lies: below the folder, whatever the name says.
///
/// # Errors
/// Absolute names and names with `..` or `.` are refused.
pub(crate) fn place(folder: &Path, file: &str) -> io::Result<PathBuf> {
    let relative = Path::new(file);
    let ordinary = relative
        .components()
        .all(|component| matches!(component, Component::Normal(_)));
    if file.is_empty() || !ordinary || file.ends_with('/') || file.contains('\0') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{file:?} is not a path below the recordings folder"),
        ));
    }
    Ok(folder.join(relative))
}

/// An open recording.
#[derive(Debug)]
pub(crate) struct RecordingFile {
    file: File,
    law: Codec,
    /// Bytes of audio in the file, without the header.
    data_bytes: u64,
    /// What the header says.
    told_frames: u64,
}

impl RecordingFile {
    /// Makes the file with its header, and the folders above it. An existing file is never touched.
    pub(crate) fn create(folder: &Path, file: &str, law: Codec) -> io::Result<Self> {
        let path = place(folder, file)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(FILE_MODE);
        let opened = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = path.parent() {
                    DirBuilder::new()
                        .recursive(true)
                        .mode(FOLDER_MODE)
                        .create(parent)?;
                }
                options.open(&path)?
            }
            opened => opened?,
        };
        let mut recording = Self {
            file: opened,
            law,
            data_bytes: 0,
            told_frames: u64::MAX,
        };
        recording.tell_length()?;
        Ok(recording)
    }

    /// Writes a part at its place; silence fills the space between the present end and a later part.
    ///
    /// A part that fails in the middle counts up to its last whole frame; a later call goes on from there.
    pub(crate) fn write(&mut self, at_byte: u64, bytes: &[u8]) -> io::Result<()> {
        let written = self
            .fill_silence(at_byte)
            .and_then(|()| self.write_data(at_byte, bytes));
        // Also after a failure: what is in the file shall be audible.
        let told = self.tell_length();
        written.and(told)
    }

    fn fill_silence(&mut self, until_byte: u64) -> io::Result<()> {
        let silence = [self.law.silence(); SILENCE_BYTES];
        while self.data_bytes < until_byte {
            let left = usize::try_from(until_byte - self.data_bytes).unwrap_or(usize::MAX);
            self.write_data(self.data_bytes, &silence[..left.min(SILENCE_BYTES)])?;
        }
        Ok(())
    }

    fn write_data(&mut self, at_byte: u64, mut bytes: &[u8]) -> io::Result<()> {
        let mut at = at_byte;
        while !bytes.is_empty() {
            let result = self.file.write_at(bytes, wav::HEADER_BYTES as u64 + at);
            let count = match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            at += count as u64;
            self.data_bytes = self.data_bytes.max(at - at % u64::from(wav::CHANNELS));
            bytes = bytes.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// The header is rewritten as soon as the length has changed, so that a crash leaves a right one behind.
    fn tell_length(&mut self) -> io::Result<()> {
        let frames = self.frames();
        if frames != self.told_frames {
            self.file.write_all_at(&wav::header(self.law, frames), 0)?;
            self.told_frames = frames;
        }
        Ok(())
    }

    /// Length of the audio in the file, in frames.
    pub(crate) fn frames(&self) -> u64 {
        self.data_bytes / u64::from(wav::CHANNELS)
    }

    /// The file itself, to be synchronised and closed.
    pub(crate) fn into_file(self) -> File {
        self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_of_the_folder_are_refused() {
        let folder = Path::new("/recordings");
        for name in ["", "/etc/passwd", "../x.wav", "a/../../x.wav", "./a", "a/"] {
            assert!(place(folder, name).is_err(), "{name}");
        }
        assert_eq!(
            place(folder, "2026/05/01/7.wav").unwrap(),
            folder.join("2026/05/01/7.wav")
        );
    }

    #[test]
    fn a_part_beyond_the_end_is_preceded_by_silence_and_a_late_one_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = RecordingFile::create(folder.path(), "2026/05/a.wav", Codec::Pcma).unwrap();
        file.write(4, &[1, 2, 3, 4]).unwrap();
        file.write(2, &[9, 9]).unwrap();
        assert_eq!(file.frames(), 4);
        let bytes = std::fs::read(folder.path().join("2026/05/a.wav")).unwrap();
        assert_eq!(bytes[..58], wav::header(Codec::Pcma, 4));
        assert_eq!(bytes[58..], [0xd5, 0xd5, 9, 9, 1, 2, 3, 4]);
    }

    #[test]
    fn an_existing_recording_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.wav"), b"old").unwrap();
        let error = RecordingFile::create(folder.path(), "a.wav", Codec::Pcma).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(folder.path().join("a.wav")).unwrap(), b"old");
    }
}
