//! The header of a recording: stereo G.711 in a WAV file, right at every moment of its life.
//!
//! Multimedia Programming Interface 1.0 and its revision 3: for other formats than PCM the `fmt` chunk has 18 bytes
//! and a `fact` chunk tells the number of frames. The data begin at byte 58.

use thiserror::Error;

use crate::plane::Codec;

/// Length of the header.
pub const HEADER_BYTES: usize = 58;
/// Channels: left the client, right the agent.
pub const CHANNELS: u16 = 2;
/// Frames per second.
pub const SAMPLE_RATE_HZ: u32 = 8000;
/// Most frames of a file: what 32 bits of length hold, 74 hours.
pub const MAX_FRAMES: u64 = (u32::MAX as u64 - HEADER_BYTES as u64) / FRAME_BYTES;

const FRAME_BYTES: u64 = CHANNELS as u64;

/// Why a file cannot be repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WavError {
    /// The file is shorter than a header.
    #[error("the file has {0} bytes, a header has {HEADER_BYTES}")]
    TooShort(u64),
    /// The bytes are not a header that [`header`] writes.
    #[error("the file does not begin with the header of a stereo G.711 recording")]
    NotOurs,
}

/// The header of a file with `frames` frames; more than [`MAX_FRAMES`] are told as that many.
#[must_use]
pub fn header(law: Codec, frames: u64) -> [u8; HEADER_BYTES] {
    let frames = frames.min(MAX_FRAMES);
    let data_bytes = frames * FRAME_BYTES;
    let mut bytes = [0; HEADER_BYTES];
    let mut at = 0;
    let mut put = |field: &[u8]| {
        bytes[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    };
    put(b"RIFF");
    put(&(data_bytes as u32 + HEADER_BYTES as u32 - 8).to_le_bytes());
    put(b"WAVEfmt ");
    put(&18_u32.to_le_bytes());
    put(&format_tag(law).to_le_bytes());
    put(&CHANNELS.to_le_bytes());
    put(&SAMPLE_RATE_HZ.to_le_bytes());
    put(&(SAMPLE_RATE_HZ * u32::from(CHANNELS)).to_le_bytes());
    put(&CHANNELS.to_le_bytes());
    put(&8_u16.to_le_bytes());
    put(&0_u16.to_le_bytes());
    put(b"fact");
    put(&4_u32.to_le_bytes());
    put(&(frames as u32).to_le_bytes());
    put(b"data");
    put(&(data_bytes as u32).to_le_bytes());
    bytes
}

/// The law and the number of frames that a header tells.
///
/// # Errors
/// The bytes are no header of ours.
pub fn read_header(bytes: &[u8]) -> Result<(Codec, u64), WavError> {
    let head = bytes
        .get(..HEADER_BYTES)
        .ok_or(WavError::TooShort(bytes.len() as u64))?;
    let law = [Codec::Pcma, Codec::Pcmu]
        .into_iter()
        .find(|law| head[20..22] == format_tag(*law).to_le_bytes());
    let law = law.ok_or(WavError::NotOurs)?;
    let length = u32::from_le_bytes([head[54], head[55], head[56], head[57]]);
    let frames = u64::from(length) / FRAME_BYTES;
    // The lengths may be those of another moment; all the rest must be ours.
    let same =
        |a: &[u8], b: &[u8]| a[..4] == b[..4] && a[8..46] == b[8..46] && a[50..54] == b[50..54];
    if same(head, &header(law, frames)) {
        Ok((law, frames))
    } else {
        Err(WavError::NotOurs)
    }
}

/// The right header for a file that a crash left behind, from the header that it has and its length in bytes.
/// An odd last byte is half a frame and is not counted.
///
/// # Errors
/// The file has no header of ours: its law is then unknown.
pub fn repair_lengths(present: &[u8], file_bytes: u64) -> Result<[u8; HEADER_BYTES], WavError> {
    let data_bytes = file_bytes
        .checked_sub(HEADER_BYTES as u64)
        .ok_or(WavError::TooShort(file_bytes))?;
    let (law, _) = read_header(present)?;
    Ok(header(law, data_bytes / FRAME_BYTES))
}

/// Length of a whole file with `frames` frames, in bytes.
#[must_use]
pub const fn file_bytes(frames: u64) -> u64 {
    HEADER_BYTES as u64 + frames * FRAME_BYTES
}

/// `WAVE_FORMAT_ALAW` or `WAVE_FORMAT_MULAW` (RFC 2361 appendix A).
const fn format_tag(law: Codec) -> u16 {
    match law {
        Codec::Pcma => 6,
        Codec::Pcmu => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g711;
    use proptest::prelude::*;

    #[test]
    fn every_field_stands_where_the_format_wants_it() {
        let bytes = header(Codec::Pcma, 8000);
        assert_eq!(&bytes[..4], b"RIFF");
        assert_eq!(bytes[4..8], (16000_u32 + 50).to_le_bytes());
        assert_eq!(&bytes[8..16], b"WAVEfmt ");
        assert_eq!(
            bytes[16..38],
            [
                18, 0, 0, 0, 6, 0, 2, 0, 0x40, 0x1f, 0, 0, 0x80, 0x3e, 0, 0, 2, 0, 8, 0, 0, 0
            ]
        );
        assert_eq!(&bytes[38..46], b"fact\x04\0\0\0");
        assert_eq!(bytes[46..50], 8000_u32.to_le_bytes());
        assert_eq!(&bytes[50..54], b"data");
        assert_eq!(bytes[54..58], 16000_u32.to_le_bytes());
        assert_eq!(header(Codec::Pcmu, 0)[20], 7);
        assert_eq!(file_bytes(8000), 16058);
    }

    #[test]
    fn a_decoded_export_is_read_by_hound_with_both_channels() {
        let signal: Vec<u8> = (0..1600_u32)
            .flat_map(|i| [(i % 256) as u8, 0xd5])
            .collect();
        let file = [&header(Codec::Pcma, 1600)[..], &signal].concat();
        let (law, frames) = read_header(&file).unwrap();
        let spec = hound::WavSpec {
            channels: CHANNELS,
            sample_rate: SAMPLE_RATE_HZ,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut export = std::io::Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut export, spec).unwrap();
        for &code in &file[HEADER_BYTES..] {
            writer.write_sample(g711::decode(law, code)).unwrap();
        }
        writer.finalize().unwrap();
        export.set_position(0);
        let mut reader = hound::WavReader::new(export).unwrap();
        assert_eq!(
            (u64::from(reader.duration()), reader.spec()),
            (frames, spec)
        );
        let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        assert_eq!(samples[0x2a * 2], -32256);
        assert!(samples.iter().skip(1).step_by(2).all(|&sample| sample == 8));
    }

    #[test]
    fn a_file_that_a_crash_left_gets_the_lengths_it_has() {
        let stale = header(Codec::Pcmu, 4000);
        assert_eq!(
            repair_lengths(&stale, file_bytes(9000)),
            Ok(header(Codec::Pcmu, 9000))
        );
        assert_eq!(
            repair_lengths(&stale, file_bytes(9000) + 1),
            Ok(header(Codec::Pcmu, 9000))
        );
        assert_eq!(
            repair_lengths(&stale, file_bytes(0)),
            Ok(header(Codec::Pcmu, 0))
        );
        assert_eq!(repair_lengths(&stale, 57), Err(WavError::TooShort(57)));
    }

    #[test]
    fn what_is_not_ours_is_not_touched() {
        assert_eq!(read_header(&[0; HEADER_BYTES]), Err(WavError::NotOurs));
        assert_eq!(read_header(&[0; 10]), Err(WavError::TooShort(10)));
        let mut mono = header(Codec::Pcma, 1);
        mono[22] = 1;
        assert_eq!(repair_lengths(&mono, 100), Err(WavError::NotOurs));
    }

    #[test]
    fn a_length_beyond_32_bits_is_told_as_the_most_there_is() {
        let bytes = header(Codec::Pcma, u64::MAX);
        assert_eq!(read_header(&bytes), Ok((Codec::Pcma, MAX_FRAMES)));
        let data_bytes = (MAX_FRAMES * 2) as u32;
        assert_eq!(bytes[4..8], (data_bytes + 50).to_le_bytes());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_repair_panic(bytes in proptest::collection::vec(any::<u8>(), 0..70), length in any::<u64>()) {
            prop_assert!(repair_lengths(&bytes, length).is_err());
        }

        #[test]
        fn a_header_tells_what_it_was_made_for(frames in 0..MAX_FRAMES) {
            prop_assert_eq!(read_header(&header(Codec::Pcma, frames)), Ok((Codec::Pcma, frames)));
        }
    }
}
