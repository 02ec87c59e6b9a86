//! Who gets what: pure, so that a split can be looked at without a database.

use std::collections::BTreeMap;

use model::ClientRef;

/// What is moved, as the tables and the trace name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Organisation,
    Person,
    Deal,
    Task,
    Obligation,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::Organisation,
        Self::Person,
        Self::Deal,
        Self::Task,
        Self::Obligation,
    ];

    /// The word in the trace.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Person => "person",
            Self::Deal => "deal",
            Self::Task => "task",
            Self::Obligation => "obligation",
        }
    }
}

/// The successors and what each gets: clients in turn, everything else with its client.
#[derive(Debug)]
pub(super) struct Shares {
    successors: Vec<i64>,
    turn: usize,
    moved: BTreeMap<(Kind, i64), i64>,
}

impl Shares {
    /// Among these, who are at least one.
    pub(super) fn new(successors: Vec<i64>) -> Self {
        Self {
            successors,
            turn: 0,
            moved: BTreeMap::new(),
        }
    }

    /// Organisations are given before persons, persons before what belongs to a client.
    pub(super) fn give(&mut self, kind: Kind, id: i64, client: ClientRef) {
        let person = client.person.map(|it| (Kind::Person, it.0));
        let organisation = client.organisation.map(|it| (Kind::Organisation, it.0));
        let with_client = [person, organisation]
            .into_iter()
            .flatten()
            .find_map(|client| self.moved.get(&client).copied());
        let successor = with_client.or_else(|| self.next());
        self.moved.extend(successor.map(|it| ((kind, id), it)));
    }

    fn next(&mut self) -> Option<i64> {
        let place = self.turn % self.successors.len().max(1);
        self.turn += 1;
        self.successors.get(place).copied()
    }

    /// Everything, with the successor who gets it.
    pub(super) fn all(&self) -> impl Iterator<Item = (Kind, i64, i64)> + '_ {
        self.moved.iter().map(|((kind, id), to)| (*kind, *id, *to))
    }

    /// What of one kind a successor gets.
    pub(super) fn of(&self, successor: i64, kind: Kind) -> Vec<i64> {
        let of_kind = self.moved.range((kind, i64::MIN)..=(kind, i64::MAX));
        let own = of_kind.filter(|(_, to)| **to == successor);
        own.map(|((_, id), _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use model::{OrganisationId, PersonId};

    use super::*;

    fn client(person: Option<i64>, organisation: Option<i64>) -> ClientRef {
        ClientRef {
            person: person.map(PersonId),
            organisation: organisation.map(OrganisationId),
        }
    }

    #[test]
    fn clients_are_taken_in_turn_and_keep_together_what_is_theirs() {
        let mut shares = Shares::new(vec![7, 8]);
        let nobody = ClientRef::default();
        shares.give(Kind::Organisation, 1, nobody);
        shares.give(Kind::Organisation, 2, nobody);
        shares.give(Kind::Person, 11, client(None, Some(2)));
        shares.give(Kind::Person, 12, client(None, Some(99)));
        shares.give(Kind::Person, 13, nobody);
        shares.give(Kind::Deal, 21, client(Some(11), Some(1)));
        shares.give(Kind::Task, 31, client(None, Some(1)));
        shares.give(Kind::Obligation, 41, nobody);
        let got = |successor| -> Vec<Vec<i64>> {
            let of = |kind| shares.of(successor, kind);
            Kind::ALL.into_iter().map(of).collect()
        };
        assert_eq!(got(7), [vec![1], vec![12], vec![], vec![31], vec![41]]);
        assert_eq!(got(8), [vec![2], vec![11, 13], vec![21], vec![], vec![]]);
        assert_eq!(shares.all().count(), 8);
    }
}
