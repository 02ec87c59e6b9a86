//! G.711: A-law and µ-law as tables, made when the crate is compiled.
//!
//! Between the two laws the conversion of ITU-T G.711 tables 3 and 4 counts, not a way over linear samples:
//! with it a call that is converted there and back sounds as after one conversion.

use crate::plane::Codec;

/// A table with one entry per code word.
pub type Table = [u8; 256];

/// µ-law to A-law (G.711 table 3), for both signs.
pub static MU_TO_A: Table = mu_to_a();
/// A-law to µ-law (G.711 table 4), for both signs.
pub static A_TO_MU: Table = a_to_mu();

static A_TO_LINEAR: [i16; 256] = a_to_linear();
static MU_TO_LINEAR: [i16; 256] = mu_to_linear();

/// The linear sample (16 bits, full scale) of a code word.
#[must_use]
pub fn decode(codec: Codec, code: u8) -> i16 {
    match codec {
        Codec::Pcma => A_TO_LINEAR[usize::from(code)],
        Codec::Pcmu => MU_TO_LINEAR[usize::from(code)],
    }
}

/// The code word nearest to a linear sample (16 bits, full scale).
#[must_use]
pub const fn encode(codec: Codec, sample: i16) -> u8 {
    match codec {
        Codec::Pcma => encode_a(sample),
        Codec::Pcmu => encode_mu(sample),
    }
}

/// The table that turns code words of `from` into those of `to`; `None` if they are the same law.
#[must_use]
pub fn conversion(from: Codec, to: Codec) -> Option<&'static Table> {
    match (from, to) {
        (Codec::Pcma, Codec::Pcmu) => Some(&A_TO_MU),
        (Codec::Pcmu, Codec::Pcma) => Some(&MU_TO_A),
        _ => None,
    }
}

/// Converts a payload in place.
pub fn convert(from: Codec, to: Codec, payload: &mut [u8]) {
    if let Some(table) = conversion(from, to) {
        for code in payload {
            *code = table[usize::from(*code)];
        }
    }
}

/// G.711 table 3, second column: the number of the A-law value for each µ-law value 0–127 of one sign.
const A_VALUE_OF_MU: [u8; 128] = [
    1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, //
    9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, //
    25, 27, 29, 31, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, //
    46, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, //
    64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, //
    80, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96, //
    97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, //
    113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128,
];

/// G.711 table 4, second column: the number of the µ-law value for each A-law value 1–128 of one sign.
const MU_VALUE_OF_A: [u8; 128] = [
    1, 3, 5, 7, 9, 11, 13, 15, 16, 17, 18, 19, 20, 21, 22, 23, //
    24, 25, 26, 27, 28, 29, 30, 31, 32, 32, 33, 33, 34, 34, 35, 35, //
    36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 48, 49, 49, //
    50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 64, //
    65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, //
    80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, //
    96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, //
    112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127,
];

/// A-law inverts the even bits of the magnitude; the sign bit is 1 for positive values (G.711 table 1a).
const A_INVERSION: u8 = 0x55;
/// µ-law inverts all bits of the magnitude; the sign bit is 1 for positive values (G.711 table 2a).
const MU_INVERSION: u8 = 0x7f;
const SIGN: u8 = 0x80;

const fn mu_to_a() -> Table {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let byte = code as u8;
        let value = A_VALUE_OF_MU[(!byte & MU_INVERSION) as usize] - 1;
        table[code] = (byte & SIGN) | (value ^ A_INVERSION);
        code += 1;
    }
    table
}

const fn a_to_mu() -> Table {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let byte = code as u8;
        let value = MU_VALUE_OF_A[((byte ^ A_INVERSION) & MU_INVERSION) as usize];
        table[code] = (byte & SIGN) | (value ^ MU_INVERSION);
        code += 1;
    }
    table
}

const fn a_to_linear() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let byte = code as u8 ^ A_INVERSION;
        let (segment, step) = ((byte >> 4) & 7, (byte & 15) as i16);
        // The middle of the step: 13-bit values, here shifted to 16 bits.
        let magnitude = if segment == 0 {
            (step << 4) + 8
        } else {
            ((step << 4) + 0x108) << (segment - 1)
        };
        table[code] = if byte & SIGN == 0 {
            -magnitude
        } else {
            magnitude
        };
        code += 1;
    }
    table
}

const MU_BIAS: i32 = 0x84;

const fn mu_to_linear() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let byte = !(code as u8);
        let (segment, step) = ((byte >> 4) & 7, (byte & 15) as i32);
        let magnitude = (((step << 3) + MU_BIAS) << segment) - MU_BIAS;
        table[code] = (if byte & SIGN == 0 {
            magnitude
        } else {
            -magnitude
        }) as i16;
        code += 1;
    }
    table
}

const fn encode_a(sample: i16) -> u8 {
    // A negative value lies in the step whose magnitude is one less: the steps meet at 0, not around it.
    let (sign, magnitude) = if sample >= 0 {
        (SIGN, sample as u16)
    } else {
        (0, !(sample as u16))
    };
    let value = magnitude >> 4;
    let code = if value < 32 {
        value as u8
    } else {
        let segment = (value.ilog2() - 3) as u8;
        (segment << 4) | ((value >> (segment - 1)) as u8 & 15)
    };
    (sign | code) ^ A_INVERSION
}

const fn encode_mu(sample: i16) -> u8 {
    let (sign, magnitude) = if sample >= 0 {
        (SIGN, sample as i32)
    } else {
        (0, -(sample as i32))
    };
    let clipped = if magnitude > 32635 { 32635 } else { magnitude };
    let biased = clipped + MU_BIAS;
    let segment = (biased.ilog2() - 7) as u8;
    let step = (biased >> (segment + 3)) as u8 & 15;
    sign | (((segment << 4) | step) ^ MU_INVERSION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// Values at the ends of the segments, from G.711 tables 1a and 2a (scaled to 16 bits).
    #[rstest]
    #[case(Codec::Pcma, 0xd5, 8)]
    #[case(Codec::Pcma, 0x55, -8)]
    #[case(Codec::Pcma, 0xaa, 32256)]
    #[case(Codec::Pcma, 0x2a, -32256)]
    #[case(Codec::Pcma, 0xc5, 264)]
    #[case(Codec::Pcma, 0x80, 5504)]
    #[case(Codec::Pcmu, 0xff, 0)]
    #[case(Codec::Pcmu, 0x7f, 0)]
    #[case(Codec::Pcmu, 0x80, 32124)]
    #[case(Codec::Pcmu, 0x00, -32124)]
    #[case(Codec::Pcmu, 0xf0, 120)]
    #[case(Codec::Pcmu, 0xef, 132)]
    fn code_words_have_the_values_of_the_recommendation(
        #[case] codec: Codec,
        #[case] code: u8,
        #[case] value: i16,
    ) {
        assert_eq!(decode(codec, code), value);
    }

    #[rstest]
    #[case(Codec::Pcma)]
    #[case(Codec::Pcmu)]
    fn every_code_word_survives_decoding_and_encoding(#[case] codec: Codec) {
        for code in 0..=255 {
            let again = encode(codec, decode(codec, code));
            // µ-law has two zeros.
            assert!(
                again == code || (codec == Codec::Pcmu && code == 0x7f && again == 0xff),
                "{code:#x}"
            );
        }
    }

    #[rstest]
    #[case(Codec::Pcma)]
    #[case(Codec::Pcmu)]
    fn every_sample_becomes_a_code_word_within_half_a_step(#[case] codec: Codec) {
        for sample in i16::MIN..=i16::MAX {
            let sample = i32::from(sample);
            let error = (i32::from(decode(codec, encode(codec, sample as i16))) - sample).abs();
            // Sixteen steps to a doubling: half a step is at most a 32nd; the bias rules near zero.
            assert!(error <= 8 + sample.abs() / 32, "{sample}: off by {error}");
        }
    }

    #[rstest]
    #[case(Codec::Pcma, Codec::Pcmu)]
    #[case(Codec::Pcmu, Codec::Pcma)]
    fn conversion_keeps_sign_and_order_and_stays_within_a_step(
        #[case] from: Codec,
        #[case] to: Codec,
    ) {
        let table = conversion(from, to).unwrap();
        for code in 0..=255_u8 {
            let (before, after) = (
                i32::from(decode(from, code)),
                i32::from(decode(to, table[usize::from(code)])),
            );
            assert_eq!(code & 0x80, table[usize::from(code)] & 0x80);
            assert!(
                (before - after).abs() <= 8 + before.abs() / 32,
                "{code:#x}: {before} became {after}"
            );
        }
        assert!(conversion(from, from).is_none());
    }

    /// G.711 §3.4: once converted, a signal passes further conversions of the same kind unchanged.
    #[test]
    fn tandem_conversions_change_nothing_more() {
        for code in 0..=255_usize {
            let once = MU_TO_A[code];
            assert_eq!(MU_TO_A[usize::from(A_TO_MU[usize::from(once)])], once);
            let once = A_TO_MU[code];
            assert_eq!(A_TO_MU[usize::from(MU_TO_A[usize::from(once)])], once);
        }
    }

    #[test]
    fn mu_law_silence_becomes_a_law_silence() {
        let mut payload = [Codec::Pcmu.silence(); 3];
        convert(Codec::Pcmu, Codec::Pcma, &mut payload);
        assert_eq!(payload, [Codec::Pcma.silence(); 3]);
    }

    fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        })
    }

    /// Sums (FNV-1a) over the decoded code words (16 bits, little endian) and over the code words of all positive
    /// samples, made with the `audioop` module of Python 3.11, which rounds negative µ-law samples the other way.
    #[rstest]
    #[case(Codec::Pcma, 0x693a_40ca_62a3_d2a5, 0xd107_4309_fe65_b625)]
    #[case(Codec::Pcmu, 0xb91e_65d6_8481_a1a8, 0x1830_3138_f6ea_eb89)]
    fn the_tables_are_those_of_an_independent_implementation(
        #[case] codec: Codec,
        #[case] decoded: u64,
        #[case] encoded: u64,
    ) {
        assert_eq!(
            fnv((0..=255).flat_map(|code| decode(codec, code).to_le_bytes())),
            decoded
        );
        assert_eq!(
            fnv((0..=i16::MAX).map(|sample| encode(codec, sample))),
            encoded
        );
    }

    proptest! {
        #[test]
        fn a_louder_sample_never_gets_a_quieter_word(a in any::<i16>(), b in any::<i16>()) {
            for codec in [Codec::Pcma, Codec::Pcmu] {
                let (low, high) = (a.min(b), a.max(b));
                prop_assert!(decode(codec, encode(codec, low)) <= decode(codec, encode(codec, high)));
            }
        }
    }
}
