//! Users, their passwords, and what goes with them when they are removed.

use async_trait::async_trait;
use crm::{Error, Result, User, UserData, UserFilter, Users, fold};
use model::UserId;

use crate::{
    Store, check,
    database::{Row, Value, args},
    deputy,
    failure::{Failure, Outcome},
    hand_over,
    memory::Shared,
    repository::{Reader, Table, fetch},
    select::{Order, Select},
    words::{from_word, word},
    work::Change,
    writer::Writing,
};

#[async_trait]
impl Table for UserData {
    const TABLE: &'static str = "users";
    const COLUMNS: &'static [&'static str] = &[
        "name",
        "name_fold",
        "login",
        "login_fold",
        "short_number",
        "role",
        "language",
        "away",
        "ring_timeout_secs",
        "wrap_up_secs",
        "may_call",
        "call_waiting",
        "deputy",
    ];
    const ORDER: Order = Order::Name("name_fold");

    fn id(raw: i64) -> UserId {
        UserId(raw)
    }

    fn raw(id: UserId) -> i64 {
        id.0
    }

    fn prepare(&mut self, _shared: &Shared) -> Result<()> {
        check::text("name", &self.name, check::NAME)?;
        check::text("login", &self.login, check::NAME)?;
        check::secs("ring_timeout_secs", self.ring_timeout_secs, 1, 600)?;
        check::secs("wrap_up_secs", self.wrap_up_secs, 0, 86_400)?;
        if let Some(number) = &self.short_number {
            let digits = number.bytes().all(|b| b.is_ascii_digit());
            if !digits || !(1..=8).contains(&number.len()) {
                return Err(Error::invalid("short_number", "must have 1 to 8 digits"));
            }
        }
        Ok(())
    }

    fn values(&self) -> Vec<Value> {
        args![
            self.name.as_str(),
            fold(&self.name),
            self.login.as_str(),
            fold(&self.login),
            self.short_number.as_deref(),
            self.role.name(),
            self.language.code(),
            self.away,
            self.ring_timeout_secs,
            self.wrap_up_secs,
            word(&self.may_call),
            self.call_waiting,
            self.deputy.map(|it| it.0),
        ]
    }

    fn decode(row: &mut Row) -> std::result::Result<Self, sqlx::Error> {
        let name = row.text()?;
        row.skip(1);
        let login = row.text()?;
        row.skip(1);
        Ok(Self {
            name,
            login,
            short_number: row.opt_text()?,
            role: from_word(&row.text()?)?,
            language: from_word(&row.text()?)?,
            away: row.flag()?,
            ring_timeout_secs: row.int()? as u32,
            wrap_up_secs: row.int()? as u32,
            may_call: from_word(&row.text()?)?,
            call_waiting: row.flag()?,
            deputy: row.opt_int()?.map(UserId),
        })
    }

    fn narrow(filter: &UserFilter, _shared: &Shared, select: &mut Select) {
        let folded = filter.text.as_deref();
        select.and_contains("t.name_fold || ' ' || t.login_fold", folded);
        if let Some(role) = filter.role {
            select.and("t.role = ?", args![word(&role)]);
        }
    }

    fn sort_key(&self) -> String {
        fold(&self.name)
    }

    async fn save_rest(
        writing: &mut Writing,
        id: i64,
        old: Option<&Self>,
        new: Option<&mut Self>,
    ) -> Outcome<()> {
        writing.directory_changed = true;
        if let Some(new) = new {
            let new = new
                .deputy
                .filter(|it| old.and_then(|old| old.deputy) != Some(*it));
            let from_now_on = (writing.now.micros(), i64::MAX);
            return deputy::expect_sound(writing, id, new.map(|it| it.0), from_now_on).await;
        }
        let held = hand_over::holdings(&mut Reader::Writing(writing), id).await?;
        if !held.is_empty() {
            return Err(Error::StillHolds(held).into());
        }
        let now = writing.now.micros();
        for sql in [
            "DELETE FROM sessions WHERE user_id = $1",
            "DELETE FROM skills WHERE user_id = $1",
            "DELETE FROM bindings WHERE device_id IN (SELECT id FROM devices WHERE user_id = $1)",
        ] {
            writing.conn.execute(sql, &args![id]).await?;
        }
        for sql in [
            "UPDATE devices SET version = version + 1, updated_at = $1, removed_at = $1 WHERE user_id = $2 AND removed_at IS NULL",
            "UPDATE users SET version = version + 1, updated_at = $1, deputy = NULL WHERE deputy = $2",
            "UPDATE absences SET version = version + 1, updated_at = $1, deputy = NULL WHERE deputy = $2 AND removed_at IS NULL",
            "UPDATE absences SET version = version + 1, updated_at = $1, removed_at = $1 WHERE user_id = $2 AND removed_at IS NULL",
        ] {
            writing.conn.execute(sql, &args![now, id]).await?;
        }
        Ok(())
    }
}

struct SetPassword {
    user: UserId,
    hash: String,
}

#[async_trait]
impl Change for SetPassword {
    type Output = ();

    async fn apply(&self, writing: &mut Writing) -> Outcome<()> {
        fetch::<UserData>(&mut Reader::Writing(writing), self.user).await?;
        let sql = "UPDATE users SET password_hash = $1 WHERE id = $2";
        writing
            .conn
            .execute(sql, &args![self.hash.as_str(), self.user.0])
            .await?;
        let sql = "DELETE FROM sessions WHERE user_id = $1";
        writing.conn.execute(sql, &args![self.user.0]).await?;
        Ok(())
    }
}

struct SetAway {
    user: UserId,
    away: bool,
}

#[async_trait]
impl Change for SetAway {
    type Output = ();

    async fn apply(&self, writing: &mut Writing) -> Outcome<()> {
        let sql = "UPDATE users SET away = $1 WHERE id = $2 AND removed_at IS NULL";
        match writing
            .conn
            .execute(sql, &args![self.away, self.user.0])
            .await?
        {
            0 => Err(Error::NotFound("user").into()),
            _ => Ok(()),
        }
    }
}

struct SetDeputy {
    user: UserId,
    deputy: Option<UserId>,
}

#[async_trait]
impl Change for SetDeputy {
    type Output = ();

    async fn apply(&self, writing: &mut Writing) -> Outcome<()> {
        fetch::<UserData>(&mut Reader::Writing(writing), self.user).await?;
        let deputy = self.deputy.map(|it| it.0);
        let from_now_on = (writing.now.micros(), i64::MAX);
        deputy::expect_sound(writing, self.user.0, deputy, from_now_on).await?;
        let sql =
            "UPDATE users SET version = version + 1, updated_at = $1, deputy = $2 WHERE id = $3";
        let values = args![writing.now.micros(), deputy, self.user.0];
        writing.conn.execute(sql, &values).await?;
        writing.directory_changed = true;
        Ok(())
    }
}

#[async_trait]
impl Users for Store {
    async fn set_password(&self, user: UserId, hash: &str) -> Result<()> {
        check::text("password_hash", hash, 1_000)?;
        self.write(SetPassword {
            user,
            hash: hash.to_owned(),
        })
        .await
    }

    async fn by_login(&self, login: &str) -> Result<Option<(User, Option<String>)>> {
        let sql =
            "SELECT id, password_hash FROM users WHERE login_fold = $1 AND removed_at IS NULL";
        let rows = self.rows(sql, &args![fold(login)]).await?;
        let Some(mut row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let id = row.int().map_err(Failure::Database)?;
        let hash = row.opt_text().map_err(Failure::Database)?;
        let mut reader = Reader::Pool(&self.inner.readers);
        Ok(Some((
            fetch::<UserData>(&mut reader, UserId(id)).await?,
            hash,
        )))
    }

    async fn set_away(&self, user: UserId, away: bool) -> Result<()> {
        self.write(SetAway { user, away }).await
    }

    async fn set_deputy(&self, user: UserId, deputy: Option<UserId>) -> Result<()> {
        self.write(SetDeputy { user, deputy }).await
    }
}
