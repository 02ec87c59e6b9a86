//! MP3 after hang-up: the archive with the recorder's format.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};

use archive::{Archivist, Encoder, Sample};
use crm::Recordings;
use media::{Codec, g711, wav};
use tokio::task::JoinHandle;

use crate::config;

/// The archivist at work, until it is aborted.
pub(super) struct Archiving {
    pub(super) task: Option<JoinHandle<()>>,
    pub(super) made: Arc<AtomicU64>,
}

/// Starts it, if the configuration wants MP3.
pub(super) fn start(
    recordings: Arc<dyn Recordings>,
    config: &config::Recordings,
    folder: PathBuf,
) -> Archiving {
    let encoder = Encoder {
        program: PathBuf::from("lame"),
        kbits: *config.mp3_kbits.get_ref(),
        header_bytes: wav::HEADER_BYTES,
        law_of,
    };
    let archivist = Archivist::new(recordings, archive::Settings::new(folder, encoder));
    let made = archivist.made();
    let task = config.mp3.then(|| tokio::spawn(archivist.run()));
    Archiving { task, made }
}

fn law_of(header: &[u8]) -> Option<Sample> {
    match wav::read_header(header).ok()?.0 {
        Codec::Pcma => Some(|code| g711::decode(Codec::Pcma, code)),
        Codec::Pcmu => Some(|code| g711::decode(Codec::Pcmu, code)),
    }
}
