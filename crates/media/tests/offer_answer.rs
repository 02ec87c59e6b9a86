//! Offer and answer, seen from both ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use media::offer_answer::{LocalSession, Terms};
use media::{Codec, Direction, Negotiated, Sdp, SdpError, SourceRule};
use proptest::prelude::*;
use rstest::rstest;

const HEAD: &str = "v=0\r\no=- 7 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n";

fn session() -> LocalSession {
    LocalSession::new("198.51.100.1:20000".parse().unwrap(), 42)
}

fn sdp(rest: &str) -> Sdp {
    Sdp::parse(format!("{HEAD}{rest}").as_bytes()).unwrap()
}

fn answered(rest: &str) -> (Sdp, Negotiated) {
    session().answer(&sdp(rest), Terms::default()).unwrap()
}

#[test]
fn the_offerers_order_chooses_the_codec_and_its_number_the_event() {
    let (answer, agreed) =
        answered("m=audio 4000 RTP/AVP 18 0 8 96\r\na=rtpmap:96 telephone-event/8000\r\n");
    assert_eq!(agreed.codec, Codec::Pcmu);
    assert_eq!(agreed.dtmf_payload_type, Some(96));
    assert_eq!(agreed.remote, "192.0.2.10:4000".parse().unwrap());
    assert!(!agreed.is_hold());
    assert_eq!(
        answer.to_string(),
        "v=0\r\no=- 42 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
         m=audio 20000 RTP/AVP 0 96\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:96 telephone-event/8000\r\n\
         a=fmtp:96 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    );
}

#[test]
fn an_offer_names_codecs_in_our_order() {
    let offer = session().offer(Terms {
        codecs: &[Codec::Pcma, Codec::Pcmu],
        ..Terms::default()
    });
    assert!(
        offer
            .to_string()
            .contains("m=audio 20000 RTP/AVP 8 0 101\r\n")
    );
}

#[rstest]
#[case("sendrecv", Direction::SendRecv, false)]
#[case("sendonly", Direction::RecvOnly, true)]
#[case("recvonly", Direction::SendOnly, false)]
#[case("inactive", Direction::Inactive, true)]
fn hold_is_answered_from_the_other_side(
    #[case] offered: &str,
    #[case] ours: Direction,
    #[case] hold: bool,
) {
    for rest in [
        format!("m=audio 4000 RTP/AVP 8\r\na={offered}\r\n"),
        format!("a={offered}\r\nm=audio 4000 RTP/AVP 8\r\n"),
    ] {
        let (answer, agreed) = answered(&rest);
        assert_eq!(agreed.ours, ours);
        assert_eq!(answer.media[0].direction(), Some(ours));
        assert_eq!(agreed.is_hold(), hold);
        let remote = agreed.remote(SourceRule::Sdp);
        assert_eq!(
            (remote.sending, remote.receiving),
            (agreed.theirs.sends(), !hold)
        );
    }
}

#[test]
fn we_do_not_send_more_than_we_want() {
    let terms = Terms {
        direction: Direction::RecvOnly,
        ..Terms::default()
    };
    let (_, agreed) = session()
        .answer(&sdp("m=audio 4000 RTP/AVP 8\r\na=recvonly\r\n"), terms)
        .unwrap();
    assert_eq!(agreed.ours, Direction::Inactive);
}

#[test]
fn an_unspecified_address_is_hold_in_the_old_way() {
    let (_, agreed) = answered("m=audio 4000 RTP/AVP 8\r\nc=IN IP4 0.0.0.0\r\n");
    assert!(agreed.is_hold());
    assert!(!agreed.remote(SourceRule::Sdp).receiving);
}

#[test]
fn the_streams_own_address_goes_before_the_sessions_and_may_be_ipv6() {
    let (_, agreed) = answered("m=audio 4000 RTP/AVP 8\r\nc=IN IP6 2001:db8::9\r\n");
    assert_eq!(agreed.remote, "[2001:db8::9]:4000".parse().unwrap());
}

#[test]
fn other_streams_keep_their_place_and_are_refused() {
    let (answer, agreed) = answered(
        "m=video 6000 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\nm=audio 5000 RTP/SAVP 8\r\n\
         m=audio 4000 RTP/AVP 8\r\nm=audio 4002 RTP/AVP 0\r\nm=image 7000 udptl t38\r\n",
    );
    assert_eq!(agreed.remote.port(), 4000);
    let lines: Vec<_> = answer
        .media
        .iter()
        .map(|m| (m.kind.as_str(), m.port, m.protocol.as_str()))
        .collect();
    assert_eq!(
        lines,
        [
            ("video", 0, "RTP/AVP"),
            ("audio", 0, "RTP/SAVP"),
            ("audio", 20000, "RTP/AVP"),
            ("audio", 0, "RTP/AVP"),
            ("image", 0, "udptl")
        ]
    );
}

#[rstest]
#[case("m=audio 4000 RTP/AVP 18 9\r\na=rtpmap:18 G729/8000\r\n", SdpError::NoCommonCodec { theirs: "18 G729/8000, 9".to_owned() })]
#[case("m=audio 4000 RTP/AVP 8\r\na=rtpmap:8 L16/44100\r\n", SdpError::NoCommonCodec { theirs: "8 L16/44100".to_owned() })]
#[case("m=audio 4000 RTP/SAVP 8\r\n", SdpError::OnlyEncrypted)]
#[case("m=audio 9 UDP/TLS/RTP/SAVPF 8\r\n", SdpError::OnlyEncrypted)]
#[case("m=audio 0 RTP/AVP 8\r\n", SdpError::NoAudio)]
#[case("m=video 4000 RTP/AVP 99\r\n", SdpError::NoAudio)]
#[case("", SdpError::NoAudio)]
#[case(
    "m=audio 4000 RTP/AVP 8\r\nc=IN IP4 pbx.example\r\n",
    SdpError::Address
)]
#[case(
    "m=audio 4000 RTP/AVP 8\r\nc=IN IP4 224.2.1.1/127\r\n",
    SdpError::Address
)]
#[case(
    "m=audio 4000 RTP/AVP 8\r\nc=IN IP4 255.255.255.255\r\n",
    SdpError::Address
)]
fn what_cannot_be_taken_is_488_and_changes_nothing(#[case] rest: &str, #[case] error: SdpError) {
    let mut session = session();
    assert_eq!(
        session.answer(&sdp(rest), Terms::default()).unwrap_err(),
        error
    );
    assert_eq!(error.sip_status(), 488);
    assert!(session.last().is_none());
}

#[test]
fn the_version_grows_exactly_when_the_description_changes() {
    let mut session = session();
    let mut version = |rest: &str| {
        session
            .answer(&sdp(rest), Terms::default())
            .unwrap()
            .0
            .origin
            .version
    };
    assert_eq!(version("m=audio 4000 RTP/AVP 8\r\n"), 1);
    assert_eq!(version("m=audio 4000 RTP/AVP 8\r\n"), 1);
    assert_eq!(version("m=audio 4000 RTP/AVP 8\r\na=sendonly\r\n"), 2);
    assert_eq!(version("m=audio 4000 RTP/AVP 8\r\na=sendonly\r\n"), 2);
    assert_eq!(version("m=audio 4000 RTP/AVP 8\r\n"), 3);
    let again = session.offer(Terms::default());
    assert_eq!((again.origin.session_id, again.origin.version), (42, 4));
}

#[test]
fn a_later_offer_keeps_the_place_of_refused_streams() {
    let mut session = session();
    session
        .answer(
            &sdp("m=video 6000 RTP/AVP 99\r\nm=audio 4000 RTP/AVP 8\r\n"),
            Terms::default(),
        )
        .unwrap();
    let offer = session.offer(Terms::default());
    assert_eq!(
        offer.media.iter().map(|m| m.port).collect::<Vec<_>>(),
        [0, 20000]
    );
    let answer = sdp("m=video 0 RTP/AVP 99\r\nm=audio 4010 RTP/AVP 0\r\n");
    assert_eq!(session.accept_answer(&answer).unwrap().remote.port(), 4010);
}

#[test]
fn an_answer_settles_codec_address_and_event() {
    let mut session = session();
    let offer = session.offer(Terms::default());
    let mut device = LocalSession::new("192.0.2.77:30000".parse().unwrap(), 9);
    let terms = Terms {
        codecs: &[Codec::Pcmu],
        ..Terms::default()
    };
    let (answer, theirs) = device.answer(&offer, terms).unwrap();
    let ours = session
        .accept_answer(&Sdp::parse(answer.to_string().as_bytes()).unwrap())
        .unwrap();
    assert_eq!((ours.codec, theirs.codec), (Codec::Pcmu, Codec::Pcmu));
    assert_eq!(ours.remote, "192.0.2.77:30000".parse().unwrap());
    assert_eq!(theirs.remote, "198.51.100.1:20000".parse().unwrap());
    assert_eq!(
        (ours.dtmf_payload_type, theirs.dtmf_payload_type),
        (Some(101), Some(101))
    );
}

#[test]
fn an_answer_without_the_event_leaves_it_out() {
    let mut session = session();
    let _ = session.offer(Terms::default());
    let agreed = session
        .accept_answer(&sdp("m=audio 4000 RTP/AVP 8 0\r\na=ptime:30\r\n"))
        .unwrap();
    assert_eq!((agreed.dtmf_payload_type, agreed.ptime_ms), (None, 30));
}

#[rstest]
#[case("m=audio 0 RTP/AVP 8\r\n", SdpError::Refused)]
#[case("", SdpError::NoAudio)]
#[case("m=audio 4000 RTP/SAVP 8\r\n", SdpError::NoAudio)]
#[case("m=audio 4000 RTP/AVP 0\r\n", SdpError::NoCommonCodec { theirs: "0".to_owned() })]
fn an_answer_beyond_the_offer_is_an_error(#[case] rest: &str, #[case] error: SdpError) {
    let mut session = session();
    let _ = session.offer(Terms {
        codecs: &[Codec::Pcma],
        ..Terms::default()
    });
    assert_eq!(session.accept_answer(&sdp(rest)).unwrap_err(), error);
}

#[test]
fn an_answer_to_nothing_is_an_error() {
    assert_eq!(
        session().accept_answer(&sdp("")).unwrap_err(),
        SdpError::NothingOffered
    );
}

proptest! {
    #[test]
    fn no_offer_makes_the_answer_panic_and_streams_stay_matched(
        lines in proptest::collection::vec("(m=(audio|video) [0-9]{1,5} RTP/S?AVP [0-9]{1,3}( [0-9]{1,3})?|a=rtpmap:[0-9]{1,3} PCM[AU]/8000|c=IN IP[46] [0-9a-f:.]{1,12}|a=(sendonly|inactive|ptime:[0-9]{0,4}))", 0..12),
    ) {
        if let Ok(offer) = Sdp::parse(format!("{HEAD}{}", lines.join("\n")).as_bytes()) {
            if let Ok((answer, agreed)) = session().answer(&offer, Terms::default()) {
                prop_assert_eq!(answer.media.len(), offer.media.len());
                prop_assert_eq!(answer.media.iter().filter(|m| m.port != 0).count(), 1);
                prop_assert!(!agreed.ours.sends() || agreed.theirs.receives());
            }
        }
    }
}
