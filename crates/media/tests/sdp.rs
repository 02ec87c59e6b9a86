//! Session descriptions as devices write them, and as nobody should.

use media::SdpError;
use media::sdp::*;
use proptest::prelude::*;

const PHONE: &str = "v=0\r\no=alice 2890844526 2890844527 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\n\
    t=0 0\r\na=sendonly\r\nm=audio 49170 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n\
    m=video 51372 RTP/AVP 99\r\nc=IN IP6 2001:db8::2\r\na=inactive\r\n";

#[test]
fn a_description_of_two_media_is_read() {
    let sdp = Sdp::parse(PHONE.as_bytes()).unwrap();
    assert_eq!(sdp.origin.version, 2_890_844_527);
    assert_eq!(
        sdp.connection.as_ref().and_then(Connection::to_ip),
        Some("192.0.2.10".parse().unwrap())
    );
    assert_eq!(sdp.direction(), Some(Direction::SendOnly));
    let [audio, video] = sdp.media.as_slice() else {
        panic!("two media")
    };
    assert_eq!(
        (audio.kind.as_str(), audio.port, audio.protocol.as_str()),
        ("audio", 49170, "RTP/AVP")
    );
    assert_eq!(audio.payload_types().collect::<Vec<_>>(), [8, 0, 101]);
    assert_eq!(
        audio.rtpmap(101),
        Some(RtpMap {
            name: "telephone-event",
            clock_rate: 8000,
            channels: 1
        })
    );
    assert_eq!(audio.rtpmap(0), None);
    assert_eq!(audio.ptime_ms(), Some(20));
    assert_eq!(audio.direction(), None);
    assert_eq!(video.direction(), Some(Direction::Inactive));
    assert_eq!(
        video.connection.as_ref().and_then(Connection::to_ip),
        Some("2001:db8::2".parse().unwrap())
    );
}

#[test]
fn what_is_written_is_read_as_the_same() {
    let sdp = Sdp::parse(PHONE.as_bytes()).unwrap();
    assert_eq!(Sdp::parse(sdp.to_string().as_bytes()).unwrap(), sdp);
    assert_eq!(sdp.to_string(), PHONE);
}

#[test]
fn bare_line_feeds_blank_lines_unknown_lines_and_latin_1_are_tolerated() {
    let body = b"v=0\no=- 1 1 IN IP4 192.0.2.1\n\ns=B\xfcro\ni=x\nb=AS:64\nc=IN IP4 192.0.2.1\nt=0 0\nX\nm=audio 4000/1 RTP/AVP 0 \n";
    let sdp = Sdp::parse(body).unwrap();
    assert_eq!(sdp.session_name, "B\u{fffd}ro");
    assert_eq!(sdp.media[0].port, 4000);
}

#[test]
fn a_session_id_of_any_length_is_tolerated() {
    let body = b"v=0\no=- 99999999999999999999999 -1 IN IP4 192.0.2.1\ns=-\n";
    assert_eq!(Sdp::parse(body).unwrap().origin.session_id, 0);
}

#[test]
fn a_written_value_cannot_begin_a_new_line() {
    let mut sdp = Sdp::parse(PHONE.as_bytes()).unwrap();
    sdp.session_name = "x\r\nm=audio 1 RTP/AVP 0".to_owned();
    assert!(sdp.to_string().contains("s=xm=audio 1 RTP/AVP 0\r\n"));
}

#[test]
fn every_bound_has_its_error() {
    let start = "v=0\no=- 1 1 IN IP4 192.0.2.1\n";
    let parse = |rest: String| Sdp::parse(format!("{start}{rest}").as_bytes());
    assert_eq!(
        parse("a".repeat(MAX_BYTES)),
        Err(SdpError::TooLong {
            bytes: MAX_BYTES + start.len()
        })
    );
    assert_eq!(parse("\n".repeat(MAX_LINES)), Err(SdpError::TooManyLines));
    assert_eq!(
        parse("a=".to_owned() + &"x".repeat(MAX_LINE_BYTES)),
        Err(SdpError::LineTooLong { line: 3 })
    );
    assert_eq!(
        parse("m=audio 1 RTP/AVP 0\n".repeat(MAX_MEDIA + 1)),
        Err(SdpError::TooManyMedia)
    );
    let formats = " 0".repeat(MAX_FORMATS + 1);
    assert_eq!(
        parse(format!("m=audio 1 RTP/AVP{formats}\n")),
        Err(SdpError::TooManyFormats)
    );
    assert_eq!(
        parse("s=a\rb\n".to_owned()),
        Err(SdpError::ControlCharacter { line: 3 })
    );
    assert_eq!(
        parse("m=audio 70000 RTP/AVP 0\n".to_owned()),
        Err(SdpError::MediaLine)
    );
    assert_eq!(
        parse("m=audio 4000 RTP/AVP\n".to_owned()),
        Err(SdpError::MediaLine)
    );
    assert_eq!(
        parse("c=IN IP4\n".to_owned()),
        Err(SdpError::ConnectionLine)
    );
    assert_eq!(Sdp::parse(b""), Err(SdpError::NotSdp));
    assert_eq!(Sdp::parse(b"<html>=</html>"), Err(SdpError::NotSdp));
    assert_eq!(Sdp::parse(b"v=0\n"), Err(SdpError::OriginLine));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Sdp::parse(&body);
    }

    #[test]
    fn what_was_read_once_reads_the_same_after_writing(lines in proptest::collection::vec("[osctam]=[ -~]{0,40}", 0..20)) {
        let body = format!("v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\n{}", lines.join("\r\n"));
        if let Ok(sdp) = Sdp::parse(body.as_bytes()) {
            let mut again = Sdp::parse(sdp.to_string().as_bytes()).unwrap();
            if sdp.session_name.is_empty() {
                again.session_name.clear();
            }
            prop_assert_eq!(again, sdp);
        }
    }
}
