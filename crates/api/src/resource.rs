//! What all stored resources have in common: their JSON, their lists, and how one is changed.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use crm::{Page, PageRequest, Record, Repository, Resource};
use garde::Validate;
use serde::{Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use crate::{
    body::MergePatch,
    etag::{IfMatch, tag_of},
    moment::Moment,
    problem::Problem,
};

/// The fields of a resource as clients write and read them.
pub trait Fields: Serialize + DeserializeOwned + Validate<Context = ()> {
    /// What is stored.
    type Data: Resource;

    /// What a client reads.
    fn of(data: Self::Data) -> Self;
}

/// A stored thing: what the store adds to its fields.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Stored<F> {
    /// Its id.
    pub id: String,
    /// When it was created.
    pub created_at: Moment,
    /// When it was changed last.
    pub updated_at: Moment,
    /// Its fields.
    #[serde(flatten)]
    pub fields: F,
    /// The version; clients see it as the ETag.
    #[serde(skip)]
    pub version: i64,
}

impl<F: Fields> Stored<F> {
    /// The JSON of a record.
    pub fn of(record: Record<<F::Data as Resource>::Id, F::Data>) -> Self {
        Self {
            id: record.id.to_string(),
            created_at: record.created_at.into(),
            updated_at: record.updated_at.into(),
            fields: F::of(record.data),
            version: record.version,
        }
    }

    /// 201 with ETag.
    pub fn created(self) -> Response {
        (StatusCode::CREATED, self).into_response()
    }
}

impl<F: Serialize> IntoResponse for Stored<F> {
    fn into_response(self) -> Response {
        let tag = tag_of(self.version);
        ([(header::ETAG, tag)], Json(self)).into_response()
    }
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Items<T> {
    /// At most `limit` of them.
    pub items: Vec<T>,
    /// Send it as `cursor` for the next page; none on the last one.
    pub next: Option<String>,
}

impl<T> From<Page<T>> for Items<T> {
    fn from(page: Page<T>) -> Self {
        Self {
            items: page.items,
            next: page.next,
        }
    }
}

impl<T: Serialize> IntoResponse for Items<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// A page of records as clients read it.
pub fn items<F: Fields>(
    page: Page<Record<<F::Data as Resource>::Id, F::Data>>,
) -> Items<Stored<F>> {
    page.map(Stored::of).into()
}

/// The page that a query asks for.
pub fn page(cursor: Option<String>, limit: Option<u32>) -> Result<PageRequest, Problem> {
    if limit.is_some_and(|limit| !(1..=PageRequest::MOST).contains(&limit)) {
        return Err(Problem::field(
            "limit",
            format!("must be between 1 and {}", PageRequest::MOST),
        ));
    }
    Ok(PageRequest { cursor, limit })
}

/// Applies `patch` to a record that was read, if its version is the one the client means.
pub fn patched<F: Fields>(
    record: &Record<<F::Data as Resource>::Id, F::Data>,
    if_match: &IfMatch,
    patch: MergePatch,
) -> Result<F, Problem> {
    if_match.check(record.version)?;
    patch.apply(&F::of(record.data.clone()))
}

/// Stores new data for a record that was read; refuses if somebody else was faster.
pub async fn replace<D: Resource>(
    repository: &dyn Repository<D>,
    record: &Record<D::Id, D>,
    data: D,
) -> Result<Record<D::Id, D>, Problem> {
    Ok(repository
        .update(record.id, Some(record.version), data)
        .await?)
}

/// Removes a record, if its version is the one the client means.
pub async fn remove<D: Resource>(
    repository: &dyn Repository<D>,
    record: &Record<D::Id, D>,
    if_match: &IfMatch,
) -> Result<StatusCode, Problem> {
    if_match.check(record.version)?;
    repository.remove(record.id, Some(record.version)).await?;
    Ok(StatusCode::NO_CONTENT)
}
