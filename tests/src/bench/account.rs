//! What the daemon claims to have done, against what was done to it: a fast exchange that forgets calls is not fast.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use super::scenery::Scenery;

/// How long the last recordings may take to be closed.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many files with this ending lie below a folder.
fn files(folder: &Path, ending: &str) -> usize {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let count = |path: &Path| {
        if path.is_dir() {
            files(path, ending)
        } else {
            usize::from(
                path.extension()
                    .is_some_and(|extension| extension == ending),
            )
        }
    };
    entries.flatten().map(|entry| count(&entry.path())).sum()
}

/// Waits, without a request to the daemon, until so many recordings lie in the folder or patience ends.
pub fn recordings(scenery: &Scenery, expected: usize) -> usize {
    until_there(scenery, "wav", expected)
}

/// The same for their MP3 files.
pub fn mp3_files(scenery: &Scenery, expected: usize) -> usize {
    until_there(scenery, "mp3", expected)
}

fn until_there(scenery: &Scenery, ending: &str, expected: usize) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = files(&scenery.daemon.recordings(), ending);
        if found >= expected || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whatever does not equal `calls`, in words: calls ended and answered, entries of the history, cards; and recordings
/// ready and on disk, of which there are `recorded`.
pub async fn differences(scenery: &Scenery, calls: usize, recorded: usize) -> Vec<String> {
    let files = recordings(scenery, recorded);
    let listed = ready(scenery, recorded).await;
    let interactions = scenery.list("interactions").await.len();
    let ended = listed.iter().filter(|call| call["ended_at"].is_string());
    let talked = listed.iter().filter(|call| call["missed"] == false);
    let ready = listed
        .iter()
        .filter(|call| call["recording"]["ready"] == true);
    let counts = [
        ("calls in the journal", listed.len(), calls),
        ("calls ended", ended.count(), calls),
        ("conversations", talked.count(), calls),
        ("entries in the history", interactions, calls),
        ("recordings ready", ready.count(), recorded),
        ("WAV files", files, recorded),
        ("calls with a card", scenery.cards.all().len(), calls),
    ];
    let wrong = counts.iter().filter(|(_, count, due)| count != due);
    wrong
        .map(|(what, count, due)| format!("{what}: {count} instead of {due}"))
        .collect()
}

async fn ready(scenery: &Scenery, recorded: usize) -> Vec<serde_json::Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed = scenery.list("calls").await;
        let ready = listed
            .iter()
            .filter(|call| call["recording"]["ready"] == true);
        if ready.count() >= recorded || Instant::now() > deadline {
            return listed;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// From INVITE to the card in milliseconds, of every call of `dialled`.
pub async fn card_ms(scenery: &Scenery, dialled: &BTreeMap<String, Instant>) -> Vec<f64> {
    let cards = scenery.cards.all();
    let listed = scenery.list("calls").await;
    let delay = |call: &serde_json::Value| {
        let begun = dialled.get(call["from"].as_str()?)?;
        let came = cards.get(call["id"].as_str()?)?;
        // An earlier call of the same number is not meant.
        came.checked_duration_since(*begun)
    };
    let delays = listed.iter().filter_map(delay);
    delays.map(|delay| delay.as_secs_f64() * 1e3).collect()
}
