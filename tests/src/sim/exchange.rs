//! The exchange and what it wants: datagrams on the network, media orders, effects, notices.

use std::net::SocketAddr;

use call::{EffectRequest, Notice};
use model::{Now, Utc};
use switch::{Input, Output};

use super::{
    centre::{Centre, DAWN, Happening},
    message::Message,
    wire::Record,
    world::Fate,
};

impl Centre {
    pub(super) fn record(&mut self, incoming: bool, party: SocketAddr, bytes: &[u8]) {
        if let Some(message) = Message::parse(bytes) {
            let record = Record {
                at: self.now,
                incoming,
                party,
                life: self.life,
                message,
            };
            if self.talkative {
                println!("{record}");
            }
            self.wire.push(record);
        }
    }

    /// The present by the wall clock.
    pub fn utc(&self) -> Utc {
        DAWN + self.now
    }

    pub(super) fn input(&mut self, input: Input) {
        let now = Now {
            mono: self.now - self.born,
            utc: self.utc(),
        };
        let Some(mut switch) = self.switch.take() else {
            return;
        };
        switch.handle(now, input);
        loop {
            match switch.poll() {
                Output::Send { path, bytes } => {
                    if !self.connections.is_open(&path) {
                        self.nobody_there(path);
                        continue;
                    }
                    self.record(false, path.remote, &bytes);
                    for delay in self.network.carry(&mut self.chance) {
                        self.later(delay, Happening::ToParty(path.remote, bytes.clone()));
                    }
                }
                Output::Media(command) => self.media(command),
                Output::Effect(request) => self.effect(request),
                Output::Notice(notice) => self.notice(notice),
                Output::Names(names) => self.names.wanted = names,
                Output::WakeAt { at, .. } => {
                    self.wake = at.map(|at| at + self.born);
                    break;
                }
            }
        }
        self.switch = Some(switch);
    }

    pub(super) fn media(&mut self, command: media::plane::Command) {
        if self.talkative {
            println!("{:>10.4} media {command:?}", self.now.as_secs_f64());
        }
        let fails = self.chance.permille(self.world.troubles.taken_ports);
        for event in self.plane.order(self.now, command, fails) {
            let delay = self.chance.millis(0, 3);
            self.later(delay, Happening::Media(self.life, event));
        }
    }

    pub(super) fn effect(&mut self, request: EffectRequest) {
        let fate = self.world.begin(self.now, &request);
        if self.talkative {
            let what = match &request.effect {
                call::Effect::Commit { events } => events
                    .iter()
                    .map(|event| event.kind.name())
                    .collect::<Vec<_>>()
                    .join(", "),
                other => format!("{other:?}"),
            };
            let (at, id) = (self.now.as_secs_f64(), request.id);
            println!(
                "{at:>10.4} effect {}/{} {what}: {fate:?}",
                id.call, id.number
            );
        }
        if let Fate::DoneAt(at) = fate {
            self.at(at, Happening::Effect(self.life, request));
        }
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Agent(changed) => {
                self.states.push(changed);
                self.agents.insert(changed.agent, changed);
            }
            Notice::Bindings { device, bindings } => {
                self.world.bindings.insert(device, bindings);
            }
            Notice::Refused(refusal) => {
                if self.talkative {
                    println!("{:>10.4} {refusal:?}", self.now.as_secs_f64());
                }
            }
            Notice::Ordered { order, outcome } => {
                self.ordered.insert(order, outcome);
            }
            Notice::Controlled { order, outcome } => {
                self.controlled.insert(order, outcome);
            }
            Notice::Trunk { trunk, state, .. } => {
                let codes = self.trunks.entry(trunk).or_default();
                codes.extend(state.map(|state| (self.now, state)));
            }
            Notice::Drained => {}
        }
    }
}
