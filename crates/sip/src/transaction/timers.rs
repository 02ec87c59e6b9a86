//! The timers of all four machines: one enum, one table, one queue.

use std::collections::BTreeSet;
use std::time::Duration;

use smallvec::SmallVec;

use super::machine::Action;
use super::{ClientKey, ServerKey, Transport};

/// The timers of RFC 3261 table 4 and RFC 6026, and the one that RFC 3261 §13.3.1.4 gives no letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// Repeats an INVITE.
    A,
    /// Ends an INVITE that nobody answers, and one that was cancelled and still gets no final answer (§9.1).
    B,
    /// Cancels an INVITE that got a provisional answer and then nothing more (§16.6 step 11, used here to bound every call).
    C,
    /// How long repetitions of a failure are absorbed by the side that sent the INVITE.
    D,
    /// Repeats a request other than INVITE.
    E,
    /// Ends a request other than INVITE that nobody answers, on the side that receives it too (RFC 4320 §4.2).
    F,
    /// Repeats a failure of an INVITE.
    G,
    /// How long a failure waits for its ACK.
    H,
    /// How long repetitions of that ACK are absorbed.
    I,
    /// How long repetitions of a request other than INVITE are absorbed.
    J,
    /// How long repetitions of an answer to a request other than INVITE are absorbed, and how long a withdrawn INVITE's last
    /// copy may be on its way.
    K,
    /// How long an accepted INVITE is remembered by the side that accepted it (RFC 6026 §7.1).
    L,
    /// How long further 2xx are expected by the side that sent the INVITE (RFC 6026 §7.2).
    M,
    /// Repeats a 2xx to INVITE until its ACK is there (§13.3.1.4).
    Answer,
}

impl Timer {
    /// Whether it sends something again and starts anew.
    fn repeats(self) -> bool {
        matches!(self, Self::A | Self::E | Self::G | Self::Answer)
    }
}

/// The values behind the timers. Everything derives from these five.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerTable {
    /// Estimate of the round-trip time; less than a millisecond is taken as one.
    pub t1: Duration,
    /// Longest interval between two repetitions.
    pub t2: Duration,
    /// How long a message stays in the network.
    pub t4: Duration,
    /// Timer D of an unreliable transport, at least 32 s.
    pub d: Duration,
    /// Timer C, more than 3 minutes.
    pub c: Duration,
}

impl Default for TimerTable {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            d: Duration::from_secs(32),
            c: Duration::from_secs(200),
        }
    }
}

impl TimerTable {
    /// The first value of a timer (RFC 3261 table 4, RFC 6026 §8.1); `None` when the transport needs no such timer.
    pub fn value(&self, timer: Timer, transport: Transport) -> Option<Duration> {
        let reliable = transport.reliable();
        let t1 = self.t1.max(Duration::from_millis(1));
        let unless_reliable = |value: Duration| if reliable { Duration::ZERO } else { value };
        match timer {
            Timer::A | Timer::E | Timer::G => (!reliable).then_some(t1),
            // A 2xx is repeated over every transport: a proxy may have carried it over UDP on its way (§13.3.1.4).
            Timer::Answer => Some(t1),
            Timer::B | Timer::F | Timer::H | Timer::L | Timer::M => Some(t1.saturating_mul(64)),
            Timer::C => Some(self.c),
            Timer::D => Some(unless_reliable(self.d)),
            Timer::I | Timer::K => Some(unless_reliable(self.t4)),
            Timer::J => Some(unless_reliable(t1.saturating_mul(64))),
        }
    }

    /// The interval that follows one of a repeating timer: twice as long, up to T2; timer A has no such limit (§17.1.1.2).
    pub fn next(&self, timer: Timer, interval: Duration) -> Duration {
        let doubled = interval.saturating_mul(2);
        if timer == Timer::A {
            doubled
        } else {
            doubled.min(self.slowest())
        }
    }

    /// T2, and never less than T1.
    pub(super) fn slowest(&self) -> Duration {
        self.t2.max(self.t1).max(Duration::from_millis(1))
    }
}

/// Whose timer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Client(ClientKey),
    Server(ServerKey),
}

/// The running timers of one transaction.
#[derive(Debug, Default)]
pub(super) struct Running {
    deadlines: SmallVec<[(Timer, Duration); 2]>,
    /// Of the repeating timer. A transaction has one at a time.
    interval: Duration,
}

/// All running timers by deadline. An entry is here exactly while its transaction lists it.
#[derive(Debug, Default)]
pub(super) struct TimerQueue {
    due: BTreeSet<(Duration, Owner, Timer)>,
}

impl TimerQueue {
    /// Carries out an action that is about a timer.
    pub(super) fn act(
        &mut self,
        table: &TimerTable,
        now: Duration,
        owner: Owner,
        transport: Transport,
        running: &mut Running,
        action: Action,
    ) {
        let (timer, wait) = match action {
            Action::Start(timer) => (timer, table.value(timer, transport)),
            Action::Lengthen(timer) => (timer, Some(table.next(timer, running.interval))),
            Action::Slow(timer) => (timer, Some(table.slowest())),
            Action::Stop(timer) => (timer, None),
            _ => return,
        };
        self.stop(owner, running, timer);
        let Some(wait) = wait else { return };
        if timer.repeats() {
            running.interval = wait;
        }
        let deadline = now.saturating_add(wait);
        running.deadlines.push((timer, deadline));
        self.due.insert((deadline, owner, timer));
    }

    pub(super) fn stop(&mut self, owner: Owner, running: &mut Running, timer: Timer) {
        if let Some(at) = running
            .deadlines
            .iter()
            .position(|(other, _)| *other == timer)
        {
            let (_, deadline) = running.deadlines.swap_remove(at);
            self.due.remove(&(deadline, owner, timer));
        }
    }

    pub(super) fn stop_all(&mut self, owner: Owner, running: &mut Running) {
        for (timer, deadline) in running.deadlines.drain(..) {
            self.due.remove(&(deadline, owner, timer));
        }
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.due.first().map(|(deadline, ..)| *deadline)
    }

    /// The next timer whose time has come; it stays listed until its transaction stops or restarts it.
    pub(super) fn due(&self, now: Duration) -> Option<(Owner, Timer)> {
        self.due
            .first()
            .filter(|(deadline, ..)| *deadline <= now)
            .map(|(_, owner, timer)| (*owner, *timer))
    }

    pub(super) fn len(&self) -> usize {
        self.due.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_table_4() {
        let table = TimerTable::default();
        let seconds = |timer, transport| {
            table
                .value(timer, transport)
                .map(|value| value.as_secs_f64())
        };
        let rows = [
            (Timer::A, Some(0.5), None),
            (Timer::B, Some(32.0), Some(32.0)),
            (Timer::D, Some(32.0), Some(0.0)),
            (Timer::E, Some(0.5), None),
            (Timer::F, Some(32.0), Some(32.0)),
            (Timer::G, Some(0.5), None),
            (Timer::H, Some(32.0), Some(32.0)),
            (Timer::I, Some(5.0), Some(0.0)),
            (Timer::J, Some(32.0), Some(0.0)),
            (Timer::K, Some(5.0), Some(0.0)),
            (Timer::L, Some(32.0), Some(32.0)),
            (Timer::M, Some(32.0), Some(32.0)),
            (Timer::Answer, Some(0.5), Some(0.5)),
        ];
        for (timer, udp, tcp) in rows {
            assert_eq!(seconds(timer, Transport::Udp), udp, "{timer:?} over UDP");
            assert_eq!(seconds(timer, Transport::Tcp), tcp, "{timer:?} over TCP");
        }
        assert!(table.c > Duration::from_secs(180));
    }

    #[test]
    fn intervals_double_up_to_t2_except_for_timer_a() {
        let table = TimerTable::default();
        let walk = |timer| {
            let mut interval = table.t1;
            (0..5)
                .map(|_| {
                    interval = table.next(timer, interval);
                    interval.as_secs()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(walk(Timer::E), [1, 2, 4, 4, 4]);
        assert_eq!(walk(Timer::A), [1, 2, 4, 8, 16]);
    }
}
