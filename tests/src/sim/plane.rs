//! The media plane as far as the exchange can see it: ports, bridges, recordings, silence.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use media::plane::{Command, ConversationKey, Event, LegKey, LegStats, RecordingSummary, Remote};

const PORT_REST: Duration = Duration::from_secs(2);
const RTP_TIMEOUT: Duration = Duration::from_secs(60);
/// Every sound is as long.
const SOUND: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Leg {
    local: SocketAddr,
    remote: Option<Remote>,
    peer: Option<LegKey>,
    /// The others of its conference.
    room: Vec<LegKey>,
    held: bool,
    quiet_since: Duration,
    told: bool,
    /// Sounds or music are heard; sounds until then.
    hears: Option<Option<Duration>>,
    /// A tone is heard.
    tone: bool,
    /// It hears itself.
    echoes: bool,
}

#[derive(Debug)]
struct Recording {
    file: String,
    since: Duration,
    stopped: bool,
}

/// A join of two legs: where each of the two hears.
#[derive(Clone, Copy, Debug)]
pub struct Bridge {
    /// When.
    pub at: Duration,
    /// Far end of one leg.
    pub a: SocketAddr,
    /// Far end of the other.
    pub b: SocketAddr,
}

/// Everything that the exchange ordered of the media plane.
#[derive(Debug, Default)]
pub struct Plane {
    legs: BTreeMap<LegKey, Leg>,
    used: BTreeSet<LegKey>,
    closed: BTreeMap<SocketAddr, Duration>,
    recordings: BTreeMap<ConversationKey, Recording>,
    /// Every join, in order.
    pub bridges: Vec<Bridge>,
    /// Orders that no correct exchange gives.
    pub wrongs: Vec<String>,
}

impl Plane {
    /// Ports in use.
    pub fn open_legs(&self) -> usize {
        self.legs.len()
    }

    /// Recordings that are not closed.
    pub fn open_recordings(&self) -> usize {
        self.recordings.len()
    }

    /// The process died.
    pub fn reset(&mut self) {
        self.legs.clear();
        self.used.clear();
        self.closed.clear();
        self.recordings.clear();
    }

    /// Who hears what is sent to this port of ours.
    pub fn heard_at(&self, local: SocketAddr) -> Option<SocketAddr> {
        self.heard_by(local).first().copied()
    }

    /// The same in a conference: all who hear it, and whom it hears.
    pub fn heard_by(&self, local: SocketAddr) -> Vec<SocketAddr> {
        let mut legs = self.legs.values();
        let Some(leg) = legs.find(|leg| leg.local == local) else {
            return Vec::new();
        };
        if leg.echoes {
            return leg.remote.iter().map(|remote| remote.rtp).collect();
        }
        let others = leg.peer.iter().chain(&leg.room);
        let others = others.filter_map(|other| self.legs.get(other)?.remote.as_ref());
        others.map(|remote| remote.rtp).collect()
    }

    /// Carries out an order; what follows from it, and whether it does so at once.
    pub fn order(&mut self, now: Duration, command: Command, open_fails: bool) -> Vec<Event> {
        match command {
            Command::Open {
                leg,
                local_ip,
                port,
            } => self.open(now, leg, SocketAddr::new(local_ip, port), open_fails),
            Command::SetRemote { leg, remote } => {
                let mut joined = None;
                if let Some(found) = self.legs.get_mut(&leg) {
                    found.quiet_since = now;
                    if found.remote.replace(remote).is_none() {
                        joined = found.peer;
                    }
                }
                if let Some(peer) = joined {
                    self.note_bridge(now, leg, peer);
                }
                Vec::new()
            }
            Command::Join { a, b, .. } => {
                self.join(now, a, b);
                Vec::new()
            }
            Command::Confer { client, agents, .. } => {
                self.confer(now, [client, agents[0], agents[1]]);
                Vec::new()
            }
            Command::Hold { leg, held } => {
                if let Some(leg) = self.legs.get_mut(&leg) {
                    (leg.held, leg.quiet_since, leg.told) = (held, now, false);
                }
                Vec::new()
            }
            Command::StartRecording {
                conversation,
                file,
                client,
                agent,
                ..
            } => {
                let open = |leg: &LegKey| self.legs.contains_key(leg);
                if !open(&client) || !agent.is_none_or(|agent| open(&agent)) {
                    self.wrongs
                        .push(format!("recording {file} of a leg that is not open"));
                }
                let recording = Recording {
                    file,
                    since: now,
                    stopped: false,
                };
                if self.recordings.insert(conversation, recording).is_some() {
                    self.wrongs
                        .push(format!("{conversation:?} is recorded twice"));
                }
                vec![Event::RecordingStarted { conversation }]
            }
            Command::PassRecording {
                conversation,
                agent,
            } => {
                if !self.legs.contains_key(&agent) {
                    self.wrongs.push(format!(
                        "{conversation:?} is passed to {agent:?}, which is not open"
                    ));
                }
                Vec::new()
            }
            Command::PauseRecording { conversation, .. } => {
                if self
                    .recordings
                    .get(&conversation)
                    .is_none_or(|it| it.stopped)
                {
                    self.wrongs
                        .push(format!("{conversation:?} is paused and not recorded"));
                }
                Vec::new()
            }
            Command::StopRecording { conversation } => self.stop_recording(now, conversation),
            Command::Close { leg } => self.close(now, leg),
            Command::PlaySounds { leg, sounds, .. } => {
                if let Some(leg) = self.legs.get_mut(&leg) {
                    let sounds = u32::try_from(sounds.len()).unwrap_or(u32::MAX);
                    leg.hears = Some((sounds > 0).then(|| now + SOUND * sounds));
                    (leg.quiet_since, leg.told) = (now, false);
                }
                Vec::new()
            }
            Command::Play { leg, .. } => {
                if let Some(leg) = self.legs.get_mut(&leg) {
                    (leg.tone, leg.hears) = (true, None);
                }
                Vec::new()
            }
            Command::Echo { leg } => {
                if let Some(leg) = self.legs.get_mut(&leg) {
                    (leg.tone, leg.hears, leg.echoes) = (false, None, true);
                    (leg.quiet_since, leg.told) = (now, false);
                }
                Vec::new()
            }
            Command::Stop { .. } => Vec::new(),
        }
    }

    fn open(&mut self, now: Duration, leg: LegKey, local: SocketAddr, fails: bool) -> Vec<Event> {
        if !self.used.insert(leg) {
            self.wrongs.push(format!("{leg:?} is used a second time"));
        }
        if self.legs.values().any(|other| other.local == local) {
            self.wrongs
                .push(format!("{local} is opened while it is in use"));
        }
        if self
            .closed
            .get(&local)
            .is_some_and(|at| now < *at + PORT_REST)
        {
            self.wrongs.push(format!("{local} was not left to rest"));
        }
        if fails {
            self.used.remove(&leg);
            return vec![Event::OpenFailed {
                leg,
                reason: "address in use".to_owned(),
            }];
        }
        let fresh = Leg {
            local,
            remote: None,
            peer: None,
            room: Vec::new(),
            held: false,
            quiet_since: now,
            told: false,
            hears: None,
            tone: false,
            echoes: false,
        };
        self.legs.insert(leg, fresh);
        vec![Event::Opened { leg }]
    }

    fn join(&mut self, now: Duration, a: LegKey, b: LegKey) {
        // An order for a leg that is closed meanwhile, or could not be opened, is ignored.
        if !self.legs.contains_key(&a) || !self.legs.contains_key(&b) {
            return;
        }
        self.leave_room(a);
        self.leave_room(b);
        self.note_bridge(now, a, b);
        for (one, other) in [(a, b), (b, a)] {
            if let Some(leg) = self.legs.get_mut(&one) {
                (leg.peer, leg.quiet_since, leg.told) = (Some(other), now, false);
                (leg.tone, leg.hears, leg.echoes) = (false, None, false);
            }
        }
    }

    fn confer(&mut self, now: Duration, three: [LegKey; 3]) {
        if !three.iter().all(|key| self.legs.contains_key(key)) {
            return;
        }
        for one in three {
            self.leave_room(one);
        }
        // The agents belong together because each belongs to the client.
        let [client, first, second] = three;
        self.note_bridge(now, client, first);
        self.note_bridge(now, client, second);
        for one in three {
            let others = three.into_iter().filter(|other| *other != one);
            let others: Vec<LegKey> = others.collect();
            if let Some(leg) = self.legs.get_mut(&one) {
                (leg.peer, leg.quiet_since, leg.told) = (None, now, false);
                (leg.tone, leg.hears) = (false, None);
                leg.room = others;
            }
        }
        let peers = self.legs.values_mut();
        for leg in peers.filter(|leg| leg.peer.is_some_and(|peer| three.contains(&peer))) {
            leg.peer = None;
        }
    }

    fn leave_room(&mut self, key: LegKey) {
        let Some(leg) = self.legs.get_mut(&key) else {
            return;
        };
        for other in std::mem::take(&mut leg.room) {
            if let Some(other) = self.legs.get_mut(&other) {
                other.room.retain(|one| *one != key);
            }
        }
    }

    /// Two legs hear each other as soon as both ends are known: one may be told with the ACK only.
    fn note_bridge(&mut self, at: Duration, a: LegKey, b: LegKey) {
        let remote = |key: LegKey| Some(self.legs.get(&key)?.remote.as_ref()?.rtp);
        if let (Some(a), Some(b)) = (remote(a), remote(b)) {
            self.bridges.push(Bridge { at, a, b });
        }
    }

    fn stop_recording(&mut self, now: Duration, conversation: ConversationKey) -> Vec<Event> {
        let Some(recording) = self.recordings.get_mut(&conversation) else {
            return Vec::new();
        };
        if recording.stopped {
            return Vec::new();
        }
        recording.stopped = true;
        let length_ms = u64::try_from((now - recording.since).as_millis()).unwrap_or(u64::MAX);
        let summary = RecordingSummary {
            file: recording.file.clone(),
            length_ms,
            bytes: 58 + length_ms * 16,
            gaps_ms: 0,
            error: None,
        };
        vec![Event::RecordingClosed {
            conversation,
            summary,
        }]
    }

    fn close(&mut self, now: Duration, key: LegKey) -> Vec<Event> {
        self.leave_room(key);
        let Some(leg) = self.legs.remove(&key) else {
            return Vec::new();
        };
        self.closed.insert(leg.local, now);
        for other in self
            .legs
            .values_mut()
            .filter(|other| other.peer == Some(key))
        {
            other.peer = None;
        }
        vec![Event::Closed {
            leg: key,
            stats: LegStats::default(),
        }]
    }

    /// The recorder has told the exchange of the end.
    pub fn recording_told(&mut self, conversation: ConversationKey) {
        self.recordings.remove(&conversation);
    }

    /// Legs whose sounds are over.
    pub fn played(&mut self, now: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        for (&key, leg) in &mut self.legs {
            if leg.hears.flatten().is_some_and(|end| end <= now) {
                leg.hears = Some(None);
                events.push(Event::Played { leg: key });
            }
        }
        events
    }

    /// Whether sounds, music or a tone go out of this port of ours.
    pub fn sounds_at(&self, local: SocketAddr) -> bool {
        let mut legs = self.legs.values();
        legs.any(|leg| leg.local == local && (leg.tone || leg.hears.is_some()))
    }

    /// The leg at this port of ours.
    pub fn leg_at(&self, local: SocketAddr) -> Option<LegKey> {
        let mut legs = self.legs.iter();
        legs.find_map(|(key, leg)| (leg.local == local).then_some(*key))
    }

    /// Bridged legs, and legs that hear us, that nobody has sent anything to for a minute. `sends` says who sends sound from where.
    pub fn silent(&mut self, now: Duration, sends: impl Fn(SocketAddr) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        for (&key, leg) in &mut self.legs {
            let joined = leg.peer.is_some() || !leg.room.is_empty();
            let busy = joined || leg.hears.is_some() || leg.echoes;
            let Some(remote) = leg.remote.as_ref().filter(|_| busy) else {
                continue;
            };
            if sends(remote.rtp) {
                (leg.quiet_since, leg.told) = (now, false);
            } else if !leg.held && !leg.told && now >= leg.quiet_since + RTP_TIMEOUT {
                leg.told = true;
                events.push(Event::RtpTimeout { leg: key });
            }
        }
        events
    }
}
