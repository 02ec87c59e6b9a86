//! What a simulation is like, and everything that is fixed before its first moment.

use std::time::Duration;

use call::Command;
use model::UserId;

use super::{
    caller::Intent,
    centre::{Centre, Happening},
    chance::Chance,
    company::Size,
    network::Network,
    world::{Store, Troubles},
};

/// What a simulation is like.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Agents, telephones, lines.
    pub size: Size,
    /// Callers who dial by themselves, and within which time.
    pub callers: (usize, Duration),
    /// The network until it is healed.
    pub network: Network,
    /// The world until it is healed.
    pub troubles: Troubles,
    /// How often the process is killed and started again before the healing.
    pub restarts: usize,
    /// Agents go away and come back, and have wrap-up times.
    pub moods: bool,
}

impl Setup {
    /// Nothing goes wrong, nobody calls by themselves.
    pub fn calm(agents: usize, devices: usize) -> Self {
        Self {
            size: Size {
                agents,
                devices: (devices, devices),
                lines: 1,
            },
            callers: (0, Duration::ZERO),
            network: Network::healthy(),
            troubles: Troubles::none(),
            restarts: 0,
            moods: false,
        }
    }

    /// Everything may go wrong.
    pub fn drawn(chance: &mut Chance) -> Self {
        let agents = 2 + usize::try_from(chance.below(6)).unwrap_or(0);
        let callers = 8 + usize::try_from(chance.below(25)).unwrap_or(0);
        let mut troubles = if chance.permille(250) {
            Troubles::none()
        } else {
            Troubles::drawn(chance)
        };
        let restarts = match chance.below(10) {
            0 => 2,
            1 | 2 => 1,
            _ => 0,
        };
        if restarts > 0 {
            // What recovery needs is in the store before an INVITE leaves; without a store nobody could know it.
            troubles.store = Store::Fast;
        }
        Self {
            size: Size {
                agents,
                devices: (1, 2),
                lines: 2,
            },
            callers: (callers, chance.millis(20_000, 120_000)),
            network: if chance.permille(250) {
                Network::healthy()
            } else {
                Network::drawn(chance)
            },
            troubles,
            restarts,
            moods: true,
        }
    }
}

impl Centre {
    /// Lays out who dials when, who goes away, when the process is killed and when the faults end.
    pub(super) fn plan(&mut self, setup: &Setup, users: &[UserId]) {
        // Every other telephone, so that both ways are in every story.
        for (place, phone) in self.phones.values_mut().enumerate() {
            phone.holds_by_update = place % 2 == 1;
        }
        let (callers, span) = setup.callers;
        let begin = Duration::from_secs(3);
        for _ in 0..callers {
            let at = begin + self.chance.between(Duration::ZERO, span);
            let line = usize::try_from(self.chance.below(setup.size.lines as u64)).unwrap_or(0);
            let intent = Intent::drawn(&mut self.chance);
            self.place(at, line, intent);
        }
        for _ in 0..setup.restarts {
            let at = begin
                + self
                    .chance
                    .between(Duration::ZERO, span + Duration::from_secs(20));
            self.at(at, Happening::Kill);
        }
        if setup.moods {
            for _ in 0..self.chance.below(8) {
                let agent = *self.chance.pick(users);
                let at = begin + self.chance.between(Duration::ZERO, span);
                let back = at + self.chance.millis(1_000, 40_000);
                self.at(
                    at,
                    Happening::Command(Command::SetAway { agent, away: true }),
                );
                self.at(
                    back,
                    Happening::Command(Command::SetAway { agent, away: false }),
                );
                self.at(back, Happening::Command(Command::EndWrapUp { agent }));
            }
        }
        if callers > 0 {
            self.at(begin + span + Duration::from_secs(25), Happening::Heal);
        }
    }
}
