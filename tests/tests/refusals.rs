//! What is refused, byte by byte: the right status with a reason, never silence where an answer is due.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use tests::{
    company::{Company, LINE},
    daemon::{Options, PATIENCE},
    sim::{
        Intent, Outcome,
        digest::{authorization, authorization_sha256},
        message::{Message, sdp},
    },
};

struct Raw {
    socket: UdpSocket,
    local: SocketAddr,
    daemon: SocketAddr,
}

impl Raw {
    fn open(company: &Company, host: u8, port: u16) -> Self {
        let local = company.daemon.address(host, port);
        let socket = UdpSocket::bind(local).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        Self {
            socket,
            local,
            daemon: company.daemon.sip(),
        }
    }

    /// A request with everything that it must have, to a user at the daemon.
    fn request(&self, method: &str, user: &str) -> Message {
        let uri = format!("sip:{user}@{}", self.daemon.ip());
        let number = self.local.port();
        Message::request(
            method,
            &uri,
            self.local,
            &format!("z9hG4bK{method}{number}"),
        )
        .with(
            "From",
            format!("<sip:+79161234567@{}>;tag=f{number}", self.local.ip()),
        )
        .with("To", format!("<{uri}>"))
        .with("Call-ID", format!("{method}-{number}"))
        .with("CSeq", format!("1 {method}"))
        .with("Contact", format!("<sip:x@{}>", self.local))
    }

    fn invite(&self) -> Message {
        let media = SocketAddr::new(self.local.ip(), 30_000);
        self.request("INVITE", LINE)
            .with_sdp(sdp(media, 1, "sendrecv"))
    }

    /// Sends the bytes, again and again, until there is a final answer to them.
    fn answer(&self, bytes: &[u8]) -> Message {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = vec![0; 65_536];
        self.socket.send_to(bytes, self.daemon).unwrap();
        while Instant::now() < deadline {
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    let message = Message::parse(&buffer[..length]).expect("answers are SIP");
                    if message.status().is_some_and(|status| status >= 200) {
                        return message;
                    }
                }
                Err(_) => drop(self.socket.send_to(bytes, self.daemon).unwrap()),
            }
        }
        panic!(
            "no answer to {}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(200)])
        );
    }

    fn asks(&self, message: &Message) -> Message {
        let answer = self.answer(&message.bytes());
        assert_eq!(answer.text("Call-ID"), message.text("Call-ID"));
        answer
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_later_is_refused_cleanly_now() {
    let company = Company::found(1, &Options::default()).await;
    for (port, option) in [(6000, "100rel"), (6001, "resource-priority")] {
        let trunk = Raw::open(&company, 3, port);
        let answer = trunk.asks(&trunk.invite().with("Require", option));
        assert_eq!(
            (answer.status(), answer.text("Unsupported")),
            (Some(420), option)
        );
    }
    for (port, method) in [
        (6003, "REFER"),
        (6004, "INFO"),
        (6005, "SUBSCRIBE"),
        (6006, "DANCE"),
    ] {
        let trunk = Raw::open(&company, 3, port);
        let answer = trunk.asks(&trunk.request(method, LINE));
        assert_eq!(answer.status(), Some(405), "{method}");
        assert!(
            answer.text("Allow").contains("INVITE"),
            "{method}: {answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_that_no_trunk_takes_out_is_refused_with_a_line_in_the_log() {
    let company = Company::found(1, &Options::default()).await;
    let caller = company.dial(0, 20, "84951112233", Intent::patient());
    assert_eq!(caller.wait_for_end(), Outcome::Refused(502));
    company.daemon.wait_for_log("no trunk takes calls out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stranger_is_asked_for_a_password_and_unknown_numbers_are_refused() {
    let company = Company::found(1, &Options::default()).await;
    let stranger = Raw::open(&company, 99, 6000);
    assert_eq!(stranger.asks(&stranger.invite()).status(), Some(401));
    company.daemon.wait_for_log("the source is not a trunk");
    let trunk = Raw::open(&company, 3, 6000);
    let media = SocketAddr::new(trunk.local.ip(), 30_000);
    let elsewhere = trunk
        .request("INVITE", "74999999999")
        .with_sdp(sdp(media, 1, "sendrecv"));
    assert_eq!(trunk.asks(&elsewhere).status(), Some(404));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_asserted_identity_counts_only_if_the_trunk_is_trusted() {
    let company = Company::found(1, &Options::default()).await;
    let other = company.daemon.address(10, 0).ip();
    let trunk = serde_json::json!({ "name": "Other", "networks": [format!("{other}/32")], "trusted_identity": false });
    company.rest.post("trunks", &trunk).await;
    for (host, number) in [(3, "+79165550000"), (10, "+79161234567")] {
        let trunk = Raw::open(&company, host, 6_000);
        let identity = format!("<sip:+79165550000@{}>", trunk.local.ip());
        let answer = trunk.asks(&trunk.invite().with("P-Asserted-Identity", identity));
        assert_eq!(answer.status(), Some(486), "nobody is registered");
        assert_eq!(company.ended_call(number).await["from"], number);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_gets_the_right_4xx_and_the_daemon_lives_on() {
    let company = Company::found(1, &Options::default()).await;
    let text = |raw: &Raw| String::from_utf8(raw.invite().bytes()).unwrap();
    let conflict = Raw::open(&company, 3, 6000);
    let twice = text(&conflict).replace(
        "Max-Forwards: 70\r\n",
        "Max-Forwards: 70\r\nContent-Length: 3\r\n",
    );
    assert_eq!(
        conflict.answer(twice.as_bytes()).status(),
        Some(400),
        "conflicting lengths"
    );
    let repeated = Raw::open(&company, 3, 6001);
    let twice = text(&repeated).replace(
        "Max-Forwards: 70\r\n",
        "Max-Forwards: 70\r\nCall-ID: other\r\n",
    );
    assert_eq!(
        repeated.answer(twice.as_bytes()).status(),
        Some(400),
        "a second Call-ID"
    );
    let nul = Raw::open(&company, 3, 6002);
    let zero = text(&nul).replace(
        "Max-Forwards: 70\r\n",
        "Max-Forwards: 70\r\nSubject: a\0b\r\n",
    );
    assert_eq!(nul.answer(zero.as_bytes()).status(), Some(400), "NUL");
    let long = Raw::open(&company, 3, 6003);
    let many = "X-Filler: y\r\n".repeat(4_000);
    let large = text(&long).replace(
        "Max-Forwards: 70\r\n",
        &format!("Max-Forwards: 70\r\n{many}"),
    );
    let status = long.answer(large.as_bytes()).status();
    assert!(
        matches!(status, Some(400 | 413)),
        "too many headers: {status:?}"
    );
    for bytes in [
        &b""[..],
        b"\r\n\r\n",
        b"\0\0\0\0",
        b"INVITE",
        b"SIP/2.0 200 OK\r\n\r\n",
        &[0xFF; 1_000],
    ] {
        long.socket.send_to(bytes, company.daemon.sip()).unwrap();
    }
    let options = Raw::open(&company, 3, 6004);
    assert_eq!(
        options.asks(&options.request("OPTIONS", LINE)).status(),
        Some(200),
        "it lives"
    );
    let caller = company.call("+79161234567", Intent::patient());
    assert_eq!(
        caller.wait_for_end(),
        Outcome::Refused(486),
        "and takes calls"
    );
}

type AnswerTo = fn(&Message, &Message, &str, &str) -> Option<String>;

fn register(raw: &Raw, account: (&str, &str), answer_to: AnswerTo) -> Message {
    let contact = format!("<sip:{}@{}>", account.0, raw.local);
    register_as(raw, account, answer_to, 1, (&contact, "60"))
}

/// REGISTER with these Contact and Expires, as numbers `number` and `number + 1` of one registration.
fn register_as(
    raw: &Raw,
    (user, secret): (&str, &str),
    answer_to: AnswerTo,
    number: u32,
    (contact, expires): (&str, &str),
) -> Message {
    let uri = format!("sip:{}", raw.daemon.ip());
    let attempt = |number: u32, authorization: Option<String>| {
        let request = Message::request("REGISTER", &uri, raw.local, &format!("z9hG4bKreg{number}"))
            .with("From", format!("<sip:{user}@{}>;tag=r", raw.daemon.ip()))
            .with("To", format!("<sip:{user}@{}>", raw.daemon.ip()))
            .with("Call-ID", "registration")
            .with("CSeq", format!("{number} REGISTER"))
            .with("Contact", contact)
            .with("Expires", expires);
        match authorization {
            Some(authorization) => request.with("Authorization", authorization),
            None => request,
        }
    };
    let challenge = raw.asks(&attempt(number, None));
    assert_eq!(challenge.status(), Some(401));
    let second = attempt(number + 1, None);
    let authorization =
        answer_to(&challenge, &second, user, secret).expect("a challenge that we understand");
    raw.asks(&attempt(number + 1, Some(authorization)))
}

/// What the daemon says is registered for the account.
fn contacts(answer: &Message) -> Vec<String> {
    let contacts = answer.headers.iter().filter(|(name, _)| name == "Contact");
    contacts.map(|(_, value)| value.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn device_set_to_both_registers_with_either_digest() {
    let mut company = Company::found(1, &Options::default()).await;
    let (user, secret) = company.add_device(0, "both").await;
    let with: [AnswerTo; 2] = [authorization, authorization_sha256];
    for (port, answer_to) in [6000, 6001].into_iter().zip(with) {
        let raw = Raw::open(&company, 21, port);
        let answer = register(&raw, (&user, &secret), answer_to);
        assert_eq!(answer.status(), Some(200), "{answer:?}");
        let own = raw.local.to_string();
        assert!(contacts(&answer).iter().any(|it| it.contains(&own)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn star_takes_away_every_registration_and_zero_that_of_one_contact() {
    let company = Company::found(1, &Options::default()).await;
    let (user, secret) = company.agents[0].devices[0].clone();
    let account = (user.as_str(), secret.as_str());
    let raw = Raw::open(&company, 21, 6000);
    let asks = |number: u32, contact: &str, expires: &str| {
        register_as(&raw, account, authorization, number, (contact, expires))
    };
    let (desk, mobile) = (
        format!("<sip:desk@{}>", raw.local),
        format!("<sip:mobile@{}>", raw.local),
    );
    assert_eq!(contacts(&asks(1, &desk, "60")).len(), 1);
    assert_eq!(contacts(&asks(11, &mobile, "60")).len(), 2);
    let answer = asks(21, &desk, "0");
    assert_eq!(answer.status(), Some(200));
    let left = contacts(&answer);
    assert!(
        left.len() == 1 && left[0].contains("sip:mobile@"),
        "{left:?}"
    );
    // RFC 3261 §10.2.2: `*` is for leaving only.
    assert_eq!(asks(31, "*", "60").status(), Some(400));
    assert_eq!(contacts(&asks(41, &desk, "60")).len(), 2);
    let answer = asks(51, "*", "0");
    assert_eq!((answer.status(), contacts(&answer).len()), (Some(200), 0));
    let trunk = Raw::open(&company, 3, 6001);
    let call = trunk.asks(&trunk.invite());
    assert_eq!(call.status(), Some(486), "nobody is registered any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn device_set_to_sha256_registers_with_sha256_and_is_not_offered_md5() {
    let mut company = Company::found(1, &Options::default()).await;
    let (user, secret) = company.add_device(0, "sha256").await;
    let raw = Raw::open(&company, 21, 6000);
    let answer = register(
        &raw,
        (&user, &secret),
        |challenge, request, user, secret| {
            assert!(
                authorization(challenge, request, user, secret).is_none(),
                "no MD5: {challenge:?}"
            );
            authorization_sha256(challenge, request, user, secret)
        },
    );
    assert_eq!(answer.status(), Some(200), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_password_and_unknown_account_get_the_same_answer() {
    let company = Company::found(1, &Options::default()).await;
    let (user, _) = company.agents[0].devices[0].clone();
    let known = Raw::open(&company, 21, 6000);
    let unknown = Raw::open(&company, 21, 6001);
    let wrong = register(&known, (&user, "wrong"), authorization);
    let nobody = register(&unknown, ("nobody", "wrong"), authorization);
    assert_eq!(wrong.status(), nobody.status());
    assert_eq!(wrong.start, nobody.start);
    let names = |message: &Message| {
        message
            .headers
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&wrong), names(&nobody));
}

#[test]
fn a_wrong_configuration_is_one_line_with_file_line_and_remedy_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ringbook.toml");
    std::fs::write(&file, "[sip]\nlissen = [\"127.0.0.1:5060\"]\n").unwrap();
    let output = std::process::Command::new(tests::daemon::program())
        .args(["check-config", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("ringbook.toml:2") && text.contains("lissen"),
        "{text}"
    );
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
}

#[test]
fn a_store_that_cannot_be_opened_is_a_clear_refusal_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ringbook.toml");
    let config = "[sip]\nlisten = [\"127.9.9.9:5060\"]\n[http]\nlisten = \"127.9.9.9:8080\"\n\
                  [store]\nurl = \"postgres://ringbook@127.9.9.8:1/ringbook\"\n";
    std::fs::write(&file, config).unwrap();
    let output = std::process::Command::new(tests::daemon::program())
        .args(["serve", "--config"])
        .arg(&file)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{text}");
    assert!(
        text.contains("[store]") || text.contains("database"),
        "the remedy names the setting: {text}"
    );
    assert!(!text.contains("panicked"), "{text}");
}
