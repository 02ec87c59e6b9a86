//! Names of telephone companies, looked up by a thread of its own (RFC 3263), and again whenever an answer is too old. What a
//! name means goes to the switch whenever it has been asked for; nobody ever waits for it.
//!
//! While no name server answers, the last good answer stays.

mod lookup;
mod order;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use hickory_resolver::{
    ResolveError, TokioResolver,
    config::{NameServerConfig, ResolverConfig, ResolverOpts},
    name_server::TokioConnectionProvider,
    proto::xfer::Protocol,
};
use model::{Carrier, Proxy, Target};
use tokio::{
    runtime::Builder,
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::sleep,
};

use lookup::{Answer, Lookup, Trouble};

/// An answer is used for so long at least, and at most, whatever its records say.
const SHORTEST_LIFE: Duration = Duration::from_secs(5);
const LONGEST_LIFE: Duration = Duration::from_secs(3_600);
/// A name that means nothing, or that nobody could be asked for, is asked for again after this.
const RETRY: Duration = Duration::from_secs(10);
/// How long one question to one name server may take, and how often it is repeated.
const TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;
/// Names that are followed; further ones are not looked up.
const MOST_NAMES: usize = 256;

/// Who is asked.
#[derive(Clone, Debug, Default)]
pub struct NameSettings {
    /// Name servers; none for those of the system.
    pub resolvers: Vec<SocketAddr>,
}

/// What a name means.
pub(crate) struct Resolved {
    pub(crate) proxy: Proxy,
    /// The best place first; none if it means nothing.
    pub(crate) places: Vec<Target>,
}

/// The running thread. It ends when this is dropped.
pub(crate) struct Names {
    wanted: Option<watch::Sender<Vec<Proxy>>>,
    resolved: mpsc::Receiver<Resolved>,
    thread: Option<JoinHandle<()>>,
}

impl Names {
    /// Starts the thread; `carriers` is what we can send by, the best first.
    pub(crate) fn start(settings: NameSettings, carriers: Vec<Carrier>) -> io::Result<Self> {
        let (wanted, watched) = watch::channel(Vec::new());
        let (found, resolved) = mpsc::channel(MOST_NAMES);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name("names".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    match resolver(&settings) {
                        Ok(resolver) => follow(Lookup { resolver, carriers }, watched, found).await,
                        Err(error) => {
                            tracing::error!(%error, "no name server is known: set [network] resolvers");
                        }
                    }
                });
            })?;
        Ok(Self {
            wanted: Some(wanted),
            resolved,
            thread: Some(thread),
        })
    }

    /// These names are looked up from now on, and no others.
    pub(crate) fn follow(&self, names: Vec<Proxy>) {
        if let Some(wanted) = &self.wanted {
            wanted.send_replace(names);
        }
    }

    /// The next name that has been looked up; waits for ever once nobody looks up names any more.
    pub(crate) async fn next(&mut self) -> Resolved {
        match self.resolved.recv().await {
            Some(resolved) => resolved,
            None => std::future::pending().await,
        }
    }

    /// The next one, if it is there already.
    pub(crate) fn pop(&mut self) -> Option<Resolved> {
        self.resolved.try_recv().ok()
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.wanted = None;
        self.resolved.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been logged already.
            let _ = thread.join();
        }
    }
}

fn resolver(settings: &NameSettings) -> Result<TokioResolver, ResolveError> {
    let mut builder = if settings.resolvers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let mut config = ResolverConfig::new();
        for address in &settings.resolvers {
            for protocol in [Protocol::Udp, Protocol::Tcp] {
                config.add_name_server(NameServerConfig::new(*address, protocol));
            }
        }
        TokioResolver::builder_with_config(config, TokioConnectionProvider::default())
    };
    let options: &mut ResolverOpts = builder.options_mut();
    options.timeout = TIMEOUT;
    options.attempts = ATTEMPTS;
    // The life of answers is our own business.
    options.cache_size = 0;
    Ok(builder.build())
}

async fn follow(
    lookup: Lookup,
    mut wanted: watch::Receiver<Vec<Proxy>>,
    found: mpsc::Sender<Resolved>,
) {
    let mut running: BTreeMap<Proxy, AbortHandle> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    while wanted.changed().await.is_ok() {
        let mut names = wanted.borrow_and_update().clone();
        if names.len() > MOST_NAMES {
            tracing::warn!(
                names = names.len(),
                MOST_NAMES,
                "too many names: the last are not looked up"
            );
            names.truncate(MOST_NAMES);
        }
        running.retain(|name, task| {
            let stays = names.contains(name);
            if !stays {
                task.abort();
            }
            stays
        });
        for name in names {
            running
                .entry(name.clone())
                .or_insert_with(|| tasks.spawn(keep(lookup.clone(), name, found.clone())));
        }
        // What was told to end has ended.
        while tasks.try_join_next().is_some() {}
    }
}

/// Looks one name up for as long as it is wanted.
async fn keep(lookup: Lookup, proxy: Proxy, found: mpsc::Sender<Resolved>) {
    let mut good = false;
    let mut told: Option<Vec<Target>> = None;
    loop {
        let (places, again) = match lookup.places(&proxy).await {
            Ok(Answer { places, until }) => {
                good = true;
                let life = until.saturating_duration_since(Instant::now());
                (Some(places), life.clamp(SHORTEST_LIFE, LONGEST_LIFE))
            }
            Err(Trouble::Nothing) => {
                good = false;
                (Some(Vec::new()), RETRY)
            }
            Err(Trouble::NobodyAnswers(error)) => {
                let kept = if good { "the last answer stays" } else { "" };
                tracing::warn!(%proxy, %error, kept, "a name cannot be looked up");
                ((!good).then(Vec::new), RETRY)
            }
        };
        if let Some(places) = places {
            // In which order equals are tried changes with each answer.
            let mut known = places.clone();
            known.sort();
            if told.as_ref() != Some(&known) {
                let leads: Vec<String> = known.iter().map(ToString::to_string).collect();
                tracing::info!(%proxy, places = leads.join(", "), "the name leads to");
                told = Some(known);
            }
            let proxy = proxy.clone();
            if found.send(Resolved { proxy, places }).await.is_err() {
                return;
            }
        }
        sleep(again).await;
    }
}
