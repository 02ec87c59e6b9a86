//! Behind address translation: those inside know us by the address that we listen on, those outside by the public one.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tests::{
    company::Company,
    daemon::Options,
    sim::{Answering, Intent, Outcome, Talking, message::Message},
};

const PUBLIC: &str = "203.0.113.9";

/// The address in the first Via or in Contact, without the port.
fn host(value: &str) -> IpAddr {
    let address = value.split(['@', ' ', ';', '>']).find_map(|part| {
        let part = part.trim();
        part.parse::<SocketAddr>().ok()
    });
    address.expect("an address").ip()
}

fn described(message: &Message) -> IpAddr {
    message.media().expect("a description").ip()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trunk_outside_gets_the_public_address_and_the_telephone_inside_the_local_one() {
    // Telephones are hosts 16 to 31, callers are others.
    let options = Options {
        network: format!("public_address = \"{PUBLIC}\"\nlocal_networks = [\"NET.16/28\"]"),
        ..Options::default()
    };
    let company = Company::found(1, &options).await;
    let phone = company.phone(0, 0);
    phone.with(|phone, _| {
        phone.script.push_back(Answering::Answer {
            after: Duration::from_millis(200),
            then: Talking::Stay,
        });
    });
    let caller = company.call("+79161234567", Intent::patient());
    caller.wait_for_answer();
    let (public, local) = (PUBLIC.parse::<IpAddr>().unwrap(), company.daemon.sip().ip());
    let answer = caller.message("SIP/2.0 200").expect("it is answered");
    assert_eq!(
        (host(answer.text("Contact")), described(&answer)),
        (public, public)
    );
    let invite = phone.message("INVITE").expect("it rings");
    assert_eq!(
        (
            host(invite.text("Via")),
            host(invite.text("Contact")),
            described(&invite)
        ),
        (local, local, local)
    );
    phone.with(|phone, now| phone.hang_up_all(now));
    assert_eq!(caller.wait_for_end(), Outcome::Ended);
    let bye = caller.message("BYE").expect("it is ended");
    assert_eq!(host(bye.text("Via")), public);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_config_warns_of_a_trunk_on_the_internet_behind_a_private_address() {
    let company = Company::found(1, &Options::default()).await;
    let warns = || {
        let output = company.daemon.run(&["check-config"]);
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert_eq!(warns(), "", "all trunks are inside");
    let trunk = serde_json::json!({ "name": "Provider", "networks": ["198.51.100.0/24"] });
    company.rest.post("trunks", &trunk).await;
    let warning = warns();
    assert!(
        warning.contains("\"Provider\"") && warning.contains("public_address"),
        "{warning}"
    );
}
