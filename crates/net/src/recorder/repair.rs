//! What a crash left behind: the header's lengths are set to those of the file.

use std::{fs::OpenOptions, io, os::unix::fs::FileExt, path::Path};

use media::{RecordingSummary, wav};

use super::{file, gaps};

/// Mends a recording that was open when the process ended, and says what stands in it.
///
/// To be run at the start for every recording that the journal shows as open, before anybody reads it. It
/// never fails: what cannot be mended (no file, no header, not a recording of ours) is said in
/// `summary.error`, so that every conversation has audio or a reason. A file that is whole stays as it is.
#[must_use]
pub fn repair(folder: &Path, file: &str) -> RecordingSummary {
    match mend(folder, file) {
        Ok((frames, bytes)) => RecordingSummary {
            file: file.to_owned(),
            length_ms: gaps::millis(frames),
            bytes,
            gaps_ms: 0,
            error: None,
        },
        Err(error) => {
            tracing::warn!(file, %error, "a recording cannot be repaired");
            RecordingSummary {
                file: file.to_owned(),
                error: Some(format!("cannot be repaired after a crash: {error}")),
                ..RecordingSummary::default()
            }
        }
    }
}

fn mend(folder: &Path, name: &str) -> io::Result<(u64, u64)> {
    let path = file::place(folder, name)?;
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let mut head = [0; wav::HEADER_BYTES];
    let present = usize::try_from(length).map_or(head.len(), |length| length.min(head.len()));
    file.read_exact_at(&mut head[..present], 0)?;
    let right = wav::repair_lengths(&head[..present], length)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let (_, frames) = wav::read_header(&right)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let bytes = wav::file_bytes(frames);
    if right != head || bytes != length {
        file.write_all_at(&right, 0)?;
        file.set_len(bytes)?;
        file.sync_all()?;
    }
    Ok((frames, bytes))
}

#[cfg(test)]
mod tests {
    use media::Codec;

    use super::*;

    #[test]
    fn stale_lengths_and_half_a_frame_are_mended() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = wav::header(Codec::Pcmu, 10).to_vec();
        bytes.extend_from_slice(&[7; 16_001]);
        std::fs::write(folder.path().join("a.wav"), bytes).unwrap();
        let summary = repair(folder.path(), "a.wav");
        assert_eq!(summary.error, None);
        assert_eq!((summary.length_ms, summary.bytes), (1000, 16_058));
        let mended = std::fs::read(folder.path().join("a.wav")).unwrap();
        assert_eq!(mended[..58], wav::header(Codec::Pcmu, 8000));
        assert_eq!(mended.len(), 16_058);
        assert_eq!(repair(folder.path(), "a.wav"), summary);
    }

    #[test]
    fn what_is_no_recording_is_told_and_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("short.wav"), b"RIFF").unwrap();
        std::fs::write(folder.path().join("other.wav"), [1; 200]).unwrap();
        for name in ["short.wav", "other.wav", "none.wav", "../x.wav"] {
            let summary = repair(folder.path(), name);
            assert!(summary.error.is_some(), "{name}");
            assert_eq!((summary.length_ms, summary.bytes), (0, 0));
        }
        assert_eq!(
            std::fs::read(folder.path().join("other.wav")).unwrap(),
            [1; 200]
        );
    }
}
