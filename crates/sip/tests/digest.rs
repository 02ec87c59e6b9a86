//! Digest authentication: the vectors of the RFCs, and what a challenger must refuse.
#![allow(clippy::unwrap_used, reason = "a test ends where its expectation does")]

use std::net::IpAddr;
use std::time::Duration;

use sip::digest::{Algorithm, Authorization, Challenge, Challenger, Verdict, ha1, respond};
use sip::{Method, Request, Uri};

const REALM: &str = "ringbook";
const PASSWORD: &str = "s3cret";
const NOW: i64 = 1_750_000_000;
const URI: &str = "sip:101@pbx.example.com";

fn source() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

fn challenger(most_nonces: usize) -> Challenger {
    Challenger::new(REALM, [7; 32], Duration::from_secs(300), most_nonces)
}

fn stored(algorithm: Algorithm, user: &str) -> Option<String> {
    (user == "101").then(|| ha1(algorithm, user, REALM, PASSWORD))
}

fn fresh(challenger: &mut Challenger, algorithms: &[Algorithm]) -> Challenge {
    let values = challenger.challenge(NOW, source(), algorithms, false);
    Challenge::strongest(values.iter().map(String::as_str)).unwrap()
}

fn answer(challenge: &Challenge, user: &str, password: &str, nc: u32) -> String {
    let ha1 = ha1(challenge.algorithm, user, &challenge.realm, password);
    respond(challenge, user, &ha1, "INVITE", URI, "0a4f113b", nc)
}

fn verify(challenger: &mut Challenger, at: i64, from: IpAddr, value: &str) -> Verdict {
    challenger.verify(at, from, "INVITE", b"", value, stored)
}

fn ok() -> Verdict {
    Verdict::Ok {
        user: "101".to_owned(),
    }
}

fn bad(user: &str) -> Verdict {
    Verdict::Bad {
        user: Some(user.to_owned()),
    }
}

fn response_of(value: &str, password: &str, cnonce: &str) -> String {
    let challenge = Challenge::parse(value).unwrap();
    let ha1 = ha1(challenge.algorithm, "Mufasa", &challenge.realm, password);
    let answer = respond(
        &challenge,
        "Mufasa",
        &ha1,
        "GET",
        "/dir/index.html",
        cnonce,
        1,
    );
    let (_, rest) = answer.split_once("response=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

#[test]
fn rfc_2617_section_3_5() {
    let value = "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
                 nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
    assert_eq!(
        response_of(value, "Circle Of Life", "0a4f113b"),
        "6629fae49393a05397450978507c4ef1"
    );
}

#[test]
fn rfc_2069_section_2_4_as_corrected() {
    let value = "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
    assert_eq!(
        response_of(value, "CircleOfLife", ""),
        "1949323746fe6a43ef61f9606e7febea"
    );
}

#[test]
fn rfc_7616_section_3_9_1() {
    let value = |algorithm| {
        format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        )
    };
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    assert_eq!(
        response_of(&value("MD5"), "Circle of Life", cnonce),
        "8ca523f5e9506fed4657c9700eebdbec"
    );
    assert_eq!(
        response_of(&value("SHA-256"), "Circle of Life", cnonce),
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    );
}

#[test]
fn rfc_8760_the_strongest_challenge_stands_first_and_is_taken() {
    let mut challenger = challenger(10);
    let values = challenger.challenge(NOW, source(), &[Algorithm::Md5, Algorithm::Sha256], true);
    let read: Vec<_> = values
        .iter()
        .map(|value| Challenge::parse(value).unwrap())
        .collect();
    assert_eq!(
        read.iter()
            .map(|challenge| challenge.algorithm)
            .collect::<Vec<_>>(),
        [Algorithm::Sha256, Algorithm::Md5]
    );
    assert!(
        read.iter()
            .all(|challenge| challenge.stale && challenge.qop_auth && challenge.realm == REALM)
    );
    assert_eq!(
        Challenge::strongest(values.iter().rev().map(String::as_str))
            .unwrap()
            .algorithm,
        Algorithm::Sha256
    );
    let only = challenger.challenge(NOW, source(), &[Algorithm::Md5], false);
    assert!(only.len() == 1 && only[0].contains("algorithm=MD5") && !only[0].contains("stale"));
}

#[test]
fn the_right_password_opens_with_either_algorithm() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let mut challenger = challenger(10);
        let challenge = fresh(&mut challenger, &[algorithm]);
        let value = answer(&challenge, "101", PASSWORD, 1);
        assert_eq!(Authorization::parse(&value).unwrap().username(), "101");
        assert_eq!(verify(&mut challenger, NOW + 1, source(), &value), ok());
    }
}

#[test]
fn wrong_passwords_and_unknown_users_get_the_same_verdict() {
    let mut challenger = challenger(10);
    let challenge = fresh(&mut challenger, &[Algorithm::Md5]);
    assert_eq!(
        verify(
            &mut challenger,
            NOW,
            source(),
            &answer(&challenge, "101", "guess", 1)
        ),
        bad("101")
    );
    assert_eq!(
        verify(
            &mut challenger,
            NOW,
            source(),
            &answer(&challenge, "999", PASSWORD, 1)
        ),
        bad("999")
    );
    // A guess with a nonce that is not ours learns nothing about nonces.
    let foreign = Challenge {
        nonce: "00".to_owned(),
        ..challenge.clone()
    };
    assert_eq!(
        verify(
            &mut challenger,
            NOW,
            source(),
            &answer(&foreign, "101", "guess", 1)
        ),
        bad("101")
    );
    // Failed attempts do not use up the count.
    assert_eq!(
        verify(
            &mut challenger,
            NOW,
            source(),
            &answer(&challenge, "101", PASSWORD, 1)
        ),
        ok()
    );
}

#[test]
fn even_who_guesses_the_dummy_is_an_unknown_user() {
    // With this seed the dummy is the hash of "nobody" and 33 colons, which can be written as an HA1.
    let mut challenger = Challenger::new(REALM, [b':'; 32], Duration::from_secs(300), 10);
    let challenge = fresh(&mut challenger, &[Algorithm::Md5]);
    let dummy = ha1(Algorithm::Md5, "nobody", "", &":".repeat(31));
    let value = respond(&challenge, "999", &dummy, "INVITE", URI, "0a4f113b", 1);
    assert_eq!(verify(&mut challenger, NOW, source(), &value), bad("999"));
}

#[test]
fn a_nonce_is_stale_when_old_from_elsewhere_forged_or_of_another_process() {
    let mut challenger = challenger(10);
    let challenge = fresh(&mut challenger, &[Algorithm::Md5]);
    let value = answer(&challenge, "101", PASSWORD, 1);
    assert_eq!(
        verify(&mut challenger, NOW + 301, source(), &value),
        Verdict::Stale
    );
    assert_eq!(
        verify(&mut challenger, NOW - 301, source(), &value),
        Verdict::Stale
    );
    assert_eq!(
        verify(&mut challenger, NOW, "192.0.2.2".parse().unwrap(), &value),
        Verdict::Stale
    );
    let mut other = Challenger::new(REALM, [8; 32], Duration::from_secs(300), 10);
    assert_eq!(verify(&mut other, NOW, source(), &value), Verdict::Stale);
    let later = format!("{:010x}{}", NOW + 1000, &challenge.nonce[10..]);
    for nonce in [
        later,
        String::new(),
        "é".repeat(30),
        "+".repeat(59),
        "f".repeat(59),
    ] {
        let forged = Challenge {
            nonce,
            ..challenge.clone()
        };
        assert_eq!(
            verify(
                &mut challenger,
                NOW,
                source(),
                &answer(&forged, "101", PASSWORD, 1)
            ),
            Verdict::Stale
        );
    }
    // An IPv4 address seen through an IPv6 socket is the same source.
    assert_eq!(
        verify(
            &mut challenger,
            NOW + 300,
            "::ffff:192.0.2.1".parse().unwrap(),
            &value
        ),
        ok()
    );
}

#[test]
fn a_count_serves_once_and_may_be_overtaken() {
    let mut challenger = challenger(10);
    let challenge = fresh(&mut challenger, &[Algorithm::Md5]);
    for nc in [2, 1, 0x10, 0xf, 0x4f, 0x50] {
        assert_eq!(
            verify(
                &mut challenger,
                NOW,
                source(),
                &answer(&challenge, "101", PASSWORD, nc)
            ),
            ok(),
            "{nc:x}"
        );
    }
    // 0x10 lies outside the window of 64 below 0x50; 3 was never used but is too far behind.
    for nc in [1, 2, 0x4f, 0x50, 0x10, 3, 0] {
        let verdict = verify(
            &mut challenger,
            NOW,
            source(),
            &answer(&challenge, "101", PASSWORD, nc),
        );
        assert_eq!(verdict, Verdict::Replayed, "{nc:x}");
    }
    assert_eq!(
        verify(
            &mut challenger,
            NOW,
            source(),
            &answer(&challenge, "101", PASSWORD, u32::MAX)
        ),
        ok()
    );
}

#[test]
fn without_qop_a_nonce_serves_once() {
    let mut challenger = challenger(10);
    let legacy = Challenge {
        qop_auth: false,
        ..fresh(&mut challenger, &[Algorithm::Md5])
    };
    let value = answer(&legacy, "101", PASSWORD, 1);
    assert!(!value.contains("qop"));
    assert_eq!(verify(&mut challenger, NOW, source(), &value), ok());
    assert_eq!(
        verify(&mut challenger, NOW, source(), &value),
        Verdict::Stale
    );
    let counted = Challenge {
        qop_auth: true,
        ..legacy
    };
    assert_eq!(
        verify(
            &mut challenger,
            NOW,
            source(),
            &answer(&counted, "101", PASSWORD, 9)
        ),
        Verdict::Replayed
    );
}

#[test]
fn at_the_limit_the_oldest_nonce_is_forgotten_and_never_taken_again() {
    let mut challenger = challenger(3);
    let unused = fresh(&mut challenger, &[Algorithm::Md5]);
    let first = fresh(&mut challenger, &[Algorithm::Md5]);
    assert_eq!(
        verify(
            &mut challenger,
            NOW,
            source(),
            &answer(&first, "101", PASSWORD, 1)
        ),
        ok()
    );
    for _ in 0..3 {
        let next = fresh(&mut challenger, &[Algorithm::Md5]);
        assert_eq!(
            verify(
                &mut challenger,
                NOW,
                source(),
                &answer(&next, "101", PASSWORD, 1)
            ),
            ok()
        );
    }
    for forgotten in [&unused, &first] {
        for nc in [1, 2] {
            let verdict = verify(
                &mut challenger,
                NOW,
                source(),
                &answer(forgotten, "101", PASSWORD, nc),
            );
            assert_eq!(verdict, Verdict::Stale);
        }
    }
}

#[test]
fn two_phones_behind_one_address_get_different_nonces() {
    let mut challenger = challenger(10);
    let (one, two) = (
        fresh(&mut challenger, &[Algorithm::Md5]),
        fresh(&mut challenger, &[Algorithm::Md5]),
    );
    assert_ne!(one.nonce, two.nonce);
    assert_eq!(
        verify(
            &mut challenger,
            NOW,
            source(),
            &answer(&one, "101", PASSWORD, 1)
        ),
        ok()
    );
    assert_eq!(
        verify(
            &mut challenger,
            NOW,
            source(),
            &answer(&two, "101", PASSWORD, 1)
        ),
        ok()
    );
}

#[test]
fn an_algorithm_that_was_not_offered_is_refused() {
    let mut challenger = challenger(10);
    let offered = fresh(&mut challenger, &[Algorithm::Sha256]);
    let weaker = Challenge {
        algorithm: Algorithm::Md5,
        ..offered
    };
    assert_eq!(
        verify(
            &mut challenger,
            NOW,
            source(),
            &answer(&weaker, "101", PASSWORD, 1)
        ),
        bad("101")
    );
}

#[test]
fn another_realm_method_or_body_is_refused() {
    let mut challenger = challenger(10);
    let challenge = fresh(&mut challenger, &[Algorithm::Md5]);
    let elsewhere = Challenge {
        realm: "elsewhere".to_owned(),
        ..challenge.clone()
    };
    let value = {
        let ha1 = ha1(Algorithm::Md5, "101", REALM, PASSWORD);
        respond(&elsewhere, "101", &ha1, "INVITE", URI, "x", 1)
    };
    assert_eq!(verify(&mut challenger, NOW, source(), &value), bad("101"));
    let value = answer(&challenge, "101", PASSWORD, 1);
    assert_eq!(
        challenger.verify(NOW, source(), "BYE", b"", &value, stored),
        bad("101")
    );
    // `auth` does not cover the body; `auth-int` does.
    assert_eq!(
        challenger.verify(NOW, source(), "INVITE", b"body", &value, stored),
        ok()
    );
    let claimed = value
        .replace("qop=auth", "qop=auth-int")
        .replace("nc=00000001", "nc=00000002");
    assert_eq!(
        challenger.verify(NOW, source(), "INVITE", b"body", &claimed, stored),
        bad("101")
    );
}

#[test]
fn the_uri_must_name_what_the_request_names() {
    let request = |uri: &str| Request::new(Method::Invite, Uri::parse(uri).unwrap());
    let cases = [
        (URI, true),
        ("sip:101@PBX.example.com;transport=udp", true),
        ("sip:%3101@pbx.example.com", true),
        ("sip:102@pbx.example.com", false),
        ("sip:101@pbx.example.com:5070", false),
        ("sips:101@pbx.example.com", false),
    ];
    for (uri, fits) in cases {
        let mut challenger = challenger(10);
        let value = answer(
            &fresh(&mut challenger, &[Algorithm::Md5]),
            "101",
            PASSWORD,
            1,
        );
        let verdict = challenger.verify_request(NOW, source(), &request(uri), &value, stored);
        assert_eq!(verdict, if fits { ok() } else { bad("101") }, "{uri}");
    }
}

#[test]
fn what_is_not_well_formed_is_malformed() {
    let mut challenger = challenger(10);
    let good = answer(
        &fresh(&mut challenger, &[Algorithm::Md5]),
        "101",
        PASSWORD,
        1,
    );
    let broken = [
        "Basic dXNlcjpwYXNz".to_owned(),
        "Digest".to_owned(),
        String::new(),
        good.replace("username=", "user="),
        good.replace("response=", "answer="),
        good.replace("algorithm=MD5", "algorithm=MD5-sess"),
        good.replace("qop=auth", "qop=token"),
        good.replace("nc=00000001", "nc=0000000g"),
        good.replace("nc=00000001", "nc=+0000001"),
        good.replace("nc=00000001", "nc=000000001"),
        good.replace("nc=00000001", "nc="),
        good.replace(", nc=00000001", ""),
        good.replace("cnonce=", "other="),
        good.clone() + ", username=\"102\"",
        good.clone() + ", open=\"",
        good.clone() + &", a=b".repeat(40),
    ];
    for value in broken {
        assert_eq!(
            verify(&mut challenger, NOW, source(), &value),
            Verdict::Malformed,
            "{value}"
        );
    }
    assert_eq!(verify(&mut challenger, NOW, source(), &good), ok());
}

#[test]
fn phones_write_their_answers_in_many_ways() {
    let mut challenger = challenger(10);
    let challenge = fresh(&mut challenger, &[Algorithm::Md5]);
    let upper = answer(&challenge, "101", PASSWORD, 0xab);
    let (_, response) = upper.split_once("response=\"").unwrap();
    let response = response.split_once('"').unwrap().0;
    let value = upper
        .replace("Digest ", "digest  ")
        .replace("username=", "UserName = ")
        .replace("qop=auth", "qop=\"auth\"")
        .replace("algorithm=MD5", "algorithm=\"md5\"")
        .replace(", ", " ,\t")
        .replace(response, &response.to_uppercase());
    assert_eq!(verify(&mut challenger, NOW, source(), &value), ok());
}

#[test]
fn a_user_name_with_quotes_is_read_as_it_was_meant() {
    let mut challenger = challenger(10);
    let challenge = fresh(&mut challenger, &[Algorithm::Md5]);
    let name = "o\"brien\\";
    let value = answer(&challenge, name, PASSWORD, 1);
    let stored = |algorithm, user: &str| Some(ha1(algorithm, user, REALM, PASSWORD));
    let verdict = challenger.verify(NOW, source(), "INVITE", b"", &value, stored);
    assert_eq!(
        verdict,
        Verdict::Ok {
            user: name.to_owned()
        }
    );
}
