//! The card: one statement of typed rows, one round trip.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use async_trait::async_trait;
use crm::{
    Card, CardClient, CardMember, CardName, CardObligation, Cards, Deal, DealData, DealState, Note,
    NoteData, Record, Result, Task, TaskData, obligation::Creditor,
};
use model::{
    CallId, CallerIdentity, CallerMatch, ClientRef, DealId, NoteId, ObligationId, OrganisationId,
    PersonId, TaskId, UserId, Utc,
};

use crate::{
    Store, client,
    database::{Row, Value, args},
    failure::Failure,
    interaction,
    select::placeholders,
};

/// What a row is. Each has nine numbers and four texts; see the parts below for their order.
mod kind {
    pub(super) const MANAGER: i64 = 1;
    pub(super) const MEMBER: i64 = 2;
    pub(super) const INTERACTION: i64 = 3;
    pub(super) const DEAL: i64 = 4;
    pub(super) const TASK: i64 = 5;
    pub(super) const NOTE: i64 = 6;
    pub(super) const OBLIGATION: i64 = 7;
}

const NO_INT: &str = "CAST(NULL AS BIGINT)";
const NO_TEXT: &str = "CAST(NULL AS TEXT)";

/// What the text of the statement depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    managers: usize,
    persons: usize,
    /// The best match is a person, else an organisation.
    of_person: bool,
}

/// The texts written so far: a card is wanted for every call, and its text is long.
#[derive(Debug, Default)]
pub(crate) struct Texts(Mutex<BTreeMap<Shape, Arc<str>>>);

/// Texts kept; a number that so many people share is rare, and its text is written anew each time.
const MOST_TEXTS: usize = 64;

impl Texts {
    fn of(&self, shape: Shape) -> Arc<str> {
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = texts.get(&shape) {
            return Arc::clone(text);
        }
        let text: Arc<str> = text(shape).into();
        if texts.len() < MOST_TEXTS {
            texts.insert(shape, Arc::clone(&text));
        }
        text
    }
}

/// The statement's shape and arguments, in the order of [`text`]: managers, persons, person and
/// organisation of the best match, and to whom a call back may be owed.
fn question(caller: &CallerIdentity, best: &CallerMatch) -> (Shape, Vec<Value>) {
    let managers = caller.matches.iter().filter_map(|it| Some(it.manager?.0));
    let managers: BTreeSet<i64> = managers.collect();
    let persons = caller.matches.iter();
    let persons: Vec<i64> = persons.filter_map(|it| Some(it.client.person?.0)).collect();
    let shape = Shape {
        managers: managers.len(),
        persons: persons.len(),
        of_person: best.client.person.is_some(),
    };
    let ids = managers.into_iter().chain(persons).map(Some);
    let client = best.client;
    let best = [
        client.person.map(|it| it.0),
        client.organisation.map(|it| it.0),
    ];
    let mut values: Vec<Value> = ids.chain(best).map(Value::Int).collect();
    values.extend(creditors(caller, client));
    (shape, values)
}

/// Person, organisation and number, as [`Creditor::key`] writes them; null for what there is not.
fn creditors(caller: &CallerIdentity, client: ClientRef) -> [Value; 3] {
    let number = Some(&caller.number).filter(|it| !it.is_empty());
    let all = [
        client.person.map(Creditor::Person),
        client.organisation.map(Creditor::Organisation),
        number.map(|it| Creditor::Number(it.clone())),
    ];
    all.map(|it| Value::Text(it.map(|it| it.key())))
}

fn text(shape: Shape) -> String {
    let Shape {
        managers, persons, ..
    } = shape;
    let mut parts = Vec::with_capacity(7);
    if managers > 0 {
        let list = placeholders(1, managers);
        let rest = format!("FROM users t WHERE t.id IN ({list})");
        parts.push(part(kind::MANAGER, &["t.id"], &["t.name"], &rest));
    }
    if persons > 0 {
        let list = placeholders(managers + 1, persons);
        let rest = format!(
            "FROM memberships t JOIN organisations o ON o.id = t.organisation_id WHERE t.person_id IN ({list})"
        );
        let ints = ["t.person_id", "t.place", "t.organisation_id"];
        let texts = ["o.name", "t.position"];
        parts.push(part(kind::MEMBER, &ints, &texts, &rest));
    }
    let (person, organisation) = (managers + persons + 1, managers + persons + 2);
    parts.push(history(shape.of_person, person, organisation));
    parts.extend(records(shape.of_person, person, organisation));
    let creditors = placeholders(organisation + 1, 3);
    parts.push(owed(&format!("t.creditor IN ({creditors})")));
    parts.join(" UNION ALL ")
}

/// Open obligations that the condition holds for.
fn owed(condition: &str) -> String {
    let ints = [
        "t.id",
        "t.due",
        "t.opened_at",
        "t.missed_calls",
        "t.last_call",
        "t.responsible",
    ];
    let rest = format!(
        "FROM obligations t WHERE {condition} AND t.closed_at IS NULL ORDER BY t.due, t.id LIMIT {}",
        Card::MOST
    );
    part(kind::OBLIGATION, &ints, &["t.number"], &rest)
}

/// The text for a caller whom nobody knows.
static OWED_TO_NUMBER: LazyLock<Arc<str>> = LazyLock::new(|| owed("t.number = $1").into());

/// The last interactions of the best match.
fn history(of_person: bool, person: usize, organisation: usize) -> String {
    let condition = match of_person {
        true => format!("t.person_id = ${person}"),
        false => format!("t.organisation_id = ${organisation}"),
    };
    let columns: Vec<&str> = interaction::COLUMNS.split(", ").map(str::trim).collect();
    let rest = format!(
        "FROM {} WHERE {condition} ORDER BY t.id DESC LIMIT {}",
        interaction::FROM,
        Card::MOST_INTERACTIONS
    );
    part(kind::INTERACTION, &columns[..9], &columns[9..], &rest)
}

/// What is open with the client: rows of the person, and those of the organisation that name nobody.
fn records(of_person: bool, person: usize, organisation: usize) -> [String; 3] {
    let client = match of_person {
        true => format!(
            "(t.person_id = ${person} OR (t.organisation_id = ${organisation} AND t.person_id IS NULL))"
        ),
        false => {
            format!("(t.organisation_id = ${organisation} AND CAST(${person} AS BIGINT) IS NULL)")
        }
    };
    let record = [
        "t.id",
        "t.version",
        "t.created_at",
        "t.updated_at",
        "t.person_id",
        "t.organisation_id",
    ];
    let with = |more: &[&'static str]| [&record[..], more].concat();
    let most = Card::MOST;
    [
        part(
            kind::DEAL,
            &with(&["t.manager", "t.amount_minor"]),
            &["t.title", "t.stage", "t.currency"],
            &format!(
                "FROM deals t WHERE {client} AND t.state = 'open' AND t.removed_at IS NULL \
                 ORDER BY t.id DESC LIMIT {most}"
            ),
        ),
        part(
            kind::TASK,
            &with(&["t.assignee", "t.due", "t.call_id"]),
            &["t.title"],
            &format!(
                "FROM tasks t WHERE {client} AND t.done_at IS NULL AND t.removed_at IS NULL \
                 ORDER BY t.due NULLS LAST, t.id LIMIT {most}"
            ),
        ),
        part(
            kind::NOTE,
            &with(&["t.author"]),
            &["t.body"],
            &format!(
                "FROM notes t WHERE {client} AND t.removed_at IS NULL ORDER BY t.id DESC LIMIT {most}"
            ),
        ),
    ]
}

/// Rows of one kind; missing columns are null. `rest` begins with `FROM`.
fn part(kind: i64, ints: &[&str], texts: &[&str], rest: &str) -> String {
    let fill = |columns: &[&str], nothing, count| {
        let columns = columns.iter().copied().chain(std::iter::repeat(nothing));
        columns.take(count).map(str::to_owned).collect::<Vec<_>>()
    };
    let columns = [fill(ints, NO_INT, 9), fill(texts, NO_TEXT, 4)].concat();
    // Inner selects need a name for every column.
    let named = columns.iter().enumerate();
    let named: Vec<String> = named
        .map(|(at, column)| format!("{column} AS c{at}"))
        .collect();
    // A limit belongs to its part only inside a select of its own.
    format!(
        "SELECT * FROM (SELECT CAST({kind} AS BIGINT) AS k, {} {rest}) part{kind}",
        named.join(", ")
    )
}

#[async_trait]
impl Cards for Store {
    async fn card(&self, caller: &CallerIdentity) -> Result<Card> {
        let (sql, args) = match caller.matches.first() {
            Some(best) => {
                let (shape, args) = question(caller, best);
                (self.inner.cards.of(shape), args)
            }
            None if caller.number.is_empty() => return Ok(Card::default()),
            None => {
                let args = args![caller.number.as_str()];
                (Arc::clone(&OWED_TO_NUMBER), args)
            }
        };
        let rows = self.hot_rows(sql, args).await?;
        let mut card = Card {
            clients: caller.matches.iter().map(card_client).collect(),
            ..Card::default()
        };
        let mut members = Vec::new();
        for mut row in rows {
            take(&mut row, &mut card, &mut members).map_err(Failure::Database)?;
        }
        members.sort_by_key(|(person, place, _)| (*person, *place));
        for client in &mut card.clients {
            let of_client = members
                .iter()
                .filter(|it| client.client.person == Some(it.0));
            client
                .organisations
                .extend(of_client.map(|it| it.2.clone()));
        }
        // The parts of a union have no order of their own.
        card.interactions.sort_by_key(|it| std::cmp::Reverse(it.id));
        card.deals.sort_by_key(|it| std::cmp::Reverse(it.id));
        card.notes.sort_by_key(|it| std::cmp::Reverse(it.id));
        card.obligations.sort_by_key(|it| (it.due, it.id));
        card.tasks
            .sort_by_key(|it| (it.data.due.is_none(), it.data.due, it.id));
        Ok(card)
    }
}

fn card_client(found: &CallerMatch) -> CardClient {
    let itself = match found.client {
        ClientRef {
            person: None,
            organisation: Some(organisation),
        } => Some(CardMember {
            organisation,
            name: found.name.clone(),
            position: None,
        }),
        _ => None,
    };
    CardClient {
        client: found.client,
        name: found.name.clone(),
        organisations: itself.into_iter().collect(),
        manager: found.manager.map(|id| CardName {
            id,
            name: String::new(),
        }),
        flags: found.flags.clone(),
    }
}

fn take(
    row: &mut Row,
    card: &mut Card,
    members: &mut Vec<(PersonId, i64, CardMember)>,
) -> std::result::Result<(), sqlx::Error> {
    match row.int()? {
        kind::MANAGER => {
            let id = UserId(row.int()?);
            row.skip(8);
            let name = row.text()?;
            for client in &mut card.clients {
                if let Some(manager) = client.manager.as_mut().filter(|it| it.id == id) {
                    manager.name.clone_from(&name);
                }
            }
        }
        kind::MEMBER => {
            let (person, place) = (PersonId(row.int()?), row.int()?);
            let organisation = OrganisationId(row.int()?);
            row.skip(6);
            let member = CardMember {
                organisation,
                name: row.text()?,
                position: row.opt_text()?,
            };
            members.push((person, place, member));
        }
        kind::INTERACTION => card.interactions.push(interaction::decode(row)?),
        kind::DEAL => card.deals.push(deal(row)?),
        kind::TASK => card.tasks.push(task(row)?),
        kind::OBLIGATION => card.obligations.push(obligation(row)?),
        _ => card.notes.push(note(row)?),
    }
    Ok(())
}

/// What every record begins with.
fn record<I>(row: &mut Row, id: fn(i64) -> I) -> std::result::Result<Record<I, ()>, sqlx::Error> {
    Ok(Record {
        id: id(row.int()?),
        version: row.int()?,
        created_at: Utc::from_micros(row.int()?),
        updated_at: Utc::from_micros(row.int()?),
        data: (),
    })
}

fn with<I, D>(record: Record<I, ()>, data: D) -> Record<I, D> {
    Record {
        id: record.id,
        version: record.version,
        created_at: record.created_at,
        updated_at: record.updated_at,
        data,
    }
}

fn deal(row: &mut Row) -> std::result::Result<Deal, sqlx::Error> {
    let record = record(row, DealId)?;
    let client = client::decode(row)?;
    let manager = row.opt_int()?.map(UserId);
    let amount_minor = row.opt_int()?;
    row.skip(1);
    let data = DealData {
        title: row.text()?,
        client,
        manager,
        stage: row.text()?,
        state: DealState::Open,
        amount_minor,
        currency: row.text()?,
    };
    Ok(with(record, data))
}

fn task(row: &mut Row) -> std::result::Result<Task, sqlx::Error> {
    let record = record(row, TaskId)?;
    let client = client::decode(row)?;
    let data = TaskData {
        assignee: UserId(row.int()?),
        due: row.opt_int()?.map(Utc::from_micros),
        call: row.opt_int()?.map(CallId),
        done_at: None,
        client,
        title: row.text()?,
    };
    Ok(with(record, data))
}

fn obligation(row: &mut Row) -> std::result::Result<CardObligation, sqlx::Error> {
    let obligation = CardObligation {
        id: ObligationId(row.int()?),
        due: Utc::from_micros(row.int()?),
        opened_at: Utc::from_micros(row.int()?),
        missed_calls: u32::try_from(row.int()?).unwrap_or(u32::MAX),
        last_call: CallId(row.int()?),
        responsible: row.opt_int()?.map(UserId),
        number: String::new(),
    };
    row.skip(3);
    Ok(CardObligation {
        number: row.text()?,
        ..obligation
    })
}

fn note(row: &mut Row) -> std::result::Result<Note, sqlx::Error> {
    let record = record(row, NoteId)?;
    let client = client::decode(row)?;
    let author = UserId(row.int()?);
    row.skip(2);
    Ok(with(
        record,
        NoteData {
            client,
            author,
            text: row.text()?,
        },
    ))
}
