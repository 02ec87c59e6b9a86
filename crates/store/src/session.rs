//! Sessions by the hash of their token.

use async_trait::async_trait;
use crm::{
    Error, Result, Session, Sessions, TokenHash, User, UserData, session::MOST_SESSIONS_PER_USER,
};
use model::{SessionId, UserId, Utc};

use crate::{
    Store, clock,
    database::args,
    failure::{Failure, Outcome},
    repository::{Reader, expect_there, fetch},
    work::Change,
    writer::Writing,
};

struct Open {
    user: UserId,
    token: String,
    expires_at: Utc,
}

#[async_trait]
impl Change for Open {
    type Output = Session;

    async fn apply(&self, writing: &mut Writing) -> Outcome<Session> {
        expect_there(writing, "users", "user", Some(self.user.0)).await?;
        let (id, now) = (writing.make_id(), writing.now);
        let sql = "DELETE FROM sessions WHERE user_id = $1 AND (expires_at <= $2 OR id NOT IN \
                   (SELECT s.id FROM sessions s WHERE s.user_id = $1 ORDER BY s.id DESC LIMIT $3))";
        let kept = i64::from(MOST_SESSIONS_PER_USER) - 1;
        writing
            .conn
            .execute(sql, &args![self.user.0, now.micros(), kept])
            .await?;
        let sql = "INSERT INTO sessions (id, user_id, token_sha256, created_at, expires_at) \
                   VALUES ($1, $2, $3, $4, $5)";
        let values = args![
            id,
            self.user.0,
            self.token.as_str(),
            now.micros(),
            self.expires_at.micros()
        ];
        writing.conn.execute(sql, &values).await?;
        Ok(Session {
            id: SessionId(id),
            user: self.user,
            created_at: now,
            expires_at: self.expires_at,
        })
    }
}

/// Which sessions end.
enum Close {
    One(SessionId),
    All(UserId),
}

#[async_trait]
impl Change for Close {
    type Output = ();

    async fn apply(&self, writing: &mut Writing) -> Outcome<()> {
        let (sql, id) = match self {
            Self::One(session) => ("DELETE FROM sessions WHERE id = $1", session.0),
            Self::All(user) => ("DELETE FROM sessions WHERE user_id = $1", user.0),
        };
        writing.conn.execute(sql, &args![id]).await?;
        Ok(())
    }
}

#[async_trait]
impl Sessions for Store {
    async fn open(&self, user: UserId, token: TokenHash, expires_at: Utc) -> Result<Session> {
        self.write(Open {
            user,
            token: hex(&token),
            expires_at,
        })
        .await
    }

    async fn find(&self, token: &TokenHash) -> Result<Option<(Session, User)>> {
        let sql = "SELECT id, user_id, created_at, expires_at FROM sessions \
                   WHERE token_sha256 = $1 AND expires_at > $2";
        let rows = self
            .rows(sql, &args![hex(token), clock::utc().micros()])
            .await?;
        let Some(mut row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let read = |row: &mut crate::database::Row| {
            Ok::<_, sqlx::Error>(Session {
                id: SessionId(row.int()?),
                user: UserId(row.int()?),
                created_at: Utc::from_micros(row.int()?),
                expires_at: Utc::from_micros(row.int()?),
            })
        };
        let session = read(&mut row).map_err(Failure::Database)?;
        let mut reader = Reader::Pool(&self.inner.readers);
        match fetch::<UserData>(&mut reader, session.user).await {
            Ok(user) => Ok(Some((session, user))),
            Err(Failure::Refused(Error::NotFound(_))) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn close(&self, session: SessionId) -> Result<()> {
        self.write(Close::One(session)).await
    }

    async fn close_all(&self, user: UserId) -> Result<()> {
        self.write(Close::All(user)).await
    }
}

fn hex(token: &TokenHash) -> String {
    token.iter().map(|byte| format!("{byte:02x}")).collect()
}
