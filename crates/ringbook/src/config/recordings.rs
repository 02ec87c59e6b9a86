//! `[recordings]`: where conversations are kept, and for how long.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, Source, spanned};

/// A hundred years.
const MOST_DAYS: u32 = 36_500;
/// A pebibyte.
const MOST_FREE_MB: u64 = 1 << 30;

/// Where conversations are kept.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Recordings {
    /// Folder of the files.
    pub folder: PathBuf,
    /// Make an MP3 of each recording after hang-up.
    pub mp3: bool,
    /// Bits per second of an MP3, in thousands.
    pub mp3_kbits: Spanned<u32>,
    /// Days after which a WAV is removed, if its MP3 is there; 0 for never.
    pub keep_wav_days: Spanned<u32>,
    /// Days after which an MP3 is removed; 0 for never.
    pub keep_mp3_days: Spanned<u32>,
    /// With fewer mebibytes free the log warns; 0 for never.
    pub alarm_free_mb: Spanned<u64>,
}

impl Default for Recordings {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("recordings"),
            mp3: true,
            mp3_kbits: spanned(32),
            keep_wav_days: spanned(30),
            keep_mp3_days: spanned(1_096),
            alarm_free_mb: spanned(1_024),
        }
    }
}

impl Recordings {
    /// How long a WAV is kept; none for ever.
    pub(crate) fn keep_wav(&self) -> Option<Duration> {
        days(*self.keep_wav_days.get_ref())
    }

    /// How long an MP3 is kept; none for ever.
    pub(crate) fn keep_mp3(&self) -> Option<Duration> {
        days(*self.keep_mp3_days.get_ref())
    }
}

fn days(days: u32) -> Option<Duration> {
    (days > 0).then(|| Duration::from_secs(u64::from(days) * 86_400))
}

impl Source<'_> {
    pub(super) fn recordings(self, recordings: &Recordings) -> Result<(), ConfigError> {
        let Recordings {
            mp3_kbits,
            keep_wav_days,
            keep_mp3_days,
            alarm_free_mb,
            ..
        } = recordings;
        self.demand(
            [8, 16, 24, 32, 40, 48, 56, 64].contains(mp3_kbits.get_ref()),
            mp3_kbits,
            |kbits| format!("mp3_kbits {kbits} is not a rate of MP3 at 8,000 samples a second"),
            "write 8, 16, 24, 32, 40, 48, 56 or 64",
        )?;
        for days in [keep_wav_days, keep_mp3_days] {
            self.demand(
                *days.get_ref() <= MOST_DAYS,
                days,
                |days| format!("{days} days are out of range"),
                "write 0 to 36500 days; 0 keeps for ever",
            )?;
        }
        // A WAV goes only while its MP3 is there: an MP3 that went first would keep it for ever.
        let (wav, mp3) = (*keep_wav_days.get_ref(), *keep_mp3_days.get_ref());
        self.demand(
            wav == 0 || mp3 == 0 || mp3 >= wav,
            keep_mp3_days,
            |days| format!("keep_mp3_days {days} is less than keep_wav_days"),
            "write as many days as for the WAV or more, or 0 to keep for ever",
        )?;
        self.demand(
            *alarm_free_mb.get_ref() <= MOST_FREE_MB,
            alarm_free_mb,
            |mb| format!("alarm_free_mb {mb} is out of range"),
            "write 0 to 1073741824; 0 never warns",
        )
    }
}
