//! What `/metrics` shows, by name.

use std::sync::{Arc, atomic::Ordering};

use api::{Counter, trunk_states::TrunkStates};
use cti::{Counts, Hub};
use model::TrunkCode;
use net::{
    media::MediaCounters,
    runner::{Runner, RunnerCounters},
};
use store::{Counters, Store};

use super::archiving::Figures;

/// A name, what it means, and whether it can fall.
type Described = (&'static str, &'static str, bool);

/// What a counter is called, and how it is read.
type Read<T> = (Described, fn(&T) -> u64);

const TOTAL: bool = false;
const GAUGE: bool = true;

const OF_HUB: [Read<Counts>; 8] = [
    (
        (
            "ringbook_websocket_clients",
            "Connected WebSocket clients.",
            GAUGE,
        ),
        |it| it.clients,
    ),
    (
        ("ringbook_frames_total", "Frames sent to clients.", TOTAL),
        |it| it.frames,
    ),
    (
        (
            "ringbook_late_events_total",
            "Facts committed after their deadline.",
            TOTAL,
        ),
        |it| it.late_events,
    ),
    (
        (
            "ringbook_lost_events_total",
            "Facts that no place was left for.",
            TOTAL,
        ),
        |it| it.lost_events,
    ),
    (
        (
            "ringbook_waiting_events",
            "Facts that wait for the journal.",
            GAUGE,
        ),
        |it| it.waiting_events,
    ),
    (
        (
            "ringbook_unconfirmed_leads_total",
            "Cards not confirmed before the ring.",
            TOTAL,
        ),
        |it| it.unconfirmed_leads,
    ),
    (
        (
            "ringbook_partial_cards_total",
            "Cards sent without what the database knows.",
            TOTAL,
        ),
        |it| it.partial_cards,
    ),
    (
        (
            "ringbook_slow_clients_total",
            "Clients closed because they were too slow.",
            TOTAL,
        ),
        |it| it.slow_clients,
    ),
];

const OF_STORE: [Read<Counters>; 2] = [
    (
        (
            "ringbook_transactions_total",
            "Transactions made durable.",
            TOTAL,
        ),
        |it| it.transactions,
    ),
    (
        (
            "ringbook_transaction_retries_total",
            "Attempts of transactions that were repeated.",
            TOTAL,
        ),
        |it| it.retries,
    ),
];

const OF_RUNNER: [Read<RunnerCounters>; 13] = [
    (
        (
            "ringbook_sip_received_total",
            "SIP messages received.",
            TOTAL,
        ),
        |it| it.received.load(Ordering::Relaxed),
    ),
    (
        ("ringbook_sip_sent_total", "SIP messages sent.", TOTAL),
        |it| it.sent.load(Ordering::Relaxed),
    ),
    (
        (
            "ringbook_sip_send_failures_total",
            "SIP messages that the system or a connection did not take.",
            TOTAL,
        ),
        |it| it.send_failures.load(Ordering::Relaxed),
    ),
    (
        (
            "ringbook_effects_refused_total",
            "Effects that found their queue full.",
            TOTAL,
        ),
        |it| it.refused_effects.load(Ordering::Relaxed),
    ),
    (
        (
            "ringbook_notices_lost_total",
            "Notices that found their queue full.",
            TOTAL,
        ),
        |it| it.lost_notices.load(Ordering::Relaxed),
    ),
    (
        (
            "ringbook_sip_connections",
            "Connections over TCP and TLS.",
            GAUGE,
        ),
        |it| it.streams.open.load(Ordering::Relaxed),
    ),
    (
        (
            "ringbook_sip_connections_accepted_total",
            "Connections accepted.",
            TOTAL,
        ),
        |it| it.streams.accepted.load(Ordering::Relaxed),
    ),
    (
        (
            "ringbook_sip_connections_opened_total",
            "Connections that we began to open.",
            TOTAL,
        ),
        |it| it.streams.opened.load(Ordering::Relaxed),
    ),
    (
        (
            "ringbook_sip_connections_refused_total",
            "Connections closed at once because of a limit.",
            TOTAL,
        ),
        |it| it.streams.refused.load(Ordering::Relaxed),
    ),
    (
        (
            "ringbook_sip_framing_errors_total",
            "Connections closed because what came was no stream of SIP.",
            TOTAL,
        ),
        |it| it.streams.framing_errors.load(Ordering::Relaxed),
    ),
    (
        (
            "ringbook_sip_message_timeouts_total",
            "Connections closed because a message was not complete in time.",
            TOTAL,
        ),
        |it| it.streams.timeouts.load(Ordering::Relaxed),
    ),
    (
        (
            "ringbook_sip_slow_readers_total",
            "Connections closed because the peer did not take what was sent.",
            TOTAL,
        ),
        |it| it.streams.slow_readers.load(Ordering::Relaxed),
    ),
    (
        (
            "ringbook_sip_tls_failures_total",
            "TLS handshakes that failed or took too long.",
            TOTAL,
        ),
        |it| it.streams.tls_failures.load(Ordering::Relaxed),
    ),
];

const OF_MEDIA: [Read<MediaCounters>; 3] = [
    (
        (
            "ringbook_rtp_received_total",
            "RTP packets accepted.",
            TOTAL,
        ),
        MediaCounters::packets,
    ),
    (
        (
            "ringbook_recording_parts_dropped_total",
            "Parts of recordings that the disk was too slow for.",
            TOTAL,
        ),
        MediaCounters::recording_parts_dropped,
    ),
    (
        (
            "ringbook_recording_parts_failed_total",
            "Parts of recordings that could not be written: the disk is full or fails.",
            TOTAL,
        ),
        MediaCounters::recording_parts_failed,
    ),
];

const OF_ARCHIVE: [Read<Figures>; 4] = [
    (
        ("ringbook_mp3_made_total", "MP3 files made.", TOTAL),
        |it| it.mp3_made.load(Ordering::Relaxed),
    ),
    (
        (
            "ringbook_recordings_removed_total",
            "Files of recordings removed because of their age.",
            TOTAL,
        ),
        |it| it.removals.removed.load(Ordering::Relaxed),
    ),
    (
        (
            "ringbook_wav_staying",
            "WAV files older than keep_wav_days that stay because they have no MP3.",
            GAUGE,
        ),
        |it| it.removals.staying.load(Ordering::Relaxed),
    ),
    (
        (
            "ringbook_recordings_free_bytes",
            "Free bytes on the disk of the recordings.",
            GAUGE,
        ),
        |it| it.free_bytes.load(Ordering::Relaxed),
    ),
];

const OF_TRUNKS: [(TrunkCode, Described); 9] = [
    (
        TrunkCode::Unknown,
        (
            "ringbook_trunks_unknown",
            "Trunks of which nothing was heard yet.",
            GAUGE,
        ),
    ),
    (
        TrunkCode::Registering,
        (
            "ringbook_trunks_registering",
            "Trunks that we begin to register with.",
            GAUGE,
        ),
    ),
    (
        TrunkCode::Registered,
        (
            "ringbook_trunks_registered",
            "Trunks that we are registered with.",
            GAUGE,
        ),
    ),
    (
        TrunkCode::PasswordRefused,
        (
            "ringbook_trunks_password_refused",
            "Trunks that refuse our password.",
            GAUGE,
        ),
    ),
    (
        TrunkCode::Unreachable,
        (
            "ringbook_trunks_unreachable",
            "Trunks that do not answer our registration.",
            GAUGE,
        ),
    ),
    (
        TrunkCode::NameNotFound,
        (
            "ringbook_trunks_name_not_found",
            "Trunks whose name has no address.",
            GAUGE,
        ),
    ),
    (
        TrunkCode::Refused,
        (
            "ringbook_trunks_refused",
            "Trunks that refuse our registration.",
            GAUGE,
        ),
    ),
    (
        TrunkCode::Up,
        (
            "ringbook_trunks_up",
            "Trunks without registration that answer.",
            GAUGE,
        ),
    ),
    (
        TrunkCode::Down,
        (
            "ringbook_trunks_down",
            "Trunks without registration that do not answer.",
            GAUGE,
        ),
    ),
];

fn counter(
    (name, help, is_gauge): Described,
    read: impl Fn() -> u64 + Send + Sync + 'static,
) -> Counter {
    Counter {
        name,
        help,
        is_gauge,
        read: Box::new(read),
    }
}

/// All counters of the process.
pub(super) fn all(
    hub: &Hub,
    store: &Store,
    runner: &Runner,
    media: &Arc<MediaCounters>,
    figures: &Figures,
    trunks: &TrunkStates,
) -> Vec<Counter> {
    let of_hub = OF_HUB.map(|(what, read)| {
        let hub = hub.clone();
        counter(what, move || read(&hub.counts()))
    });
    let of_store = OF_STORE.map(|(what, read)| {
        let store = store.clone();
        counter(what, move || read(&store.counters()))
    });
    let of_runner = OF_RUNNER.map(|(what, read)| {
        let counters = runner.counters();
        counter(what, move || read(&counters))
    });
    let of_media = OF_MEDIA.map(|(what, read)| {
        let media = Arc::clone(media);
        counter(what, move || read(&media))
    });
    let of_archive = OF_ARCHIVE.map(|(what, read)| {
        let figures = figures.clone();
        counter(what, move || read(&figures))
    });
    let of_trunks = OF_TRUNKS.map(|(code, what)| {
        let trunks = trunks.clone();
        counter(what, move || trunks.count(code))
    });
    let counters = of_hub.into_iter().chain(of_store).chain(of_archive);
    let counters = counters.chain(of_runner).chain(of_media);
    counters.chain(of_trunks).collect()
}
