//! Three legs that hear one another, over real sockets, with one and with two media threads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at anything unexpected"
)]

mod support;

use std::time::Duration;

use media::{
    Codec, Command, ConversationKey, Event, LegKey, g711,
    rtp::{sequence_step, timestamp_step},
};
use rstest::rstest;
use support::{Beat, FRAME, Heard, Phone, TestPlane, bridged, meet, wav::Recording};

/// How loud each of the three speaks: every sum of some of them is a number of its own.
const LEVELS: [i16; 3] = [1_000, 2_200, 5_000];
/// Beats after which nothing of what was said before is under way.
const SETTLED: usize = 15;

struct Conference {
    plane: TestPlane,
    phones: [Phone; 3],
    legs: [LegKey; 3],
}

impl Conference {
    /// Client, agent and colleague; client and agent have talked before.
    fn begin(threads: usize) -> Self {
        let mut it = Self::bridge(threads);
        it.confer();
        it
    }

    fn bridge(threads: usize) -> Self {
        let mut plane = TestPlane::start(threads);
        let mut phones = [
            Phone::new(Codec::Pcma, 1),
            Phone::new(Codec::Pcmu, 2),
            Phone::new(Codec::Pcma, 3),
        ];
        let [client, agent, colleague] = &mut phones;
        let (first, second) = bridged(&mut plane, client, agent);
        let third = plane.open_to(colleague);
        meet(&mut plane, colleague, third);
        Self {
            plane,
            phones,
            legs: [first, second, third],
        }
    }

    fn confer(&mut self) {
        let [client, agent, colleague] = self.legs;
        self.plane.order(Command::Confer {
            client,
            agents: [agent, colleague],
            conversation: ConversationKey(1),
        });
    }

    fn hold(&mut self, which: usize, held: bool) {
        let leg = self.legs[which];
        self.plane.order(Command::Hold { leg, held });
    }

    /// Everybody speaks for so many beats; what each then heard.
    fn talk(&mut self, beats: usize) -> [Vec<Heard>; 3] {
        let mut beat = Beat::start();
        for _ in 0..beats {
            for (phone, level) in self.phones.iter_mut().zip(LEVELS) {
                phone.speak(&[g711::encode(phone.codec, level); 160]);
            }
            beat.wait();
        }
        // What is still on its way.
        (0..2).for_each(|_| beat.wait());
        self.phones.each_ref().map(Phone::heard_so_far)
    }

    /// Whom each hears, once everything is settled: nearly all frames say the same.
    fn hear(&mut self) -> [Vec<usize>; 3] {
        self.talk(SETTLED);
        let heard = self.talk(50);
        let codecs = self.phones.each_ref().map(|phone| phone.codec);
        let mut all = heard.into_iter().zip(codecs);
        std::array::from_fn(|_| {
            let (heard, codec) = all.next().unwrap();
            if heard.is_empty() {
                return Vec::new();
            }
            assert!((44..=56).contains(&heard.len()), "{} packets", heard.len());
            let voices: Vec<_> = heard.iter().map(|it| voices_in(it, codec)).collect();
            let usual = voices[voices.len() / 2].clone();
            let as_usual = voices.iter().filter(|it| **it == usual).count();
            assert!(as_usual * 10 >= voices.len() * 8, "{voices:?}");
            usual.expect("some of the three")
        })
    }
}

/// Which of the three a frame is the sum of; none if it is something else, such as the edge of a packet.
fn voices_in(heard: &Heard, codec: Codec) -> Option<Vec<usize>> {
    assert_eq!(heard.header.payload_type, codec.payload_type());
    assert_eq!(heard.payload.len(), 160);
    level_voices(g711::decode(codec, heard.payload[80]))
}

fn level_voices(level: i16) -> Option<Vec<usize>> {
    let level = i32::from(level);
    (0..8_usize).find_map(|set| {
        let voices: Vec<usize> = (0..3).filter(|voice| set >> voice & 1 == 1).collect();
        let sum: i32 = voices.iter().map(|voice| i32::from(LEVELS[*voice])).sum();
        ((level - sum).abs() <= 20 + sum / 20).then_some(voices)
    })
}

#[rstest]
fn each_hears_the_sum_of_the_other_two_in_the_law_of_its_leg(#[values(1, 2)] threads: usize) {
    let mut conference = Conference::begin(threads);
    assert_eq!(conference.hear(), [vec![1, 2], vec![0, 2], vec![0, 1]]);
    // Numbers and times of what is sent have no seam.
    for heard in conference.talk(50) {
        for pair in heard.windows(2) {
            let (one, other) = (pair[0].header, pair[1].header);
            assert_eq!(one.ssrc, other.ssrc);
            assert_eq!(sequence_step(one.sequence, other.sequence), 1);
            assert_eq!(timestamp_step(one.timestamp, other.timestamp), 160);
        }
    }
}

#[rstest]
fn whoever_stays_goes_on_in_a_plain_bridge(
    #[values(1, 2)] threads: usize,
    #[values(1, 2)] leaves: usize,
) {
    let mut conference = Conference::begin(threads);
    conference.talk(SETTLED);
    let (client, gone) = (conference.legs[0], conference.legs[leaves]);
    let stays = conference.legs[3 - leaves];
    conference.plane.close(gone);
    conference.plane.join(client, stays);
    let expected = match leaves {
        1 => [vec![2], vec![], vec![0]],
        _ => [vec![1], vec![0], vec![]],
    };
    assert_eq!(conference.hear(), expected);
    // Every packet is passed on as it comes, at once.
    let [client, agent, colleague] = &mut conference.phones;
    let agent = if leaves == 1 { colleague } else { agent };
    client.heard_so_far();
    for mark in 0..50 {
        let mut said = [0x80 | mark; 160];
        agent.speak(&said);
        g711::convert(agent.codec, client.codec, &mut said);
        let heard = client.hear_within(FRAME * 10).expect("it is passed on");
        assert_eq!(heard.payload, said);
    }
}

#[rstest]
fn the_other_two_go_on_while_one_is_gone_and_nobody_was_joined_anew(
    #[values(1, 2)] threads: usize,
) {
    let mut conference = Conference::begin(threads);
    conference.talk(SETTLED);
    conference.plane.close(conference.legs[2]);
    assert_eq!(conference.hear(), [vec![1], vec![0], vec![]]);
    conference.plane.close(conference.legs[1]);
    assert_eq!(conference.hear().concat(), [0_usize; 0]);
    conference.plane.close(conference.legs[0]);
}

#[rstest]
fn whoever_holds_is_away_and_the_others_hear_each_other_or_music(#[values(1, 2)] threads: usize) {
    let mut conference = Conference::begin(threads);
    conference.hold(1, true);
    assert_eq!(conference.hear(), [vec![2], vec![], vec![0]]);
    conference.hold(2, true);
    conference.talk(SETTLED);
    let [client, agent, colleague] = conference.talk(50);
    assert!(agent.is_empty() && colleague.is_empty());
    assert!((44..=56).contains(&client.len()), "{}", client.len());
    let tones = client.iter().flat_map(|it| &it.payload);
    let tones: std::collections::BTreeSet<u8> = tones.copied().collect();
    assert!(tones.len() > 20, "the client hears music");
    conference.hold(1, false);
    assert_eq!(conference.hear(), [vec![1], vec![0], vec![]]);
    conference.hold(2, false);
    assert_eq!(conference.hear(), [vec![1, 2], vec![0, 2], vec![0, 1]]);
}

#[rstest]
fn keys_are_reported_once_and_nobody_hears_them(#[values(1, 2)] threads: usize) {
    let mut conference = Conference::begin(threads);
    conference.talk(SETTLED);
    let leg = conference.legs[1];
    conference.phones[1].press('5');
    let key = conference.plane.wait("the key", |event| match event {
        Event::Dtmf { leg, digit, .. } => Some((*leg, *digit)),
        _ => None,
    });
    assert_eq!(key, (leg, '5'));
    for (heard, phone) in conference.talk(20).iter().zip(&conference.phones) {
        for packet in heard {
            assert_eq!(packet.header.payload_type, phone.codec.payload_type());
        }
    }
    assert_eq!(conference.hear(), [vec![1, 2], vec![0, 2], vec![0, 1]]);
    let again = |event: &Event| matches!(event, Event::Dtmf { .. }).then_some(());
    let patience = Duration::from_millis(400);
    assert_eq!(conference.plane.wait_within(patience, again), None);
}

#[rstest]
fn the_file_has_the_client_left_and_the_sum_of_the_agents_right(#[values(1, 2)] threads: usize) {
    let mut conference = Conference::bridge(threads);
    let [client, agent, _] = conference.legs;
    let path = conference
        .plane
        .start_recording(1, client, agent, Codec::Pcma);
    conference.talk(50);
    conference.confer();
    conference.talk(100);
    let conversation = ConversationKey(1);
    conference.plane.order(Command::PauseRecording {
        conversation,
        paused: true,
    });
    conference.talk(25);
    conference.plane.order(Command::PauseRecording {
        conversation,
        paused: false,
    });
    conference.talk(25);
    // The agent leaves, the colleague stays with the client.
    let colleague = conference.legs[2];
    conference.plane.close(agent);
    conference.plane.join(client, colleague);
    conference.plane.order(Command::PassRecording {
        conversation,
        agent: colleague,
    });
    conference.talk(50);
    let summary = conference.plane.stop_recording(1);
    assert_eq!((&summary.error, summary.gaps_ms), (&None, 0));
    let recording = Recording::read(&path);
    let channel = |codes: &[u8]| {
        let levels = codes.iter().step_by(80);
        let voices = levels.map(|code| level_voices(g711::decode(Codec::Pcma, *code)));
        let mut parts: Vec<(Vec<usize>, usize)> = Vec::new();
        for voices in voices.flatten() {
            match parts.last_mut() {
                Some((last, length)) if *last == voices => *length += 10,
                _ => parts.push((voices, 10)),
            }
        }
        // A seam is shorter than the parts.
        parts.retain(|(_, length)| *length > 200);
        parts.dedup_by(|next, last| {
            let same = next.0 == last.0;
            last.1 += if same { next.1 } else { 0 };
            same
        });
        parts
    };
    let (left, right) = (channel(&recording.left), channel(&recording.right));
    let who = |parts: &[(Vec<usize>, usize)]| {
        let who: Vec<_> = parts.iter().map(|(who, _)| who.clone()).collect();
        who
    };
    assert_eq!(who(&left), [vec![0], vec![], vec![0]], "{left:?}");
    let heard = [vec![1], vec![1, 2], vec![], vec![1, 2], vec![2]];
    assert_eq!(who(&right), heard, "{right:?}");
    // The pause lies in the same place on both sides.
    let before = |parts: &[(Vec<usize>, usize)]| {
        let silent = parts.iter().position(|(who, _)| who.is_empty()).unwrap();
        parts[..silent].iter().map(|it| it.1).sum::<usize>()
    };
    assert!(
        before(&left).abs_diff(before(&right)) <= 100,
        "{left:?} {right:?}"
    );
    recording.check_with_sox(&path);
}
