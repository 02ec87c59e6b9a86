//! The daemon: every room is made here and joined to the others by bounded channels.

mod archiving;
mod counters;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use api::{ApiState, Parts, directory, orders::Orders, trunk_states::TrunkStates};
use call::Command;
use crm::{Base, Journal};
use cti::{Deps, Desk, Hub};
use media::{ConversationKey, plane::Event};
use model::OpenCall;
use net::{
    clock,
    media::{MediaPlane, MediaSettings},
    names::NameSettings,
    recorder,
    runner::{Doors, Listen, Runner},
    streams::{StreamSettings, TlsSettings},
};
use rand::RngExt as _;
use store::Store;
use switch::{Input, Settings, Switch};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    config::Checked,
    notices::{self, Listeners},
    prompts, store_open,
};

/// Places that a call takes in the queues of effects and of their ends when it is admitted: they are as long as
/// the limit of calls wants, so that whoever gets no 503 has places for the whole call.
const EFFECTS_PER_CALL: usize = 64;
/// The longest that those queues may be.
const MOST_EFFECTS: usize = 16 * 1_024 * 1_024;
/// Notices that wait for the store or the screens.
const NOTICES: usize = 65_536;
/// Orders that wait for the switch; beyond that people get 503.
const COMMANDS: usize = 1_024;
/// How long running calls have to end when the process is told to stop.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long after a failure changed settings are read again.
const DIRECTORY_RETRY: Duration = Duration::from_millis(500);

/// What `check-config` prints of a configuration that can be used.
pub(crate) fn summary(checked: &Checked) -> String {
    let listed = |addresses: &[SocketAddr]| {
        let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        match texts.is_empty() {
            true => "off".to_owned(),
            false => texts.join(", "),
        }
    };
    format!(
        "the configuration can be used\nSIP over UDP: {}\nSIP over TCP: {}\nSIP over TLS: {}\nHTTP: {}\nstore: {}\nrecordings: {}\nRTP ports: {}-{}\n",
        listed(&checked.sip_listen),
        listed(&checked.sip_listen_tcp),
        listed(&checked.sip_listen_tls),
        checked.http_listen,
        without_password(checked.config.store.url.get_ref()),
        checked.config.recordings.folder.display(),
        checked.rtp_ports.start(),
        checked.rtp_ports.end(),
    )
}

fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 < at => {
            let user = url[scheme + 3..at].split(':').next().unwrap_or_default();
            format!("{}{user}{}", &url[..scheme + 3], &url[at..])
        }
        _ => url.to_owned(),
    }
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// A part cannot start; the error says what and the remedy.
pub(crate) async fn run(checked: Checked) -> Result<()> {
    let folder = recordings_folder(&checked)?;
    let http = listen(checked.http_listen).await?;
    let http_address = http.local_addr()?;
    let store = store_open::open(&checked, true).await?;
    let base: Arc<dyn Base> = Arc::new(store.clone());
    let journal: Arc<dyn Journal<call::Event>> = Arc::new(store.clone());

    let places = checked.config.limits.calls.saturating_mul(EFFECTS_PER_CALL);
    let places = places.clamp(EFFECTS_PER_CALL, MOST_EFFECTS);
    let (effects, effects_taken) = mpsc::channel(places);
    let (ends, ends_taken) = mpsc::channel(places);
    let (commands, commands_taken) = mpsc::channel(COMMANDS);
    let (inputs, inputs_taken) = mpsc::channel(COMMANDS);
    let (notices, notices_taken) = mpsc::channel(NOTICES);

    let deps = Deps {
        journal: Arc::clone(&journal),
        base: Arc::clone(&base),
    };
    let cti_settings = cti::Settings {
        most_clients: checked.config.limits.websockets,
        ..Default::default()
    };
    let hub = Hub::new(deps.clone(), cti_settings.clone());
    let desk = tokio::spawn(Desk::start(deps, hub.clone(), cti_settings).run(effects_taken, ends));
    let (drained, all_drained) = oneshot::channel();
    tokio::spawn(hub.clone().run_presence());
    let (orders, trunk_states) = (Orders::default(), TrunkStates::default());
    let listeners = Listeners {
        hub: hub.clone(),
        orders: orders.clone(),
        trunk_states: trunk_states.clone(),
        drained: Some(drained),
    };
    tokio::spawn(notices::run(notices_taken, listeners, store.clone()));

    let media = MediaPlane::start(media_settings(&checked)?)?;
    let switch = Switch::new(settings(&checked), rand::rng().random(), clock::now());
    let doors = Doors {
        effects,
        ends: ends_taken,
        commands: commands_taken,
        inputs: inputs_taken,
        notices,
    };
    let media_counters = media.0.counters();
    // The switch takes these before the first datagram: nobody is refused for want of settings.
    let repaired = begin(&inputs, &hub, &*base, &*journal, folder.clone()).await?;
    let runner = Runner::start(sip_listen(&checked)?, switch, doors, media)?;
    for event in repaired {
        inputs.send(Input::Media(event)).await?;
    }

    let archiving = archiving::start(
        Arc::new(store.clone()),
        &checked.config.recordings,
        folder.clone(),
    );
    let (changed, watch) = directory::channel();
    tokio::spawn(follow_directory(
        watch,
        inputs.clone().downgrade(),
        hub.clone(),
        store.clone(),
    ));
    let api_settings = api::Settings {
        realm: checked.config.sip.realm.get_ref().clone(),
        recordings: folder,
        allowed_origins: checked.config.http.allowed_origins.clone(),
        ..Default::default()
    };
    let state = ApiState::new(Parts {
        base,
        hub: hub.clone(),
        commands: commands.clone(),
        orders,
        trunk_states: trunk_states.clone(),
        directory: changed,
        settings: api_settings,
        counters: counters::all(
            &hub,
            &store,
            &runner,
            &media_counters,
            &archiving.figures,
            &trunk_states,
        ),
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(api::serve(http, api::router(state), async {
        // A sender that is gone means the same.
        let _ = stopped.await;
    }));
    for (transport, address) in runner.addresses() {
        tracing::info!(%address, "SIP over {}", transport.name());
    }
    tracing::info!(address = %http_address, "HTTP");
    tracing::info!("Ringbook is ready");

    wait_for_signal().await?;
    let running = Running {
        commands,
        all_drained,
        hub,
        stop,
        serving,
        inputs,
        runner,
        desk,
        archivists: archiving.tasks,
        store,
    };
    running.stop().await
}

/// Everything that runs, to be ended in this order.
struct Running {
    commands: mpsc::Sender<Command>,
    all_drained: oneshot::Receiver<()>,
    hub: Hub,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
    inputs: mpsc::Sender<Input>,
    runner: Runner,
    desk: JoinHandle<()>,
    archivists: Vec<JoinHandle<()>>,
    store: Store,
}

impl Running {
    /// Ends the calls, then those who listen, then those who write. Whoever waits for others has a bounded time.
    async fn stop(self) -> Result<()> {
        tracing::info!("stopping: running calls are ended");
        // A full queue means that the switch is alive and busy; the time below bounds the wait.
        let farewell = async {
            let _ = self.commands.send(Command::Shutdown).await;
            let _ = self.all_drained.await;
        };
        if timeout(FAREWELL, farewell).await.is_err() {
            tracing::warn!("some calls did not end in time; they are ended at the next start");
        }
        self.hub.close();
        let _ = self.stop.send(());
        if timeout(FAREWELL, self.serving).await.is_err() {
            tracing::warn!("some HTTP clients did not leave in time");
        }
        drop(self.inputs);
        tokio::task::spawn_blocking(move || self.runner.join()).await?;
        if timeout(FAREWELL, self.desk).await.is_err() {
            tracing::warn!("the journal did not take everything in time");
        }
        for archivist in self.archivists {
            // What it was making or removing is begun anew at the next start.
            archivist.abort();
        }
        if timeout(FAREWELL, self.store.close()).await.is_err() {
            tracing::warn!("the store did not close in time");
        }
        Ok(())
    }
}

fn recordings_folder(checked: &Checked) -> Result<PathBuf> {
    let folder = checked.config.recordings.folder.clone();
    std::fs::create_dir_all(&folder).with_context(|| {
        format!(
            "the recordings folder {} cannot be made; choose another in [recordings] folder",
            folder.display()
        )
    })?;
    Ok(folder)
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("the HTTP address {address} cannot be used; choose another in [http] listen")
    })
}

fn sip_listen(checked: &Checked) -> Result<Listen> {
    let limits = &checked.config.limits;
    let mut certificates = TlsSettings {
        identity: None,
        trust: checked.tls.trust.clone(),
    };
    if !checked.sip_listen_tls.is_empty() {
        let addresses: Vec<IpAddr> = checked.sip_listen_tls.iter().map(SocketAddr::ip).collect();
        certificates.identity = Some(checked.tls.identity(&addresses)?);
    }
    Ok(Listen {
        udp: checked.sip_listen.clone(),
        tcp: checked.sip_listen_tcp.clone(),
        tls: checked.sip_listen_tls.clone(),
        certificates,
        names: NameSettings {
            resolvers: checked.resolvers.clone(),
        },
        streams: StreamSettings {
            most_connections: limits.sip_connections,
            most_per_address: limits.sip_connections_per_address,
            ..StreamSettings::default()
        },
    })
}

fn media_settings(checked: &Checked) -> Result<MediaSettings> {
    let media = &checked.config.media;
    Ok(MediaSettings {
        threads: media.threads,
        real_time: media.real_time,
        rtp_timeout: Duration::from_secs(u64::from(*media.rtp_timeout_secs.get_ref())),
        sounds: Arc::new(prompts::library(&checked.prompts)?),
        ..MediaSettings::new(checked.config.recordings.folder.clone())
    })
}

fn settings(checked: &Checked) -> Settings {
    let mut settings = Settings {
        node: *checked.config.general.node.get_ref(),
        realm: checked.config.sip.realm.get_ref().clone(),
        region: checked.config.general.default_region.get_ref().clone(),
        language: crate::cli::language_of(checked.config.general.language.get_ref())
            .unwrap_or_default(),
        rtp_ports: checked.rtp_ports.clone(),
        addresses: checked.addresses.clone(),
        session_expires_secs: *checked.config.sip.session_expires_secs.get_ref(),
        parked_for: Duration::from_secs((*checked.config.limits.parked_secs.get_ref()).into()),
        ..Settings::default()
    };
    settings.limits.calls = checked.config.limits.calls;
    settings.limits.bindings = checked.config.limits.bindings_per_device;
    settings
}

/// Feeds the switch with what is stored: settings, registrations, and the calls that a crash left behind. Returns what
/// is to be told of their recordings.
async fn begin(
    inputs: &mpsc::Sender<Input>,
    hub: &Hub,
    base: &dyn Base,
    journal: &dyn Journal<call::Event>,
    folder: PathBuf,
) -> Result<Vec<Event>> {
    let directory = base.settings().directory().await?;
    hub.set_directory(&directory);
    inputs.send(Input::Directory(Arc::new(directory))).await?;
    inputs
        .send(Input::Bindings(base.settings().bindings().await?))
        .await?;
    let open = journal.open_calls().await?;
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let running = open.iter().filter(|call| !call.ended).count();
    if running > 0 {
        tracing::warn!(
            calls = running,
            "calls were left open by a crash: they are ended now"
        );
    }
    let (open, repaired) = tokio::task::spawn_blocking(move || repair(open, &folder)).await?;
    inputs.send(Input::Recover(open)).await?;
    Ok(repaired)
}

/// Makes the files of interrupted recordings whole.
fn repair(mut open: Vec<OpenCall>, folder: &std::path::Path) -> (Vec<OpenCall>, Vec<Event>) {
    let mut repaired = Vec::new();
    for call in &mut open {
        if let Some(file) = &call.recording {
            let summary = recorder::repair(folder, file);
            call.recorded_ms = Some(summary.length_ms);
            let conversation = ConversationKey(call.call.0.unsigned_abs());
            repaired.push(Event::RecordingClosed {
                conversation,
                summary,
            });
        }
    }
    (open, repaired)
}

/// Brings each change of the administrator's settings into effect.
async fn follow_directory(
    mut watch: api::DirectoryWatch,
    inputs: mpsc::WeakSender<Input>,
    hub: Hub,
    store: Store,
) {
    while let Some(number) = watch.changed().await {
        let directory = loop {
            match store.settings().directory().await {
                Ok(directory) => break directory,
                Err(error) => {
                    tracing::error!(%error, "a change of settings is stored but not in effect yet; trying again");
                    tokio::time::sleep(DIRECTORY_RETRY).await;
                }
            }
        };
        hub.set_directory(&directory);
        let Some(inputs) = inputs.upgrade() else {
            return;
        };
        let sent = inputs.send(Input::Directory(Arc::new(directory))).await;
        if sent.is_err() {
            return;
        }
        watch.applied(number);
    }
}

async fn wait_for_signal() -> Result<()> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
