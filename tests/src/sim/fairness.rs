//! What callers in a queue may expect, read from the journal: nobody waits while a qualified agent is idle, and those
//! of one line are served in the order of their class and of their coming.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use call::EventKind;
use model::{
    AgentState, CallId, CallerIdentity, Destination, Flag, LineId, Priority, Rule, UserId, Utc,
};

use super::centre::{Centre, DAWN};

/// Facts are as old as the commit that they wait for, and telephones take a moment.
const MARGIN: Duration = Duration::from_secs(2);
/// An agent who did not take a caller rests from that caller.
const REST: Duration = Duration::from_secs(32);
/// The last words to a caller take so long at most.
const FAREWELL: Duration = Duration::from_secs(22);

/// The stay of one caller in a queue.
#[derive(Debug)]
struct Stay {
    line: LineId,
    /// In the queue since then; before that the call was offered at once.
    from: Option<Utc>,
    to: Option<Utc>,
    priority: Priority,
    /// Offers: to whom, from when till when.
    offers: Vec<(UserId, Utc, Option<Utc>, Rule)>,
}

impl Stay {
    fn waits_at(&self, at: Utc) -> bool {
        let begun = self.from.is_some_and(|from| from + MARGIN < at);
        let asked = self
            .offers
            .iter()
            .any(|(_, from, to, _)| *from < at + MARGIN && to.is_none_or(|to| at < to + MARGIN));
        begun && !asked && self.to.is_none_or(|to| at + FAREWELL < to)
    }

    fn rests(&self, agent: UserId, at: Utc) -> bool {
        let mut offers = self.offers.iter();
        offers.any(|(whom, _, to, _)| *whom == agent && to.is_none_or(|to| at < to + REST))
    }
}

fn stays(centre: &Centre) -> BTreeMap<CallId, Stay> {
    let mut stays: BTreeMap<CallId, Stay> = BTreeMap::new();
    for event in &centre.world.journal {
        if let EventKind::Arrived { line, .. } = &event.kind {
            let stay = Stay {
                line: *line,
                from: None,
                to: None,
                priority: Priority::Usual,
                offers: Vec::new(),
            };
            stays.insert(event.call, stay);
        }
        let Some(stay) = stays.get_mut(&event.call) else {
            continue;
        };
        match &event.kind {
            EventKind::Queued { priority, .. } => {
                (stay.from, stay.priority) = (Some(event.at), *priority);
            }
            EventKind::Offered { agent, rule, .. } => {
                stay.offers.push((*agent, event.at, None, *rule));
            }
            EventKind::OfferEnded { agent, .. } => {
                let mut offers = stay.offers.iter_mut();
                if let Some(offer) = offers.find(|it| it.0 == *agent && it.2.is_none()) {
                    offer.2 = Some(event.at);
                }
            }
            EventKind::Received {
                instead: Some(line),
                ..
            }
            | EventKind::MenuChosen {
                to: Destination::Line(line),
                ..
            } => stay.line = *line,
            EventKind::MessageStarted { .. }
            | EventKind::ConversationStarted { .. }
            | EventKind::Ended { .. } => {
                stay.to.get_or_insert(event.at);
            }
            // The class may have become known only now.
            EventKind::Identified { caller } => {
                stay.priority = class(caller);
                stay.from = stay.from.map(|_| event.at);
            }
            _ => {}
        }
    }
    stays
}

/// The class of a caller: what is known of the person decides (R7).
fn class(caller: &CallerIdentity) -> Priority {
    let flags = || caller.matches.iter().flat_map(|it| it.flags.iter());
    if flags().any(|flag| *flag == Flag::Undesirable) {
        Priority::Last
    } else if flags().any(|flag| [Flag::Vip, Flag::Core].contains(flag)) {
        Priority::First
    } else {
        Priority::Usual
    }
}

/// Just before or after.
fn within(at: Utc, when: Utc) -> bool {
    when < at + MARGIN && at < when + MARGIN
}

/// Who serves which line.
fn serving(centre: &Centre) -> BTreeSet<(UserId, LineId)> {
    let skills = centre.directory.skills.iter();
    let skills = skills.filter(|skill| skill.level > 0);
    skills.map(|skill| (skill.user, skill.line)).collect()
}

/// Callers who waited although an agent of the line had been idle for a while, once the faults were over.
pub(super) fn waited_in_vain(centre: &Centre) -> Vec<String> {
    let Some(healed) = centre.healed_at else {
        return Vec::new();
    };
    let (idle, serving) = (idle_times(centre), serving(centre));
    let mut found = Vec::new();
    for (call, stay) in &stays(centre) {
        let Some(from) = stay.from else { continue };
        let to = stay.to.unwrap_or_else(|| centre.utc());
        let mut at = from.max(DAWN + healed) + MARGIN;
        while at < to {
            let may = |agent| serving.contains(&(agent, stay.line)) && !stay.rests(agent, at);
            let free = idle.iter().filter(|(_, times)| is_idle(times, at));
            let passed = free.map(|(agent, _)| *agent).find(|agent| may(*agent));
            if let Some(agent) = passed.filter(|_| stay.waits_at(at)) {
                let since = at.since(DAWN);
                found.push(format!("{call:?} waits at {since:?} while {agent} is idle"));
            }
            at = at + Duration::from_secs(1);
        }
    }
    found
}

/// Whether one of these times lasts for a while at this moment.
fn is_idle(times: &[(Utc, Utc)], at: Utc) -> bool {
    let begun = times.partition_point(|(from, _)| *from + MARGIN < at);
    begun > 0 && at < times[begun - 1].1
}

/// When each agent was available, in order.
fn idle_times(centre: &Centre) -> BTreeMap<UserId, Vec<(Utc, Utc)>> {
    let mut times: BTreeMap<UserId, Vec<(Utc, Utc)>> = BTreeMap::new();
    for changed in &centre.states {
        let times = times.entry(changed.agent).or_default();
        // What was open until now ends.
        if let Some(last) = times.last_mut() {
            last.1 = last.1.min(changed.since);
        }
        if changed.state == AgentState::Available {
            times.push((changed.since, centre.utc()));
        }
    }
    times
}

/// Calls that were distributed to agents whose absence had begun; what was decided just before may come yet.
pub(super) fn offered_while_absent(centre: &Centre) -> Vec<String> {
    let offers = centre
        .world
        .journal
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::Offered { agent, rule, .. } => Some((event, agent, rule)),
            _ => None,
        });
    let distributed = |rule: &Rule| {
        matches!(
            rule,
            Rule::Assigned { .. } | Rule::Deputy { .. } | Rule::Skilled { .. }
        )
    };
    offers
        .filter(|(_, _, rule)| distributed(rule))
        .filter(|(event, agent, _)| {
            centre.directory.absences.iter().any(|absence| {
                let during = absence.from + MARGIN < event.at && event.at < absence.until;
                absence.user == *agent && during
            })
        })
        .map(|(event, agent, _)| format!("{:?} was offered to {agent}, who is absent", event.call))
        .collect()
}

/// Callers who were passed over by one who came later, as the whole journal tells.
pub(super) fn out_of_turn(centre: &Centre) -> Vec<String> {
    let stays = stays(centre);
    let mut found = Vec::new();
    // A reservation that is refused costs a turn and stands in no journal.
    let healed = centre.healed_at.map(|at| DAWN + at + MARGIN);
    let granted = |at: &Utc| centre.grants_all || healed.is_some_and(|healed| *at > healed);
    let waited: Vec<_> = stays.iter().filter(|(_, it)| it.from.is_some()).collect();
    for (call, stay) in &waited {
        for (agent, at, _, rule) in stay.offers.iter().filter(|it| granted(&it.1)) {
            let Some(from) = stay.from.filter(|from| from <= at) else {
                continue;
            };
            if !matches!(rule, Rule::Skilled { .. }) {
                continue;
            }
            let passed = waited.iter().find(|(who, other)| {
                let mut denied = centre.world.denied.iter();
                if denied.any(|(call, when)| call == *who && within(*at, *when)) {
                    return false;
                }
                let came = other.from.unwrap_or(*at);
                let before = (other.priority, from) > (stay.priority, came);
                before
                    && other.line == stay.line
                    && other.waits_at(*at)
                    && !other.rests(*agent, *at)
            });
            if let Some((other, _)) = passed {
                found.push(format!("{call:?} was offered to {agent} before {other:?}"));
            }
        }
    }
    found
}
