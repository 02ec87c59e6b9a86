//! Keys as pairs of tones in the voice (ITU-T Q.23, Q.24), for peers that do not send them as events.
//!
//! Windows of 16 ms, every 8 ms: both tones must be there and hardly anything else (speech has more in it), neither much
//! louder than the other, for 40 ms.

use std::{f32::consts::TAU, sync::LazyLock, time::Duration};

use crate::{dtmf::Press, g711, plane::Codec};

const SAMPLE_RATE_HZ: f32 = 8000.0;
const ROWS_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS_HZ: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const KEYS: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];

const WINDOW: usize = 128;
const STEP: usize = WINDOW / 2;
const STEP_MS: u32 = (STEP * 1000 / 8000) as u32;
/// So many windows with the same key are 40 ms of it.
const WINDOWS_OF_A_PRESS: u32 = 4;
/// So many without it are its end; fewer are a flaw of the line.
const WINDOWS_OF_A_PAUSE: u32 = 4;
/// A tone is at least −35 dBm0, as an amplitude.
const LEAST_AMPLITUDE: f32 = 410.0;
/// Powers: the row may be 6 dB louder than the column, the column 8 dB louder than the row.
const MOST_REVERSE_TWIST: f32 = 4.0;
const MOST_TWIST: f32 = 6.3;
/// The other tones of a group are 8 dB weaker.
const LEAST_LEAD: f32 = 6.3;
/// The part of the power that both tones must have.
const LEAST_PURITY: f32 = 0.8;
/// A press whose voice stopped is over after so long.
const LOST_END_AFTER: Duration = Duration::from_millis(200);

static COEFFICIENTS: LazyLock<[[f32; 4]; 2]> = LazyLock::new(|| {
    [ROWS_HZ, COLUMNS_HZ].map(|group| group.map(|hertz| 2.0 * (TAU * hertz / SAMPLE_RATE_HZ).cos()))
});

/// Finds keys in the voice of one leg. Nothing is allocated.
#[derive(Clone, Debug)]
pub struct InBandReceiver {
    /// The latest samples; the first `filled` count.
    window: [i16; WINDOW],
    filled: usize,
    /// The key of the latest windows and how many had it.
    candidate: Option<char>,
    streak: u32,
    pressed: Option<Pressed>,
    last_arrival: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Pressed {
    digit: char,
    /// Windows since its first one.
    windows: u32,
    /// Windows without it since its latest one.
    missed: u32,
}

impl Pressed {
    fn press(self) -> Press {
        Press {
            digit: self.digit,
            // The first window reaches one step further back.
            duration_ms: (self.windows - self.missed + 1) * STEP_MS,
        }
    }
}

impl Default for InBandReceiver {
    fn default() -> Self {
        Self {
            window: [0; WINDOW],
            filled: 0,
            candidate: None,
            streak: 0,
            pressed: None,
            last_arrival: Duration::ZERO,
        }
    }
}

impl InBandReceiver {
    /// Takes a voice packet and tells of the presses that ended in it.
    pub fn receive(
        &mut self,
        arrival: Duration,
        codec: Codec,
        payload: &[u8],
        mut tell: impl FnMut(Press),
    ) {
        self.last_arrival = arrival;
        for &code in payload {
            self.window[self.filled] = g711::decode(codec, code);
            self.filled += 1;
            if self.filled == WINDOW {
                if let Some(press) = self.take(key(&self.window)) {
                    tell(press);
                }
                self.window.copy_within(STEP.., 0);
                self.filled = WINDOW - STEP;
            }
        }
    }

    /// Whether a key is down.
    #[must_use]
    pub const fn is_pressed(&self) -> bool {
        self.pressed.is_some()
    }

    /// The press whose end did not come, once nothing has come for 200 ms.
    pub fn expire(&mut self, now: Duration) -> Option<Press> {
        if now.saturating_sub(self.last_arrival) < LOST_END_AFTER {
            return None;
        }
        self.candidate = None;
        self.pressed.take().map(Pressed::press)
    }

    fn take(&mut self, key: Option<char>) -> Option<Press> {
        if key.is_none() || key != self.candidate {
            self.candidate = key;
            self.streak = 0;
        }
        if key.is_some() {
            self.streak += 1;
        }
        let mut ended = None;
        if let Some(pressed) = &mut self.pressed {
            pressed.windows += 1;
            pressed.missed = match key == Some(pressed.digit) {
                true => 0,
                false => pressed.missed + 1,
            };
            if pressed.missed >= WINDOWS_OF_A_PAUSE {
                ended = self.pressed.take().map(Pressed::press);
            }
        }
        if let (None, Some(digit)) = (self.pressed, key) {
            if self.streak >= WINDOWS_OF_A_PRESS {
                self.pressed = Some(Pressed {
                    digit,
                    windows: self.streak,
                    missed: 0,
                });
            }
        }
        ended
    }
}

/// The key that is in a window.
fn key(window: &[i16; WINDOW]) -> Option<char> {
    let total: f32 = window.iter().map(|&sample| f32::from(sample).powi(2)).sum();
    let mean = total / WINDOW as f32;
    // Two tones of the least level have this power between them.
    if mean < LEAST_AMPLITUDE * LEAST_AMPLITUDE {
        return None;
    }
    let [rows, columns] = COEFFICIENTS.map(|group| group.map(|each| tone(window, each)));
    let (row, row_power) = leader(&rows)?;
    let (column, column_power) = leader(&columns)?;
    let loud = row_power.min(column_power) >= LEAST_AMPLITUDE * LEAST_AMPLITUDE;
    let balanced =
        row_power <= column_power * MOST_REVERSE_TWIST && column_power <= row_power * MOST_TWIST;
    // A tone of amplitude a has the power a²/2.
    let pure = (row_power + column_power) / 2.0 >= LEAST_PURITY * mean;
    (loud && balanced && pure).then(|| KEYS[row][column])
}

/// The square of a tone's amplitude, by Goertzel's algorithm.
fn tone(window: &[i16; WINDOW], coefficient: f32) -> f32 {
    let (mut one, mut two) = (0.0, 0.0);
    for &sample in window {
        (one, two) = (f32::from(sample) + coefficient * one - two, one);
    }
    let power = one * one + two * two - coefficient * one * two;
    power * (4.0 / (WINDOW * WINDOW) as f32)
}

/// The strongest tone of a group, if it leads clearly.
fn leader(powers: &[f32; 4]) -> Option<(usize, f32)> {
    let (best, &power) = powers
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1))?;
    let leads = powers
        .iter()
        .enumerate()
        .all(|(index, &other)| index == best || other * LEAST_LEAD <= power);
    leads.then_some((best, power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        music::music,
        tone::{FRAME_SAMPLES, Tone, ToneGenerator},
    };
    use proptest::prelude::*;
    use rstest::rstest;

    /// −13 dBm0 each.
    const LEVEL: f32 = 5_000.0;

    fn frequencies(digit: char) -> (f32, f32) {
        for (row, keys) in KEYS.iter().enumerate() {
            if let Some(column) = keys.iter().position(|&key| key == digit) {
                return (ROWS_HZ[row], COLUMNS_HZ[column]);
            }
        }
        panic!("{digit} is no key");
    }

    fn tones(pair: &[(f32, f32)], ms: usize) -> Vec<f32> {
        (0..ms * 8)
            .map(|i| {
                let wave = |&(hertz, level): &(f32, f32)| {
                    level * (TAU * hertz * i as f32 / SAMPLE_RATE_HZ).sin()
                };
                pair.iter().map(wave).sum()
            })
            .collect()
    }

    fn digit(digit: char, ms: usize) -> Vec<f32> {
        let (row, column) = frequencies(digit);
        tones(&[(row, LEVEL), (column, LEVEL)], ms)
    }

    fn pause(ms: usize) -> Vec<f32> {
        vec![0.0; ms * 8]
    }

    fn encoded(codec: Codec, samples: &[f32]) -> Vec<u8> {
        samples
            .iter()
            .map(|&sample| g711::encode(codec, sample.clamp(-32_000.0, 32_000.0) as i16))
            .collect()
    }

    fn presses(samples: &[f32]) -> Vec<Press> {
        presses_in(Codec::Pcma, samples, FRAME_SAMPLES)
    }

    fn presses_in(codec: Codec, samples: &[f32], packet: usize) -> Vec<Press> {
        let mut receiver = InBandReceiver::default();
        let (mut told, mut now) = (Vec::new(), Duration::ZERO);
        for payload in encoded(codec, samples).chunks(packet) {
            receiver.receive(now, codec, payload, |press| told.push(press));
            now += Duration::from_millis(20);
        }
        told.extend(receiver.expire(now + Duration::from_secs(1)));
        told
    }

    fn digits(samples: &[f32]) -> String {
        presses(samples).iter().map(|press| press.digit).collect()
    }

    #[rstest]
    fn every_key_is_heard_once_in_both_laws_with_its_length(
        #[values(Codec::Pcma, Codec::Pcmu)] codec: Codec,
        #[values(50, 80, 130, 1000)] ms: usize,
    ) {
        for key in KEYS.concat() {
            // The press begins at any place within a window.
            for before in 0..9 {
                let samples = [pause(before), digit(key, ms), pause(100)].concat();
                let told = presses_in(codec, &samples, FRAME_SAMPLES);
                assert_eq!(told.len(), 1, "{key} {ms} ms after {before}: {told:?}");
                assert_eq!(told[0].digit, key);
                let off = told[0].duration_ms.abs_diff(ms as u32);
                assert!(off <= 16, "{ms} ms told as {told:?}");
            }
        }
    }

    #[test]
    fn a_number_is_heard_key_by_key_also_the_same_one_twice() {
        let number = "74951133#*0055AD";
        let samples: Vec<f32> = number
            .chars()
            .flat_map(|key| [digit(key, 60), pause(50)].concat())
            .collect();
        assert_eq!(digits(&samples), number);
    }

    #[test]
    fn a_flaw_of_ten_milliseconds_does_not_make_two_of_one() {
        let samples = [digit('5', 60), pause(10), digit('5', 60), pause(60)].concat();
        assert_eq!(digits(&samples), "5");
    }

    #[test]
    fn a_press_whose_voice_stops_is_told_by_time() {
        let mut receiver = InBandReceiver::default();
        let codes = encoded(Codec::Pcmu, &digit('9', 100));
        receiver.receive(Duration::ZERO, Codec::Pcmu, &codes, |_| {
            panic!("it has not ended")
        });
        assert!(receiver.is_pressed());
        assert_eq!(receiver.expire(Duration::from_millis(199)), None);
        let press = receiver.expire(Duration::from_millis(200)).unwrap();
        assert_eq!(press.digit, '9');
        assert_eq!(receiver.expire(Duration::from_secs(9)), None);
    }

    #[rstest]
    #[case::too_short(digit('1', 28), "")]
    #[case::one_tone(tones(&[(697.0, LEVEL)], 200), "")]
    #[case::two_of_a_group(tones(&[(697.0, LEVEL), (852.0, LEVEL)], 200), "")]
    #[case::three_tones(tones(&[(697.0, LEVEL), (1209.0, LEVEL), (1336.0, LEVEL)], 200), "")]
    #[case::another_sound_with_it(tones(&[(697.0, LEVEL), (1209.0, LEVEL), (2500.0, LEVEL)], 200), "")]
    #[case::too_quiet(tones(&[(697.0, 300.0), (1209.0, 300.0)], 200), "")]
    #[case::quiet(tones(&[(697.0, 500.0), (1209.0, 500.0)], 200), "1")]
    #[case::loud(tones(&[(697.0, 15_000.0), (1209.0, 15_000.0)], 200), "1")]
    #[case::four_decibels_of_reverse_twist(tones(&[(697.0, LEVEL), (1209.0, LEVEL * 0.63)], 200), "1")]
    #[case::ten_decibels_of_reverse_twist(tones(&[(697.0, LEVEL), (1209.0, LEVEL * 0.32)], 200), "")]
    #[case::six_decibels_of_twist(tones(&[(697.0, LEVEL * 0.5), (1209.0, LEVEL)], 200), "1")]
    #[case::ten_decibels_of_twist(tones(&[(697.0, LEVEL * 0.32), (1209.0, LEVEL)], 200), "")]
    #[case::one_percent_off(tones(&[(941.0 * 1.01, LEVEL), (1633.0 * 0.99, LEVEL)], 200), "D")]
    #[case::four_percent_off(tones(&[(941.0 * 1.04, LEVEL), (1633.0 * 0.96, LEVEL)], 200), "")]
    fn tones_count_within_the_limits_of_the_recommendation(
        #[case] samples: Vec<f32>,
        #[case] wanted: &str,
    ) {
        let samples = [pause(30), samples, pause(100)].concat();
        assert_eq!(digits(&samples), wanted);
    }

    #[test]
    fn our_music_and_our_tones_are_no_keys_however_loud() {
        let whole = music();
        for gain in [0.3, 1.0, 2.5] {
            let samples: Vec<f32> = whole
                .samples()
                .iter()
                .map(|&s| f32::from(s) * gain)
                .collect();
            assert_eq!(digits(&samples), "", "music at {gain}");
        }
        for tone in [
            Tone::Ringback,
            Tone::Busy,
            Tone::Congestion,
            Tone::CallWaiting,
        ] {
            let mut generator = ToneGenerator::new(tone);
            let mut receiver = InBandReceiver::default();
            let mut frame = [0; FRAME_SAMPLES];
            for _ in 0..500 {
                generator.next_frame(Codec::Pcma, &mut frame);
                receiver.receive(Duration::ZERO, Codec::Pcma, &frame, |press| {
                    panic!("{tone:?} told as {press:?}")
                });
            }
            assert!(!receiver.is_pressed());
        }
    }

    /// A cheap generator, so that a case is one number.
    struct Dice(u64);

    impl Dice {
        /// Between −1 and 1.
        fn roll(&mut self) -> f32 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
        }

        fn between(&mut self, low: f32, high: f32) -> f32 {
            low + (high - low) * (self.roll() + 1.0) / 2.0
        }
    }

    /// Vowels and hisses in syllables: a gliding voice with its harmonics under three formants, and noise.
    fn babble(seed: u64, syllables: usize) -> Vec<f32> {
        let mut dice = Dice(seed | 1);
        let mut samples = Vec::new();
        for _ in 0..syllables {
            let length = dice.between(600.0, 2_400.0);
            let (from, to) = (dice.between(80.0, 300.0), dice.between(80.0, 300.0));
            let formants = [
                dice.between(250.0, 950.0),
                dice.between(900.0, 2_300.0),
                dice.between(2_200.0, 3_300.0),
            ];
            let (hiss, loudness) = (dice.between(0.0, 0.1), dice.between(2_000.0, 20_000.0));
            let mut turn = 0.0;
            for i in 0..length as usize {
                let way = i as f32 / length;
                let pitch = from + (to - from) * way;
                turn = (turn + pitch / SAMPLE_RATE_HZ).fract();
                let mut sample = hiss * dice.roll();
                for harmonic in 1..=(3_600.0 / pitch) as usize {
                    let hertz = harmonic as f32 * pitch;
                    let resonance: f32 = formants
                        .iter()
                        .map(|formant| 1.0 / (1.0 + ((hertz - formant) / 60.0).powi(2)).sqrt())
                        .sum();
                    sample += (resonance + 0.02) * (TAU * turn * harmonic as f32).sin() / 3.0;
                }
                samples.push(loudness * sample * (way * TAU / 2.0).sin());
            }
            samples.extend(pause(dice.between(0.0, 80.0) as usize));
        }
        samples
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn babble_is_no_key(seed: u64) {
            prop_assert_eq!(digits(&babble(seed, 12)), "");
        }

        #[test]
        fn noise_of_any_level_is_no_key(seed: u64, level in 100.0..30_000.0_f32) {
            let mut dice = Dice(seed | 1);
            let samples: Vec<f32> = (0..16_000).map(|_| level * dice.roll()).collect();
            prop_assert_eq!(digits(&samples), "");
        }

        #[test]
        fn keys_are_heard_through_noise_and_in_packets_of_any_length(
            seed: u64,
            pressed in proptest::collection::vec(0..16_usize, 1..6),
            packet in 1..700_usize,
        ) {
            let mut dice = Dice(seed | 1);
            let number: String = pressed.iter().map(|&key| KEYS[key / 4][key % 4]).collect();
            let mut samples = pause(20);
            for key in number.chars() {
                samples.extend(digit(key, dice.between(60.0, 200.0) as usize));
                samples.extend(pause(dice.between(50.0, 200.0) as usize));
            }
            // 15 dB below the keys.
            for sample in &mut samples {
                *sample += 1_500.0 * dice.roll();
            }
            let told = presses_in(Codec::Pcmu, &samples, packet);
            prop_assert_eq!(told.iter().map(|press| press.digit).collect::<String>(), number);
        }
    }
}
