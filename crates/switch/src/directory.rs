//! What the administrator set, indexed by what calls and phones bring along.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use model::{
    Agent, Device, DeviceId, Line, LineId, Now, OfficeId, Trunk, TrunkId, TrunkOutbound, UserId,
};
use routing::OfficeHours;

use crate::{names::Names, switch::Switch};

impl Switch {
    pub(crate) fn set_directory(&mut self, now: Now, directory: Arc<model::Directory>) {
        self.directory = Index::new(directory);
        let records = self.directory.records();
        self.agents
            .set_absences(now, &records.deputies, &records.absences);
        self.agents.update(now, &records.agents, &records.skills);
        // Skills may have changed.
        self.waiting.agents_changed();
        let users: Vec<UserId> = records.agents.iter().map(|agent| agent.user).collect();
        self.drop_unknown_bindings();
        self.name_trunks();
        self.watch_trunks(now);
        for user in users {
            self.update_registered(now, user);
        }
    }
}

/// The directory of this moment.
#[derive(Debug, Default)]
pub(crate) struct Index {
    directory: Arc<model::Directory>,
    devices: HashMap<DeviceId, usize>,
    accounts: HashMap<String, usize>,
    lines: HashMap<LineId, usize>,
    numbers: HashMap<String, usize>,
    of_user: BTreeMap<UserId, Vec<DeviceId>>,
    short_numbers: BTreeMap<String, usize>,
    hours: BTreeMap<OfficeId, OfficeHours>,
    /// Somebody has a telephone elsewhere.
    pub(crate) has_elsewhere: bool,
}

impl Index {
    pub(crate) fn new(directory: Arc<model::Directory>) -> Self {
        let mut index = Self::default();
        for (place, device) in directory.devices.iter().enumerate() {
            index.has_elsewhere |= device.number.is_some();
            index.devices.insert(device.id, place);
            index.accounts.insert(device.auth_user.clone(), place);
            index
                .of_user
                .entry(device.user)
                .or_default()
                .push(device.id);
        }
        for (place, agent) in directory.agents.iter().enumerate() {
            index
                .short_numbers
                .insert(agent.short_number.clone(), place);
        }
        for (place, line) in directory.lines.iter().enumerate() {
            index.lines.insert(line.id, place);
            index.numbers.insert(dialled(&line.number), place);
            for alias in &line.aliases {
                index.numbers.entry(alias.clone()).or_insert(place);
            }
        }
        for office in &directory.offices {
            // A zone that is not known was refused when it was to be stored.
            let hours = OfficeHours::new(&office.hours);
            index.hours.extend(hours.map(|hours| (office.id, hours)));
        }
        index.directory = directory;
        index
    }

    pub(crate) fn records(&self) -> &model::Directory {
        &self.directory
    }

    pub(crate) fn device(&self, id: DeviceId) -> Option<&Device> {
        self.directory.devices.get(*self.devices.get(&id)?)
    }

    /// The device that authenticates as `account`.
    pub(crate) fn account(&self, account: &str) -> Option<&Device> {
        let device = self.directory.devices.get(*self.accounts.get(account)?)?;
        device.number.is_none().then_some(device)
    }

    pub(crate) fn devices_of(&self, user: UserId) -> &[DeviceId] {
        self.of_user.get(&user).map_or(&[], Vec::as_slice)
    }

    /// The user's telephones elsewhere: their numbers, and how long after the others they ring.
    pub(crate) fn elsewhere(&self, user: UserId) -> Vec<(DeviceId, String, Duration)> {
        let devices = self.devices_of(user).iter();
        let devices = devices.filter_map(|id| self.device(*id));
        devices
            .filter_map(|device| {
                let after = Duration::from_secs(device.ring_after_secs.into());
                Some((device.id, device.number.clone()?, after))
            })
            .collect()
    }

    /// The user who has this short number.
    pub(crate) fn colleague(&self, short_number: &str) -> Option<&Agent> {
        self.directory
            .agents
            .get(*self.short_numbers.get(short_number)?)
    }

    /// Whether a longer short number begins with these digits.
    pub(crate) fn begins_short_number(&self, digits: &str) -> bool {
        let from = (Bound::Excluded(digits), Bound::Unbounded);
        let next = self.short_numbers.range::<str, _>(from).next();
        next.is_some_and(|(number, _)| number.starts_with(digits))
    }

    /// The hours of an office.
    pub(crate) fn hours(&self, office: OfficeId) -> Option<&OfficeHours> {
        self.hours.get(&office)
    }

    /// Trunks by which calls leave, in the order in which they are tried.
    pub(crate) fn ways_out(&self) -> Vec<(&Trunk, &TrunkOutbound)> {
        let trunks = self.directory.trunks.iter();
        let mut ways: Vec<_> = trunks
            .filter_map(|trunk| Some((trunk, trunk.outbound.as_ref()?)))
            .collect();
        ways.sort_by_key(|(trunk, outbound)| (outbound.priority, trunk.id));
        ways
    }

    /// The trunk with this id.
    pub(crate) fn trunk(&self, id: TrunkId) -> Option<&Trunk> {
        self.directory.trunks.iter().find(|trunk| trunk.id == id)
    }

    /// The line that the called number means, however the trunk writes it.
    pub(crate) fn line_called(&self, number: &str) -> Option<&Line> {
        self.directory
            .lines
            .get(*self.numbers.get(&dialled(number))?)
    }

    pub(crate) fn line(&self, id: LineId) -> Option<&Line> {
        self.directory.lines.get(*self.lines.get(&id)?)
    }

    /// The trunk whose signalling comes from `source`; the most specific network wins. The proxy of a trunk that registers
    /// counts as one of its networks: whoever may be told where we are may call there. So do all places of a proxy that has
    /// a name.
    pub(crate) fn trunk_at(&self, source: IpAddr, names: &Names) -> Option<&Trunk> {
        let source = source.to_canonical();
        let fits = |trunk: &&Trunk| {
            let outbound = trunk.outbound.as_ref();
            let at_proxy = outbound.is_some_and(|it| names.is_at(it, source));
            let whole = if source.is_ipv4() { 32 } else { 128 };
            let lengths = trunk.networks.iter().filter(|net| net.contains(&source));
            let lengths = lengths.map(|net| net.prefix_len());
            lengths.chain(at_proxy.then_some(whole)).max()
        };
        let trunks = self.directory.trunks.iter();
        trunks
            .filter_map(|trunk| Some((fits(&trunk)?, trunk)))
            .max_by_key(|(len, _)| *len)
            .map(|(_, trunk)| trunk)
    }
}

/// A number as it is compared: digits, `*` and `#` only.
pub(crate) fn dialled(number: &str) -> String {
    number
        .chars()
        .filter(|c| c.is_ascii_digit() || matches!(c, '*' | '#'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trunk(id: i64, network: &str) -> Trunk {
        Trunk {
            id: TrunkId(id),
            name: String::new(),
            networks: vec![network.parse().unwrap()],
            media_networks: Vec::new(),
            trusted_identity: false,
            called_in: model::CalledIn::Automatic,
            most_calls: None,
            outbound: None,
        }
    }

    #[test]
    fn the_most_specific_network_names_the_trunk() {
        let trunks = vec![trunk(1, "10.0.0.0/8"), trunk(2, "10.1.0.0/16")];
        let index = Index::new(Arc::new(model::Directory {
            trunks,
            ..Default::default()
        }));
        let names = Names::default();
        let at = |source: &str| index.trunk_at(source.parse().unwrap(), &names);
        assert_eq!(at("10.1.2.3").unwrap().id, TrunkId(2));
        assert_eq!(at("::ffff:10.2.2.3").unwrap().id, TrunkId(1));
        assert!(at("192.0.2.1").is_none());
    }

    #[test]
    fn a_line_is_found_however_the_trunk_writes_it() {
        let line = Line {
            id: LineId(5),
            number: "+74951234567".to_owned(),
            aliases: vec!["84951234567".to_owned(), "4951234567".to_owned()],
            name: String::new(),
            channel: None,
            ring_timeout_secs: None,
            recorded: true,
            language: model::Language::Russian,
            queue: None,
            office: None,
            reception: model::Reception::default(),
        };
        let index = Index::new(Arc::new(model::Directory {
            lines: vec![line],
            ..Default::default()
        }));
        for number in [
            "+74951234567",
            "74951234567",
            "8 (495) 123-45-67",
            "4951234567",
        ] {
            assert_eq!(
                index.line_called(number).map(|line| line.id),
                Some(LineId(5)),
                "{number}"
            );
        }
        assert!(index.line_called("4951234568").is_none());
    }
}
