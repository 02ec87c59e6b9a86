//! Absences of users.

use async_trait::async_trait;
use crm::{
    AbsenceData, AbsenceFilter, Error, Result,
    absence::{MOST_NOTE, MOST_PLANNED},
};
use model::{AbsenceId, UserId, Utc};

use crate::{
    Store, check, clock,
    database::{Row, Value, args},
    deputy,
    failure::{Failure, Outcome},
    memory::Shared,
    repository::{Table, expect_there},
    select::{Order, Select},
    writer::Writing,
};

#[async_trait]
impl Table for AbsenceData {
    const TABLE: &'static str = "absences";
    const COLUMNS: &'static [&'static str] = &["user_id", "from_at", "until_at", "deputy", "note"];
    const ORDER: Order = Order::Newest;

    fn id(raw: i64) -> AbsenceId {
        AbsenceId(raw)
    }

    fn raw(id: AbsenceId) -> i64 {
        id.0
    }

    fn prepare(&mut self, _shared: &Shared) -> Result<()> {
        if self.until <= self.from {
            return Err(Error::invalid("until", "must be later than from"));
        }
        check::optional("note", self.note.as_deref(), MOST_NOTE)
    }

    fn values(&self) -> Vec<Value> {
        args![
            self.user.0,
            self.from.micros(),
            self.until.micros(),
            self.deputy.map(|it| it.0),
            self.note.as_deref(),
        ]
    }

    fn decode(row: &mut Row) -> std::result::Result<Self, sqlx::Error> {
        Ok(Self {
            user: UserId(row.int()?),
            from: Utc::from_micros(row.int()?),
            until: Utc::from_micros(row.int()?),
            deputy: row.opt_int()?.map(UserId),
            note: row.opt_text()?,
        })
    }

    fn narrow(filter: &AbsenceFilter, _shared: &Shared, select: &mut Select) {
        select.and_int("t.user_id", filter.user.map(|it| it.0));
        select.and_int("t.user_id", filter.visible_to.map(|it| it.0));
        if let Some(after) = filter.after {
            select.and("t.until_at > ?", args![after.micros()]);
        }
        if let Some(before) = filter.before {
            select.and("t.from_at < ?", args![before.micros()]);
        }
    }

    async fn save_rest(
        writing: &mut Writing,
        id: i64,
        _old: Option<&Self>,
        new: Option<&mut Self>,
    ) -> Outcome<()> {
        writing.directory_changed = true;
        let Some(new) = new else { return Ok(()) };
        expect_there(writing, "users", "user", Some(new.user.0)).await?;
        expect_room(writing, id, new).await?;
        let span = (new.from.micros(), new.until.micros());
        deputy::expect_sound(writing, new.user.0, new.deputy.map(|it| it.0), span).await
    }
}

/// Refuses an absence within another one of the same user, and too many.
async fn expect_room(writing: &mut Writing, id: i64, new: &AbsenceData) -> Outcome<()> {
    let sql = "SELECT COUNT(*), CAST(SUM(CASE WHEN from_at < $1 AND until_at > $2 THEN 1 ELSE 0 END) AS BIGINT) \
               FROM absences WHERE user_id = $3 AND id <> $4 AND removed_at IS NULL AND (until_at > $5 OR until_at > $2)";
    let values = args![
        new.until.micros(),
        new.from.micros(),
        new.user.0,
        id,
        writing.now.micros(),
    ];
    let Some(mut row) = writing.conn.rows(sql, &values).await?.pop() else {
        return Ok(());
    };
    let (planned, overlapping) = (row.int()?, row.opt_int()?.unwrap_or(0));
    if overlapping > 0 {
        let why = "lies within another absence of this user; change that one instead";
        return Err(Error::invalid("from", why).into());
    }
    check::count(
        "absences",
        usize::try_from(planned + 1).unwrap_or(0),
        MOST_PLANNED,
    )?;
    Ok(())
}

impl Store {
    /// Absences that are not over, as the PBX takes them.
    pub(crate) async fn absences_ahead(&self) -> Result<Vec<model::Absence>> {
        let sql = "SELECT user_id, from_at, until_at, deputy FROM absences \
                   WHERE removed_at IS NULL AND until_at > $1 ORDER BY user_id, from_at";
        let rows = self.rows(sql, &args![clock::utc().micros()]).await?;
        let decode = |mut row: Row| {
            Ok(model::Absence {
                user: UserId(row.int()?),
                from: Utc::from_micros(row.int()?),
                until: Utc::from_micros(row.int()?),
                deputy: row.opt_int()?.map(UserId),
            })
        };
        let found: std::result::Result<Vec<_>, _> = rows.into_iter().map(decode).collect();
        Ok(found.map_err(Failure::Database)?)
    }
}
