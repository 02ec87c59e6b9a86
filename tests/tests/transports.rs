//! Telephones and callers over TCP and TLS, through the real program and peers that somebody else wrote.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use rstest::rstest;
use serde_json::Value;
use tests::{
    baresip::{AnswerMode, Baresip, Carrier},
    company::{Company, LINE},
    daemon::{Options, PATIENCE},
    live::phone_over_tcp,
    sim::{Answering, Intent, Outcome, Talking},
    sipp::Sipp,
};

const CLIENT: &str = "+79161234567";

async fn company() -> Company {
    let options = Options {
        connections: true,
        ..Options::default()
    };
    Company::found(1, &options).await
}

/// Waits until the one agent is available, or away for want of a registration.
async fn until_registered(company: &Company, registered: bool) {
    let what = if registered { "registered" } else { "gone" };
    let holds = |agents: &Value| {
        let agents = agents["items"].as_array().expect("a page has items");
        let agent = agents.iter().find(|agent| agent["name"] == "Agent 0");
        let agent = agent.expect("the agent is there");
        if registered {
            agent["state"] == "available"
        } else {
            agent["reason"] == "unregistered"
        }
    };
    company.rest.until("agents", what, holds).await;
}

async fn until_connected(company: &Company, wanted: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = company.metrics().await;
        if metrics.get("ringbook_sip_connections") == Some(&wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "{metrics:?}");
    }
}

#[rstest]
#[case::tcp(Carrier::Tcp)]
#[case::tls(Carrier::Tls)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desk_phone_takes_a_call_and_its_agent_is_away_as_soon_as_it_is_gone(
    #[case] carrier: Carrier,
) {
    let company = company().await;
    let registrar = match carrier {
        Carrier::Tls => company.daemon.sip_tls(),
        _ => company.daemon.sip(),
    };
    let (user, secret) = &company.agents[0].devices[0];
    let quiet = [0; 8_000];
    let account = (user.as_str(), secret.as_str());
    let mut phone = Baresip::start_over(carrier, registrar, account, &quiet, AnswerMode::Auto);
    until_registered(&company, true).await;
    let caller = company.call(CLIENT, Intent::patient());
    caller.wait_for_answer();
    phone.wait_for("CALL_ESTABLISHED");
    caller.leave();
    assert_eq!(caller.wait_for_end(), Outcome::HungUp);
    phone.wait_for("CALL_CLOSED");
    assert_eq!(company.ended_call(CLIENT).await["missed"], false);
    until_connected(&company, 1).await;
    drop(phone);
    until_registered(&company, false).await;
    until_connected(&company, 0).await;
    let metrics = company.metrics().await;
    assert_eq!(metrics.get("ringbook_sip_framing_errors_total"), Some(&0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desk_phone_hangs_up_over_tls() {
    let company = company().await;
    let (user, secret) = &company.agents[0].devices[0];
    let account = (user.as_str(), secret.as_str());
    let tls = company.daemon.sip_tls();
    let mut phone =
        Baresip::start_over(Carrier::Tls, tls, account, &[0; 8_000], AnswerMode::Manual);
    until_registered(&company, true).await;
    let caller = company.call(CLIENT, Intent::patient());
    phone.wait_for("CALL_INCOMING");
    phone.order("accept");
    caller.wait_for_answer();
    phone.wait_for("CALL_ESTABLISHED");
    phone.order("hangup");
    assert_eq!(caller.wait_for_end(), Outcome::Ended);
    assert_eq!(company.ended_call(CLIENT).await["ended_by"], "agent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_ends_no_conversation_and_the_telephone_comes_back() {
    let company = company().await;
    let (user, secret) = &company.agents[0].devices[0];
    let phone = phone_over_tcp(company.daemon.sip(), user, secret);
    let after = Duration::from_millis(100);
    let then = Talking::Stay;
    phone.with(|phone, _| phone.script.push_back(Answering::Answer { after, then }));
    until_registered(&company, true).await;
    let caller = company.call(CLIENT, Intent::patient());
    caller.wait_for_answer();
    let invite = phone.message("INVITE").expect("it was rung");
    assert!(invite.text("Via").starts_with("SIP/2.0/TCP "), "{invite:?}");
    assert!(
        invite.text("Contact").contains(";transport=tcp"),
        "{invite:?}"
    );
    phone.set_connected(false);
    until_connected(&company, 0).await;
    assert!(
        caller.with(|caller, _| caller.outcome.is_none()),
        "they talk on"
    );
    phone.set_connected(true);
    phone.with(|phone, now| phone.register_again(now));
    phone.wait("it registers again", |phone| phone.registered);
    caller.leave();
    assert_eq!(caller.wait_for_end(), Outcome::HungUp);
    phone.wait("it is told by its new connection", |phone| {
        phone.calls.iter().all(|call| call.over)
    });
    until_registered(&company, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_over_tcp_brings_calls() {
    let company = company().await;
    let phone = company.phone(0, 0);
    let after = Duration::from_millis(200);
    let then = Talking::Stay;
    phone.with(|phone, _| phone.script.push_back(Answering::Answer { after, then }));
    let way = (company.daemon.address(3, 5060), company.daemon.sip());
    let folder = company.daemon.folder();
    Sipp::start_over(
        "t1",
        "caller_talks_and_hangs_up",
        folder,
        way,
        (CLIENT, LINE),
    )
    .succeeds();
    let call = company.ended_call(CLIENT).await;
    assert_eq!(
        (&call["missed"], &call["ended_by"]),
        (&false.into(), &"client".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_made_once_and_its_key_is_nobody_elses() {
    let mut company = company().await;
    let log = company.daemon.log();
    assert!(
        log.contains("a self-signed certificate for SIP over TLS is made"),
        "{log}"
    );
    let [certificate, key] =
        ["certificate", "key"].map(|name| company.daemon.folder().join(format!("tls/{name}.pem")));
    let mode = fs::metadata(&key)
        .expect("the key is kept")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = fs::read(&certificate).expect("the certificate is kept");
    company.daemon.stop();
    company.daemon.begin();
    assert_eq!(fs::read(&certificate).expect("it is still there"), before);
    let checked = company.daemon.run(&["check-config"]);
    let told = String::from_utf8_lossy(&checked.stdout).into_owned();
    let tls = format!("SIP over TLS: {}", company.daemon.sip_tls());
    assert!(told.contains(&tls), "{told}");
}
