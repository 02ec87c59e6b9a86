//! What a simulation is like, and everything that is fixed before its first moment.

use std::time::Duration;

use call::Command;
use model::UserId;

use super::{
    caller::Intent,
    centre::{Centre, Dialled, Happening},
    chance::Chance,
    company::{Size, short_number},
    mood::Timer,
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
    /// Calls that agents begin by themselves, within the same time.
    pub dials: usize,
    /// The network until it is healed.
    pub network: Network,
    /// The world until it is healed.
    pub troubles: Troubles,
    /// How often the process is killed and started again before the healing.
    pub restarts: usize,
    /// Agents go away and come back, and have wrap-up times.
    pub moods: bool,
    /// The session timer that the exchange asks for.
    pub session_expires_secs: u32,
    /// How long a client stays parked.
    pub parked_for: Duration,
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
            dials: 0,
            network: Network::healthy(),
            troubles: Troubles::none(),
            restarts: 0,
            moods: false,
            session_expires_secs: 1_800,
            parked_for: Duration::from_secs(120),
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
            dials: usize::try_from(chance.below(12)).unwrap_or(0),
            network: if chance.permille(250) {
                Network::healthy()
            } else {
                Network::drawn(chance)
            },
            troubles,
            restarts,
            moods: true,
            session_expires_secs: *chance.pick(&[0, 90, 90, 1_800]),
            parked_for: chance.millis(10_000, 40_000),
        }
    }
}

impl Centre {
    /// From a telephone to a client or a colleague, or by an order of the workspace.
    fn let_an_agent_call(&mut self, at: Duration, client: usize, agents: usize) {
        let mut anybody = || usize::try_from(self.chance.below(agents as u64)).unwrap_or(0);
        let (agent, colleague) = (anybody(), anybody());
        let dialled = match self.chance.below(10) {
            0..3 => {
                self.order(at, agent, client);
                return;
            }
            3 => {
                let intent = Intent::drawn(&mut self.chance);
                self.dial_number(at, agent, "*43", intent);
                return;
            }
            4..6 => Dialled::Colleague(colleague),
            _ => Dialled::Client(client),
        };
        let intent = Intent::drawn(&mut self.chance);
        self.dial(at, agent, dialled, intent);
    }

    /// Lays out who dials when, who goes away, when the process is killed and when the faults end.
    pub(super) fn plan(&mut self, setup: &Setup, users: &[UserId]) {
        // Every way is in every story.
        for (place, phone) in self.phones.values_mut().enumerate() {
            phone.habits.holds_by_update = place % 2 == 1;
            phone.habits.resumes_without_offer = place % 3 == 1;
            phone.habits.updates = place % 4 < 2;
            phone.habits.rings_reliably = phone.is_gateway && setup.moods && place % 2 == 0;
            phone.habits.timer = match place % 5 {
                0 => Timer::Unknown,
                1 => Timer::Forgets,
                2 => Timer::Refreshes,
                _ => Timer::Known,
            };
            // A telephone that is told anew rings unstored, and a crash would leave it ringing.
            if phone.is_gateway && setup.moods {
                phone.habits.least_expires = Some(120);
            }
        }
        let agents = setup.size.agents as u64;
        for phone in self.phones.values_mut() {
            let mut anybody = || usize::try_from(self.chance.below(agents)).unwrap_or(0);
            phone
                .colleagues
                .extend((0..8).map(|_| short_number(anybody())));
        }
        let (callers, span) = setup.callers;
        let begin = Duration::from_secs(3);
        for _ in 0..callers {
            let at = begin + self.chance.between(Duration::ZERO, span);
            let line = usize::try_from(self.chance.below(setup.size.lines as u64)).unwrap_or(0);
            let intent = Intent::drawn(&mut self.chance);
            self.place(at, line, intent);
        }
        for client in 0..setup.dials {
            let at = begin + self.chance.between(Duration::ZERO, span);
            self.let_an_agent_call(at, client, setup.size.agents);
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
        self.lay_hands(setup);
        if callers > 0 {
            self.at(begin + span + Duration::from_secs(25), Happening::Heal);
        }
    }
}
