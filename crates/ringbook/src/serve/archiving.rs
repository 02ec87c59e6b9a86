//! What becomes of recordings after hang-up: the archive with the recorder's format.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};

use archive::{Archivist, Encoder, FreeSpace, Removals, Retention, Sample, Terms};
use crm::Recordings;
use media::{Codec, g711, wav};
use tokio::task::JoinHandle;

use crate::config;

/// Those who look after the recordings, until they are aborted.
pub(super) struct Archiving {
    pub(super) tasks: Vec<JoinHandle<()>>,
    pub(super) figures: Figures,
}

/// What they count.
#[derive(Clone)]
pub(super) struct Figures {
    pub(super) mp3_made: Arc<AtomicU64>,
    pub(super) removals: Removals,
    pub(super) free_bytes: Arc<AtomicU64>,
}

/// Starts them; MP3 files are made only if the configuration wants them.
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
    let settings = archive::Settings::new(folder.clone(), encoder);
    let archivist = Archivist::new(Arc::clone(&recordings), settings);
    let terms = Terms::new(folder.clone(), config.keep_wav(), config.keep_mp3());
    let retention = Retention::new(recordings, terms);
    let space = FreeSpace::new(folder, *config.alarm_free_mb.get_ref() << 20);
    let figures = Figures {
        mp3_made: archivist.made(),
        removals: retention.removals(),
        free_bytes: space.free_bytes(),
    };
    let mut tasks = vec![tokio::spawn(retention.run()), tokio::spawn(space.run())];
    if config.mp3 {
        tasks.push(tokio::spawn(archivist.run()));
    }
    Archiving { tasks, figures }
}

fn law_of(header: &[u8]) -> Option<Sample> {
    match wav::read_header(header).ok()?.0 {
        Codec::Pcma => Some(|code| g711::decode(Codec::Pcma, code)),
        Codec::Pcmu => Some(|code| g711::decode(Codec::Pcmu, code)),
    }
}
