//! The clients of a leaver go to their successors in one transaction, with a trace of each.

mod read;
mod shares;

use crm::{
    Error, HandOver, HandOverOrder, Holdings,
    hand_over::{MOST_NOTE, MOST_SUCCESSORS},
};
use model::{ClientRef, UserId};

use self::shares::{Kind, Shares};
use crate::{
    check, client,
    database::{Row, Value, args},
    failure::Outcome,
    index::Who,
    memory::MemoryChange,
    repository::{Reader, expect_there, fetch},
    select::{self, placeholders},
    work::Change,
    writer::Writing,
};

/// Rows that one statement changes: bounded by the placeholders that a database takes.
const PORTION: usize = 500;

/// Where a kind stands.
struct Place {
    table: &'static str,
    /// The column that names the user.
    holder: &'static str,
    /// What is in hand.
    condition: &'static str,
    /// Person and organisation that it belongs to.
    client: &'static str,
    versioned: bool,
}

fn place(kind: Kind) -> Place {
    let (table, holder, condition) = match kind {
        Kind::Organisation => ("organisations", "manager", "t.removed_at IS NULL"),
        Kind::Person => ("persons", "manager", "t.removed_at IS NULL"),
        Kind::Deal => (
            "deals",
            "manager",
            "t.removed_at IS NULL AND t.state = 'open'",
        ),
        Kind::Task => (
            "tasks",
            "assignee",
            "t.removed_at IS NULL AND t.done_at IS NULL",
        ),
        Kind::Obligation => ("obligations", "responsible", "t.closed_at IS NULL"),
    };
    let client = match kind {
        Kind::Organisation => "CAST(NULL AS BIGINT), CAST(NULL AS BIGINT)",
        Kind::Person => {
            "CAST(NULL AS BIGINT), (SELECT m.organisation_id FROM memberships m \
             WHERE m.person_id = t.id ORDER BY m.place LIMIT 1)"
        }
        Kind::Deal | Kind::Task | Kind::Obligation => "t.person_id, t.organisation_id",
    };
    Place {
        table,
        holder,
        condition,
        client,
        versioned: kind != Kind::Obligation,
    }
}

/// How much of a kind that is.
fn count(holdings: &mut Holdings, kind: Kind, count: u64) {
    *match kind {
        Kind::Organisation => &mut holdings.organisations,
        Kind::Person => &mut holdings.persons,
        Kind::Deal => &mut holdings.deals,
        Kind::Task => &mut holdings.tasks,
        Kind::Obligation => &mut holdings.obligations,
    } = count;
}

/// What the user has in hand.
pub(crate) async fn holdings(reader: &mut Reader<'_>, user: i64) -> Outcome<Holdings> {
    let mut held = Holdings::default();
    for kind in Kind::ALL {
        let Place {
            table,
            holder,
            condition,
            ..
        } = place(kind);
        let sql = format!("SELECT COUNT(*) FROM {table} t WHERE t.{holder} = $1 AND {condition}");
        for mut row in reader.rows(&sql, &args![user]).await? {
            count(&mut held, kind, row.int()?.unsigned_abs());
        }
    }
    Ok(held)
}

/// Hands over.
pub(crate) struct CarryOut(pub(crate) HandOverOrder);

#[async_trait::async_trait]
impl Change for CarryOut {
    type Output = HandOver;

    async fn apply(&self, writing: &mut Writing) -> Outcome<HandOver> {
        let order = &self.0;
        if let Some(done) = repeated(writing, order).await? {
            return Ok(done);
        }
        fetch::<crm::UserData>(&mut Reader::Writing(writing), order.from).await?;
        for successor in &order.to {
            expect_there(writing, "users", "to", Some(successor.0)).await?;
        }
        let mut shares = Shares::new(order.to.iter().map(|it| it.0).collect());
        for kind in Kind::ALL {
            for (id, client) in in_hand(writing, kind, order.from.0).await? {
                shares.give(kind, id, client);
            }
        }
        let id = writing.make_id();
        for (at, successor) in order.to.iter().enumerate() {
            take_over(writing, (id, at as i64), successor.0, &shares).await?;
        }
        trace(writing, id, order, &shares).await?;
        leave_notes(writing, order, &shares).await?;
        let clients = shares.all().filter_map(|(kind, id, to)| {
            let who = match kind {
                Kind::Person => Who::Person(id),
                Kind::Organisation => Who::Organisation(id),
                _ => return None,
            };
            Some((who, to))
        });
        writing
            .learnt
            .push(MemoryChange::HandedOver(clients.collect()));
        read::one(&mut Reader::Writing(writing), id).await
    }
}

/// What can be refused without a look at the database.
pub(crate) fn prepare(order: &HandOverOrder) -> crm::Result<()> {
    check::count("to", order.to.len(), MOST_SUCCESSORS)?;
    check::optional("note", order.note.as_deref(), MOST_NOTE)?;
    let mut successors = order.to.clone();
    successors.sort_unstable();
    successors.dedup();
    if successors.is_empty() || successors.len() < order.to.len() {
        return Err(Error::invalid(
            "to",
            "must name one or more users, each once",
        ));
    }
    if successors.contains(&order.from) {
        return Err(Error::invalid("to", "must not name the user who leaves"));
    }
    Ok(())
}

/// The hand-over that this order has brought about already.
async fn repeated(writing: &mut Writing, order: &HandOverOrder) -> Outcome<Option<HandOver>> {
    let Some(key) = &order.key else {
        return Ok(None);
    };
    let sql = "SELECT id FROM hand_overs WHERE done_by = $1 AND idempotency_key = $2";
    let values = args![order.by.0, key.as_str()];
    let Some(mut row) = writing.conn.rows(sql, &values).await?.pop() else {
        return Ok(None);
    };
    let done = read::one(&mut Reader::Writing(writing), row.int()?).await?;
    let to: Vec<UserId> = done.to.iter().map(|share| share.user).collect();
    if done.from != order.from || to != order.to {
        let field = "idempotency_key";
        return Err(Error::Taken { field }.into());
    }
    Ok(Some(done))
}

async fn in_hand(writing: &mut Writing, kind: Kind, user: i64) -> Outcome<Vec<(i64, ClientRef)>> {
    let Place {
        table,
        holder,
        condition,
        client,
        ..
    } = place(kind);
    let sql = format!(
        "SELECT t.id, {client} FROM {table} t WHERE t.{holder} = $1 AND {condition} ORDER BY t.id"
    );
    let decode = |mut row: Row| Ok((row.int()?, client::decode(&mut row)?));
    let rows = writing.conn.rows(&sql, &args![user]).await?;
    rows.into_iter().map(decode).collect()
}

/// One successor takes what is theirs.
async fn take_over(
    writing: &mut Writing,
    (hand_over, at): (i64, i64),
    successor: i64,
    shares: &Shares,
) -> Outcome<()> {
    let mut moved = Holdings::default();
    for kind in Kind::ALL {
        let Place {
            table,
            holder,
            versioned,
            ..
        } = place(kind);
        let ids = shares.of(successor, kind);
        count(&mut moved, kind, ids.len() as u64);
        let (version, taken) = match versioned {
            true => (
                ", version = version + 1, updated_at = $2",
                args![successor, writing.now.micros()],
            ),
            false => ("", args![successor]),
        };
        let first = taken.len();
        for portion in ids.chunks(PORTION) {
            let ids = placeholders(first + 1, portion.len());
            let sql = format!("UPDATE {table} SET {holder} = $1{version} WHERE id IN ({ids})");
            let mut values = taken.clone();
            values.extend(portion.iter().map(|id| Value::Int(Some(*id))));
            writing.conn.execute(&sql, &values).await?;
        }
    }
    let columns =
        "hand_over_id, successor, place, persons, organisations, deals, tasks, obligations";
    let sql = select::insert("hand_over_shares", columns, 8, 1);
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let values = args![
        hand_over,
        successor,
        at,
        number(moved.persons),
        number(moved.organisations),
        number(moved.deals),
        number(moved.tasks),
        number(moved.obligations),
    ];
    writing.conn.execute(&sql, &values).await?;
    Ok(())
}

/// Who gave the order, and where each thing went.
async fn trace(
    writing: &mut Writing,
    id: i64,
    order: &HandOverOrder,
    shares: &Shares,
) -> Outcome<()> {
    let columns = "id, at, done_by, leaver, note, idempotency_key";
    let sql = select::insert("hand_overs", columns, 6, 1);
    let values = args![
        id,
        writing.now.micros(),
        order.by.0,
        order.from.0,
        order.note.as_deref(),
        order.key.as_deref(),
    ];
    writing.conn.execute(&sql, &values).await?;
    let items: Vec<_> = shares.all().collect();
    for portion in items.chunks(PORTION) {
        let columns = "hand_over_id, kind, item, successor";
        let sql = select::insert("hand_over_items", columns, 4, portion.len());
        let rows = portion
            .iter()
            .flat_map(|(kind, item, to)| args![id, kind.word(), *item, *to]);
        let values: Vec<Value> = rows.collect();
        writing.conn.execute(&sql, &values).await?;
    }
    Ok(())
}

/// Each client gets the note, if there is one.
async fn leave_notes(writing: &mut Writing, order: &HandOverOrder, shares: &Shares) -> Outcome<()> {
    let Some(note) = order.note.as_deref().filter(|it| !it.trim().is_empty()) else {
        return Ok(());
    };
    let clients: Vec<_> = shares
        .all()
        .filter(|(kind, ..)| matches!(kind, Kind::Person | Kind::Organisation))
        .collect();
    let now = writing.now.micros();
    for portion in clients.chunks(PORTION) {
        let columns =
            "id, version, created_at, updated_at, person_id, organisation_id, author, body";
        let sql = select::insert("notes", columns, 8, portion.len());
        let mut values = Vec::with_capacity(portion.len() * 8);
        for (kind, client, _) in portion {
            let person = (*kind == Kind::Person).then_some(*client);
            let organisation = (*kind == Kind::Organisation).then_some(*client);
            let id = writing.make_id();
            values.extend(args![
                id,
                1_i64,
                now,
                now,
                person,
                organisation,
                order.by.0,
                note
            ]);
        }
        writing.conn.execute(&sql, &values).await?;
    }
    Ok(())
}
