//! The orders of the switch, carried out on the thread that owns the legs.

use std::{net::IpAddr, sync::Arc};

use media::{
    AfterSounds, Command, ConversationKey, Event, LegKey, RecordingSummary, sound::SoundPlayer,
    tone::ToneGenerator,
};
use rustix::event::epoll;

use super::{
    leg::{Leg, Program},
    order::{Order, Travelling},
    source,
    thread::RtpThread,
};

impl RtpThread {
    /// Carries out what is queued. False: the thread shall end.
    pub(super) fn take_orders(&mut self) -> bool {
        while let Ok(travelling) = self.neighbours.arrivals.try_recv() {
            self.arrived.push(travelling);
        }
        loop {
            if let Some(key) = self.awaited {
                let Some(position) = self.arrived.iter().position(|leg| leg.key == key) else {
                    return true;
                };
                self.awaited = None;
                if let Some(leg) = self.arrived.swap_remove(position).leg {
                    self.adopt(leg);
                }
            }
            match self.orders.pop() {
                Ok(Order::Plane(command)) => self.obey(command),
                Ok(Order::Release { leg, to }) => self.release(leg, to),
                Ok(Order::Await { leg }) => self.awaited = Some(leg),
                Ok(Order::Exit) => return false,
                Err(_) => return true,
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open {
                leg,
                local_ip,
                port,
            } => self.open(leg, local_ip, port),
            Command::SetRemote { leg, remote } => self.with_leg(leg, |thread, leg| {
                if let Err(error) = leg.expect(remote, thread.now) {
                    tracing::warn!(leg = leg.key.0, %error, "a media socket cannot be turned to its new far end");
                }
            }),
            Command::Join {
                a,
                b,
                conversation: _,
            } => self.join(a, b),
            Command::Confer {
                client,
                agents,
                conversation,
            } => self.confer(client, agents, conversation),
            Command::Play { leg, tone } => self.with_leg(leg, |thread, leg| {
                let program = Program::Tone(ToneGenerator::new(tone));
                leg.hear(Some(program), thread.now);
            }),
            Command::PlaySounds { leg, sounds, then } => self.play(leg, &sounds, then),
            Command::Echo { leg } => {
                if let Some(slot) = self.legs.slot(leg) {
                    self.part(slot);
                }
                self.with_leg(leg, |thread, leg| leg.begin_echo(thread.now));
            }
            Command::Stop { leg } => self.with_leg(leg, |thread, leg| {
                leg.hear(None, thread.now);
            }),
            Command::Hold { leg, held } => self.hold(leg, held),
            Command::StartRecording {
                conversation,
                client,
                agent,
                file,
                law,
            } => {
                let clients = self.legs.slot(client);
                let agents = agent.and_then(|agent| self.legs.slot(agent));
                if clients.is_none() && agents.is_none() {
                    self.refuse_recording(conversation, file);
                    return;
                }
                let places =
                    self.taps
                        .start(conversation, file, law, self.now, &mut self.events);
                for (slot, place) in [clients, agents].into_iter().zip(places.into_iter().flatten())
                {
                    if let Some(leg) = slot.and_then(|slot| self.legs.at(slot)) {
                        leg.tap = Some(place);
                    }
                }
            }
            Command::PassRecording {
                conversation,
                agent,
            } => self.with_leg(agent, |thread, leg| {
                leg.tap = thread.taps.right_of(conversation).or(leg.tap);
            }),
            Command::PauseRecording {
                conversation,
                paused,
            } => self.taps.pause(conversation, paused),
            Command::StopRecording { conversation } => {
                self.taps
                    .stop(conversation, &mut self.events, &mut self.counted);
            }
            Command::Close { leg } => self.close(leg),
        }
    }

    fn refuse_recording(&mut self, conversation: ConversationKey, file: String) {
        self.events.send(Event::RecordingClosed {
            conversation,
            summary: RecordingSummary {
                file,
                error: Some("neither leg of the conversation is open".into()),
                ..RecordingSummary::default()
            },
        });
    }

    fn open(&mut self, key: LegKey, local_ip: IpAddr, port: u16) {
        let music = self.library.music().clone();
        let opened = source::bind_pair(local_ip, port).and_then(|(rtp, rtcp)| {
            let slot = self
                .legs
                .insert(Box::new(Leg::new(key, rtp, rtcp, music, self.now)));
            self.watch(slot).inspect_err(|_| {
                self.legs.remove(key);
            })
        });
        match opened {
            Ok(()) => self.events.send(Event::Opened { leg: key }),
            Err(error) => {
                // Full only if thousands failed since the last order; the router then keeps a dead entry.
                let _ = self.failed_opens.try_send(key);
                self.events.send(Event::OpenFailed {
                    leg: key,
                    reason: format!("port {port} of {local_ip}: {error}"),
                });
            }
        }
    }

    fn watch(&mut self, slot: u32) -> std::io::Result<()> {
        if let Some(leg) = self.legs.at(slot) {
            for (fd, bit) in [(leg.socket.fd(), 0), (&leg.rtcp, 1)] {
                let token = epoll::EventData::new_u64(u64::from(slot) << 1 | bit);
                epoll::add(&self.epoll, fd, token, epoll::EventFlags::IN)?;
            }
        }
        Ok(())
    }

    fn with_leg(&mut self, key: LegKey, change: impl FnOnce(&mut Self, &mut Leg)) {
        let Some(slot) = self.legs.slot(key) else {
            return;
        };
        if let Some(mut leg) = self.legs.take(slot) {
            change(self, &mut leg);
            self.legs.restore(slot, leg);
        }
        self.update_wheel(slot);
    }

    fn play(&mut self, key: LegKey, sounds: &[Arc<str>], then: AfterSounds) {
        for sound in sounds {
            if self.library.get(sound).is_none() {
                tracing::warn!(leg = key.0, %sound, "a sound of this name is not there and is passed over");
            }
        }
        self.with_leg(key, |thread, leg| {
            let player = SoundPlayer::new(&thread.library, sounds, then);
            leg.hear(Some(Program::Sounds(player)), thread.now);
        });
    }

    fn join(&mut self, a: LegKey, b: LegKey) {
        let (Some(slot_a), Some(slot_b)) = (self.legs.slot(a), self.legs.slot(b)) else {
            return;
        };
        if slot_a == slot_b {
            return;
        }
        self.part(slot_a);
        self.part(slot_b);
        for (slot, peer) in [(slot_a, slot_b), (slot_b, slot_a)] {
            if let Some(leg) = self.legs.at(slot) {
                leg.peer = Some(peer);
                leg.hear(None, self.now);
                leg.out.change_source();
                leg.restart_timeout(self.now);
            }
        }
        self.update_wheel(slot_a);
        self.update_wheel(slot_b);
    }

    /// Ends the bridge of a leg, or its part in a conference, if it is in one.
    pub(super) fn part(&mut self, slot: u32) {
        self.leave_room(slot);
        let Some(peer) = self.legs.at(slot).and_then(|leg| leg.peer.take()) else {
            return;
        };
        if let Some(peer) = self.legs.at(peer) {
            peer.peer = None;
        }
        self.update_wheel(slot);
        self.update_wheel(peer);
    }

    fn hold(&mut self, key: LegKey, held: bool) {
        let mut peer = None;
        self.with_leg(key, |thread, leg| {
            leg.held = held;
            leg.restart_timeout(thread.now);
            peer = leg.peer;
        });
        if let Some(peer) = peer {
            self.update_wheel(peer);
        }
    }

    /// A leg is on the wheel while it hears a tone or sounds, or music because its peer holds.
    pub(super) fn update_wheel(&mut self, slot: u32) {
        let peer = self.legs.at(slot).and_then(|leg| leg.peer);
        let peer_holds = peer
            .and_then(|peer| self.legs.at(peer))
            .is_some_and(|peer| peer.held);
        let Some(leg) = self.legs.at(slot) else {
            return;
        };
        let wanted = leg.hears_program() || peer_holds;
        match (wanted, leg.bucket) {
            (true, None) => leg.bucket = Some(self.wheel.insert(slot, self.now)),
            (false, Some(bucket)) => {
                leg.end_own_frames();
                self.wheel.remove(slot, bucket);
            }
            _ => {}
        }
    }

    /// Takes a leg out of this thread: bridge, wheel, recording and epoll.
    fn detach(&mut self, key: LegKey) -> Option<Box<Leg>> {
        let slot = self.legs.slot(key)?;
        self.part(slot);
        let mut leg = self.legs.remove(key)?;
        if let Some(bucket) = leg.bucket.take() {
            self.wheel.remove(slot, bucket);
        }
        leg.tap = None;
        // It fails only for a descriptor that is not there, and then there is nothing to take out.
        let _ = epoll::delete(&self.epoll, leg.socket.fd());
        let _ = epoll::delete(&self.epoll, &leg.rtcp);
        Some(leg)
    }

    fn close(&mut self, key: LegKey) {
        if let Some(leg) = self.detach(key) {
            self.counted.unreachable += leg.socket.unreachable;
            let stats = leg.stats();
            // Who hears that a leg is closed may count on its ports.
            drop(leg);
            self.events.send(Event::Closed { leg: key, stats });
        }
    }

    fn release(&mut self, key: LegKey, to: usize) {
        let leg = self.detach(key);
        self.departing.push((to, Travelling { key, leg }));
        self.depart();
    }

    /// Sends legs on their way. If the other thread's door is full, they wait for the next round.
    pub(super) fn depart(&mut self) {
        let neighbours = &self.neighbours;
        let mut waiting = Vec::new();
        for (to, travelling) in self.departing.drain(..) {
            let Some((door, wake)) = neighbours.departures.get(to) else {
                continue;
            };
            match door.try_send(travelling) {
                Ok(()) => wake.notify(),
                Err(error) => waiting.push((to, error.into_inner())),
            }
        }
        self.departing = waiting;
    }

    fn adopt(&mut self, mut leg: Box<Leg>) {
        leg.restart_timeout(self.now);
        let (key, pressed) = (leg.key, leg.watch_keys_until.is_some());
        let slot = self.legs.insert(leg);
        if let Err(error) = self.watch(slot) {
            tracing::error!(leg = key.0, %error, "a leg that changed its media thread cannot be watched");
        }
        if pressed {
            self.pressed.push(slot);
        }
        self.update_wheel(slot);
    }
}
