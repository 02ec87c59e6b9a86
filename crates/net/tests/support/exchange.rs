//! A running switch on real sockets, with nobody behind its channels.

use std::{
    net::SocketAddr,
    sync::{Arc, MutexGuard},
};

use call::{Command, EffectEnd, EffectId, EffectRequest, Notice};
use model::{
    Device, DeviceId, DigestOffer, Directory, Line, LineId, MediaSource, Trunk, TrunkId, UserId,
};
use net::{
    clock,
    media::{MediaPlane, MediaSettings},
    runner::{Doors, Listen, Runner},
};
use sip::digest::Algorithm;
use switch::{Input, Settings, Switch};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::turn;

/// A running switch and the other ends of its channels.
pub struct Exchange {
    pub runner: Runner,
    pub inputs: mpsc::Sender<Input>,
    pub effects: mpsc::Receiver<EffectRequest>,
    pub ends: mpsc::Sender<(EffectId, EffectEnd)>,
    pub notices: mpsc::Receiver<Notice>,
    pub commands: mpsc::Sender<Command>,
    _folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// A line, a trunk on this machine, and a telephone with the name and the secret `desk`.
fn directory() -> Directory {
    Directory {
        devices: vec![Device {
            id: DeviceId(3),
            user: UserId(2),
            name: "desk".into(),
            auth_user: "desk".into(),
            ha1_md5: sip::digest::ha1(Algorithm::Md5, "desk", "ringbook", "desk"),
            ha1_sha256: String::new(),
            digest: DigestOffer::Md5,
            media_source: MediaSource::Automatic,
            number: None,
            ring_after_secs: 0,
        }],
        lines: vec![Line {
            id: LineId(5),
            number: "+74951234567".into(),
            aliases: vec!["74951234567".into()],
            name: "Sales".into(),
            channel: None,
            ring_timeout_secs: None,
            recorded: true,
            language: model::Language::Russian,
            queue: None,
            office: None,
            reception: model::Reception::default(),
        }],
        trunks: vec![Trunk {
            id: TrunkId(6),
            name: "Trunk".into(),
            networks: vec!["127.0.0.1/32".parse().unwrap()],
            media_networks: vec![],
            trusted_identity: false,
            called_in: model::CalledIn::Automatic,
            most_calls: None,
            outbound: None,
        }],
        ..Directory::default()
    }
}

/// Listens to UDP only.
pub fn udp(addresses: &[SocketAddr]) -> Listen {
    Listen {
        udp: addresses.to_vec(),
        ..Listen::default()
    }
}

/// Starts a switch with queues of so many places for effects and notices.
pub fn start(queue: usize, listen: Listen) -> Exchange {
    let turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let media = MediaPlane::start(MediaSettings::new(folder.path().to_owned())).unwrap();
    let settings = Settings {
        rtp_ports: 52_000..=52_999,
        ..Settings::default()
    };
    let switch = Switch::new(settings, [7; 32], clock::now());
    let (effect_sender, effects) = mpsc::channel(queue);
    let (ends, end_receiver) = mpsc::channel(16);
    let (commands, command_receiver) = mpsc::channel(16);
    let (inputs, input_receiver) = mpsc::channel(16);
    let (notice_sender, notices) = mpsc::channel(queue);
    let doors = Doors {
        effects: effect_sender,
        ends: end_receiver,
        commands: command_receiver,
        inputs: input_receiver,
        notices: notice_sender,
    };
    let runner = Runner::start(listen, switch, doors, media).unwrap();
    inputs
        .blocking_send(Input::Directory(Arc::new(directory())))
        .unwrap();
    Exchange {
        runner,
        inputs,
        effects,
        ends,
        notices,
        commands,
        _folder: folder,
        _turn: turn,
    }
}

impl Exchange {
    /// Ends the thread and waits for it.
    pub fn stop(self) {
        drop(self.inputs);
        self.runner.join();
    }
}
