//! A change by hand, and how it travels through the writer's queue.

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::{failure::Outcome, writer::Writing};

/// A change to be made in one transaction, repeated if the database fails before it is kept.
#[async_trait]
pub(crate) trait Change: Send + Sync + 'static {
    /// What the one who asked for it gets.
    type Output: Send + 'static;

    /// Makes it. An error undoes everything that it did.
    async fn apply(&self, writing: &mut Writing) -> Outcome<Self::Output>;
}

/// A change with its answer, whatever type that has.
#[async_trait]
pub(crate) trait Job: Send {
    async fn run(&mut self, writing: &mut Writing) -> Outcome<()>;
    /// The answer is this error.
    fn refuse(&mut self, error: crm::Error);
    /// Sends the answer.
    fn acknowledge(self: Box<Self>);
}

pub(crate) struct Posted<C: Change> {
    pub(crate) change: C,
    pub(crate) answer: Option<crm::Result<C::Output>>,
    pub(crate) reply: oneshot::Sender<crm::Result<C::Output>>,
}

#[async_trait]
impl<C: Change> Job for Posted<C> {
    async fn run(&mut self, writing: &mut Writing) -> Outcome<()> {
        self.answer = Some(Ok(self.change.apply(writing).await?));
        Ok(())
    }

    fn refuse(&mut self, error: crm::Error) {
        self.answer = Some(Err(error));
    }

    fn acknowledge(self: Box<Self>) {
        if let Some(answer) = self.answer {
            // Whoever asked may have gone away meanwhile.
            drop(self.reply.send(answer));
        }
    }
}
