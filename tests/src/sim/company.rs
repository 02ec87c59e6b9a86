//! The company of a simulation: agents with telephones, lines, one trunk, drawn from the seed.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use model::{
    Absence, Agent, CallerId, Choice, Credentials, Deputy, Destination, Device, DeviceId,
    DigestOffer, Directory, Hours, Line, LineId, MediaSource, Menu, NumberFormat, Office, OfficeId,
    Overflow, Queue, Reach, Reception, Skill, Trunk, TrunkId, TrunkOutbound, UserId, Voicemail,
};

use super::{centre::DAWN, chance::Chance, digest, phone::Phone};

const REALM: &str = "ringbook";
/// Trunks by which calls leave.
const GATEWAYS: usize = 2;

/// An office that never opens.
pub const CLOSED: OfficeId = OfficeId(1);

/// The record of [`CLOSED`].
pub fn never_open() -> Office {
    Office {
        id: CLOSED,
        name: "Closed".to_owned(),
        hours: Hours {
            time_zone: "Europe/Moscow".to_owned(),
            ..Hours::default()
        },
    }
}

/// Where the exchange is.
pub fn exchange() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 5060))
}

/// The address of a telephone.
pub fn phone_address(agent: usize, device: usize) -> SocketAddr {
    SocketAddr::from(([10, 1, octet(agent), octet(device) + 1], 5060))
}

/// The address of a caller's gateway, within the trunk's network.
pub fn caller_address(caller: usize) -> SocketAddr {
    SocketAddr::from((
        [198, 51, octet(caller / 250), octet(caller % 250) + 1],
        5060,
    ))
}

/// Where calls leave: by the first trunk, and by the second when that fails.
pub fn gateway_address(place: usize) -> SocketAddr {
    let ip = if place == 0 {
        [198, 51, 255, 1]
    } else {
        [203, 0, 113, octet(place)]
    };
    SocketAddr::from((ip, 5060))
}

/// The telephone from which an agent dials for the n-th time; it is not registered, and knows its password.
pub fn dialling_address(dial: usize) -> SocketAddr {
    SocketAddr::from(([10, 2, octet(dial / 250), octet(dial % 250) + 1], 5060))
}

/// Whether a telephone that dials is at this address.
pub fn is_dialling(address: SocketAddr) -> bool {
    matches!(address.ip(), IpAddr::V4(ip) if ip.octets()[..2] == [10, 2])
}

/// The n-th client's number as an agent dials it; every one is another.
pub fn client_number(client: usize) -> String {
    format!("7903{:07}", 1_000_000 + client)
}

/// The number of an agent's mobile telephone.
pub fn mobile_number(agent: usize) -> String {
    format!("7925{:07}", 1_000_000 + agent)
}

/// The short number of an agent.
pub fn short_number(agent: usize) -> String {
    (100 + agent).to_string()
}

fn octet(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

/// The calling number of a caller, digits only; every caller has another.
pub fn caller_number(caller: usize) -> String {
    format!("7916{:07}", 1_000_000 + caller)
}

/// The number of a line, digits only.
pub fn line_number(line: usize) -> String {
    format!("7495{:07}", 1_000_000 + line)
}

/// How many of what.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Agents.
    pub agents: usize,
    /// Least and most telephones of one agent.
    pub devices: (usize, usize),
    /// Lines.
    pub lines: usize,
}

/// A company and its telephones.
#[derive(Debug)]
pub struct Company {
    /// What the administrator has set.
    pub directory: Arc<Directory>,
    /// The telephones, and whose each is.
    pub phones: BTreeMap<SocketAddr, Phone>,
    /// Who owns the telephone at an address.
    pub owners: BTreeMap<SocketAddr, UserId>,
}

impl Company {
    /// Draws a company. Agent `n` is user `n + 1`.
    pub fn drawn(size: Size, moods: bool, chance: &mut Chance) -> Self {
        let mut directory = Directory::default();
        let (mut phones, mut owners) = (BTreeMap::new(), BTreeMap::new());
        for agent in 0..size.agents {
            let user = UserId(agent as i64 + 1);
            directory.agents.push(Agent {
                user,
                name: format!("Agent {agent}"),
                short_number: short_number(agent),
                away: false,
                ring_timeout_secs: *chance.pick(&[5, 10, 20]),
                wrap_up_secs: if moods {
                    *chance.pick(&[0, 0, 3, 10])
                } else {
                    0
                },
                may_call: Reach::National,
                call_waiting: false,
            });
            let (least, most) = size.devices;
            let devices =
                least + usize::try_from(chance.below((most - least + 1) as u64)).unwrap_or(0);
            for device in 0..devices {
                let name = format!("a{agent}d{device}");
                let address = phone_address(agent, device);
                directory
                    .devices
                    .push(telephone(user, &name, agent * 10 + device));
                phones.insert(
                    address,
                    Phone::new(address, exchange(), &name, "secret", chance.split()),
                );
                owners.insert(address, user);
            }
        }
        for agent in 0..size.agents {
            if moods && chance.permille(250) {
                let after = *chance.pick(&[0, 0, 5, 15]);
                directory.devices.push(mobile(agent, after));
            }
        }
        for line in 0..size.lines {
            let id = LineId(line as i64 + 1);
            let others = i64::try_from(size.lines).unwrap_or(1);
            let other = LineId((line as i64 + 1) % others + 1);
            directory.lines.push(Line {
                id,
                number: format!("+{}", line_number(line)),
                aliases: Vec::new(),
                name: format!("Line {line}"),
                channel: None,
                ring_timeout_secs: None,
                recorded: chance.permille(700),
                language: model::Language::Russian,
                queue: (moods && chance.permille(600)).then(|| drawn_queue(other, chance)),
                office: (moods && chance.permille(120)).then_some(CLOSED),
                reception: match moods {
                    true => drawn_reception(other, chance),
                    false => Reception::default(),
                },
            });
            for agent in &directory.agents {
                let level = u8::try_from(if moods {
                    chance.below(11)
                } else {
                    1 + chance.below(10)
                })
                .unwrap_or(0);
                directory.skills.push(Skill {
                    user: agent.user,
                    line: id,
                    level,
                });
            }
        }
        for place in 0..GATEWAYS {
            let address = gateway_address(place);
            let mut gateway = Phone::gateway(address, exchange(), chance.split());
            gateway.challenges = place == 0;
            phones.insert(address, gateway);
            directory.trunks.push(trunk(place));
        }
        if moods {
            draw_absences(&mut directory, chance);
        }
        directory.offices.push(never_open());
        Self {
            directory: Arc::new(directory),
            phones,
            owners,
        }
    }
}

/// Some have a deputy, whoever that is: circles too, which nobody could set. Some are absent for a while.
fn draw_absences(directory: &mut Directory, chance: &mut Chance) {
    let users: Vec<UserId> = directory.agents.iter().map(|agent| agent.user).collect();
    for user in &users {
        if chance.permille(400) {
            directory.deputies.push(Deputy {
                user: *user,
                deputy: *chance.pick(&users),
            });
        }
        if chance.permille(300) {
            let from = DAWN + chance.millis(1_000, 90_000);
            directory.absences.push(Absence {
                user: *user,
                from,
                until: from + chance.millis(1_000, 60_000),
                deputy: chance.permille(300).then(|| *chance.pick(&users)),
            });
        }
    }
}

fn drawn_reception(other: LineId, chance: &mut Chance) -> Reception {
    let voicemail = chance.permille(400);
    let choice = |key, to| Choice { key, to };
    let mut choices = vec![
        choice('1', Destination::Line(other)),
        choice('2', Destination::Agent(UserId(1))),
    ];
    choices.extend(voicemail.then(|| choice('3', Destination::Voicemail)));
    Reception {
        announcement: chance.permille(200).then(|| "greeting".to_owned()),
        recording_notice: chance.permille(250),
        menu: chance.permille(250).then(|| Menu {
            prompt: None,
            choices,
            extensions: true,
            known_pass: chance.permille(500),
        }),
        voicemail: voicemail.then(|| Voicemail {
            most_secs: *chance.pick(&[5, 20, 60]),
        }),
        closed_line: chance.permille(500).then_some(other),
    }
}

fn drawn_queue(other: LineId, chance: &mut Chance) -> Queue {
    Queue {
        most_waiting: *chance.pick(&[1, 3, 20]),
        most_wait_secs: *chance.pick(&[15, 40, 120]),
        announce_secs: *chance.pick(&[10, 30]),
        offers_call_back: chance.permille(700),
        overflow: chance.permille(300).then(|| Overflow {
            line: other,
            after_secs: *chance.pick(&[1, 10, 30]),
        }),
    }
}

/// All callers come by the first trunk.
fn trunk(place: usize) -> Trunk {
    let network = if place == 0 {
        "198.51.0.0/16"
    } else {
        "203.0.113.0/24"
    };
    Trunk {
        id: TrunkId(place as i64 + 1),
        name: format!("Trunk {place}"),
        networks: network.parse().into_iter().collect(),
        media_networks: Vec::new(),
        trusted_identity: true,
        called_in: model::CalledIn::Automatic,
        most_calls: None,
        outbound: Some(TrunkOutbound {
            proxy: gateway_address(place).into(),
            priority: octet(place),
            caller_number: format!("+{}", line_number(0)),
            domain: None,
            caller_id: CallerId::From,
            number_format: NumberFormat::E164Digits,
            credentials: Some(Credentials {
                user: "office".to_owned(),
                password: "secret".to_owned(),
            }),
            register: false,
            register_secs: 300,
            terms: model::TrunkTerms::default(),
        }),
    }
}

/// The agent's mobile telephone, which rings so many seconds after the others.
pub fn mobile(agent: usize, ring_after_secs: u32) -> Device {
    Device {
        number: Some(format!("+{}", mobile_number(agent))),
        ring_after_secs,
        ..telephone(
            UserId(agent as i64 + 1),
            &format!("mobile{agent}"),
            10_000 + agent,
        )
    }
}

fn telephone(user: UserId, name: &str, number: usize) -> Device {
    Device {
        id: DeviceId(number as i64 + 1),
        user,
        name: name.to_owned(),
        auth_user: name.to_owned(),
        ha1_md5: digest::ha1(name, REALM, "secret"),
        ha1_sha256: String::new(),
        digest: DigestOffer::Md5,
        media_source: MediaSource::Automatic,
        number: None,
        ring_after_secs: 0,
    }
}
