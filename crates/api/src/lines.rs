//! Our numbers that the world dials, and who serves them.

use axum::{Json, extract::State, http::StatusCode, response::Response};
use crm::{
    LineData, LineFilter, LineSkill,
    obligation::{MOST_CALLBACK_MINUTES, USUAL_CALLBACK_MINUTES},
};
use garde::Validate;
use model::{Language, LineId, OfficeId, Overflow, Queue, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::{Body, MergePatch, Params, Path},
    etag::IfMatch,
    problem::Problem,
    reception::ReceptionFields,
    resource::{self, Fields, Items, Stored},
};

/// Most users on a line.
const MOST_SKILLS: usize = 10_000;

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, change, remove))
        .routes(routes!(read_skills, replace_skills))
}

/// A line.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LineFields {
    /// The number as typed; unique in its normal form.
    #[garde(length(chars, min = 1, max = 64))]
    pub number: String,
    /// E.164 with `+`, or the digits of a number that is not public. Ignored when written.
    #[serde(default)]
    #[garde(skip)]
    #[schema(read_only)]
    pub normal: String,
    /// What the line is for.
    #[garde(length(chars, min = 1, max = 200))]
    pub name: String,
    /// Advertising channel that the number stands for.
    #[serde(default)]
    #[garde(length(chars, min = 1, max = 200))]
    pub channel: Option<String>,
    /// How long an agent's devices ring for this line, in seconds (5–300), if it differs from the
    /// agent's.
    #[serde(default)]
    #[garde(range(min = 5, max = 300))]
    pub ring_timeout_secs: Option<u32>,
    /// Conversations on this line are recorded; yes unless said otherwise.
    #[serde(default = "yes")]
    #[garde(skip)]
    pub recorded: bool,
    /// How soon a call missed on this line is to be called back, in minutes (1–10,080); 30 unless said
    /// otherwise.
    #[serde(default = "usual_callback")]
    #[garde(range(min = 1, max = MOST_CALLBACK_MINUTES))]
    pub callback_minutes: u32,
    /// The language of what callers of this line are told: `ru` (unless said otherwise) or `en`.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = String)]
    pub language: Language,
    /// How callers wait when nobody is free; without it they hear busy.
    #[serde(default)]
    #[garde(dive)]
    pub queue: Option<QueueFields>,
    /// Id of the office whose hours it keeps; without one it is open day and night.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pub office: Option<OfficeId>,
    /// What callers hear and may choose first; without anything telephones ring at once.
    #[serde(default)]
    #[garde(dive)]
    pub reception: ReceptionFields,
    /// Who serves it how well.
    #[serde(default)]
    #[garde(length(max = MOST_SKILLS), dive)]
    pub skills: Vec<SkillFields>,
}

/// How callers wait.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueFields {
    /// Most callers who wait (1–1,000); the next one hears busy. 20 unless said otherwise.
    #[serde(default = "usual_waiting")]
    #[garde(range(min = 1, max = 1000))]
    pub most_waiting: u32,
    /// The longest wait in seconds (10–7,200); whoever has waited so long is told that we shall call back. 300 unless
    /// said otherwise.
    #[serde(default = "usual_wait")]
    #[garde(range(min = 10, max = 7200))]
    pub most_wait_secs: u32,
    /// How often the place is spoken, in seconds (10–600); 30 unless said otherwise.
    #[serde(default = "usual_announcement")]
    #[garde(range(min = 10, max = 600))]
    pub announce_secs: u32,
    /// Whoever presses 1 is called back; yes unless said otherwise.
    #[serde(default = "yes")]
    #[garde(skip)]
    pub offers_call_back: bool,
    /// Whose agents help after a while.
    #[serde(default)]
    #[garde(dive)]
    pub overflow: Option<OverflowFields>,
}

/// Help from the agents of another line.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverflowFields {
    /// Id of the other line.
    #[garde(skip)]
    #[schema(value_type = String)]
    pub line: LineId,
    /// After how many seconds in the queue (1–7,200).
    #[garde(range(min = 1, max = 7200))]
    pub after_secs: u32,
}

/// How well a user serves the line.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SkillFields {
    /// Id of the user.
    #[garde(skip)]
    #[schema(value_type = String)]
    pub user: UserId,
    /// 1–10, 10 is best; 0 never receives the line.
    #[garde(range(max = 10))]
    pub level: u8,
}

fn usual_callback() -> u32 {
    USUAL_CALLBACK_MINUTES
}

fn usual_waiting() -> u32 {
    20
}

fn usual_wait() -> u32 {
    300
}

fn usual_announcement() -> u32 {
    30
}

fn yes() -> bool {
    true
}

impl From<Queue> for QueueFields {
    fn from(queue: Queue) -> Self {
        Self {
            most_waiting: queue.most_waiting,
            most_wait_secs: queue.most_wait_secs,
            announce_secs: queue.announce_secs,
            offers_call_back: queue.offers_call_back,
            overflow: queue.overflow.map(|overflow| OverflowFields {
                line: overflow.line,
                after_secs: overflow.after_secs,
            }),
        }
    }
}

impl From<QueueFields> for Queue {
    fn from(fields: QueueFields) -> Self {
        Self {
            most_waiting: fields.most_waiting,
            most_wait_secs: fields.most_wait_secs,
            announce_secs: fields.announce_secs,
            offers_call_back: fields.offers_call_back,
            overflow: fields.overflow.map(|overflow| Overflow {
                line: overflow.line,
                after_secs: overflow.after_secs,
            }),
        }
    }
}

impl Fields for LineFields {
    type Data = LineData;

    fn of(data: LineData) -> Self {
        Self {
            number: data.number,
            normal: data.normal,
            name: data.name,
            channel: data.channel,
            ring_timeout_secs: data.ring_timeout_secs,
            recorded: data.recorded,
            callback_minutes: data.callback_minutes,
            language: data.language,
            queue: data.queue.map(Into::into),
            office: data.office,
            reception: data.reception.into(),
            skills: skills_out(&data.skills),
        }
    }
}

impl TryFrom<LineFields> for LineData {
    type Error = Problem;

    fn try_from(fields: LineFields) -> Result<Self, Problem> {
        Ok(Self {
            number: fields.number,
            normal: String::new(),
            name: fields.name,
            channel: fields.channel,
            ring_timeout_secs: fields.ring_timeout_secs,
            recorded: fields.recorded,
            callback_minutes: fields.callback_minutes,
            language: fields.language,
            queue: fields.queue.map(Into::into),
            office: fields.office,
            reception: fields.reception.try_into()?,
            skills: skills_in(&fields.skills)?,
        })
    }
}

fn skills_out(skills: &[LineSkill]) -> Vec<SkillFields> {
    skills
        .iter()
        .map(|skill| SkillFields {
            user: skill.user,
            level: skill.level,
        })
        .collect()
}

fn skills_in(skills: &[SkillFields]) -> Result<Vec<LineSkill>, Problem> {
    let mut seen = std::collections::BTreeSet::new();
    for (place, skill) in skills.iter().enumerate() {
        if !seen.insert(skill.user) {
            return Err(Problem::field(
                format!("skills[{place}].user"),
                "stands in the list twice; name each user once",
            ));
        }
    }
    Ok(skills
        .iter()
        .map(|skill| LineSkill {
            user: skill.user,
            level: skill.level,
        })
        .collect())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Part of the name or the channel.
    text: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, usually 50.
    limit: Option<u32>,
}

/// List lines
#[utoipa::path(get, path = "/lines", tag = "lines", params(Query),
    responses((status = 200, body = Items<Stored<LineFields>>)))]
async fn list(
    State(state): State<ApiState>,
    Params(query): Params<Query>,
) -> Result<Items<Stored<LineFields>>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let filter = LineFilter { text: query.text };
    Ok(resource::items(
        state.base.lines().list(&filter, &page).await?,
    ))
}

/// Create a line
#[utoipa::path(post, path = "/lines", tag = "lines", request_body = LineFields,
    responses((status = 201, body = Stored<LineFields>), (status = 409), (status = 422)))]
async fn create(
    State(state): State<ApiState>,
    Body(fields): Body<LineFields>,
) -> Result<Response, Problem> {
    let line = state.base.lines().create(fields.try_into()?).await?;
    state.directory.announce().await;
    Ok(Stored::<LineFields>::of(line).created())
}

/// Read a line
#[utoipa::path(get, path = "/lines/{id}", tag = "lines", params(("id" = String, Path)),
    responses((status = 200, body = Stored<LineFields>), (status = 404)))]
async fn read(
    State(state): State<ApiState>,
    Path(id): Path<LineId>,
) -> Result<Stored<LineFields>, Problem> {
    Ok(Stored::of(state.base.lines().read(id).await?))
}

/// Change a line
#[utoipa::path(patch, path = "/lines/{id}", tag = "lines", params(("id" = String, Path)),
    request_body(content = LineFields, content_type = "application/merge-patch+json"),
    responses((status = 200, body = Stored<LineFields>), (status = 404), (status = 412)))]
async fn change(
    State(state): State<ApiState>,
    if_match: IfMatch,
    Path(id): Path<LineId>,
    patch: MergePatch,
) -> Result<Stored<LineFields>, Problem> {
    let record = state.base.lines().read(id).await?;
    let fields: LineFields = resource::patched(&record, &if_match, patch)?;
    let changed = resource::replace(state.base.lines(), &record, fields.try_into()?).await?;
    state.directory.announce().await;
    Ok(Stored::of(changed))
}

/// Remove a line
#[utoipa::path(delete, path = "/lines/{id}", tag = "lines", params(("id" = String, Path)),
    responses((status = 204), (status = 404), (status = 412)))]
async fn remove(
    State(state): State<ApiState>,
    if_match: IfMatch,
    Path(id): Path<LineId>,
) -> Result<StatusCode, Problem> {
    let record = state.base.lines().read(id).await?;
    let status = resource::remove(state.base.lines(), &record, &if_match).await?;
    state.directory.announce().await;
    Ok(status)
}

/// Who serves a line.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct Skills {
    /// Each user once.
    #[garde(length(max = MOST_SKILLS), dive)]
    skills: Vec<SkillFields>,
}

/// Who serves a line
#[utoipa::path(get, path = "/lines/{id}/skills", tag = "lines", params(("id" = String, Path)),
    responses((status = 200, body = Skills), (status = 404)))]
async fn read_skills(
    State(state): State<ApiState>,
    Path(id): Path<LineId>,
) -> Result<Json<Skills>, Problem> {
    let line = state.base.lines().read(id).await?;
    Ok(Json(Skills {
        skills: skills_out(&line.data.skills),
    }))
}

/// Say who serves a line; replaces the whole list
#[utoipa::path(put, path = "/lines/{id}/skills", tag = "lines", params(("id" = String, Path)),
    request_body = Skills,
    responses((status = 200, body = Stored<LineFields>), (status = 404), (status = 412)))]
async fn replace_skills(
    State(state): State<ApiState>,
    if_match: IfMatch,
    Path(id): Path<LineId>,
    Body(new): Body<Skills>,
) -> Result<Stored<LineFields>, Problem> {
    let record = state.base.lines().read(id).await?;
    if_match.check(record.version)?;
    let data = LineData {
        skills: skills_in(&new.skills)?,
        ..record.data.clone()
    };
    let changed = resource::replace(state.base.lines(), &record, data).await?;
    state.directory.announce().await;
    Ok(Stored::of(changed))
}
