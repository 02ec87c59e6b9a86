//! Kamailio as the telephone company with which we register, and as the exchange of another office, through the real
//! program. It stays in the way of every request (Record-Route), so each dialog has a route set.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tests::{
    baresip::{AnswerMode, Baresip},
    company::{Company, LINE},
    daemon::Options,
    kamailio::{Kamailio, Role},
    live::Live,
    sim::{Answering, Intent, Outcome, Talking, phone::Phone},
    sipp::Sipp,
};

const CLIENT: &str = "74951112233";
const CALLER: &str = "+79161234567";
const BY_ROUTES: &str = "BYE by the route set";

/// A company with one agent and a trunk to a Kamailio at .40.
struct Office {
    company: Company,
    kamailio: Kamailio,
    trunk: String,
    phone: Live<Phone>,
}

impl Office {
    /// The trunk's name, its networks and how calls leave by it, for where Kamailio is.
    async fn open(role: Role, trunk: impl FnOnce(SocketAddr) -> Value) -> Self {
        let company = Company::found(1, &Options::default()).await;
        let proxy = company.daemon.address(40, 5060);
        let kamailio = Kamailio::start(proxy, company.daemon.sip(), role);
        let trunk = company.rest.post("trunks", &trunk(proxy)).await;
        let trunk = format!("trunks/{}", trunk["id"].as_str().expect("an id"));
        let phone = company.phone(0, 0);
        Self {
            company,
            kamailio,
            trunk,
            phone,
        }
    }

    /// Registered with a provider of this kind.
    async fn registered(role: Role) -> Self {
        let trunk = |proxy: SocketAddr| {
            json!({ "name": "Provider", "outbound": { "proxy": proxy.to_string(),
                "caller_number": "+7 495 123-45-01", "number_format": "e164_digits",
                "user": "office", "password": "secret", "register": true } })
        };
        let office = Self::open(role, trunk).await;
        office.until("registered").await;
        office
    }

    fn proxy(&self) -> SocketAddr {
        self.company.daemon.address(40, 5060)
    }

    async fn until(&self, code: &str) -> Value {
        let is = |trunk: &Value| trunk["state"]["code"] == code;
        self.company.rest.until(&self.trunk, code, is).await
    }

    fn answers(&self, then: Talking) {
        let after = Duration::from_millis(100);
        let answer = Answering::Answer { after, then };
        self.phone.with(|phone, _| phone.script.push_back(answer));
    }

    /// A caller out in the world, whose telephone company is the same.
    fn caller(&self, scenario: &str) -> Sipp {
        let here = self.company.daemon.address(50, 5060);
        let folder = self.company.daemon.folder();
        Sipp::start(scenario, folder, here, self.proxy(), (CALLER, LINE))
    }

    /// A client with the same telephone company.
    fn client(&self) -> Baresip {
        let account = (CLIENT, "secret");
        Baresip::start(self.proxy(), account, &[0; 8_000], AnswerMode::Auto)
    }

    async fn ended(&self, number: &str) -> Value {
        self.company.ended_call(number).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_brings_calls_to_where_we_registered() {
    let office = Office::registered(Role::Provider).await;
    office.answers(Talking::Stay);
    office.caller("caller_talks_and_hangs_up").succeeds();
    let call = office.ended(CALLER).await;
    assert_eq!(
        (&call["missed"], &call["ended_by"]),
        (&json!(false), &json!("client"))
    );
    assert_eq!(call["recording"]["ready"], true, "{call:#}");
    let trunk = office.company.rest.get(&office.trunk).await;
    assert_eq!(call["trunk"], trunk["id"], "{call:#}");
    // Nobody at the end of a dialog sends anything around the proxy.
    let log = office.kamailio.log();
    assert!(!log.contains("without the route set"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_goodbye_goes_back_along_the_route_set() {
    let office = Office::registered(Role::Provider).await;
    office.answers(Talking::HangUp {
        after: Duration::from_millis(200),
    });
    office.caller("agent_hangs_up").succeeds();
    office.kamailio.wait_for_log(BY_ROUTES, 1);
    assert_eq!(office.ended(CALLER).await["ended_by"], "agent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_out_by_a_provider_that_asks_for_the_password() {
    let office = Office::registered(Role::Provider).await;
    let mut client = office.client();
    let agent = office.company.dial(0, 21, "84951112233", Intent::patient());
    agent.wait_for_answer();
    client.wait_for("CALL_ESTABLISHED");
    agent.leave();
    client.wait_for("CALL_CLOSED");
    office.kamailio.wait_for_log(BY_ROUTES, 1);
    office.kamailio.wait_for_log("a call to 74951112233", 1);
    let agent = office.company.dial(0, 22, "84951112233", Intent::patient());
    agent.wait_for_answer();
    client.wait_for("CALL_ESTABLISHED");
    client.order("hangup");
    assert_eq!(agent.wait_for_end(), Outcome::Ended);
    let log = office.kamailio.log();
    assert!(!log.contains("without the route set"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_asks_again_at_the_end_of_a_call_hears_who_says_goodbye() {
    let office = Office::registered(Role::StrictProvider).await;
    let mut client = office.client();
    let agent = office.company.dial(0, 21, "84951112233", Intent::patient());
    agent.wait_for_answer();
    client.wait_for("CALL_ESTABLISHED");
    agent.leave();
    client.wait_for("CALL_CLOSED");
    office.kamailio.wait_for_log(BY_ROUTES, 1);
    office.answers(Talking::HangUp {
        after: Duration::from_millis(200),
    });
    office.caller("agent_hangs_up").succeeds();
    office.kamailio.wait_for_log(BY_ROUTES, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_office_knows_us_by_our_address() {
    let trunk = |proxy: SocketAddr| {
        json!({ "name": "Other office", "networks": [proxy.ip().to_string()],
            "outbound": { "proxy": proxy.to_string(), "caller_number": "+7 495 123-45-01",
                "number_format": "e164_digits" } })
    };
    let office = Office::open(Role::Exchange, trunk).await;
    office.until("up").await;
    let mut client = office.client();
    let agent = office.company.dial(0, 21, "84951112233", Intent::patient());
    agent.wait_for_answer();
    client.wait_for("CALL_ESTABLISHED");
    agent.leave();
    client.wait_for("CALL_CLOSED");
    office.kamailio.wait_for_log(BY_ROUTES, 1);
    office.answers(Talking::HangUp {
        after: Duration::from_millis(200),
    });
    client.dial(&format!("sip:{LINE}@{}", office.proxy()));
    client.wait_for("CALL_ESTABLISHED");
    client.wait_for("CALL_CLOSED");
    office.kamailio.wait_for_log(BY_ROUTES, 2);
    let log = office.kamailio.log();
    assert!(!log.contains("without the route set"), "{log}");
}
