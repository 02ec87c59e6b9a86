//! Tasks of users.

use model::{CallId, ClientRef, TaskId, UserId, Utc};
use serde::{Deserialize, Serialize};

use crate::{Record, Resource};

/// A task as stored.
pub type Task = Record<TaskId, TaskData>;

/// What a task is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskData {
    /// What is to be done.
    pub title: String,
    /// For whom, if for a client.
    #[serde(default)]
    pub client: ClientRef,
    /// Who is to do it.
    pub assignee: UserId,
    /// By when.
    pub due: Option<Utc>,
    /// When it was done.
    pub done_at: Option<Utc>,
    /// The call it came from.
    pub call: Option<CallId>,
}

/// What tasks can be narrowed by. The newest come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFilter {
    /// Part of the title.
    pub text: Option<String>,
    /// Only those for this client: the parts that are given must agree.
    pub client: ClientRef,
    /// Only this user's.
    pub assignee: Option<UserId>,
    /// Only done, or only open ones.
    pub done: Option<bool>,
    /// Only what this agent may see: their own tasks, and those for clients they may see.
    pub visible_to: Option<UserId>,
}

impl Resource for TaskData {
    type Id = TaskId;
    type Filter = TaskFilter;
    const NAME: &'static str = "task";
}
