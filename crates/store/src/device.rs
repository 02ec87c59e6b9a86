//! The users' telephones.

use async_trait::async_trait;
use crm::{DeviceData, DeviceFilter, Error, MOST_RING_AFTER_SECS, Result, fold};
use model::DeviceId;

use crate::{
    check,
    database::{Row, Value, args},
    failure::Outcome,
    memory::Shared,
    repository::{Table, expect_there},
    select::{Order, Select},
    words::{from_word, word},
    writer::Writing,
};

#[async_trait]
impl Table for DeviceData {
    const TABLE: &'static str = "devices";
    const COLUMNS: &'static [&'static str] = &[
        "user_id",
        "name",
        "name_fold",
        "auth_user",
        "ha1_md5",
        "ha1_sha256",
        "digest",
        "media_source",
        "number",
        "ring_after_secs",
    ];
    const ORDER: Order = Order::Name("name_fold");

    fn id(raw: i64) -> DeviceId {
        DeviceId(raw)
    }

    fn raw(id: DeviceId) -> i64 {
        id.0
    }

    fn prepare(&mut self, shared: &Shared) -> Result<()> {
        if let Some(number) = &mut self.number {
            check::text("number", number, crm::number::MOST_TYPED)?;
            *number = shared.normal(number).normal.clone();
            if !number.starts_with('+') {
                let why = "must be a public number, such as +7 916 123-45-67";
                return Err(Error::invalid("number", why));
            }
        }
        if self.ring_after_secs > MOST_RING_AFTER_SECS {
            let why = format!("must be at most {MOST_RING_AFTER_SECS} seconds");
            return Err(Error::invalid("ring_after_secs", why));
        }
        check::text("name", &self.name, check::NAME)?;
        check::text("auth_user", &self.auth_user, 64)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()+".contains(&b);
        if !self.auth_user.bytes().all(plain) {
            // RFC 3261 §25.1, user: what needs no escape, so that every phone writes it alike.
            return Err(Error::invalid(
                "auth_user",
                "must have Latin letters, digits and -_.+ only",
            ));
        }
        for (field, ha1, length) in [
            ("ha1_md5", &self.ha1_md5, 32),
            ("ha1_sha256", &self.ha1_sha256, 64),
        ] {
            let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            if ha1.len() != length || !ha1.bytes().all(hex) {
                let why = format!("must be {length} digits of lower-case hex");
                return Err(Error::invalid(field, why));
            }
        }
        Ok(())
    }

    fn values(&self) -> Vec<Value> {
        args![
            self.user.0,
            self.name.as_str(),
            fold(&self.name),
            self.auth_user.as_str(),
            self.ha1_md5.as_str(),
            self.ha1_sha256.as_str(),
            word(&self.digest),
            word(&self.media_source),
            self.number.as_deref(),
            self.ring_after_secs,
        ]
    }

    fn decode(row: &mut Row) -> std::result::Result<Self, sqlx::Error> {
        let user = model::UserId(row.int()?);
        let name = row.text()?;
        row.skip(1);
        Ok(Self {
            user,
            name,
            auth_user: row.text()?,
            ha1_md5: row.text()?,
            ha1_sha256: row.text()?,
            digest: from_word(&row.text()?)?,
            media_source: from_word(&row.text()?)?,
            number: row.opt_text()?,
            ring_after_secs: row.int()? as u32,
        })
    }

    fn narrow(filter: &DeviceFilter, _shared: &Shared, select: &mut Select) {
        select.and_int("t.user_id", filter.user.map(|it| it.0));
    }

    fn sort_key(&self) -> String {
        fold(&self.name)
    }

    async fn save_rest(
        writing: &mut Writing,
        id: i64,
        _old: Option<&Self>,
        new: Option<&mut Self>,
    ) -> Outcome<()> {
        writing.directory_changed = true;
        match new {
            Some(new) => expect_there(writing, "users", "user", Some(new.user.0)).await,
            None => {
                let sql = "DELETE FROM bindings WHERE device_id = $1";
                writing.conn.execute(sql, &args![id]).await?;
                Ok(())
            }
        }
    }
}
