//! Trunks that register and trunks that are watched: moment by moment in the simulated call centre, and through the real
//! program.

use std::{net::SocketAddr, time::Duration};

use model::{TrunkCode, TrunkId, VoiceCodec};
use serde_json::json;
use tests::{
    company::Company,
    daemon::Options,
    sim::{Centre, Dialled, Intent, company::gateway_address, wire::Record},
};

const FIRST: TrunkId = TrunkId(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// An office whose first trunk registers; `script` is what its provider answers first.
fn registering(script: &[(u16, &str, &str)]) -> Centre {
    let mut centre = Centre::calm(1, 1);
    let gateway = centre.phones.get_mut(&gateway_address(0)).unwrap();
    for (status, name, value) in script {
        let header = ((*name).to_owned(), (*value).to_owned());
        gateway.registrar.push_back((*status, header));
    }
    centre.change_directory(|directory| {
        let outbound = directory.trunks[0].outbound.as_mut().unwrap();
        outbound.register = true;
    });
    centre
}

fn sent<'a>(centre: &'a Centre, party: SocketAddr, start: &str) -> Vec<&'a Record> {
    let wire = centre.wire.iter();
    wire.filter(|it| !it.incoming && it.party == party && it.message.start.starts_with(start))
        .collect()
}

fn registers(centre: &Centre) -> Vec<&Record> {
    sent(centre, gateway_address(0), "REGISTER")
}

fn is(centre: &Centre, code: TrunkCode) -> bool {
    let told = centre.trunks.get(&FIRST).and_then(|told| told.last());
    told.is_some_and(|(_, state)| state.code == code)
}

fn becomes(centre: &mut Centre, code: TrunkCode) {
    let until = centre.now + Duration::from_secs(300);
    assert!(
        centre.run(until, |centre| is(centre, code)),
        "{code:?}: {:?}",
        centre.trunks
    );
}

fn seconds_between(records: &[&Record]) -> Vec<u64> {
    let pairs = records.windows(2);
    pairs.map(|two| (two[1].at - two[0].at).as_secs()).collect()
}

#[test]
fn a_trunk_that_registers_knows_the_password_and_refreshes_before_it_expires() {
    let mut centre = registering(&[]);
    becomes(&mut centre, TrunkCode::Registered);
    let until = centre.now + Duration::from_secs(500);
    centre.run(until, |_| false);
    let registers = registers(&centre);
    assert_eq!(seconds_between(&registers), [0, 240, 240], "80 % of 300 s");
    let contact = registers[1].message.text("Contact");
    assert!(
        contact.contains("sip:74951000000@10.0.0.1:5060"),
        "a line's number: {contact}"
    );
    let again = registers[2].message.text("Authorization");
    assert!(again.contains("nc=00000002"), "not asked again: {again}");
    assert!(
        sent(&centre, gateway_address(0), "OPTIONS").is_empty(),
        "its registration says enough"
    );
}

#[test]
fn a_longer_interval_a_time_to_wait_and_a_stale_nonce_are_followed() {
    let stale = r#"Digest realm="registrar", nonce="two", algorithm=MD5, qop="auth", stale=true"#;
    let mut centre = registering(&[
        (423, "Min-Expires", "1000"),
        (503, "Retry-After", "77 (busy)"),
        (401, "WWW-Authenticate", stale),
        (401, "WWW-Authenticate", stale),
    ]);
    becomes(&mut centre, TrunkCode::Refused);
    becomes(&mut centre, TrunkCode::Registered);
    let registers = registers(&centre);
    assert_eq!(seconds_between(&registers), [0, 77, 0, 0]);
    assert_eq!(registers[1].message.text("Expires"), "1000");
}

#[test]
fn a_provider_that_refuses_is_asked_ever_more_rarely() {
    let refused: Vec<_> = (0..8).map(|_| (500, "Server", "x")).collect();
    let mut centre = registering(&refused);
    becomes(&mut centre, TrunkCode::Refused);
    centre.run(HOUR, |centre| is(centre, TrunkCode::Registered));
    let between = seconds_between(&registers(&centre));
    assert_eq!(between[..8], [30, 60, 120, 240, 480, 600, 600, 600]);
    let told: Vec<TrunkCode> = centre.trunks[&FIRST].iter().map(|it| it.1.code).collect();
    assert_eq!(
        told[1..],
        [
            TrunkCode::Registering,
            TrunkCode::Refused,
            TrunkCode::Registered
        ]
    );
}

#[test]
fn a_provider_that_wants_to_be_asked_at_once_is_asked_after_a_rest() {
    let busy: Vec<_> = (0..8).map(|_| (503, "Retry-After", "0")).collect();
    let mut centre = registering(&busy);
    centre.run(HOUR, |centre| is(centre, TrunkCode::Registered));
    let between = seconds_between(&registers(&centre));
    assert!(between[..8].iter().all(|rest| *rest >= 10), "{between:?}");
}

#[test]
fn a_password_that_is_refused_twice_is_said_to_be_wrong() {
    let asked = r#"Digest realm="registrar", nonce="x", algorithm=MD5, qop="auth""#;
    let again = (401, "WWW-Authenticate", asked);
    let mut centre = registering(&[again, again]);
    becomes(&mut centre, TrunkCode::PasswordRefused);
    assert_eq!(registers(&centre).len(), 2);
    becomes(&mut centre, TrunkCode::Registered);
}

#[test]
fn a_proxy_that_asks_by_sha_256_and_a_registrar_behind_it_both_get_their_answer() {
    let asked = r#"Digest realm="proxy", nonce="x", algorithm=SHA-256, qop="auth""#;
    let mut centre = registering(&[(407, "Proxy-Authenticate", asked)]);
    centre.change_directory(|directory| {
        let outbound = directory.trunks[0].outbound.as_mut().unwrap();
        outbound.terms.auth_user = Some("login-7".to_owned());
    });
    becomes(&mut centre, TrunkCode::Registered);
    let registers = registers(&centre);
    let answer = registers[1].message.text("Proxy-Authorization");
    assert!(
        answer.contains(r#"username="login-7""#) && answer.contains("algorithm=SHA-256"),
        "{answer}"
    );
    let response = answer.split("response=\"").nth(1).unwrap();
    assert_eq!(response.find('"'), Some(64), "{answer}");
    let both = &registers.last().unwrap().message;
    assert!(both.header("Authorization").is_some() && both.header("Proxy-Authorization").is_some());
}

#[test]
fn calls_take_the_way_that_the_registrar_names() {
    let route = "<sip:edge.provider.example;lr>";
    let mut centre = registering(&[(200, "Service-Route", route)]);
    becomes(&mut centre, TrunkCode::Registered);
    centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    let until = centre.now + Duration::from_secs(20);
    assert!(centre.run(until, |centre| {
        !sent(centre, gateway_address(0), "INVITE").is_empty()
    }));
    let invite = &sent(&centre, gateway_address(0), "INVITE")[0].message;
    assert_eq!(invite.text("Route"), route);
}

#[test]
fn a_trunk_hears_who_we_are_and_what_we_speak_as_its_terms_say() {
    let mut centre = Centre::calm(1, 1);
    centre.change_directory(|directory| {
        let terms = &mut directory.trunks[0].outbound.as_mut().unwrap().terms;
        terms.from_user = Some("contract-12".to_owned());
        terms.from_domain = Some("office.example".to_owned());
        terms.auth_user = Some("login-7".to_owned());
        terms.codecs = vec![VoiceCodec::Pcmu];
    });
    let gateway = centre.phones.get_mut(&gateway_address(0)).unwrap();
    gateway.challenges = true;
    let caller = centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    let until = centre.now + Duration::from_secs(20);
    assert!(centre.run(until, |centre| {
        sent(centre, gateway_address(0), "INVITE").len() == 2
    }));
    let invite = &sent(&centre, gateway_address(0), "INVITE")[1].message;
    let from = invite.text("From");
    assert!(from.contains("<sip:contract-12@office.example>"), "{from}");
    let answer = invite.text("Proxy-Authorization");
    assert!(answer.contains(r#"username="login-7""#), "{answer}");
    let media = invite.body.lines().find(|line| line.starts_with("m=audio"));
    let media = media.unwrap();
    assert!(
        media.contains("RTP/AVP 0 ") && !media.contains(" 8"),
        "{media}"
    );
    centre.leave(caller);
    centre.run_until_quiet();
}

#[test]
fn settings_that_stay_are_not_disturbed_and_a_trunk_that_registers_no_more_is_taken_back() {
    let mut centre = registering(&[]);
    becomes(&mut centre, TrunkCode::Registered);
    let before = registers(&centre).len();
    centre.change_directory(|directory| directory.trunks[1].name.push('x'));
    let until = centre.now + Duration::from_secs(5);
    centre.run(until, |_| false);
    assert_eq!(registers(&centre).len(), before);
    centre.change_directory(|directory| {
        directory.trunks[0].outbound.as_mut().unwrap().register = false;
    });
    becomes(&mut centre, TrunkCode::Up);
    assert_eq!(
        registers(&centre).last().unwrap().message.text("Expires"),
        "0"
    );
}

#[test]
fn a_trunk_that_does_not_answer_is_down_and_tried_last() {
    let mut centre = Centre::calm(1, 1);
    centre.phones.get_mut(&gateway_address(0)).unwrap().alive = false;
    becomes(&mut centre, TrunkCode::Down);
    let caller = centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    let until = centre.now + Duration::from_secs(20);
    assert!(centre.run(until, |centre| {
        !sent(centre, gateway_address(1), "INVITE").is_empty()
    }));
    assert!(sent(&centre, gateway_address(0), "INVITE").is_empty());
    centre.leave(caller);
    let gateway = centre.phones.get_mut(&gateway_address(0)).unwrap();
    gateway.alive = true;
    becomes(&mut centre, TrunkCode::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_says_registered_and_that_a_password_is_refused() {
    let company = Company::found(1, &Options::default()).await;
    let proxy = company.daemon.address(40, 5060);
    let provider = company.gateway(40);
    let outbound = |password| {
        json!({ "proxy": proxy.to_string(), "caller_number": "+7 495 123-45-01",
        "user": "office", "password": password, "register": true, "register_secs": 120 })
    };
    let trunk = json!({ "name": "Provider", "outbound": outbound("secret") });
    let made = company.rest.post("trunks", &trunk).await;
    let path = format!("trunks/{}", made["id"].as_str().unwrap());
    let code =
        |wanted: &'static str| move |trunk: &serde_json::Value| trunk["state"]["code"] == wanted;
    let read = company
        .rest
        .until(&path, "it registers", code("registered"))
        .await;
    assert!(read["state"]["since"].is_string(), "{read:#}");
    assert_eq!(company.metrics().await["ringbook_trunks_registered"], 1);
    company.daemon.wait_for_log("trunk: registered");

    let asked = (
        "WWW-Authenticate".to_owned(),
        r#"Digest realm="registrar", nonce="x", algorithm=MD5, qop="auth""#.to_owned(),
    );
    provider.with(|provider, _| {
        for _ in 0..2 {
            provider.registrar.push_back((401, asked.clone()));
        }
    });
    let other = json!({ "name": "Wrong", "outbound": outbound("wrong") });
    let made = company.rest.post("trunks", &other).await;
    let path = format!("trunks/{}", made["id"].as_str().unwrap());
    let read = company
        .rest
        .until(&path, "it is refused", code("password_refused"))
        .await;
    assert_eq!(read["state"]["status"], 401);
    company.daemon.wait_for_log("trunk: password refused");
}
