//! Records with a version, and the one trait behind which each kind of them is kept.

use std::fmt::{Debug, Display};

use async_trait::async_trait;
use model::Utc;
use serde::{Deserialize, Serialize};

use crate::{Page, PageRequest, Result};

/// Something that people create and change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<I, D> {
    /// Its id, made by the store.
    pub id: I,
    /// Rises by one with every change: the ETag.
    pub version: i64,
    /// When it was created.
    pub created_at: Utc,
    /// When it was changed last.
    pub updated_at: Utc,
    /// What it says.
    #[serde(flatten)]
    pub data: D,
}

/// The data of one kind of record.
pub trait Resource: Clone + Debug + Send + Sync + 'static {
    /// Its id.
    type Id: Copy + Debug + Display + Eq + Ord + Send + Sync + 'static;
    /// What a list of it can be narrowed by; the default is everything.
    type Filter: Clone + Debug + Default + Send + Sync + 'static;
    /// What it is called in errors.
    const NAME: &'static str;
}

/// Where one kind of record is kept. What is acknowledged is durable, and identification and
/// routing know it.
#[async_trait]
pub trait Repository<D: Resource>: Send + Sync {
    /// Stores a new record. Fields that the store computes (see the data type) are ignored.
    async fn create(&self, data: D) -> Result<Record<D::Id, D>>;

    /// Reads one.
    async fn read(&self, id: D::Id) -> Result<Record<D::Id, D>>;

    /// Replaces the data of one. With `version`, only if it still has that version, else
    /// [`crate::Error::Conflict`].
    async fn update(&self, id: D::Id, version: Option<i64>, data: D) -> Result<Record<D::Id, D>>;

    /// Removes one from every list and from identification; calls and history that name it stay.
    /// `version` as for [`Repository::update`].
    async fn remove(&self, id: D::Id, version: Option<i64>) -> Result<()>;

    /// A page of those that `filter` lets through.
    async fn list(&self, filter: &D::Filter, page: &PageRequest) -> Result<Page<Record<D::Id, D>>>;
}
