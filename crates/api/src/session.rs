//! Logging in and out, and what users do about themselves.

use std::net::{IpAddr, Ipv4Addr};

use axum::{
    Extension, Json,
    extract::{ConnectInfo, FromRequestParts, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use call::Command;
use crm::{Language, Role};
use garde::Validate;
use model::{SessionId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::Body,
    listener::Peer,
    moment::{self, Moment},
    password::{FEWEST_CHARS, MOST_CHARS, PasswordError},
    problem::Problem,
    token,
};

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(log_in, who_am_i, log_out))
        .routes(routes!(set_away))
        .routes(routes!(end_wrap_up))
        .routes(routes!(change_password))
}

/// The user behind a request.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Who.
    pub user: UserId,
    /// What they may do.
    pub role: Role,
    /// Their language.
    pub language: Language,
    /// The session of the token.
    pub session: SessionId,
    /// Hash of the token, to ask again later.
    pub token: crm::TokenHash,
    name: String,
    login: String,
    expires_at: Moment,
}

impl Identity {
    /// The user whose token the headers carry: `Authorization: Bearer TOKEN`, or for a WebSocket of
    /// a browser, which cannot set that header, `Sec-WebSocket-Protocol: bearer, TOKEN`.
    pub async fn of(state: &ApiState, headers: &HeaderMap) -> Result<Self, Problem> {
        let token = bearer(headers).ok_or_else(|| {
            Problem::unauthorized(
                "send Authorization: Bearer TOKEN; POST /api/v1/session gives a token",
            )
        })?;
        Self::by_token(state, token::hash(token)).await
    }

    /// Whether the session has ended by itself.
    pub fn is_over(&self) -> bool {
        self.expires_at <= moment::now().into()
    }

    /// The user of a token, if its session still runs.
    pub async fn by_token(state: &ApiState, token: crm::TokenHash) -> Result<Self, Problem> {
        let found = state.base.sessions().find(&token).await?;
        let (session, user) = found
            .filter(|(session, _)| session.expires_at > moment::now())
            .ok_or_else(|| Problem::unauthorized("the session is over; log in again"))?;
        Ok(Self {
            user: user.id,
            role: user.data.role,
            language: user.data.language,
            session: session.id,
            token,
            name: user.data.name,
            login: user.data.login,
            expires_at: session.expires_at.into(),
        })
    }
}

/// The identity that `rights::guard` put into the request.
impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Extension::<Self>::from_request_parts(parts, state)
            .await
            .map(|Extension(identity)| identity)
            .map_err(Problem::internal)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim());
    }
    let mut protocols = headers
        .get(header::SEC_WEBSOCKET_PROTOCOL)?
        .to_str()
        .ok()?
        .split(',')
        .map(str::trim);
    (protocols.next() == Some("bearer")).then(|| protocols.next())?
}

/// Login and password.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    /// What the user logs in with; case does not matter.
    #[garde(length(chars, min = 1, max = 100))]
    login: String,
    /// The password.
    #[garde(length(chars, min = 1, max = MOST_CHARS))]
    #[schema(write_only)]
    password: String,
}

/// A session that has begun.
#[derive(Debug, Serialize, ToSchema)]
struct Begun {
    /// The bearer token. It is shown this once and stored only as a hash.
    token: String,
    /// When the session ends by itself.
    expires_at: Moment,
    /// The user.
    user: Me,
}

/// The user who asks.
#[derive(Debug, Serialize, ToSchema)]
struct Me {
    /// Id of the user.
    id: String,
    /// The name that colleagues see.
    name: String,
    /// What the user logs in with.
    login: String,
    /// `administrator`, `supervisor` or `agent`.
    role: &'static str,
    /// `ru` or `en`.
    language: &'static str,
}

impl Me {
    fn of(identity: &Identity) -> Self {
        Self {
            id: identity.user.to_string(),
            name: identity.name.clone(),
            login: identity.login.clone(),
            role: identity.role.name(),
            language: identity.language.code(),
        }
    }
}

/// Where a request comes from, for the guessing limits. Absent only under a server that does not say.
struct Source(IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for Source {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let address = parts
            .extensions
            .get::<ConnectInfo<Peer>>()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.0.ip());
        Ok(Self(address.to_canonical()))
    }
}

/// Log in
#[utoipa::path(post, path = "/session", tag = "session", request_body = Login, security(()),
    responses((status = 201, body = Begun), (status = 401), (status = 429)))]
async fn log_in(
    State(state): State<ApiState>,
    source: Source,
    Body(login): Body<Login>,
) -> Result<(StatusCode, Json<Begun>), Problem> {
    let now = moment::now();
    let key = crm::fold(&login.login);
    state
        .guesses
        .attempt(source.0, &key, now)
        .map_err(Problem::too_many_attempts)?;
    let found = state.base.users().by_login(&login.login).await?;
    let (user, stored) = found.map_or((None, None), |(user, hash)| (Some(user), hash));
    let right = state.hasher.check(login.password, stored).await?;
    let Some(user) = user.filter(|_| right) else {
        tracing::warn!(source = %source.0, "a log-in failed: wrong login or password");
        return Err(Problem::unauthorized("wrong login or password"));
    };
    state.guesses.succeeded(source.0, &key);
    let token = token::make();
    let hash = token::hash(&token);
    let expires_at = now + state.settings.session_length;
    state
        .base
        .sessions()
        .open(user.id, hash, expires_at)
        .await?;
    let identity = Identity::by_token(&state, hash).await?;
    let begun = Begun {
        token,
        expires_at: expires_at.into(),
        user: Me::of(&identity),
    };
    Ok((StatusCode::CREATED, Json(begun)))
}

/// What a session is.
#[derive(Debug, Serialize, ToSchema)]
struct Present {
    /// The user.
    user: Me,
    /// When the session ends by itself.
    expires_at: Moment,
}

/// Who am I
#[utoipa::path(get, path = "/session", tag = "session", responses((status = 200, body = Present)))]
async fn who_am_i(identity: Identity) -> Json<Present> {
    Json(Present {
        user: Me::of(&identity),
        expires_at: identity.expires_at,
    })
}

/// Log out
#[utoipa::path(delete, path = "/session", tag = "session", responses((status = 204)))]
async fn log_out(State(state): State<ApiState>, identity: Identity) -> Result<StatusCode, Problem> {
    state.base.sessions().close(identity.session).await?;
    // Nobody listens if no WebSocket is open.
    let _ = state.ended_sessions.send(identity.session);
    Ok(StatusCode::NO_CONTENT)
}

/// Away or back.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct Away {
    /// True to be offered no calls, false to come back.
    #[garde(skip)]
    away: bool,
}

/// Go away or come back
#[utoipa::path(post, path = "/session/away", tag = "session", request_body = Away,
    responses((status = 204)))]
async fn set_away(
    State(state): State<ApiState>,
    identity: Identity,
    Body(Away { away }): Body<Away>,
) -> Result<StatusCode, Problem> {
    let agent = identity.user;
    state.base.users().set_away(agent, away).await?;
    state.order(Command::SetAway { agent, away })?;
    Ok(StatusCode::NO_CONTENT)
}

/// End the wrap-up time now
#[utoipa::path(post, path = "/session/end-wrap-up", tag = "session", responses((status = 204)))]
async fn end_wrap_up(
    State(state): State<ApiState>,
    identity: Identity,
) -> Result<StatusCode, Problem> {
    state.order(Command::EndWrapUp {
        agent: identity.user,
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// The old and the new password.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// The present password.
    #[garde(length(chars, min = 1, max = MOST_CHARS))]
    #[schema(write_only)]
    present: String,
    /// The new one: 10 to 200 characters.
    #[garde(length(chars, min = FEWEST_CHARS, max = MOST_CHARS))]
    #[schema(write_only)]
    password: String,
}

/// Change the own password; ends all of the user's sessions
#[utoipa::path(post, path = "/session/password", tag = "session", request_body = NewPassword,
    responses((status = 204), (status = 422), (status = 429)))]
async fn change_password(
    State(state): State<ApiState>,
    source: Source,
    identity: Identity,
    Body(new): Body<NewPassword>,
) -> Result<StatusCode, Problem> {
    let key = crm::fold(&identity.login);
    state
        .guesses
        .attempt(source.0, &key, moment::now())
        .map_err(Problem::too_many_attempts)?;
    let found = state.base.users().by_login(&identity.login).await?;
    let stored = found.and_then(|(_, hash)| hash);
    if !state.hasher.check(new.present, stored).await? {
        return Err(Problem::field("present", "is not the present password"));
    }
    state.guesses.succeeded(source.0, &key);
    let hash = state.hasher.hash(new.password).await?;
    state
        .base
        .users()
        .set_password(identity.user, &hash)
        .await?;
    state.hub.revoke(identity.user);
    Ok(StatusCode::NO_CONTENT)
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Overloaded => Self::unavailable("too many log-ins at once"),
            PasswordError::Hash(cause) => Self::internal(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_by_header_or_by_websocket_protocol() {
        let read = |name: header::HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        let protocol = header::SEC_WEBSOCKET_PROTOCOL;
        assert_eq!(read(header::AUTHORIZATION, "bearer abc").unwrap(), "abc");
        assert_eq!(read(protocol.clone(), "bearer, abc").unwrap(), "abc");
        assert_eq!(read(header::AUTHORIZATION, "Basic abc"), None);
        assert_eq!(read(header::AUTHORIZATION, "Bearer"), None);
        assert_eq!(read(protocol.clone(), "bearer"), None);
        assert_eq!(read(protocol, "chat, abc"), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
