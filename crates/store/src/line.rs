//! Our numbers, and who serves them.

use async_trait::async_trait;
use crm::{
    Error, LineData, LineFilter, LineSkill, Record, Result, fold, obligation::MOST_CALLBACK_MINUTES,
};
use model::{LineId, OfficeId, UserId};

use crate::{
    check,
    database::{Row, Value, args},
    failure::Outcome,
    memory::Shared,
    reception,
    repository::{Reader, Table, expect_there, within},
    select::{self, Order, Select},
    words::{from_json, from_word, json},
    writer::Writing,
};

/// Most users that serve a line.
const MOST_SKILLS: usize = 3_000;
/// Rows of one insert: SQLite takes at most 32,766 arguments.
const ROWS: usize = 500;

#[async_trait]
impl Table for LineData {
    const TABLE: &'static str = "lines";
    const COLUMNS: &'static [&'static str] = &[
        "number_typed",
        "number_normal",
        "name",
        "name_fold",
        "channel",
        "channel_fold",
        "ring_timeout_secs",
        "recorded",
        "callback_minutes",
        "language",
        "queue",
        "office_id",
        "reception",
    ];
    const ORDER: Order = Order::Name("name_fold");

    fn id(raw: i64) -> LineId {
        LineId(raw)
    }

    fn raw(id: LineId) -> i64 {
        id.0
    }

    fn prepare(&mut self, shared: &Shared) -> Result<()> {
        check::text("name", &self.name, check::NAME)?;
        check::text("number", &self.number, crm::number::MOST_TYPED)?;
        check::optional("channel", self.channel.as_deref(), check::NAME)?;
        check::count("skills", self.skills.len(), MOST_SKILLS)?;
        if let Some(secs) = self.ring_timeout_secs {
            check::secs("ring_timeout_secs", secs, 1, 600)?;
        }
        if !(1..=MOST_CALLBACK_MINUTES).contains(&self.callback_minutes) {
            let why = format!("must be between 1 and {MOST_CALLBACK_MINUTES} minutes");
            return Err(Error::invalid("callback_minutes", why));
        }
        if let Some(queue) = &self.queue {
            if !(1..=1_000).contains(&queue.most_waiting) {
                let why = "must be between 1 and 1000 callers";
                return Err(Error::invalid("queue.most_waiting", why));
            }
            check::secs("queue.most_wait_secs", queue.most_wait_secs, 10, 7_200)?;
            check::secs("queue.announce_secs", queue.announce_secs, 10, 600)?;
            if let Some(overflow) = &queue.overflow {
                check::secs(
                    "queue.overflow.after_secs",
                    overflow.after_secs,
                    1,
                    queue.most_wait_secs,
                )?;
            }
        }
        reception::check(&self.reception)?;
        let mut users: Vec<UserId> = self.skills.iter().map(|it| it.user).collect();
        users.sort_unstable();
        if users.windows(2).any(|two| two[0] == two[1]) {
            return Err(Error::invalid("skills", "must name each user once"));
        }
        if self.skills.iter().any(|it| it.level > 10) {
            return Err(Error::invalid("skills", "have levels from 0 to 10"));
        }
        self.normal = shared.normal(&self.number).normal.clone();
        match self.normal.is_empty() {
            true => Err(Error::invalid("number", "must have digits")),
            false => Ok(()),
        }
    }

    fn values(&self) -> Vec<Value> {
        args![
            self.number.as_str(),
            self.normal.as_str(),
            self.name.as_str(),
            fold(&self.name),
            self.channel.as_deref(),
            self.channel.as_deref().map(fold),
            self.ring_timeout_secs,
            self.recorded,
            self.callback_minutes,
            self.language.code(),
            self.queue.as_ref().map(json),
            self.office.map(|it| it.0),
            json(&self.reception),
        ]
    }

    fn decode(row: &mut Row) -> std::result::Result<Self, sqlx::Error> {
        let (number, normal, name) = (row.text()?, row.text()?, row.text()?);
        row.skip(1);
        let channel = row.opt_text()?;
        row.skip(1);
        Ok(Self {
            number,
            normal,
            name,
            channel,
            ring_timeout_secs: row.opt_int()?.map(|it| it as u32),
            recorded: row.flag()?,
            callback_minutes: row.int()? as u32,
            language: from_word(&row.text()?)?,
            queue: row.opt_text()?.map(|it| from_json(&it)).transpose()?,
            office: row.opt_int()?.map(OfficeId),
            reception: from_json(&row.text()?)?,
            skills: Vec::new(),
        })
    }

    fn narrow(filter: &LineFilter, _shared: &Shared, select: &mut Select) {
        let text = filter.text.as_deref();
        select.and_contains("t.name_fold || ' ' || COALESCE(t.channel_fold, '')", text);
    }

    fn sort_key(&self) -> String {
        fold(&self.name)
    }

    async fn load_rest(
        reader: &mut Reader<'_>,
        records: &mut [Record<LineId, Self>],
    ) -> Outcome<()> {
        let Some((within, ids)) = within("line_id", records) else {
            return Ok(());
        };
        let sql = format!(
            "SELECT line_id, user_id, level FROM skills WHERE {within} ORDER BY line_id, place"
        );
        for mut row in reader.rows(&sql, &ids).await? {
            let line = LineId(row.int()?);
            let skill = LineSkill {
                user: UserId(row.int()?),
                level: row.int()? as u8,
            };
            if let Some(record) = records.iter_mut().find(|it| it.id == line) {
                record.data.skills.push(skill);
            }
        }
        Ok(())
    }

    async fn save_rest(
        writing: &mut Writing,
        id: i64,
        old: Option<&Self>,
        new: Option<&mut Self>,
    ) -> Outcome<()> {
        writing.directory_changed = true;
        // What was there when it was named may be gone by now, and does not keep the line from being changed.
        let same = |new: &&mut Self| {
            old.is_some_and(|old| old.reception == new.reception && old.office == new.office)
        };
        if let Some(line) = new.as_ref().filter(|new| !same(new)) {
            reception::expect_all(writing, id, line).await?;
        }
        let overflow = new.as_ref().and_then(|line| line.queue?.overflow);
        if let Some(overflow) = overflow {
            if overflow.line.0 == id {
                let why = "must name another line than this one";
                return Err(Error::invalid("queue.overflow.line", why).into());
            }
            let line = Some(overflow.line.0);
            expect_there(writing, "lines", "queue.overflow.line", line).await?;
        }
        let before = old.map(|it| it.skills.as_slice()).unwrap_or_default();
        let after = new.map(|it| it.skills.as_slice()).unwrap_or_default();
        if before == after {
            return Ok(());
        }
        for skill in after
            .iter()
            .filter(|skill| !before.iter().any(|it| it.user == skill.user))
        {
            expect_there(writing, "users", "skills", Some(skill.user.0)).await?;
        }
        writing
            .conn
            .execute("DELETE FROM skills WHERE line_id = $1", &args![id])
            .await?;
        for (chunk, skills) in after.chunks(ROWS).enumerate() {
            let sql = select::insert("skills", "line_id, user_id, place, level", 4, skills.len());
            let mut values = Vec::with_capacity(skills.len() * 4);
            for (place, skill) in skills.iter().enumerate() {
                let place = (chunk * ROWS + place) as i64;
                values.extend(args![id, skill.user.0, place, i64::from(skill.level)]);
            }
            writing.conn.execute(&sql, &values).await?;
        }
        Ok(())
    }
}
