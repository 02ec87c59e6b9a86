//! The course of a simulation: silence and sound every second, death and rebirth of the process, healing, quiet.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use model::Now;
use switch::{Input, Settings, Switch};

use super::{
    centre::{Centre, Happening},
    company::exchange,
    invariants::belong_together,
    network::Network,
    phone::Phone,
};

impl Centre {
    pub(super) fn second(&mut self) {
        self.later(Duration::from_secs(1), Happening::Second);
        let callers = self.callers.values().filter(|caller| caller.sends());
        let mut sending: BTreeSet<SocketAddr> = callers.map(|caller| caller.media).collect();
        sending.extend(self.phones.values().flat_map(Phone::sending));
        for event in self
            .plane
            .silent(self.now, |media| sending.contains(&media))
        {
            self.input(Input::Media(event));
        }
        for event in self.plane.played(self.now) {
            self.input(Input::Media(event));
        }
        if self
            .healed_at
            .is_some_and(|at| self.now > at + Duration::from_secs(2))
        {
            self.listen();
        }
    }

    /// In a conversation without faults the client hears the agent who was given the call.
    pub(super) fn listen(&mut self) {
        let mut deaf = BTreeSet::new();
        for (address, caller) in &self.callers {
            let fresh = caller
                .answered_at
                .zip(self.healed_at)
                .is_some_and(|(at, healed)| at > healed && self.now > at + Duration::from_secs(1));
            let Some(talk) = caller
                .talk
                .as_ref()
                .filter(|talk| fresh && !talk.over && caller.sends())
            else {
                continue;
            };
            let ours = talk.remote_media;
            if ours.is_some_and(|ours| self.plane.sounds_at(ours)) {
                continue;
            }
            let heard = talk.remote_media.and_then(|ours| self.plane.heard_at(ours));
            let hears = |far| belong_together(self, (caller.media, far), self.now);
            if !heard.is_some_and(hears) {
                deaf.insert(*address);
            }
        }
        self.deaf.retain(|address, _| deaf.contains(address));
        for address in deaf {
            let seconds = self.deaf.entry(address).or_default();
            *seconds += 1;
            if *seconds == 2 {
                self.wrongs.push(format!(
                    "at {:?} {address} is in a conversation and hears nobody",
                    self.now
                ));
            }
        }
    }

    pub(super) fn die(&mut self) {
        if self.switch.take().is_none() {
            return;
        }
        if self.talkative {
            println!("{:>10.4} --- killed ---", self.now.as_secs_f64());
        }
        // Entries that were on their way to the disk may have reached it.
        let reach = self.chance.below(4);
        let life = self.life;
        let commits = self.queue.values().filter_map(|happening| match happening {
            Happening::Effect(of, request) if *of == life => match &request.effect {
                call::Effect::Commit { events } => Some(events.clone()),
                _ => None,
            },
            _ => None,
        });
        let reached: Vec<_> = commits
            .take(usize::try_from(reach).unwrap_or(0))
            .flatten()
            .collect();
        self.world.store(self.utc(), &reached);
        self.world.process_died();
        self.plane.reset();
        self.wake = None;
        self.life += 1;
        let down = self.chance.millis(50, 3_000);
        self.later(down, Happening::Boot);
    }

    pub(super) fn boot(&mut self) {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.chance.draw().to_le_bytes());
        self.born = self.now;
        let now = Now {
            mono: Duration::ZERO,
            utc: self.utc(),
        };
        let settings = Settings {
            session_expires_secs: self.session_expires_secs,
            parked_for: self.parked_for,
            ..Settings::default()
        };
        self.switch = Some(Switch::new(settings, seed, now));
        self.input(Input::Listening(vec![exchange()]));
        self.input(Input::Directory(Arc::clone(&self.directory)));
        let bindings = self.world.bindings.values().flatten().cloned().collect();
        self.input(Input::Bindings(bindings));
        let open = self.world.open_calls(now.utc);
        if !open.is_empty() {
            self.input(Input::Recover(open));
        }
    }

    /// The administrator changes settings.
    pub fn change_directory(&mut self, change: impl FnOnce(&mut model::Directory)) {
        change(Arc::make_mut(&mut self.directory));
        self.input(Input::Directory(Arc::clone(&self.directory)));
    }

    pub(super) fn heal(&mut self) {
        self.healed_at = Some(self.now);
        self.network = Network::healthy();
        for request in self.world.heal() {
            self.at(self.now, Happening::Effect(self.life, request));
        }
        if self.talkative {
            println!("{:>10.4} --- healed ---", self.now.as_secs_f64());
        }
    }

    /// Faults first, then healed until quiet.
    pub fn run_until_quiet(&mut self) {
        if self.healed_at.is_none() {
            let healed = self
                .queue
                .values()
                .any(|happening| matches!(happening, Happening::Heal));
            if healed {
                let within = self.now + Duration::from_secs(3_600);
                self.run(within, |centre| centre.healed_at.is_some());
            } else {
                self.heal();
            }
        }
        let patience = self.now + Duration::from_secs(900);
        self.run(patience, |centre| {
            centre.resources().calls == 0
                && centre
                    .callers
                    .values()
                    .all(|caller| caller.outcome.is_some())
        });
        for phone in self.phones.values_mut() {
            phone.retired = true;
        }
        // Every timer of RFC 3261, the wrap-up times and the last registrations run out.
        let end = self.now + Duration::from_secs(240);
        self.run(end, |_| false);
        // Trunks by which calls leave are asked for as long as there are any.
        self.change_directory(|directory| {
            for trunk in &mut directory.trunks {
                trunk.outbound = None;
            }
        });
        self.run(end + Duration::from_secs(40), |_| false);
    }
}
