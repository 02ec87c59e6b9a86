//! Notes on clients: whoever sees a client may write one; its author and leaders may change it.

use axum::{extract::State, http::StatusCode, response::Response};
use crm::{Note, NoteData, NoteFilter, Role};
use garde::Validate;
use model::{ClientRef, NoteId, OrganisationId, PersonId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::{Body, MergePatch, Params, Path},
    clients::{self, ClientFields},
    etag::IfMatch,
    problem::Problem,
    resource::{self, Fields, Items, Stored},
    rights,
    session::Identity,
};

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_of_person, create_on_person))
        .routes(routes!(list_of_organisation, create_on_organisation))
        .routes(routes!(read, change, remove))
}

/// A note as it is written.
#[derive(Clone, Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewNote {
    /// The text.
    #[garde(length(chars, min = 1, max = crm::note::MOST_TEXT))]
    text: String,
}

/// A note.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteFields {
    /// On whom. Does not change.
    #[garde(dive)]
    pub client: ClientFields,
    /// Id of the user who wrote it. Does not change.
    #[garde(skip)]
    #[schema(value_type = String)]
    pub author: UserId,
    /// The text.
    #[garde(length(chars, min = 1, max = crm::note::MOST_TEXT))]
    pub text: String,
}

impl Fields for NoteFields {
    type Data = NoteData;

    fn of(data: NoteData) -> Self {
        Self {
            client: data.client.into(),
            author: data.author,
            text: data.text,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, usually 50.
    limit: Option<u32>,
}

/// Notes on a person
#[utoipa::path(get, path = "/persons/{id}/notes", tag = "notes",
    params(("id" = String, Path), Query),
    responses((status = 200, body = Items<Stored<NoteFields>>), (status = 404)))]
async fn list_of_person(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<PersonId>,
    Params(query): Params<Query>,
) -> Result<Items<Stored<NoteFields>>, Problem> {
    state.base.persons().read(id).await?;
    rights::see_client(&state, &identity, clients::person(id), "person").await?;
    list(&state, clients::person(id), query).await
}

/// Write a note on a person
#[utoipa::path(post, path = "/persons/{id}/notes", tag = "notes", params(("id" = String, Path)),
    request_body = NewNote,
    responses((status = 201, body = Stored<NoteFields>), (status = 404)))]
async fn create_on_person(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<PersonId>,
    Body(note): Body<NewNote>,
) -> Result<Response, Problem> {
    state.base.persons().read(id).await?;
    rights::see_client(&state, &identity, clients::person(id), "person").await?;
    create(&state, &identity, clients::person(id), note).await
}

/// Notes on an organisation
#[utoipa::path(get, path = "/organisations/{id}/notes", tag = "notes",
    params(("id" = String, Path), Query),
    responses((status = 200, body = Items<Stored<NoteFields>>), (status = 404)))]
async fn list_of_organisation(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<OrganisationId>,
    Params(query): Params<Query>,
) -> Result<Items<Stored<NoteFields>>, Problem> {
    state.base.organisations().read(id).await?;
    let client = clients::organisation(id);
    rights::see_client(&state, &identity, client, "organisation").await?;
    list(&state, client, query).await
}

/// Write a note on an organisation
#[utoipa::path(post, path = "/organisations/{id}/notes", tag = "notes",
    params(("id" = String, Path)), request_body = NewNote,
    responses((status = 201, body = Stored<NoteFields>), (status = 404)))]
async fn create_on_organisation(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<OrganisationId>,
    Body(note): Body<NewNote>,
) -> Result<Response, Problem> {
    state.base.organisations().read(id).await?;
    let client = clients::organisation(id);
    rights::see_client(&state, &identity, client, "organisation").await?;
    create(&state, &identity, client, note).await
}

async fn list(
    state: &ApiState,
    client: ClientRef,
    query: Query,
) -> Result<Items<Stored<NoteFields>>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let filter = NoteFilter {
        client,
        visible_to: None,
    };
    Ok(resource::items(
        state.base.notes().list(&filter, &page).await?,
    ))
}

async fn create(
    state: &ApiState,
    identity: &Identity,
    client: ClientRef,
    note: NewNote,
) -> Result<Response, Problem> {
    let data = NoteData {
        client,
        author: identity.user,
        text: note.text,
    };
    let note = state.base.notes().create(data).await?;
    Ok(Stored::<NoteFields>::of(note).created())
}

async fn visible(state: &ApiState, identity: &Identity, id: NoteId) -> Result<Note, Problem> {
    let record = state.base.notes().read(id).await?;
    rights::see_client(state, identity, record.data.client, "note").await?;
    Ok(record)
}

async fn changeable(state: &ApiState, identity: &Identity, id: NoteId) -> Result<Note, Problem> {
    let record = visible(state, identity, id).await?;
    if identity.role == Role::Agent && record.data.author != identity.user {
        return Err(Problem::forbidden(
            "only its author, a supervisor or an administrator may change a note",
        ));
    }
    Ok(record)
}

/// Read a note
#[utoipa::path(get, path = "/notes/{id}", tag = "notes", params(("id" = String, Path)),
    responses((status = 200, body = Stored<NoteFields>), (status = 404)))]
async fn read(
    State(state): State<ApiState>,
    identity: Identity,
    Path(id): Path<NoteId>,
) -> Result<Stored<NoteFields>, Problem> {
    Ok(Stored::of(visible(&state, &identity, id).await?))
}

/// Change the text of a note
#[utoipa::path(patch, path = "/notes/{id}", tag = "notes", params(("id" = String, Path)),
    request_body(content = NoteFields, content_type = "application/merge-patch+json"),
    responses((status = 200, body = Stored<NoteFields>), (status = 404), (status = 412)))]
async fn change(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<NoteId>,
    patch: MergePatch,
) -> Result<Stored<NoteFields>, Problem> {
    let record = changeable(&state, &identity, id).await?;
    let fields: NoteFields = resource::patched(&record, &if_match, patch)?;
    for (field, changed) in [
        ("author", fields.author != record.data.author),
        (
            "client",
            ClientRef::from(fields.client) != record.data.client,
        ),
    ] {
        if changed {
            return Err(Problem::field(field, "does not change; write another note"));
        }
    }
    let data = NoteData {
        text: fields.text,
        ..record.data.clone()
    };
    let changed = resource::replace(state.base.notes(), &record, data).await?;
    Ok(Stored::of(changed))
}

/// Remove a note
#[utoipa::path(delete, path = "/notes/{id}", tag = "notes", params(("id" = String, Path)),
    responses((status = 204), (status = 404), (status = 412)))]
async fn remove(
    State(state): State<ApiState>,
    identity: Identity,
    if_match: IfMatch,
    Path(id): Path<NoteId>,
) -> Result<StatusCode, Problem> {
    let record = changeable(&state, &identity, id).await?;
    resource::remove(state.base.notes(), &record, &if_match).await
}
