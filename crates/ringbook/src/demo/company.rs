//! An invented cable trader, written into the running daemon through its API.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::names;
use crate::watch::rest::Rest;

/// Requests under way at a time.
const AT_A_TIME: usize = 24;
/// Organisations of the company.
pub(super) const ORGANISATIONS: usize = 200;
/// Persons of the company.
pub(super) const PERSONS: usize = 400;
/// The address that the virtual trunk calls from, and is called at.
pub(super) const TRUNK: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Name, login, short number.
const MANAGERS: [(&str, &str, &str); 6] = [
    ("Анна Белова", "anna", "101"),
    ("Борис Громов", "boris", "102"),
    ("Вера Данилова", "vera", "103"),
    ("Глеб Ершов", "gleb", "104"),
    ("Дарья Жукова", "darya", "105"),
    ("Егор Зимин", "egor", "106"),
];

/// Number, name, advertising channel, and how well each manager serves it.
const LINES: [(&str, &str, &str, [u8; 6]); 4] = [
    (
        "+7 495 123-45-01",
        "Отдел продаж",
        "Яндекс.Директ",
        [10, 9, 8, 5, 3, 0],
    ),
    (
        "+7 495 123-45-02",
        "Акция «Силовой кабель»",
        "Радио «Маяк»",
        [2, 4, 10, 7, 5, 3],
    ),
    (
        "+7 495 123-45-03",
        "Выставка",
        "Выставка «Электро»",
        [0, 0, 3, 5, 8, 10],
    ),
    ("+7 495 123-45-04", "Сервис", "Сайт", [0, 0, 10, 0, 0, 0]),
];
/// The line on which callers wait when nobody is free.
const QUEUED: &str = "Сервис";

/// A manager of the company with what they log in with.
#[derive(Clone, Debug)]
pub(super) struct Manager {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) short_number: &'static str,
    pub(super) login: &'static str,
    pub(super) password: String,
    /// Account and secret of the one telephone.
    pub(super) device: (String, String),
}

/// A client whom a scene needs.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) name: String,
    /// The calling number as the trunk writes it.
    pub(super) number: String,
    /// The assigned manager's place among the managers.
    pub(super) manager: usize,
}

/// What the scenes need to know of the company.
#[derive(Clone, Debug)]
pub(super) struct Company {
    pub(super) managers: Vec<Manager>,
    /// The numbers of the lines, as the trunk writes them.
    pub(super) lines: [String; 4],
    pub(super) clients: Vec<Client>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

/// Creates everything; calls leave by the gateway of the trunk.
pub(super) async fn seed(rest: &Rest, gateway: SocketAddr) -> Result<Company> {
    let managers = managers(rest).await?;
    lines(rest, &managers).await?;
    let trunk = json!({
        "name": "Городская сеть", "networks": [format!("{TRUNK}/32")], "trusted_identity": true, "most_calls": 30,
        "outbound": { "proxy": gateway.to_string(), "caller_number": LINES[0].0, "number_format": "e164" },
    });
    let _: Id = rest.post("trunks", &trunk).await?;
    let owners: Vec<&str> = managers.iter().map(|manager| manager.id.as_str()).collect();
    let organisations = each(ORGANISATIONS, |index| {
        let body = organisation(index, &owners);
        async move {
            rest.post::<Id>("organisations", &body)
                .await
                .map(|made| made.id)
        }
    })
    .await?;
    let persons = each(PERSONS, |index| {
        let body = person(index, &owners, &organisations);
        async move { rest.post::<Id>("persons", &body).await.map(|made| made.id) }
    })
    .await?;
    work(rest, &owners, &organisations, &persons).await?;
    let clients = persons.iter().enumerate().map(|(index, id)| Client {
        id: id.clone(),
        name: names::person(index),
        number: names::as_dialled(&names::mobile(index)),
        manager: manager_of(index),
    });
    let lines = LINES.map(|(number, ..)| names::as_dialled(number));
    Ok(Company {
        managers: managers.clone(),
        lines,
        clients: clients.collect(),
    })
}

/// The numbers of organisations and persons as the API counts them.
pub(super) async fn count(rest: &Rest, path: &str) -> Result<usize> {
    #[derive(Deserialize)]
    struct Page {
        items: Vec<Id>,
        next: Option<String>,
    }
    let (mut found, mut cursor) = (0, String::new());
    loop {
        let page: Page = rest.get(&format!("{path}?limit=200{cursor}")).await?;
        found += page.items.iter().filter(|item| !item.id.is_empty()).count();
        match page.next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(found),
        }
    }
}

async fn each<F>(count: usize, make: impl Fn(usize) -> F) -> Result<Vec<String>>
where
    F: Future<Output = Result<String>>,
{
    stream::iter((0..count).map(make))
        .buffered(AT_A_TIME)
        .try_collect()
        .await
}

async fn managers(rest: &Rest) -> Result<Vec<Manager>> {
    let made = MANAGERS.iter().map(|&(name, login, short_number)| async move {
        let password = format!("{login}-{:012x}", rand::random::<u64>() >> 16);
        let body = json!({
            "name": name, "login": login, "short_number": short_number, "role": "agent",
            "ring_timeout_secs": 20, "wrap_up_secs": 2, "password": password,
        });
        let user: Id = rest.post("users", &body).await?;
        let body = json!({ "user": user.id, "name": "Телефон на столе", "auth_user": format!("phone{short_number}") });
        #[derive(Deserialize)]
        struct Device {
            auth_user: String,
            secret: String,
        }
        let device: Device = rest.post("devices", &body).await?;
        Ok(Manager { id: user.id, name, short_number, login, password, device: (device.auth_user, device.secret) })
    });
    stream::iter(made).buffered(AT_A_TIME).try_collect().await
}

async fn lines(rest: &Rest, managers: &[Manager]) -> Result<()> {
    for (number, name, channel, levels) in LINES {
        let skills: Vec<Value> = managers
            .iter()
            .zip(levels)
            .map(|(manager, level)| json!({ "user": manager.id, "level": level }))
            .collect();
        let queue = (name == QUEUED).then(|| json!({ "announce_secs": 30 }));
        let body = json!({ "number": number, "name": name, "channel": channel, "skills": skills, "queue": queue });
        let _: Id = rest.post("lines", &body).await?;
    }
    Ok(())
}

/// Two persons of an organisation have its manager.
fn manager_of(person: usize) -> usize {
    (person % ORGANISATIONS) % MANAGERS.len()
}

fn organisation(index: usize, owners: &[&str]) -> Value {
    let flags: &[&str] = match index {
        0 => &["core"],
        _ if index % 40 == 7 => &["vip"],
        _ if index % 67 == 11 => &["undesirable"],
        _ => &[],
    };
    let numbers: Vec<Value> = (index % 5 == 0)
        .then(|| json!({ "typed": names::switchboard(index), "kind": "switchboard" }))
        .into_iter()
        .collect();
    let manager = owners[index % owners.len()];
    json!({ "name": names::organisation(index), "manager": manager, "flags": flags, "numbers": numbers })
}

fn person(index: usize, owners: &[&str], organisations: &[String]) -> Value {
    const POSITIONS: [&str; 5] = [
        "снабжение",
        "главный инженер",
        "директор",
        "закупки",
        "бухгалтерия",
    ];
    let at = index % organisations.len();
    let position = POSITIONS[index % POSITIONS.len()];
    let mut memberships = vec![json!({ "organisation": organisations[at], "position": position })];
    if index % 10 == 3 {
        let second = (at + 57) % organisations.len();
        memberships
            .push(json!({ "organisation": organisations[second], "position": "консультант" }));
    }
    let mut numbers = vec![json!({ "typed": names::mobile(index), "kind": "mobile" })];
    if at % 5 == 0 {
        let typed = format!("{} доб. {}", names::switchboard(at), 10 + index % 90);
        numbers.push(json!({ "typed": typed, "kind": "work" }));
    }
    if index % 6 == 5 {
        numbers.push(json!({ "typed": names::mobile(PERSONS + index), "kind": "other" }));
    }
    // Colleagues who share a telephone.
    if index % 50 == 21 {
        numbers.push(json!({ "typed": names::mobile(index - 1), "kind": "work" }));
    }
    let flags: &[&str] = if index == 0 || index % 45 == 9 {
        &["vip"]
    } else {
        &[]
    };
    // Every third person has a manager of their own, who is that of the organisation; the others inherit.
    let own = (index % 3 == 0).then(|| owners[manager_of(index)]);
    json!({
        "name": names::person(index), "manager": own, "flags": flags, "numbers": numbers, "memberships": memberships,
    })
}

/// Deals, tasks and notes: every eighth organisation has them.
async fn work(
    rest: &Rest,
    owners: &[&str],
    organisations: &[String],
    persons: &[String],
) -> Result<()> {
    const STAGES: [&str; 5] = [
        "Запрос",
        "Коммерческое предложение",
        "Согласование",
        "Счёт выставлен",
        "Отгрузка",
    ];
    const GOODS: [&str; 4] = ["ВВГнг 3×2,5", "КГ 4×16", "СИП-4 4×25", "АВБбШв 4×50"];
    let mut requests: Vec<(String, Value)> = Vec::new();
    for at in (0..organisations.len()).step_by(8) {
        let (owner, goods) = (owners[at % owners.len()], GOODS[at / 8 % GOODS.len()]);
        let client = json!({ "person": persons[at], "organisation": organisations[at] });
        let metres = 100 * (1 + at % 17);
        requests.push((
            "deals".to_owned(),
            json!({
                "title": format!("Кабель {goods}, {metres} м"), "client": client, "manager": owner,
                "stage": STAGES[at / 8 % STAGES.len()], "amount_minor": metres * 19_500, "currency": "RUB",
            }),
        ));
        let due = Timestamp::now() + SignedDuration::from_hours(20 + i64::try_from(at)?);
        let title = format!("Уточнить срок отгрузки: {goods}");
        requests.push((
            "tasks".to_owned(),
            json!({ "title": title, "client": client, "assignee": owner, "due": due.to_string() }),
        ));
        let text = "Звонить после десяти. Просит скидку от пятисот метров.";
        requests.push((
            format!("persons/{}/notes", persons[at]),
            json!({ "text": text }),
        ));
    }
    let sent = requests
        .iter()
        .map(|(path, body)| async move { rest.post::<Id>(path, body).await });
    stream::iter(sent)
        .buffered(AT_A_TIME)
        .try_for_each(|_| async { Ok(()) })
        .await
}

/// Reads back that all of it is there.
pub(super) async fn check(rest: &Rest) -> Result<()> {
    for (path, wanted) in [
        ("organisations", ORGANISATIONS),
        ("persons", PERSONS),
        ("lines", LINES.len()),
    ] {
        let found = count(rest, path)
            .await
            .with_context(|| format!("counting {path}"))?;
        ensure!(
            found == wanted,
            "the API lists {found} {path} and not {wanted}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_company_has_what_a_contact_base_has() {
        let owners = ["1", "2", "3", "4", "5", "6"];
        let organisations: Vec<String> =
            (0..ORGANISATIONS).map(|index| index.to_string()).collect();
        let persons: Vec<Value> = (0..PERSONS)
            .map(|index| person(index, &owners, &organisations))
            .collect();
        let many = |field: &str| {
            persons
                .iter()
                .filter(|one| one[field].as_array().unwrap().len() > 1)
                .count()
        };
        assert!(many("numbers") > 80 && many("memberships") > 30);
        let shared = |one: &Value| {
            one["numbers"]
                .as_array()
                .unwrap()
                .iter()
                .any(|number| number["typed"] == names::mobile(20))
        };
        assert_eq!(persons.iter().filter(|one| shared(one)).count(), 2);
        let switchboards = (0..ORGANISATIONS).map(|index| organisation(index, &owners));
        assert_eq!(
            switchboards
                .filter(|one| one["numbers"].as_array().unwrap().len() == 1)
                .count(),
            40
        );
        assert_eq!(persons[0]["manager"], "1");
        assert_eq!(manager_of(0), 0);
        assert_eq!(manager_of(200), 0);
    }
}
