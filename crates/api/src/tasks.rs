//! Tasks of users.

use axum::{extract::State, http::StatusCode, response::Response};
use crm::{Role, Task, TaskData, TaskFilter};
use garde::Validate;
use model::{CallId, ClientRef, OrganisationId, PersonId, TaskId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::{Body, MergePatch, Params, Path},
    clients::ClientFields,
    etag::IfMatch,
    moment::Moment,
    problem::Problem,
    resource::{self, Fields, Items, Stored},
    rights,
    session::Identity,
};

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, change, remove))
}

/// A task.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskFields {
    /// What is to be done.
    #[garde(length(chars, min = 1, max = 300))]
    pub title: String,
    /// For whom, if for a client.
    #[serde(default)]
    #[garde(dive)]
    pub client: ClientFields,
    /// Id of the user who is to do it.
    #[garde(skip)]
    #[schema(value_type = String)]
    pub assignee: UserId,
    /// By when.
    #[serde(default)]
    #[garde(skip)]
    pub due: Option<Moment>,
    /// When it was done.
    #[serde(default)]
    #[garde(skip)]
    pub done_at: Option<Moment>,
    /// Id of the call it came from.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pub call: Option<CallId>,
}

impl Fields for TaskFields {
    type Data = TaskData;

    fn of(data: TaskData) -> Self {
        Self {
            title: data.title,
            client: data.client.into(),
            assignee: data.assignee,
            due: data.due.map(Moment),
            done_at: data.done_at.map(Moment),
            call: data.call,
        }
    }
}

impl From<TaskFields> for TaskData {
    fn from(fields: TaskFields) -> Self {
        Self {
            title: fields.title,
            client: fields.client.into(),
            assignee: fields.assignee,
            due: fields.due.map(|moment| moment.0),
            done_at: fields.done_at.map(|moment| moment.0),
            call: fields.call,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Part of the title.
    text: Option<String>,
    /// Only those for this person.
    #[param(value_type = Option<String>)]
    person: Option<PersonId>,
    /// Only those for this organisation.
    #[param(value_type = Option<String>)]
    organisation: Option<OrganisationId>,
    /// Only this user's.
    #[param(value_type = Option<String>)]
    assignee: Option<UserId>,
    /// Only done, or only open ones.
    done: Option<bool>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, usually 50.
    limit: Option<u32>,
}

/// List tasks
#[utoipa::path(get, path = "/tasks", tag = "tasks", params(Query),
    responses((status = 200, body = Items<Stored<TaskFields>>)))]
async fn list(
    State(state): State<ApiState>,
    identity: Identity,
    Params(query): Params<Query>,
) -> Result<Items<Stored<TaskFields>>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let filter = TaskFilter {
        text: query.text,
        client: ClientRef {
            person: query.person,
            organisation: query.organisation,
        },
        assignee: query.assignee,
        done: query.done,
        visible_to: rights::narrowed_to(&identity),
    };
    Ok(resource::items(
        state.base.tasks().list(&filter, &page).await?,
    ))
}

/// A task may be about any client and call that its writer sees, and may go to any colleague.
async fn permit_references(
    state: &ApiState,
    identity: &Identity,
    data: &TaskData,
) -> Result<(), Problem> {
    if data.client != ClientRef::default() {
        rights::see_client(state, identity, data.client, "client").await?;
    }
    if let Some(call) = data.call {
        rights::see_call(state, identity, call).await?;
    }
    Ok(())
}

/// Create a task
#[utoipa::path(post, path = "/tasks", tag = "tasks", request_body = TaskFields,
    responses((status = 201, body = Stored<TaskFields>), (status = 422)))]
async fn create(
    State(state): State<ApiState>,
    identity: Identity,
    Body(fields): Body<TaskFields>,
) -> Result<Response, Problem> {
    let data = TaskData::from(fields);
    permit_references(&state, &identity, &data).await?;
    let task = state.base.tasks().create(data).await?;
    Ok(Stored::<TaskFields>::of(task).created())
}

/// Whoever is to do a task sees and changes it; so do those who see its client.
async fn visible(state: &ApiState, identity: &Identity, id: TaskId) -> Result<Task, Problem> {
    let record = state.base.tasks().read(id).await?;
    if identity.role != Role::Agent || record.data.assignee == identity.user {
        return Ok(record);
    }
    if record.data.client == ClientRef::default() {
        return Err(Problem::from(crm::Error::NotFound("task")));
    }
    rights::see_client(state, identity, record.data.client, "task").await?;
    Ok(record)
}

/// Read a task
#[utoipa::path(get, path = "/tasks/{id}", tag = "tasks", params(("id" = String, Path)),
    responses((status = 200, body = Stored<TaskFields>), (status = 404)))]
async fn read(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<TaskId>,
) -> Result<Stored<TaskFields>, Problem> {
    Ok(Stored::of(visible(&state, &identity, id).await?))
}

/// Change a task
#[utoipa::path(patch, path = "/tasks/{id}", tag = "tasks", params(("id" = String, Path)),
    request_body(content = TaskFields, content_type = "application/merge-patch+json"),
    responses((status = 200, body = Stored<TaskFields>), (status = 404), (status = 412)))]
async fn change(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<TaskId>,
    patch: MergePatch,
) -> Result<Stored<TaskFields>, Problem> {
    let record = visible(&state, &identity, id).await?;
    let fields: TaskFields = resource::patched(&record, &if_match, patch)?;
    let data = TaskData::from(fields);
    if data.client != record.data.client || data.call != record.data.call {
        permit_references(&state, &identity, &data).await?;
    }
    let changed = resource::replace(state.base.tasks(), &record, data).await?;
    Ok(Stored::of(changed))
}

/// Remove a task
#[utoipa::path(delete, path = "/tasks/{id}", tag = "tasks", params(("id" = String, Path)),
    responses((status = 204), (status = 404), (status = 412)))]
async fn remove(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<TaskId>,
) -> Result<StatusCode, Problem> {
    let record = visible(&state, &identity, id).await?;
    resource::remove(state.base.tasks(), &record, &if_match).await
}
