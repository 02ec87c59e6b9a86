//! The one task that writes. What waits while a transaction is made durable goes into the next
//! one together (group commit); what identification and routing keep in memory is brought up to
//! date after the commit and before anybody is told of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use model::{CallId, IdMaker, Utc};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    clock,
    connect::Source,
    database::{Connection, Row, Statement, Value, args},
    dialogs::{self, Dialogs},
    facts::{Facts, owed},
    failure::{self, Failure},
    memory::{MemoryChange, Shared},
    work::Job,
};

/// Most pieces of work in one transaction.
const MOST_PER_TRANSACTION: usize = 256;
/// The first and the longest pause before a transaction that failed is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(250));
/// How long a change by hand waits for a database that does not answer; facts of calls wait on.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the writer works on.
pub(crate) enum Work {
    /// Facts of calls: never given up.
    Facts {
        facts: Facts,
        reply: oneshot::Sender<crm::Result<Vec<i64>>>,
    },
    /// A change by hand.
    Change { job: Box<dyn Job>, since: Instant },
    /// Dialogs that are over: recovery needs them no more.
    Forget(Vec<CallId>),
    /// A read that must find its pages in memory. SQLite empties the cache of every other
    /// connection with each commit; the writer's own stays warm.
    Read {
        sql: Arc<str>,
        args: Vec<Value>,
        reply: oneshot::Sender<Result<Vec<Row>, sqlx::Error>>,
    },
    /// Finish what came before and end.
    Stop,
}

/// What a change sees of the writer.
pub(crate) struct Writing {
    pub(crate) conn: Connection,
    pub(crate) ids: IdMaker,
    pub(crate) now: Utc,
    pub(crate) node: u16,
    /// The last place in the journal that this transaction has given.
    pub(crate) seq: i64,
    pub(crate) shared: Arc<Shared>,
    /// What memory learns when the transaction is durable.
    pub(crate) learnt: Vec<MemoryChange>,
    /// The PBX's view of the settings changes with the transaction.
    pub(crate) directory_changed: bool,
}

impl Writing {
    pub(crate) fn make_id(&mut self) -> i64 {
        self.ids.make(self.now)
    }
}

/// What everybody may see of the writer.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The last durable place in the journal.
    pub(crate) seq: AtomicI64,
    /// Pieces of work made durable.
    pub(crate) pieces: AtomicU64,
    /// Transactions made durable.
    pub(crate) transactions: AtomicU64,
    /// Attempts that failed and were repeated.
    pub(crate) retries: AtomicU64,
    /// The store is being closed: do not wait for a database that does not answer.
    pub(crate) stopping: AtomicBool,
}

pub(crate) struct Writer {
    pub(crate) writing: Writing,
    pub(crate) source: Source,
    pub(crate) progress: Arc<Progress>,
    pub(crate) directory: watch::Sender<u64>,
    pub(crate) queue: mpsc::Receiver<Work>,
    pub(crate) dialogs: Dialogs,
    /// A commit was not confirmed and none has been since.
    pub(crate) unsure: bool,
}

/// Why an attempt at a transaction failed.
enum Stumble {
    /// The facts at this place of the batch contradict the database: they alone are refused.
    Hopeless(usize, sqlx::Error),
    /// Nothing of the transaction was kept.
    Nothing(sqlx::Error),
    /// The commit was not confirmed: it may have been kept.
    Unsure(sqlx::Error),
}

impl Writer {
    pub(crate) async fn run(mut self) {
        let mut stop = false;
        while !stop {
            let mut batch = Vec::new();
            tokio::select! {
                first = self.queue.recv() => match first {
                    Some(first) => (batch, stop) = self.gather(first).await,
                    None => break,
                },
                () = self.dialogs.wait() => {}
            }
            let over = self.dialogs.due();
            if !over.is_empty() {
                batch.push(Work::Forget(over));
            }
            self.write(batch).await;
        }
        // Whoever still waits is told that the writer is gone by the closed channel.
        self.queue.close();
        self.writing.conn.close().await;
    }

    /// What goes into one transaction: everything that waits; and whether it is the last one.
    async fn gather(&mut self, first: Work) -> (Vec<Work>, bool) {
        let mut batch = Vec::new();
        let mut next = Some(first);
        while let Some(work) = next {
            match work {
                Work::Stop => return (batch, true),
                Work::Read { sql, args, reply } => {
                    // Whoever asked may have gone to another connection meanwhile.
                    if !reply.is_closed() {
                        drop(reply.send(self.writing.conn.rows(&sql, &args).await));
                    }
                }
                work => batch.push(work),
            }
            if batch.len() >= MOST_PER_TRANSACTION {
                break;
            }
            next = self.queue.try_recv().ok();
        }
        (batch, false)
    }

    /// Makes the batch durable, however long that takes.
    async fn write(&mut self, mut batch: Vec<Work>) {
        let mut pause = BACKOFF.0;
        while !batch.is_empty() {
            let error = match self.attempt(&mut batch).await {
                Ok(seqs) => {
                    self.acknowledge(batch, seqs);
                    return;
                }
                Err(Stumble::Hopeless(at, error)) => {
                    tracing::error!(%error, "facts that the database refuses were dropped");
                    self.recover().await;
                    refuse(batch.remove(at), failure::describe(&error));
                    continue;
                }
                Err(Stumble::Nothing(error)) => {
                    // Somebody has taken our place: an unsure commit that was kept after all.
                    self.unsure |= failure::is_place_taken(&error);
                    error
                }
                Err(Stumble::Unsure(error)) => {
                    self.unsure = true;
                    // Facts are known by their ids and can be given again; changes cannot.
                    give_up_changes(&mut batch, &error, Duration::ZERO);
                    error
                }
            };
            self.progress.retries.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, remedy = failure::remedy(&error), "the database did not take a transaction; trying again");
            give_up_changes(&mut batch, &error, PATIENCE);
            if self.progress.stopping.load(Ordering::Acquire) {
                for work in batch {
                    refuse(work, failure::describe(&error));
                }
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
            self.recover().await;
        }
    }

    /// One transaction for the whole batch; the place of each entry of each piece of facts.
    async fn attempt(&mut self, batch: &mut [Work]) -> Result<Vec<Vec<i64>>, Stumble> {
        self.writing.now = clock::utc();
        self.writing.learnt.clear();
        self.writing.directory_changed = false;
        self.writing.seq = self.progress.seq.load(Ordering::Acquire);
        let mut seqs = Vec::with_capacity(batch.len());
        self.writing.conn.begin().await.map_err(Stumble::Nothing)?;
        if self.unsure {
            let kept = self.last_place().await.map_err(Stumble::Nothing)?;
            self.writing.seq = self.writing.seq.max(kept);
        }
        for (at, work) in batch.iter_mut().enumerate() {
            match work {
                Work::Facts { facts, .. } => {
                    let before = self.writing.seq;
                    let statements = facts.statements(&mut self.writing);
                    let changed = self.writing.conn.run(&statements).await;
                    let changed = changed.map_err(|error| stumble(at, error))?;
                    let places = self.places(facts, &statements, &changed).await?;
                    // What was there already has had its consequences in its own transaction.
                    let new = facts.events().zip(&places).filter(|it| *it.1 > before);
                    for (event, _) in new {
                        let followed = owed::follow(&mut self.writing, event).await;
                        followed.map_err(|error| stumble(at, error))?;
                    }
                    seqs.push(places);
                }
                Work::Change { job, .. } => {
                    self.change(job.as_mut()).await.map_err(Stumble::Nothing)?;
                    seqs.push(Vec::new());
                }
                Work::Forget(calls) => {
                    let forget = [dialogs::forget(calls)];
                    let forgotten = self.writing.conn.run(&forget).await;
                    forgotten.map_err(Stumble::Nothing)?;
                    seqs.push(Vec::new());
                }
                Work::Read { .. } | Work::Stop => seqs.push(Vec::new()),
            }
        }
        let committed = self.writing.conn.command("COMMIT").await;
        committed.map_err(Stumble::Unsure)?;
        let seq = self.writing.seq;
        self.progress.seq.store(seq, Ordering::Release);
        Ok(seqs)
    }

    /// The last place of this node in the journal.
    async fn last_place(&mut self) -> Result<i64, sqlx::Error> {
        let sql = "SELECT MAX(seq) FROM journal WHERE node = $1";
        let node = args![i64::from(self.writing.node)];
        let row = self.writing.conn.rows(sql, &node).await?.pop();
        let last = row.map(|mut row| row.opt_int()).transpose()?;
        Ok(last.flatten().unwrap_or(0))
    }

    /// A change fails alone: what it did is undone, the rest of the transaction stays.
    async fn change(&mut self, job: &mut dyn Job) -> Result<(), sqlx::Error> {
        self.writing
            .conn
            .command("SAVEPOINT change_by_hand")
            .await?;
        let (learnt, seq) = (self.writing.learnt.len(), self.writing.seq);
        match job.run(&mut self.writing).await {
            Ok(()) => {
                self.writing
                    .conn
                    .command("RELEASE SAVEPOINT change_by_hand")
                    .await
            }
            Err(Failure::Database(error)) if failure::is_transient(&error) => Err(error),
            Err(refused) => {
                self.writing.learnt.truncate(learnt);
                self.writing.seq = seq;
                job.refuse(refused.into());
                self.writing
                    .conn
                    .command("ROLLBACK TO SAVEPOINT change_by_hand")
                    .await?;
                self.writing
                    .conn
                    .command("RELEASE SAVEPOINT change_by_hand")
                    .await
            }
        }
    }

    /// The places of the facts, the last given being that of the last one. An event that was there
    /// already keeps its place.
    async fn places(
        &mut self,
        facts: &Facts,
        statements: &[Statement],
        changed: &[u64],
    ) -> Result<Vec<i64>, Stumble> {
        debug_assert_eq!(statements.len(), changed.len());
        let (count, last) = (facts.len() as i64, self.writing.seq);
        // What an unsure commit kept is there already, and memory does not know it.
        if self.unsure || changed.first().is_some_and(|new| *new > 0) {
            facts.learn(&mut self.writing.learnt);
        }
        if changed.first().copied().unwrap_or(0) == facts.len() as u64 {
            return Ok((last - count + 1..=last).collect());
        }
        let mut places = Vec::with_capacity(facts.len());
        for event in facts.events() {
            let sql = "SELECT seq FROM journal WHERE id = $1";
            let rows = self.writing.conn.rows(sql, &args![event.id.0]).await;
            let row = rows.map_err(Stumble::Nothing)?.pop();
            let seq = row.map(|mut row| row.int()).transpose();
            places.push(seq.map_err(Stumble::Nothing)?.unwrap_or(0));
        }
        Ok(places)
    }

    fn acknowledge(&mut self, batch: Vec<Work>, seqs: Vec<Vec<i64>>) {
        self.progress.transactions.fetch_add(1, Ordering::Relaxed);
        self.progress
            .pieces
            .fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.writing
            .shared
            .learn(std::mem::take(&mut self.writing.learnt));
        // A change that was given up may have been kept: then the PBX must hear of it.
        if std::mem::take(&mut self.writing.directory_changed) | std::mem::take(&mut self.unsure) {
            self.directory.send_modify(|generation| *generation += 1);
        }
        for (work, seqs) in batch.into_iter().zip(seqs) {
            match work {
                Work::Facts { facts, reply } => {
                    facts.ended().for_each(|call| self.dialogs.ended(call));
                    // Nobody waits any more for an answer that is not taken.
                    drop(reply.send(Ok(seqs)));
                }
                Work::Change { job, .. } => job.acknowledge(),
                Work::Forget(_) | Work::Read { .. } | Work::Stop => {}
            }
        }
    }

    /// Ends what is left of a transaction, on a new connection if the old one is gone.
    async fn recover(&mut self) {
        let rolled_back = self.writing.conn.command("ROLLBACK").await;
        if let (Connection::Postgres(_), Err(_)) = (&self.writing.conn, &rolled_back) {
            match self.source.writer().await {
                Ok(conn) => self.writing.conn = conn,
                Err(error) => tracing::warn!(%error, "the database cannot be reached"),
            }
        }
    }
}

fn stumble(at: usize, error: sqlx::Error) -> Stumble {
    if failure::is_transient(&error) || failure::is_place_taken(&error) {
        Stumble::Nothing(error)
    } else {
        Stumble::Hopeless(at, error)
    }
}

fn refuse(work: Work, error: crm::Error) {
    match work {
        Work::Facts { reply, .. } => drop(reply.send(Err(error))),
        Work::Change { mut job, .. } => {
            job.refuse(error);
            job.acknowledge();
        }
        // The next start finds what was not forgotten.
        Work::Forget(_) | Work::Read { .. } | Work::Stop => {}
    }
}

/// Answers the changes that have waited for `patience`; facts stay.
fn give_up_changes(batch: &mut Vec<Work>, error: &sqlx::Error, patience: Duration) {
    let (gone, kept) = std::mem::take(batch).into_iter().partition(
        |work| matches!(work, Work::Change { since, .. } if since.elapsed() >= patience),
    );
    *batch = kept;
    for work in gone {
        refuse(work, failure::describe(error));
    }
}
