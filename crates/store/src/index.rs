//! Who has which number, in memory: what identification answers from. Pure; the writer alone
//! changes it, through [`crate::memory::Shared`].

use std::{cmp::Reverse, collections::HashMap};

use crm::NormalNumber;
use model::{CallerMatch, ClientRef, Flag, LineId, OrganisationId, PersonId, UserId, Utc};
use smallvec::SmallVec;

/// Most clients that one number is answered with.
const MOST_MATCHES: usize = 16;
/// Most lines remembered per client; the oldest gives way.
const MOST_LINES: usize = 8;

/// A client in the index: a person, or an organisation by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Who {
    Person(i64),
    Organisation(i64),
}

impl Who {
    /// Whose a conversation with `client` is.
    pub(crate) fn of(client: ClientRef) -> Option<Self> {
        match client {
            ClientRef {
                person: Some(PersonId(id)),
                ..
            } => Some(Self::Person(id)),
            ClientRef {
                organisation: Some(OrganisationId(id)),
                ..
            } => Some(Self::Organisation(id)),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Holder {
    who: Who,
    /// The extension with a 1 before it, 0 for none.
    extension: u64,
}

/// What the index keeps of a client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) name: Box<str>,
    pub(crate) manager: Option<i64>,
    pub(crate) flags: Flags,
    /// Of a person: where they work, the main one first.
    pub(crate) organisations: SmallVec<[i64; 1]>,
}

/// Flags in one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u8);

const FLAGS: [Flag; 4] = [Flag::Vip, Flag::Undesirable, Flag::Core, Flag::DoNotCall];

impl Flags {
    pub(crate) fn of(flags: &[Flag]) -> Self {
        let set = |flag: &Flag| flags.contains(flag);
        Self(
            FLAGS
                .iter()
                .enumerate()
                .map(|(bit, flag)| u8::from(set(flag)) << bit)
                .sum(),
        )
    }

    fn list(self) -> Vec<Flag> {
        let bits = FLAGS.iter().enumerate();
        bits.filter(|(bit, _)| self.0 & (1 << bit) != 0)
            .map(|(_, flag)| *flag)
            .collect()
    }
}

#[derive(Clone, Debug, Default)]
struct Activity {
    last_conversation: i64,
    open_deals: i64,
    lines: SmallVec<[i64; 2]>,
}

#[derive(Debug, Default)]
struct Client {
    entry: Entry,
    keys: SmallVec<[u64; 1]>,
}

/// The index of one company.
#[derive(Debug, Default)]
pub(crate) struct NumberIndex {
    numbers: HashMap<u64, SmallVec<[Holder; 1]>>,
    clients: HashMap<Who, Client>,
    // Apart from the clients: few of a large base have ever called.
    activity: HashMap<Who, Activity>,
}

impl NumberIndex {
    /// The client is now this, with these numbers.
    pub(crate) fn put(&mut self, who: Who, entry: Entry, numbers: &[NormalNumber]) {
        self.forget_numbers(who);
        let mut keys = SmallVec::with_capacity(numbers.len());
        for number in numbers {
            let key = key(&number.normal);
            let holder = Holder {
                who,
                extension: packed(number.extension.as_deref()),
            };
            self.numbers.entry(key).or_default().push(holder);
            keys.push(key);
        }
        self.clients.insert(who, Client { entry, keys });
    }

    pub(crate) fn remove(&mut self, who: Who) {
        self.forget_numbers(who);
        self.clients.remove(&who);
        self.activity.remove(&who);
        if let Who::Organisation(gone) = who {
            for client in self.clients.values_mut() {
                client.entry.organisations.retain(|id| *id != gone);
            }
        }
    }

    fn forget_numbers(&mut self, who: Who) {
        let Some(client) = self.clients.get(&who) else {
            return;
        };
        for key in &client.keys {
            if let Some(holders) = self.numbers.get_mut(key) {
                holders.retain(|holder| holder.who != who);
                if holders.is_empty() {
                    self.numbers.remove(key);
                }
            }
        }
    }

    /// The client has this manager now.
    pub(crate) fn hand_over(&mut self, who: Who, manager: i64) {
        if let Some(client) = self.clients.get_mut(&who) {
            client.entry.manager = Some(manager);
        }
    }

    /// A call of the client on `line` ended; `talked` if there was a conversation.
    pub(crate) fn called(&mut self, who: Who, line: Option<LineId>, at: Utc, talked: bool) {
        let activity = self.activity.entry(who).or_default();
        if talked {
            activity.last_conversation = activity.last_conversation.max(at.micros());
        }
        if let Some(LineId(line)) = line {
            if !activity.lines.contains(&line) {
                if activity.lines.len() == MOST_LINES {
                    activity.lines.remove(0);
                }
                activity.lines.push(line);
            }
        }
    }

    /// The client has `more` open deals than before, or fewer if negative.
    pub(crate) fn open_deals(&mut self, who: Who, more: i64) {
        self.activity.entry(who).or_default().open_deals += more;
    }

    /// The clients that have the number, best first, and the manager of each. A number with an
    /// extension belongs to those who have that extension, else to those with none.
    pub(crate) fn find(&self, number: &NormalNumber, line: Option<LineId>) -> Vec<CallerMatch> {
        let Some(holders) = self.numbers.get(&key(&number.normal)) else {
            return Vec::new();
        };
        let extension = packed(number.extension.as_deref());
        let exact = extension != 0 && holders.iter().any(|holder| holder.extension == extension);
        let fits = |holder: &&Holder| match (extension, exact) {
            (0, _) => true,
            (_, true) => holder.extension == extension,
            (_, false) => holder.extension == 0,
        };
        let mut found: Vec<Who> = holders
            .iter()
            .filter(fits)
            .map(|holder| holder.who)
            .collect();
        found.sort_by_key(|who| (self.rank(*who, line), *who));
        found.dedup();
        found.truncate(MOST_MATCHES);
        found
            .into_iter()
            .filter_map(|who| self.matched(who))
            .collect()
    }

    fn rank(&self, who: Who, line: Option<LineId>) -> Reverse<(i64, bool, bool)> {
        let activity = self.activity.get(&who);
        Reverse(activity.map_or((0, false, false), |it| {
            (
                it.last_conversation,
                it.open_deals > 0,
                line.is_some_and(|line| it.lines.contains(&line.0)),
            )
        }))
    }

    fn matched(&self, who: Who) -> Option<CallerMatch> {
        let entry = &self.clients.get(&who)?.entry;
        let (client, organisation) = match who {
            Who::Person(id) => {
                let first = entry.organisations.first().copied();
                let client = ClientRef {
                    person: Some(PersonId(id)),
                    organisation: first.map(OrganisationId),
                };
                (client, first)
            }
            Who::Organisation(id) => {
                let client = ClientRef {
                    person: None,
                    organisation: Some(OrganisationId(id)),
                };
                (client, Some(id))
            }
        };
        let organisation = organisation.and_then(|id| self.entry(Who::Organisation(id)));
        let lent = organisation.map_or(0, |it| it.flags.0);
        Some(CallerMatch {
            client,
            name: entry.name.to_string(),
            organisation_name: organisation.map(|it| it.name.to_string()),
            manager: self.owner(client),
            flags: Flags(entry.flags.0 | lent).list(),
        })
    }

    /// The client's manager: the person's, else the organisation's, else that of the person's
    /// first organisation with a manager.
    pub(crate) fn owner(&self, client: ClientRef) -> Option<UserId> {
        let person = client
            .person
            .and_then(|PersonId(id)| self.entry(Who::Person(id)));
        let own = person.and_then(|it| it.manager);
        let named = client.organisation.map(|OrganisationId(id)| id);
        let others = person
            .map(|it| it.organisations.as_slice())
            .unwrap_or_default();
        let lent = || {
            let all = named.into_iter().chain(others.iter().copied());
            all.filter_map(|id| self.entry(Who::Organisation(id)))
                .find_map(|it| it.manager)
        };
        own.or_else(lent).map(UserId)
    }

    fn entry(&self, who: Who) -> Option<&Entry> {
        self.clients.get(&who).map(|client| &client.entry)
    }
}

/// Digits with a 1 before them as a number; 0 for none or too many.
fn packed(digits: Option<&str>) -> u64 {
    let Some(digits) = digits.filter(|it| !it.is_empty() && it.len() <= 17) else {
        return 0;
    };
    format!("1{digits}").parse().unwrap_or(0)
}

/// The key of a number: digits as they are, with a mark for E.164; anything else by its hash, in
/// a range of its own (FNV-1a).
fn key(normal: &str) -> u64 {
    const PUBLIC: u64 = 1 << 62;
    const HASHED: u64 = 1 << 63;
    let (mark, digits) = match normal.strip_prefix('+') {
        Some(digits) => (PUBLIC, digits),
        None => (0, normal),
    };
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    match packed(Some(digits)) {
        packed if plain && packed != 0 => mark | packed,
        _ => {
            let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            HASHED | normal.bytes().fold(0xcbf2_9ce4_8422_2325, step)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(normal: &str, extension: Option<&str>) -> NormalNumber {
        NormalNumber {
            normal: normal.to_owned(),
            extension: extension.map(str::to_owned),
            region: None,
            public: true,
        }
    }

    fn named(name: &str) -> Entry {
        Entry {
            name: name.into(),
            ..Entry::default()
        }
    }

    fn names(index: &NumberIndex, asked: &NormalNumber) -> Vec<String> {
        index
            .find(asked, Some(LineId(1)))
            .into_iter()
            .map(|it| it.name)
            .collect()
    }

    #[test]
    fn an_extension_chooses_its_holder_and_an_unknown_one_the_switchboard() {
        let mut index = NumberIndex::default();
        let main = number("+74951234567", None);
        index.put(
            Who::Organisation(1),
            named("switchboard"),
            std::slice::from_ref(&main),
        );
        let (twelve, thirteen) = (
            number("+74951234567", Some("12")),
            number("+74951234567", Some("13")),
        );
        index.put(
            Who::Person(2),
            named("twelve"),
            std::slice::from_ref(&twelve),
        );
        index.put(Who::Person(3), named("thirteen"), &[thirteen]);
        assert_eq!(names(&index, &twelve), ["twelve"]);
        assert_eq!(
            names(&index, &number("+74951234567", Some("99"))),
            ["switchboard"]
        );
        assert_eq!(names(&index, &main), ["twelve", "thirteen", "switchboard"]);
    }

    #[test]
    fn several_matches_stand_by_last_conversation_open_deal_and_line() {
        let mut index = NumberIndex::default();
        let shared = number("+79160000001", None);
        for (id, name) in [
            (1, "nothing"),
            (2, "line"),
            (3, "deal"),
            (4, "old"),
            (5, "new"),
        ] {
            index.put(Who::Person(id), named(name), std::slice::from_ref(&shared));
        }
        index.called(Who::Person(2), Some(LineId(1)), Utc::from_secs(90), false);
        index.open_deals(Who::Person(3), 1);
        index.called(Who::Person(4), None, Utc::from_secs(5), true);
        index.called(Who::Person(5), None, Utc::from_secs(6), true);
        assert_eq!(
            names(&index, &shared),
            ["new", "old", "deal", "line", "nothing"]
        );
        index.remove(Who::Person(5));
        assert_eq!(names(&index, &shared), ["old", "deal", "line", "nothing"]);
    }

    #[test]
    fn numbers_that_look_alike_have_different_keys() {
        let keys = ["112", "+112", "0112", "", "*112", "anonymous"].map(key);
        for (at, one) in keys.iter().enumerate() {
            assert!(!keys[at + 1..].contains(one), "{at}");
        }
    }

    #[test]
    fn flags_fit_a_byte_and_come_back() {
        let flags = [Flag::Undesirable, Flag::DoNotCall];
        assert_eq!(Flags::of(&flags).list(), flags);
    }
}
