//! Telephone companies that are known by name (RFC 3263): moment by moment in the simulated call centre, and through the real
//! program with a name server on the loopback.

use std::{net::SocketAddr, time::Duration};

use model::{TrunkCode, TrunkId};
use serde_json::{Value, json};
use tests::{
    company::{Company, LINE},
    daemon::Options,
    dns::{Entry, NameServer},
    kamailio::{Kamailio, Role},
    sim::{
        Answering, Centre, Dialled, Intent, Outcome, Talking, company::gateway_address,
        invariants::violations,
    },
    sipp::Sipp,
};

const FIRST: TrunkId = TrunkId(1);
const PROVIDER: &str = "provider.example";
const CLIENT: &str = "+79161234567";

/// An office whose one trunk is a name with two places.
fn office(register: bool) -> Centre {
    let mut centre = Centre::calm(1, 1);
    centre.change_directory(|directory| {
        directory.trunks.truncate(1);
        let outbound = directory.trunks[0].outbound.as_mut().unwrap();
        outbound.proxy = PROVIDER.parse().unwrap();
        outbound.register = register;
    });
    centre
}

fn both() -> [SocketAddr; 2] {
    [gateway_address(0), gateway_address(1)]
}

fn sent(centre: &Centre, place: usize, start: &str) -> usize {
    let to = |it: &&tests::sim::wire::Record| {
        !it.incoming && it.party == gateway_address(place) && it.message.start.starts_with(start)
    };
    centre.wire.iter().filter(to).count()
}

fn until(centre: &mut Centre, secs: u64, what: &str, done: impl Fn(&Centre) -> bool) {
    let end = centre.now + Duration::from_secs(secs);
    assert!(centre.run(end, done), "{what}: {:?}", centre.trunks);
}

fn is(centre: &Centre, code: TrunkCode) -> bool {
    let told = centre.trunks.get(&FIRST).and_then(|told| told.last());
    told.is_some_and(|(_, state)| state.code == code)
}

fn script(centre: &mut Centre, place: usize, answering: Answering) {
    let gateway = centre.phones.get_mut(&gateway_address(place)).unwrap();
    gateway.script.push_back(answering);
}

fn answers() -> Answering {
    Answering::Answer {
        after: Duration::from_secs(1),
        then: Talking::Stay,
    }
}

fn ends_well(centre: &mut Centre) {
    centre.run_until_quiet();
    assert_eq!(violations(centre), Vec::<String>::new());
}

#[test]
fn an_invite_to_which_nothing_comes_goes_to_the_next_place_of_the_same_trunk() {
    let mut centre = office(false);
    centre.tell_name(PROVIDER, &both());
    until(&mut centre, 5, "up", |centre| is(centre, TrunkCode::Up));
    centre.phones.get_mut(&gateway_address(0)).unwrap().alive = false;
    script(&mut centre, 1, answers());
    let dialled = centre.now;
    let agent = centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    until(&mut centre, 30, "the other place is tried", |centre| {
        sent(centre, 1, "INVITE") == 1
    });
    let waited = centre.now - dialled;
    assert!(waited < Duration::from_secs(7), "{waited:?}");
    until(&mut centre, 30, "they talk", |centre| {
        centre.callers[&agent].talk.is_some()
    });
    // The next call knows better.
    let before = sent(&centre, 0, "INVITE");
    centre.leave(agent);
    until(&mut centre, 30, "it ends", |centre| {
        centre.callers[&agent].outcome.is_some()
    });
    script(&mut centre, 1, answers());
    let agent = centre.dial(centre.now, 0, Dialled::Client(1), Intent::patient());
    until(&mut centre, 5, "they talk", |centre| {
        centre.callers[&agent].talk.is_some()
    });
    assert_eq!(sent(&centre, 0, "INVITE"), before);
    centre.leave(agent);
    ends_well(&mut centre);
}

#[test]
fn a_place_that_takes_no_calls_hands_over_to_the_next_and_rests() {
    let mut centre = office(false);
    centre.tell_name(PROVIDER, &both());
    let refuses = Answering::Refuse {
        after: Duration::from_millis(50),
        status: 503,
    };
    script(&mut centre, 0, refuses);
    for client in 0..2 {
        script(&mut centre, 1, answers());
        let agent = centre.dial(centre.now, 0, Dialled::Client(client), Intent::patient());
        until(&mut centre, 20, "they talk", |centre| {
            centre.callers[&agent].talk.is_some()
        });
        centre.leave(agent);
        until(&mut centre, 20, "it ends", |centre| {
            centre.callers[&agent].outcome.is_some()
        });
    }
    assert_eq!(
        (sent(&centre, 0, "INVITE"), sent(&centre, 1, "INVITE")),
        (2, 2),
        "one call, with and without the password, and then two"
    );
    ends_well(&mut centre);
}

#[test]
fn a_call_that_no_place_takes_ends() {
    let mut centre = office(false);
    centre.tell_name(PROVIDER, &both());
    for place in [0, 1] {
        let refuses = Answering::Refuse {
            after: Duration::from_millis(50),
            status: 503,
        };
        script(&mut centre, place, refuses);
    }
    let agent = centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    until(&mut centre, 20, "it ends", |centre| {
        centre.callers[&agent].outcome.is_some()
    });
    assert_eq!(
        (sent(&centre, 0, "INVITE"), sent(&centre, 1, "INVITE")),
        (2, 1),
        "each once, the first without and with the password"
    );
    ends_well(&mut centre);
}

#[test]
fn a_registration_goes_to_the_next_place_and_back_once_the_first_has_rested() {
    let mut centre = office(true);
    let gateway = centre.phones.get_mut(&gateway_address(0)).unwrap();
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let asked = r#"Digest realm="registrar", nonce="x", algorithm=MD5, qop="auth""#;
    let script = [
        (401, header("WWW-Authenticate", asked)),
        (503, header("Retry-After", "20")),
    ];
    gateway.registrar.extend(script);
    centre.tell_name(PROVIDER, &both());
    until(&mut centre, 5, "registered", |centre| {
        is(centre, TrunkCode::Registered)
    });
    let registers = [sent(&centre, 0, "REGISTER"), sent(&centre, 1, "REGISTER")];
    assert_eq!(registers, [2, 1]);
    // When it refreshes, the first one has rested enough.
    until(&mut centre, 300, "refreshed", |centre| {
        sent(centre, 0, "REGISTER") > 2
    });
}

#[test]
fn a_name_without_meaning_is_said_to_be_not_found_until_it_means_something() {
    let mut centre = office(true);
    until(&mut centre, 5, "asked", |centre| {
        !centre.names.wanted.is_empty()
    });
    assert_eq!(centre.names.wanted, [PROVIDER.parse().unwrap()]);
    assert!(is(&centre, TrunkCode::Registering), "nobody has said yet");
    centre.tell_name(PROVIDER, &[]);
    until(&mut centre, 5, "not found", |centre| {
        is(centre, TrunkCode::NameNotFound)
    });
    let agent = centre.dial(centre.now, 0, Dialled::Client(0), Intent::patient());
    until(&mut centre, 20, "no way out", |centre| {
        matches!(centre.callers[&agent].outcome, Some(Outcome::Refused(_)))
    });
    centre.tell_name(PROVIDER, &both()[1..]);
    until(&mut centre, 5, "registered", |centre| {
        is(centre, TrunkCode::Registered)
    });
    // Another address: the provider moved.
    centre.tell_name(PROVIDER, &both()[..1]);
    until(&mut centre, 5, "registered there", |centre| {
        sent(centre, 0, "REGISTER") == 1
    });
    centre.change_directory(|directory| directory.trunks.clear());
    until(&mut centre, 5, "forgotten", |centre| {
        centre.names.wanted.is_empty()
    });
}

/// A daemon that asks a name server at .53, and the addresses of a provider at .40 and .41.
async fn company() -> (Company, SocketAddr, [SocketAddr; 2]) {
    let options = Options {
        network: "resolvers = [\"NET.53:5300\"]".to_owned(),
        connections: true,
        ..Options::default()
    };
    let company = Company::found(1, &options).await;
    let server = company.daemon.address(53, 5300);
    let places = [40, 41].map(|host| company.daemon.address(host, 5060));
    (company, server, places)
}

/// A trunk with this proxy; its path.
async fn trunk(company: &Company, proxy: &str, register: bool) -> String {
    let trunk = json!({ "name": "Provider", "outbound": { "proxy": proxy,
        "caller_number": "+7 495 123-45-01", "user": "office", "password": "secret", "register": register } });
    let made = company.rest.post("trunks", &trunk).await;
    format!("trunks/{}", made["id"].as_str().expect("an id"))
}

async fn becomes(company: &Company, trunk: &str, code: &str) {
    let is = |trunk: &Value| trunk["state"]["code"] == code;
    company.rest.until(trunk, code, is).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_server_takes_the_call_that_the_first_does_not_answer_and_both_may_bring_calls()
{
    let (company, server, [dead, alive]) = company().await;
    let _names = NameServer::start(
        server,
        &[
            Entry::Server("_sip._udp.provider.example", 10, ("one.example", 5060)),
            Entry::Server("_sip._udp.provider.example", 20, ("two.example", 5060)),
            Entry::Address("one.example", dead.ip()),
            Entry::Address("two.example", alive.ip()),
        ],
    )
    .await;
    let gateway = company.gateway(41);
    let after = Duration::from_millis(100);
    let then = Talking::Stay;
    gateway.with(|gateway, _| gateway.script.push_back(Answering::Answer { after, then }));
    let trunk = trunk(&company, PROVIDER, false).await;
    company.daemon.wait_for_log("the name leads to");
    let agent = company.dial(0, 25, "84951112233", Intent::patient());
    agent.wait_for_answer();
    agent.leave();
    assert_eq!(agent.wait_for_end(), Outcome::HungUp);
    assert_eq!(gateway.came("INVITE"), 1);
    drop(trunk);
    // Either of the two is this trunk, whether or not it takes calls.
    let phone = company.phone(0, 0);
    phone.with(|phone, _| phone.script.push_back(Answering::Answer { after, then }));
    let caller = company.call_from(40, CLIENT, Intent::patient());
    caller.wait_for_answer();
    caller.leave();
    caller.wait_for_end();
    assert_eq!(company.ended_call(CLIENT).await["missed"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_offers_tcp_is_registered_with_over_tcp_and_seen_to_go_and_come() {
    let (company, server, [place, _]) = company().await;
    let _names = NameServer::start(
        server,
        &[
            Entry::Service(PROVIDER, 10, ("SIPS+D2T", "_sips._tcp.provider.example")),
            Entry::Service(PROVIDER, 20, ("SIP+D2T", "_sip._tcp.provider.example")),
            Entry::Service(PROVIDER, 30, ("SIP+D2U", "_sip._udp.provider.example")),
            Entry::Server("_sip._tcp.provider.example", 10, ("one.example", 5060)),
            Entry::Address("one.example", place.ip()),
        ],
    )
    .await;
    let office = company.daemon.sip();
    let kamailio = Kamailio::start(place, office, Role::Provider);
    let trunk = trunk(&company, PROVIDER, true).await;
    becomes(&company, &trunk, "registered").await;
    assert_eq!(company.metrics().await["ringbook_sip_connections"], 1);
    let phone = company.phone(0, 0);
    let after = Duration::from_millis(100);
    let then = Talking::HangUp { after };
    phone.with(|phone, _| phone.script.push_back(Answering::Answer { after, then }));
    let folder = company.daemon.folder();
    let here = company.daemon.address(50, 5060);
    Sipp::start("agent_hangs_up", folder, here, place, (CLIENT, LINE)).succeeds();
    kamailio.wait_for_log("BYE by the route set", 1);
    // Kamailio lets us be registered for 6 s only.
    drop(kamailio);
    becomes(&company, &trunk, "unreachable").await;
    let kamailio = Kamailio::start(place, office, Role::Provider);
    // It would be asked again in half a minute; whoever saves the trunk wants to see it now.
    let again = json!({ "outbound": { "register_secs": 120 } });
    let (status, _) = company.rest.ask("PATCH", &trunk, Some(&again)).await;
    assert_eq!(status, 200);
    becomes(&company, &trunk, "registered").await;
    drop(kamailio);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_moves_is_followed_and_stays_where_it_was_while_no_name_server_answers() {
    let (company, server, places) = company().await;
    let at = |place: SocketAddr| [Entry::Address(PROVIDER, place.ip())];
    let names = NameServer::start(server, &at(places[0])).await;
    let (first, second) = (company.gateway(40), company.gateway(41));
    let trunk = trunk(&company, PROVIDER, true).await;
    becomes(&company, &trunk, "registered").await;
    assert!(first.came("REGISTER") > 0 && second.came("REGISTER") == 0);
    names.set(&at(places[1])).await;
    let moved = |_: &Value| second.came("REGISTER") > 0;
    company.rest.until(&trunk, "we register there", moved).await;
    drop(names);
    company.daemon.wait_for_log("the last answer stays");
    let before = second.came("REGISTER");
    let again = json!({ "outbound": { "register_secs": 120 } });
    let (status, _) = company.rest.ask("PATCH", &trunk, Some(&again)).await;
    assert_eq!(status, 200);
    let there = |_: &Value| second.came("REGISTER") > before;
    company.rest.until(&trunk, "we stay there", there).await;
    becomes(&company, &trunk, "registered").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_nobody_knows_is_said_so_and_asked_for_again() {
    let (company, server, [place, _]) = company().await;
    let names = NameServer::start(server, &[]).await;
    let _provider = company.gateway(40);
    let trunk = trunk(&company, PROVIDER, true).await;
    becomes(&company, &trunk, "name_not_found").await;
    assert_eq!(company.metrics().await["ringbook_trunks_name_not_found"], 1);
    company
        .daemon
        .wait_for_log("trunk: the name of its proxy is not found");
    names.set(&[Entry::Address(PROVIDER, place.ip())]).await;
    becomes(&company, &trunk, "registered").await;
}
