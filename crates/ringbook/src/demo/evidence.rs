//! What the API and the files say of a call afterwards: nothing here comes from what a scene expects.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use media::{g711, wav};
use serde::Deserialize;

use super::voice::sounding;
use crate::watch::rest::Rest;

/// A call as the API tells it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Call {
    pub(super) direction: String,
    pub(super) agent: Option<String>,
    pub(super) cause: Option<String>,
    pub(super) talk_ms: u64,
    pub(super) wait_ms: u64,
    pub(super) missed: bool,
    pub(super) recording: Option<Recording>,
}

/// A recording as the API tells it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Recording {
    pub(super) file: String,
    pub(super) ready: bool,
    pub(super) length_ms: u64,
    pub(super) bytes: u64,
    pub(super) gaps_ms: u64,
    pub(super) error: Option<String>,
}

/// Why the call went where it went, as the API tells it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Route {
    pub(super) offers: Vec<Offer>,
    pub(super) queued: Option<Queued>,
}

/// The caller's wait, as the API tells it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Queued {
    pub(super) place: u32,
}

/// One offer of a route.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Offer {
    pub(super) agent: String,
    pub(super) explanation: model::Explanation,
    pub(super) lead_us: Option<u64>,
    pub(super) lead_confirmed: bool,
    pub(super) lead_clients: u32,
}

/// A recording as the file tells it.
#[derive(Clone, Debug)]
pub(super) struct Sound {
    pub(super) path: PathBuf,
    pub(super) length: Duration,
    /// Root mean square of a channel, of 32,767.
    pub(super) level: [u32; 2],
    /// How long a channel has sound in it: the client left, our side right.
    pub(super) sounding: [Duration; 2],
}

/// Reads a call.
pub(super) async fn call(rest: &Rest, id: &str) -> Result<Call> {
    rest.get(&format!("calls/{id}")).await
}

/// Reads a call's route.
pub(super) async fn route(rest: &Rest, id: &str) -> Result<Route> {
    rest.get(&format!("calls/{id}/route")).await
}

/// The calls in a person's history.
pub(super) async fn history(rest: &Rest, person: &str) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Page {
        items: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        call: String,
    }
    let page: Page = rest
        .get(&format!("interactions?person={person}&limit=200"))
        .await?;
    Ok(page.items.into_iter().map(|entry| entry.call).collect())
}

/// A call back that is owed, as the API tells it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Obligation {
    pub(super) id: String,
    pub(super) responsible: Option<String>,
    pub(super) due: String,
    pub(super) missed_calls: u32,
    pub(super) first_call: String,
    pub(super) state: String,
    pub(super) closed_at: Option<String>,
    pub(super) closed_by: Option<String>,
    pub(super) closed_call: Option<String>,
}

/// What is owed to a person now.
pub(super) async fn obligations(rest: &Rest, person: &str) -> Result<Vec<Obligation>> {
    #[derive(Deserialize)]
    struct Page {
        items: Vec<Obligation>,
    }
    let path = format!("obligations?state=open&person={person}");
    let page: Page = rest.get(&path).await?;
    Ok(page.items)
}

/// Reads a call back that is or was owed.
pub(super) async fn obligation(rest: &Rest, id: &str) -> Result<Obligation> {
    rest.get(&format!("obligations/{id}")).await
}

/// Reads a recording from its file and compares it with what the API tells and sends.
pub(super) async fn sound(
    rest: &Rest,
    folder: &std::path::Path,
    id: &str,
    told: &Recording,
) -> Result<Sound> {
    let path = folder.join(&told.file);
    let shown = path.display();
    let bytes = fs::read(&path).with_context(|| format!("the recording {shown} cannot be read"))?;
    ensure!(
        told.ready && told.error.is_none(),
        "the API says of {shown}: ready {}, {:?}",
        told.ready,
        told.error
    );
    ensure!(
        told.bytes == bytes.len() as u64,
        "{shown} has {} bytes, the API says {}",
        bytes.len(),
        told.bytes
    );
    let sent = rest.bytes(&format!("calls/{id}/recording.wav")).await?;
    ensure!(
        sent == bytes,
        "the API sends another recording than stands in {shown}"
    );
    let sound = measure(path.clone(), &bytes).with_context(|| format!("the recording {shown}"))?;
    let difference = sound.length.abs_diff(Duration::from_millis(told.length_ms));
    ensure!(
        difference <= Duration::from_millis(1),
        "{shown} lasts {:?}, the API says {} ms",
        sound.length,
        told.length_ms
    );
    Ok(sound)
}

fn measure(path: PathBuf, bytes: &[u8]) -> Result<Sound> {
    let (law, frames) = wav::read_header(bytes)?;
    ensure!(
        wav::file_bytes(frames) == bytes.len() as u64,
        "the header tells {frames} frames, the file has {} bytes",
        bytes.len()
    );
    let data = &bytes[wav::HEADER_BYTES..];
    let channel = |side: usize| -> Vec<i16> {
        data.iter()
            .skip(side)
            .step_by(usize::from(wav::CHANNELS))
            .map(|&code| g711::decode(law, code))
            .collect()
    };
    let channels = [channel(0), channel(1)];
    let level = channels.each_ref().map(|samples| root_mean_square(samples));
    let sounding = channels.each_ref().map(|samples| sounding(samples));
    let length = Duration::from_micros(frames * 1_000_000 / u64::from(wav::SAMPLE_RATE_HZ));
    Ok(Sound {
        path,
        length,
        level,
        sounding,
    })
}

fn root_mean_square(samples: &[i16]) -> u32 {
    let squares: u64 = samples
        .iter()
        .map(|&sample| u64::from(sample.unsigned_abs()).pow(2))
        .sum();
    let mean = squares / (samples.len() as u64).max(1);
    u32::try_from(mean.isqrt()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::Codec;

    #[test]
    fn each_channel_is_measured_for_itself_and_a_short_file_is_refused() {
        let frames = 16_000_u64;
        let mut bytes = wav::header(Codec::Pcma, frames).to_vec();
        for frame in 0..frames {
            let tone = if frame % 16 < 8 { 8_000 } else { -8_000 };
            bytes.push(g711::encode(
                Codec::Pcma,
                if frame < 8_000 { tone } else { 0 },
            ));
            bytes.push(g711::encode(Codec::Pcma, 0));
        }
        let sound = measure(PathBuf::new(), &bytes).unwrap();
        assert_eq!(sound.length, Duration::from_secs(2));
        assert_eq!(sound.sounding, [Duration::from_secs(1), Duration::ZERO]);
        assert!(
            (5_400..5_900).contains(&sound.level[0]),
            "{:?}",
            sound.level
        );
        assert!(sound.level[1] < 20);
        bytes.pop();
        assert!(measure(PathBuf::new(), &bytes).is_err());
    }
}
