//! linphone as a manager's telephone, with a password that never left as MD5 (SHA-256, RFC 8760), through the real program;
//! sound as sound. Runs alone, since it measures time.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tests::{
    audio::{Law, assert_heard, assert_not_heard, recording, speech},
    company::Company,
    daemon::Options,
    linphone::Linphone,
    live::remote_media,
    sim::{Answering, Intent, Outcome, Talking},
    voice::Voice,
};

const CLIENT: &str = "+79161234567";

/// A company whose one agent has a linphone.
async fn office() -> (Company, Linphone) {
    let mut company = Company::found(1, &Options::default()).await;
    let (user, secret) = company.add_device(0, "sha256").await;
    let account = (user.as_str(), secret.as_str());
    let linphone = Linphone::start(company.daemon.sip(), account, &speech("agent-ru"));
    (company, linphone)
}

fn voice(company: &Company, host: u8) -> Voice {
    let here = company.daemon.address(host, 30_000);
    Voice::open(here, Law::A, speech("caller-ru"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linphone_takes_a_call_holds_the_client_comes_back_and_hangs_up() {
    let (company, mut linphone) = office().await;
    let client = voice(&company, 2);
    let caller = company.call(CLIENT, Intent::patient());
    linphone.wait_for("Receiving new incoming call");
    linphone.order("answer");
    linphone.wait_for("Media streams established");
    let remote: Option<SocketAddr> = remote_media(&caller);
    client.speak_to(remote);
    client.wait_for(200, 150);
    linphone.order("pause");
    linphone.wait_for("is now paused");
    linphone.order("resume");
    linphone.wait_for("Media streams established");
    client.wait_for(200, 150);
    linphone.order("terminate");
    assert_eq!(caller.wait_for_end(), Outcome::Ended);
    let client = client.close();
    let call = company.ended_call(CLIENT).await;
    assert_eq!(call["ended_by"], "agent", "{call:#}");
    let (caller_words, agent_words) = (speech("caller-ru"), speech("agent-ru"));
    let at_agent = linphone.heard();
    assert_heard("the agent", &agent_words, &client.samples());
    assert_heard("the client", &caller_words, &at_agent);
    assert_not_heard("the agent's own voice", &agent_words, &at_agent);
    let file = call["recording"]["file"].as_str().expect("a file");
    let (left, right) = recording(&company.daemon.recordings().join(file));
    assert_heard("the client on the left", &caller_words, &left);
    assert_heard("the agent on the right", &agent_words, &right);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linphone_dials_a_client_and_the_client_hangs_up() {
    let (company, mut linphone) = office().await;
    company.way_out(4, 1).await;
    let gateway = company.gateway(4);
    let after = std::time::Duration::from_millis(200);
    let then = Talking::HangUp { after };
    gateway.with(|gateway, _| gateway.script.push_back(Answering::Answer { after, then }));
    linphone.dial("84951112233");
    linphone.wait_for("connected");
    linphone.wait_for("ended");
    let call = company.ended_call("+74951112233").await;
    assert_eq!(
        (&call["direction"], &call["ended_by"], &call["missed"]),
        (&json!("outbound"), &json!("client"), &Value::Bool(false)),
        "{call:#}"
    );
}
