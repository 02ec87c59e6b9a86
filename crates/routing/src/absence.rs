//! Who is absent when, and who stands in for whom (R6).
//!
//! Absences are data with a beginning and an end; they begin and end by the wall clock, without anybody asking a store.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{Absence, Deputy, Now, UserId, Utc};

/// Longest chain of deputies; whoever sets them refuses circles, and no chain is followed further than this.
pub const MOST_DEPUTIES: usize = 8;
/// The wall clock may be set: so often it is looked at while an absence is planned.
const LOOK: Duration = Duration::from_secs(60);

/// The plan, and who is absent at this moment.
#[derive(Debug, Default)]
pub(crate) struct Absences {
    deputies: BTreeMap<UserId, UserId>,
    planned: Vec<Absence>,
    current: BTreeMap<UserId, Absence>,
    wake: Option<Duration>,
    changes: u64,
}

impl Absences {
    /// Takes a new plan; [`Absences::look`] makes it effective.
    pub(crate) fn plan(&mut self, deputies: &[Deputy], absences: &[Absence]) {
        let deputies = deputies.iter().map(|it| (it.user, it.deputy));
        self.deputies = deputies.collect();
        self.planned = absences.to_vec();
        self.changes += 1;
    }

    /// Begins and ends what is due; says whose absence changed.
    pub(crate) fn look(&mut self, now: Now) -> BTreeSet<UserId> {
        let present = self
            .planned
            .iter()
            .filter(|it| it.from <= now.utc && now.utc < it.until);
        let current = present.map(|it| (it.user, *it)).collect();
        let before = std::mem::replace(&mut self.current, current);
        let borders = self.planned.iter().flat_map(|it| [it.from, it.until]);
        let next = borders.filter(|at| *at > now.utc).min();
        self.wake = next.map(|at| now.mono + at.since(now.utc).min(LOOK));
        let users = before.keys().chain(self.current.keys());
        let changed: BTreeSet<UserId> = users
            .filter(|user| before.get(user) != self.current.get(user))
            .copied()
            .collect();
        self.changes += u64::from(!changed.is_empty());
        changed
    }

    /// When to look again (monotonic).
    pub(crate) fn wake(&self) -> Option<Duration> {
        self.wake
    }

    /// Rises with every change of what [`Absences::deputies_of`] says.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Until when the user is absent; none if present.
    pub(crate) fn until(&self, user: UserId) -> Option<Utc> {
        self.current.get(&user).map(|it| it.until)
    }

    /// The deputy of this moment.
    fn deputy(&self, user: UserId) -> Option<UserId> {
        let current = self.current.get(&user).and_then(|it| it.deputy);
        current.or_else(|| self.deputies.get(&user).copied())
    }

    /// Who stands in for the user, one after another, each with the one whose deputy that is. Nobody comes twice.
    pub(crate) fn deputies_of(&self, user: UserId) -> impl Iterator<Item = (UserId, UserId)> + '_ {
        let (mut met, mut last) = ([user; MOST_DEPUTIES + 1], 0);
        std::iter::from_fn(move || {
            let of = met[last];
            let deputy = self.deputy(of).filter(|it| !met[..=last].contains(it))?;
            last += 1;
            *met.get_mut(last)? = deputy;
            Some((of, deputy))
        })
        .fuse()
        .take(MOST_DEPUTIES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn now(secs: i64) -> Now {
        Now {
            mono: Duration::from_secs(1_000),
            utc: Utc::from_secs(secs),
        }
    }

    fn absence(user: i64, from: i64, until: i64, deputy: Option<i64>) -> Absence {
        Absence {
            user: UserId(user),
            from: Utc::from_secs(from),
            until: Utc::from_secs(until),
            deputy: deputy.map(UserId),
        }
    }

    fn deputy((user, deputy): (i64, i64)) -> Deputy {
        Deputy {
            user: UserId(user),
            deputy: UserId(deputy),
        }
    }

    fn planned(deputies: &[(i64, i64)], absences: &[Absence]) -> Absences {
        let deputies: Vec<_> = deputies.iter().copied().map(deputy).collect();
        let mut plan = Absences::default();
        plan.plan(&deputies, absences);
        plan
    }

    fn stand_in(plan: &Absences, user: i64) -> Vec<i64> {
        let deputies = plan.deputies_of(UserId(user));
        deputies.map(|(_, deputy)| deputy.0).collect()
    }

    #[test]
    fn an_absence_begins_and_ends_by_the_clock_and_may_have_a_deputy_of_its_own() {
        let mut plan = planned(&[(1, 2), (2, 3)], &[absence(1, 100, 200, Some(7))]);
        assert!(plan.look(now(99)).is_empty());
        assert_eq!(stand_in(&plan, 1), [2, 3]);
        assert_eq!(plan.wake(), Some(Duration::from_secs(1_001)));
        let before = plan.changes();
        assert_eq!(plan.look(now(100)), BTreeSet::from([UserId(1)]));
        assert!(plan.changes() > before);
        assert_eq!(plan.until(UserId(1)), Some(Utc::from_secs(200)));
        assert_eq!(stand_in(&plan, 1), [7]);
        assert!(plan.look(now(199)).is_empty());
        assert_eq!(
            plan.look(now(200)).len(),
            1,
            "the end belongs to it no more"
        );
        assert_eq!(stand_in(&plan, 1), [2, 3]);
        assert_eq!(plan.wake(), None);
    }

    #[test]
    fn the_clock_is_looked_at_each_minute_since_it_may_be_set() {
        let mut plan = planned(&[], &[absence(1, 30 * DAY, 31 * DAY, None)]);
        plan.look(now(0));
        assert_eq!(plan.wake(), Some(Duration::from_secs(1_060)));
    }

    #[test]
    fn a_chain_is_bounded_and_a_circle_is_left() {
        let circle = planned(&[(1, 2), (2, 3), (3, 1)], &[]);
        assert_eq!(stand_in(&circle, 1), [2, 3]);
        assert_eq!(stand_in(&planned(&[(1, 1)], &[]), 1), [0; 0]);
        let long: Vec<(i64, i64)> = (1..50).map(|n| (n, n + 1)).collect();
        assert_eq!(stand_in(&planned(&long, &[]), 1).len(), MOST_DEPUTIES);
    }
}
