//! One open database.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crm::Numbering;
use model::IdMaker;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    card, checkpoint, clock,
    connect::{self, Source},
    database::{Connection, Row, Value},
    dialogs::Dialogs,
    facts::Facts,
    failure::Failure,
    load,
    memory::Shared,
    open_error::OpenError,
    readers::Readers,
    schema::{self, Trouble},
    work::{Change, Posted},
    writer::{Progress, Work, Writer, Writing},
};

/// How long a hot read waits for the writer's connection before it takes another.
const HOT: Duration = Duration::from_millis(20);
/// 64 T1 for the ACK that a BYE waits for, or for the answer that a CANCEL waits for and another T4, and 64 T1 for the
/// request itself (RFC 3261 §17.1.2.2).
const DIALOGS_KEPT: Duration = Duration::from_secs(32 + 5 + 32);
/// How long another program may hold the lock of a file that is being opened.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// Limits and choices of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Pieces of work that may wait for the writer; beyond that callers get [`crm::Error::Full`].
    pub queue: usize,
    /// Connections for reading.
    pub readers: u32,
    /// Bring older tables up to date; else they are refused.
    pub migrate: bool,
    /// How long recovery may still need the dialogs of a call that has ended: until every BYE, CANCEL and refusal
    /// has been answered or given up.
    pub dialogs_kept: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue: 4_096,
            readers: 4,
            migrate: true,
            dialogs_kept: DIALOGS_KEPT,
        }
    }
}

/// An open database: all repositories ([`crm::Base`]) and the journal
/// (`crm::Journal<call::Event>`). Clones share it.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) readers: Readers,
    pub(crate) shared: Arc<Shared>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) node: u16,
    pub(crate) epoch: String,
    pub(crate) cards: card::Texts,
    queue: mpsc::Sender<Work>,
    directory: watch::Receiver<u64>,
    checkpoints: Option<JoinHandle<()>>,
    /// Closes when the writer has ended.
    ended: std::sync::Mutex<Option<oneshot::Receiver<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = &self.checkpoints {
            task.abort();
        }
    }
}

/// Counters of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Transactions made durable.
    pub transactions: u64,
    /// Attempts that failed and were repeated.
    pub retries: u64,
    /// Pieces of work that wait for the writer.
    pub waiting: usize,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("node", &self.inner.node)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens `sqlite:PATH` (made if it is not there) or `postgres://USER@HOST/DATABASE` for node
    /// `node` (0–1023). Numbers typed without a country code are read in `region`.
    pub async fn open(
        url: &str,
        node: u16,
        region: &str,
        options: Options,
    ) -> Result<Self, OpenError> {
        let source = Source::parse(url)?;
        let numbering = || {
            Numbering::new(region).ok_or_else(|| OpenError::Region {
                region: region.chars().take(20).collect(),
            })
        };
        let began = Instant::now();
        loop {
            let opened = Self::start(source.clone(), node, numbering()?, &options).await;
            let error = match opened {
                Ok(store) => return Ok(store),
                Err(Trouble::Refused(error)) => error,
                Err(Trouble::Database(error)) => connect::refusal(&source, &error),
            };
            // Somebody else may be making the tables; SQLite's own patience ends before a slow disk is done.
            if !matches!(error, OpenError::Locked { .. }) || began.elapsed() > LOCK_PATIENCE {
                return Err(error);
            }
            tokio::time::sleep(LOCK_RETRY).await;
        }
    }

    async fn start(
        source: Source,
        node: u16,
        numbering: Numbering,
        options: &Options,
    ) -> Result<Self, Trouble> {
        let mut conn = source.writer().await?;
        schema::bring_up(&mut conn, options.migrate).await?;
        let epoch = schema::epoch(&mut conn).await?;
        let readers = source.readers(options.readers.max(1)).await?;
        let shared = Arc::new(Shared::new(numbering));
        let seq = load::fill(&readers, &shared, node).await?;
        let ended = load::ended(&readers, node).await?;
        let progress = Arc::new(Progress::default());
        progress.seq.store(seq, Ordering::Release);
        let (queue, received) = mpsc::channel(options.queue.max(1));
        let (announce, directory) = watch::channel(0);
        let checkpoints = source.checkpoints().await?.map(|conn| {
            let task = checkpoint::run(conn, source.clone(), Arc::clone(&progress));
            tokio::spawn(task)
        });
        let writer = Writer {
            writing: Writing {
                conn,
                // The switch makes the ids of its facts with the first one.
                ids: IdMaker::second(node),
                now: clock::utc(),
                node,
                seq,
                shared: Arc::clone(&shared),
                learnt: Vec::new(),
                directory_changed: false,
            },
            source,
            progress: Arc::clone(&progress),
            directory: announce,
            queue: received,
            dialogs: Dialogs::new(options.dialogs_kept, ended.into_iter()),
            unsure: false,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                readers,
                shared,
                progress,
                node,
                epoch,
                cards: card::Texts::default(),
                queue,
                directory,
                checkpoints,
                ended: std::sync::Mutex::new(Some(run(writer)?)),
            }),
        })
    }

    /// Rises whenever what [`crm::Settings::directory`] returns has changed.
    pub fn directory_changes(&self) -> watch::Receiver<u64> {
        self.inner.directory.clone()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        let progress = &self.inner.progress;
        Counters {
            transactions: progress.transactions.load(Ordering::Relaxed),
            retries: progress.retries.load(Ordering::Relaxed),
            waiting: self.inner.queue.max_capacity() - self.inner.queue.capacity(),
        }
    }

    /// Makes durable what was given before, then closes every connection. A database that does
    /// not answer is not waited for. Later calls get an error.
    pub async fn close(&self) {
        self.inner.progress.stopping.store(true, Ordering::Release);
        // A closed queue means that the writer has ended already.
        let _ = self.inner.queue.send(Work::Stop).await;
        let ended = self
            .inner
            .ended
            .lock()
            .unwrap_or_else(|it| it.into_inner())
            .take();
        if let Some(ended) = ended {
            if ended.await.is_err() {
                tracing::error!("the writer of the store ended by a panic");
            }
        }
        if let Some(task) = &self.inner.checkpoints {
            task.abort();
        }
        self.inner.readers.close().await;
    }

    pub(crate) async fn rows(&self, sql: &str, args: &[Value]) -> Result<Vec<Row>, Failure> {
        Ok(self.inner.readers.rows(sql, args).await?)
    }

    /// A read for which somebody on the telephone waits.
    pub(crate) async fn hot_rows(
        &self,
        sql: Arc<str>,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, Failure> {
        if let Readers::Postgres(_) = self.inner.readers {
            return self.rows(&sql, &args).await;
        }
        let (reply, answer) = oneshot::channel();
        let work = Work::Read {
            sql: Arc::clone(&sql),
            args: args.clone(),
            reply,
        };
        if self.give(work).is_ok() {
            if let Ok(Ok(rows)) = tokio::time::timeout(HOT, answer).await {
                return Ok(rows?);
            }
        }
        // The writer waits for a database that is locked; reading may still be possible.
        self.rows(&sql, &args).await
    }

    /// Has the writer make a change.
    pub(crate) async fn write<C: Change>(&self, change: C) -> crm::Result<C::Output> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Posted {
            change,
            answer: None,
            reply,
        });
        self.give(Work::Change {
            job,
            since: Instant::now(),
        })?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Has the writer make facts durable.
    pub(crate) async fn write_facts(&self, facts: Facts) -> crm::Result<Vec<i64>> {
        let (reply, answer) = oneshot::channel();
        self.give(Work::Facts { facts, reply })?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    fn give(&self, work: Work) -> crm::Result<()> {
        self.inner
            .queue
            .try_send(work)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => crm::Error::Full,
                mpsc::error::TrySendError::Closed(_) => gone(),
            })
    }
}

/// Starts the writer. SQLite's has a thread of its own, because each of its statements blocks the
/// thread that runs it.
fn run(writer: Writer) -> Result<oneshot::Receiver<()>, sqlx::Error> {
    let (ends, ended) = oneshot::channel();
    let own_thread = matches!(writer.writing.conn, Connection::Sqlite(_));
    let writing = async move {
        writer.run().await;
        // Nobody may be waiting for that.
        let _ = ends.send(());
    };
    if own_thread {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let thread = std::thread::Builder::new().name("store-writer".to_owned());
        thread.spawn(move || runtime.block_on(writing))?;
    } else {
        tokio::spawn(writing);
    }
    Ok(ended)
}

fn gone() -> crm::Error {
    crm::Error::Unavailable {
        message: "the store is closed".to_owned(),
        remedy: "start the process again",
    }
}
