//! Sounds that callers hear from us: recorded prompts one after another, then music or silence.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{
    g711,
    music::music,
    plane::{AfterSounds, Codec},
    tone::FRAME_SAMPLES,
};

/// Silence between two sounds: 100 ms.
const PAUSE_SAMPLES: usize = 800;
/// Music rises in 0.3 s.
const RISE_SAMPLES: i32 = 2400;
/// It falls in 15 ms, which is too short to disturb what comes and long enough not to click.
const FALL_SAMPLES: i32 = 120;
/// Sounds that one order may name; more are passed over.
pub const MOST_SOUNDS: usize = 64;

/// Name of the tone after which a message may be left; like the music it is computed.
pub const BEEP: &str = "beep";

/// A sound: one channel, 8000 samples a second. Copies share the samples.
#[derive(Clone, PartialEq, Eq)]
pub struct Sound(Arc<[i16]>);

impl Sound {
    /// A sound of these samples.
    #[must_use]
    pub fn new(samples: impl Into<Arc<[i16]>>) -> Self {
        Self(samples.into())
    }

    /// Its samples, 16 bits, full scale.
    #[must_use]
    pub fn samples(&self) -> &[i16] {
        &self.0
    }
}

impl fmt::Debug for Sound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sound({} samples)", self.0.len())
    }
}

/// All sounds by their names, such as `ru/queue-position`, and the music.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundLibrary {
    sounds: BTreeMap<Box<str>, Sound>,
    music: Sound,
    beep: Sound,
}

impl Default for SoundLibrary {
    fn default() -> Self {
        Self::new()
    }
}

impl SoundLibrary {
    /// A library with our music and nothing else.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sounds: BTreeMap::new(),
            music: music(),
            beep: beep(),
        }
    }

    /// Adds a sound; one of the same name is replaced.
    pub fn insert(&mut self, name: &str, sound: Sound) {
        self.sounds.insert(name.into(), sound);
    }

    /// The sound of this name, [`BEEP`] included.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Sound> {
        let computed = (name == BEEP).then_some(&self.beep);
        self.sounds.get(name).or(computed)
    }

    /// The loop that waiting people hear.
    #[must_use]
    pub const fn music(&self) -> &Sound {
        &self.music
    }

    /// The names of all sounds, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sounds.keys().map(AsRef::as_ref)
    }
}

/// Half a second of 1000 Hz at -12 dBFS, its ends softened.
fn beep() -> Sound {
    const SAMPLES: i32 = 4_000;
    const SOFT: i32 = 160;
    let samples: Vec<i16> = (0..SAMPLES)
        .map(|at| {
            let loudness = at.min(SAMPLES - at).min(SOFT);
            let phase = f64::from(at) * std::f64::consts::TAU / 8.0;
            (phase.sin() * 8_192.0 * f64::from(loudness) / f64::from(SOFT)) as i16
        })
        .collect();
    Sound::new(samples)
}

/// The music of one leg: it rises when it begins, falls when it ends, and goes on where the leg heard it last.
#[derive(Clone, Debug)]
pub struct MusicPlayer {
    music: Sound,
    position: usize,
    /// How loud it is at present, of [`RISE_SAMPLES`].
    level: i32,
}

impl MusicPlayer {
    /// At the beginning of the music.
    #[must_use]
    pub const fn new(music: Sound) -> Self {
        Self {
            music,
            position: 0,
            level: 0,
        }
    }

    /// The leg hears something else, or nothing: the next time the music rises anew.
    pub const fn pause(&mut self) {
        self.level = 0;
    }

    /// Fills the next 20 ms with music. The codec may change from frame to frame.
    pub fn next_frame(&mut self, codec: Codec, out: &mut [u8; FRAME_SAMPLES]) {
        for code in out {
            *code = g711::encode(codec, self.play());
        }
    }

    fn play(&mut self) -> i16 {
        let sample = self.step();
        self.level = (self.level + 1).min(RISE_SAMPLES);
        sample
    }

    fn fall(&mut self) -> i16 {
        if self.level == 0 {
            return 0;
        }
        let sample = self.step();
        self.level = (self.level - RISE_SAMPLES / FALL_SAMPLES).max(0);
        sample
    }

    fn step(&mut self) -> i16 {
        let samples = self.music.samples();
        let Some(&sample) = samples.get(self.position) else {
            return 0;
        };
        self.position = (self.position + 1) % samples.len();
        (i32::from(sample) * self.level / RISE_SAMPLES) as i16
    }
}

/// Plays the sounds of one order, frame after frame, and then what comes after them. Nothing is allocated per frame.
#[derive(Clone, Debug)]
pub struct SoundPlayer {
    sounds: Vec<Sound>,
    /// Which sound is heard.
    current: usize,
    /// The next sample of it.
    position: usize,
    /// Silence that is left before it.
    pause: usize,
    then: AfterSounds,
    /// Sounds were named, and their end is not told yet.
    to_be_told: bool,
}

impl SoundPlayer {
    /// At the beginning of the first sound. Names that the library does not know are passed over; if it knows none of
    /// them, the first frame tells the end.
    #[must_use]
    pub fn new(library: &SoundLibrary, names: &[Arc<str>], then: AfterSounds) -> Self {
        Self {
            sounds: names
                .iter()
                .take(MOST_SOUNDS)
                .filter_map(|name| library.get(name))
                .filter(|sound| !sound.samples().is_empty())
                .cloned()
                .collect(),
            current: 0,
            position: 0,
            pause: 0,
            then,
            to_be_told: !names.is_empty(),
        }
    }

    /// Fills the next 20 ms. The codec may change from frame to frame; `music` is the one of the leg. True once: the
    /// last sample of the last sound is in this frame.
    pub fn next_frame(
        &mut self,
        music: &mut MusicPlayer,
        codec: Codec,
        out: &mut [u8; FRAME_SAMPLES],
    ) -> bool {
        for code in out {
            let sample = match self.next_sample() {
                Some(sample) => sample.saturating_add(music.fall()),
                None if self.then == AfterSounds::Music => music.play(),
                None => music.fall(),
            };
            *code = g711::encode(codec, sample);
        }
        let over = self.current >= self.sounds.len();
        over && std::mem::take(&mut self.to_be_told)
    }

    fn next_sample(&mut self) -> Option<i16> {
        let samples = self.sounds.get(self.current)?.samples();
        if self.pause > 0 {
            self.pause -= 1;
            return Some(0);
        }
        let sample = samples.get(self.position).copied();
        self.position += 1;
        if self.position >= samples.len() {
            self.current += 1;
            self.position = 0;
            self.pause = PAUSE_SAMPLES;
        }
        sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// Loud samples that all differ from those of another seed.
    fn noise(seed: u32, length: usize) -> Sound {
        let samples: Vec<i16> = (0..length as u32)
            .map(|i| 8000 + ((i * 7919 + seed * 104_729) % 9973) as i16)
            .collect();
        Sound::new(samples)
    }

    fn library() -> SoundLibrary {
        let mut library = SoundLibrary::new();
        library.insert("ru/one", noise(1, 1000));
        library.insert("ru/two", noise(2, 333));
        library.insert("ru/nothing", Sound::new(Vec::new()));
        library
    }

    fn names(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|&name| name.into()).collect()
    }

    fn player(listed: &[&str], then: AfterSounds) -> SoundPlayer {
        SoundPlayer::new(&library(), &names(listed), then)
    }

    /// Code words of so many frames, and in which of them the end was told.
    fn play(
        player: &mut SoundPlayer,
        music: &mut MusicPlayer,
        codec: Codec,
        frames: usize,
    ) -> (Vec<u8>, Vec<usize>) {
        let (mut codes, mut told) = (Vec::new(), Vec::new());
        let mut frame = [0; FRAME_SAMPLES];
        for index in 0..frames {
            if player.next_frame(music, codec, &mut frame) {
                told.push(index);
            }
            codes.extend(frame);
        }
        (codes, told)
    }

    fn encoded(codec: Codec, samples: &[i16]) -> Vec<u8> {
        samples.iter().map(|&s| g711::encode(codec, s)).collect()
    }

    #[rstest]
    fn sounds_are_whole_and_in_order_with_a_pause_between_and_the_end_is_told_once(
        #[values(Codec::Pcma, Codec::Pcmu)] codec: Codec,
    ) {
        let mut player = player(&["ru/one", "ru/two", "ru/one"], AfterSounds::Silence);
        let (codes, told) = play(&mut player, &mut MusicPlayer::new(music()), codec, 50);
        let (one, two) = (noise(1, 1000), noise(2, 333));
        let pause = [0; PAUSE_SAMPLES];
        let mut expected = [one.samples(), &pause, two.samples(), &pause, one.samples()].concat();
        let length = expected.len();
        expected.resize(codes.len(), 0);
        assert_eq!(codes, encoded(codec, &expected));
        assert_eq!(told, [(length - 1) / FRAME_SAMPLES]);
        assert_eq!(codes.last(), Some(&codec.silence()));
    }

    #[test]
    fn unknown_and_empty_sounds_are_passed_over_and_the_end_is_told_all_the_same() {
        let mut strange = player(&["ru/none", "ru/nothing"], AfterSounds::Silence);
        let mut music = MusicPlayer::new(music());
        let (codes, told) = play(&mut strange, &mut music, Codec::Pcma, 3);
        assert_eq!(told, [0]);
        assert_eq!(codes, [Codec::Pcma.silence(); 3 * FRAME_SAMPLES]);

        let mut some = player(&["ru/none", "ru/two", "ru/nothing"], AfterSounds::Silence);
        let (codes, told) = play(&mut some, &mut music, Codec::Pcma, 4);
        assert_eq!(told, [2]);
        assert_eq!(codes[..333], encoded(Codec::Pcma, noise(2, 333).samples()));
    }

    #[test]
    fn without_sounds_the_music_begins_at_once_and_nothing_is_told() {
        let mut music_player = MusicPlayer::new(music());
        let mut player = player(&[], AfterSounds::Music);
        let (codes, told) = play(&mut player, &mut music_player, Codec::Pcmu, 100);
        assert!(told.is_empty());
        let whole = music();
        let heard = RISE_SAMPLES as usize..100 * FRAME_SAMPLES;
        assert_eq!(
            codes[heard.clone()],
            encoded(Codec::Pcmu, &whole.samples()[heard])
        );
    }

    #[test]
    fn music_rises_falls_and_goes_on_where_it_was_heard_last() {
        let whole = music();
        let mut music_player = MusicPlayer::new(music());
        let mut waiting = player(&[], AfterSounds::Music);
        play(&mut waiting, &mut music_player, Codec::Pcma, 200);
        // An announcement: the music falls below its first 15 ms and does not move behind it.
        let mut announcing = player(&["ru/one"], AfterSounds::Music);
        let (codes, told) = play(&mut announcing, &mut music_player, Codec::Pcma, 107);
        assert_eq!(told, [6]);
        let fallen = FALL_SAMPLES as usize;
        let one = noise(1, 1000);
        assert_eq!(
            codes[fallen..1000],
            encoded(Codec::Pcma, &one.samples()[fallen..])
        );
        let resumed = 200 * FRAME_SAMPLES + fallen;
        let risen = RISE_SAMPLES as usize;
        assert_eq!(
            codes[1000 + risen..],
            encoded(
                Codec::Pcma,
                &whole.samples()[resumed + risen..resumed + codes.len() - 1000]
            )
        );
        // In its first 20 ms it is hardly there.
        let first = &codes[1000..1000 + FRAME_SAMPLES];
        assert!(
            first
                .iter()
                .all(|&code| g711::decode(Codec::Pcma, code).unsigned_abs() < 1000)
        );
    }

    #[test]
    fn music_rises_anew_after_something_else_was_heard() {
        let mut player = MusicPlayer::new(Sound::new(vec![10_000; 300]));
        let mut frame = [0; FRAME_SAMPLES];
        for _ in 0..30 {
            player.next_frame(Codec::Pcmu, &mut frame);
        }
        assert!(g711::decode(Codec::Pcmu, frame[0]) > 9000);
        player.pause();
        player.next_frame(Codec::Pcmu, &mut frame);
        assert_eq!(frame[0], Codec::Pcmu.silence());
        assert!(g711::decode(Codec::Pcmu, frame[FRAME_SAMPLES - 1]) < 1000);
    }

    #[test]
    fn an_order_names_so_many_sounds_and_no_more() {
        let listed = vec!["ru/two"; MOST_SOUNDS + 3];
        assert_eq!(
            player(&listed, AfterSounds::Silence).sounds.len(),
            MOST_SOUNDS
        );
    }

    proptest! {
        /// Whatever is listed, the sounds last as long as they and their pauses, to the sample.
        #[test]
        fn the_end_is_told_in_the_frame_of_the_last_sample(
            lengths in proptest::collection::vec(1..2000_usize, 1..8),
            music_after: bool,
        ) {
            let mut library = SoundLibrary::new();
            let mut listed: Vec<Arc<str>> = Vec::new();
            for (index, &length) in lengths.iter().enumerate() {
                let name = format!("ru/{index}");
                library.insert(&name, noise(index as u32, length));
                listed.push(name.into());
            }
            let then = if music_after { AfterSounds::Music } else { AfterSounds::Silence };
            let mut player = SoundPlayer::new(&library, &listed, then);
            let samples = lengths.iter().sum::<usize>() + (lengths.len() - 1) * PAUSE_SAMPLES;
            let frames = samples.div_ceil(FRAME_SAMPLES);
            let mut music = MusicPlayer::new(library.music().clone());
            let (_, told) = play(&mut player, &mut music, Codec::Pcma, frames + 20);
            prop_assert_eq!(told, [frames - 1]);
        }
    }
}
