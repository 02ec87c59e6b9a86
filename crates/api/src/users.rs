//! The people who work with Ringbook.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use call::Command;
use crm::{Language, Role, UserData, UserFilter};
use garde::Validate;
use model::{Reach, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::{Body, MergePatch, Params, Path},
    etag::IfMatch,
    password::{self, FEWEST_CHARS, MOST_CHARS},
    problem::Problem,
    resource::{self, Fields, Items, Stored},
    session::Identity,
};

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, change, remove))
}

/// A user.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserFields {
    /// The name that colleagues see.
    #[garde(length(chars, min = 1, max = 200))]
    pub name: String,
    /// What the user logs in with; unique, case does not matter.
    #[garde(length(chars, min = 1, max = 100))]
    pub login: String,
    /// 1–8 digits, unique; none for a user who answers no calls.
    #[serde(default)]
    #[garde(inner(custom(is_short_number)))]
    pub short_number: Option<String>,
    /// `administrator`, `supervisor` or `agent`.
    #[garde(skip)]
    #[schema(value_type = String, example = "agent")]
    pub role: Role,
    /// `ru` or `en`.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = String, example = "ru")]
    pub language: Language,
    /// Does not want to be offered calls.
    #[serde(default)]
    #[garde(skip)]
    pub away: bool,
    /// How long the user's devices ring before the next agent is tried, in seconds (5–300).
    #[serde(default = "usual_ring_timeout")]
    #[garde(range(min = 5, max = 300))]
    pub ring_timeout_secs: u32,
    /// Time kept free after a conversation, in seconds (0–3,600).
    #[serde(default)]
    #[garde(range(max = 3_600))]
    pub wrap_up_secs: u32,
    /// How far the user may call: `internal`, `national` (as usual) or `international`. Emergency numbers are always
    /// allowed.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = String, example = "national")]
    pub may_call: Reach,
    /// Calls to the short number itself, by colleagues or from a menu, ring also while the user talks.
    #[serde(default)]
    #[garde(skip)]
    pub call_waiting: bool,
    /// Id of the user who takes the calls of this user's clients whenever this user cannot; deputies never form a circle.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pub deputy: Option<UserId>,
    /// The password, 10–200 characters. Without one a new user gets a random one, shown once; a
    /// change of it ends the user's sessions.
    #[serde(default, skip_serializing)]
    #[garde(length(chars, min = FEWEST_CHARS, max = MOST_CHARS))]
    #[schema(write_only)]
    pub password: Option<String>,
}

fn usual_ring_timeout() -> u32 {
    20
}

fn is_short_number(number: &str, _: &()) -> garde::Result {
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    if digits && (1..=8).contains(&number.len()) {
        return Ok(());
    }
    Err(garde::Error::new("must be 1 to 8 digits"))
}

impl Fields for UserFields {
    type Data = UserData;

    fn of(data: UserData) -> Self {
        Self {
            name: data.name,
            login: data.login,
            short_number: data.short_number,
            role: data.role,
            language: data.language,
            away: data.away,
            ring_timeout_secs: data.ring_timeout_secs,
            wrap_up_secs: data.wrap_up_secs,
            may_call: data.may_call,
            call_waiting: data.call_waiting,
            deputy: data.deputy,
            password: None,
        }
    }
}

impl From<UserFields> for UserData {
    fn from(fields: UserFields) -> Self {
        Self {
            name: fields.name,
            login: fields.login,
            short_number: fields.short_number,
            role: fields.role,
            language: fields.language,
            away: fields.away,
            ring_timeout_secs: fields.ring_timeout_secs,
            wrap_up_secs: fields.wrap_up_secs,
            may_call: fields.may_call,
            call_waiting: fields.call_waiting,
            deputy: fields.deputy,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Part of the name or the login.
    text: Option<String>,
    /// Only this role.
    #[param(value_type = Option<String>)]
    role: Option<Role>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, usually 50.
    limit: Option<u32>,
}

/// List users
#[utoipa::path(get, path = "/users", tag = "users", params(Query),
    responses((status = 200, body = Items<Stored<UserFields>>)))]
async fn list(
    State(state): State<ApiState>,
    Params(query): Params<Query>,
) -> Result<Items<Stored<UserFields>>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let filter = UserFilter {
        text: query.text,
        role: query.role,
    };
    Ok(resource::items(
        state.base.users().list(&filter, &page).await?,
    ))
}

/// A user who was created.
#[derive(Debug, Serialize, ToSchema)]
struct Created {
    #[serde(flatten)]
    user: Stored<UserFields>,
    /// The random password, if none was given. It is shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

/// Create a user
#[utoipa::path(post, path = "/users", tag = "users", request_body = UserFields,
    responses((status = 201, body = Created), (status = 409), (status = 422)))]
async fn create(
    State(state): State<ApiState>,
    Body(mut fields): Body<UserFields>,
) -> Result<Response, Problem> {
    let chosen = fields.password.take();
    let made = chosen.is_none().then(password::make);
    let password = chosen.or_else(|| made.clone()).unwrap_or_default();
    let hash = state.hasher.hash(password).await?;
    let record = state.base.users().create(fields.into()).await?;
    state.base.users().set_password(record.id, &hash).await?;
    state.directory.announce().await;
    let user = Stored::of(record);
    let tag = crate::etag::tag_of(user.version);
    let created = Created {
        user,
        password: made,
    };
    Ok((
        StatusCode::CREATED,
        [(axum::http::header::ETAG, tag)],
        axum::Json(created),
    )
        .into_response())
}

/// Read a user
#[utoipa::path(get, path = "/users/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = Stored<UserFields>), (status = 404)))]
async fn read(
    State(state): State<ApiState>,
    Path(id): Path<UserId>,
) -> Result<Stored<UserFields>, Problem> {
    Ok(Stored::of(state.base.users().read(id).await?))
}

/// Change a user
#[utoipa::path(patch, path = "/users/{id}", tag = "users", params(("id" = String, Path)),
    request_body(content = UserFields, content_type = "application/merge-patch+json"),
    responses((status = 200, body = Stored<UserFields>), (status = 404), (status = 412)))]
async fn change(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<UserId>,
    patch: MergePatch,
) -> Result<Stored<UserFields>, Problem> {
    let record = state.base.users().read(id).await?;
    let mut fields: UserFields = resource::patched(&record, &if_match, patch)?;
    if id == identity.user && fields.role != record.data.role {
        return Err(Problem::refused(
            "role: nobody changes their own role, so that an administrator always remains",
        ));
    }
    let hash = match fields.password.take() {
        Some(password) => Some(state.hasher.hash(password).await?),
        None => None,
    };
    let away = fields.away;
    let ends_connections = hash.is_some() || fields.role != record.data.role;
    let changed = state
        .base
        .users()
        .update(id, Some(record.version), fields.into())
        .await?;
    if let Some(hash) = hash {
        state.base.users().set_password(id, &hash).await?;
    }
    if ends_connections {
        state.hub.revoke(id);
    }
    state.directory.announce().await;
    if away != record.data.away {
        state.order(Command::SetAway { agent: id, away })?;
    }
    Ok(Stored::of(changed))
}

/// Remove a user: ends their sessions, removes their telephones, skills and absences
///
/// A user who still has clients or work in hand is refused with 409: hand that over first. The history keeps the name.
#[utoipa::path(delete, path = "/users/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 204), (status = 404), (status = 409), (status = 412)))]
async fn remove(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<UserId>,
) -> Result<StatusCode, Problem> {
    if id == identity.user {
        return Err(Problem::refused(
            "nobody removes themselves, so that an administrator always remains",
        ));
    }
    let record = state.base.users().read(id).await?;
    if_match.check(record.version)?;
    state.base.users().remove(id, Some(record.version)).await?;
    state.hub.revoke(id);
    state.directory.announce().await;
    Ok(StatusCode::NO_CONTENT)
}
