//! Where telephone companies are: what their names mean at the moment, which of several places is tried next, and which
//! did not answer lately (RFC 3263 §4). Names are looked up outside; what they mean comes in as an input.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use media::LegKey;
use model::{Carrier, Now, Proxy, Target, Trunk, TrunkOutbound};
use sip::{
    Name, Response,
    transaction::{ClientKey, Path, Transport},
};

use crate::{
    io::Output,
    leg::{Phase, Side},
    switch::Switch,
    trunk_leg::MOST_TIMES,
    trunk_registration::seconds,
};

/// A place that failed is tried last for so long, if it does not say for how long (RFC 3261 §21.5.4).
const REST: Duration = Duration::from_secs(60);
/// The least that a Retry-After may ask for, and the most: nobody is asked again and again without a rest.
const SHORTEST_REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_secs(600);
/// So long calls may come from what a name meant before: as long as most registrations live.
const FORMERLY: Duration = Duration::from_secs(3_600);
/// Former places that are kept.
const MOST_FORMER: usize = 256;
/// An INVITE to which nothing at all comes goes to the next place, if there is one. Nobody holds the line for the 32 s after
/// which its transaction ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a name means.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// Nobody has said yet.
    Unknown,
    /// These places, the best first.
    Places(Vec<Target>),
    /// Nothing.
    Nothing,
}

/// The names in use.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: BTreeMap<Proxy, Meaning>,
    /// What names meant before, and until when calls may still come from there.
    former: BTreeMap<(Proxy, Target), Duration>,
    resting: BTreeMap<Target, Duration>,
    /// INVITEs that may have another place to go to.
    patience: BTreeMap<LegKey, (Duration, ClientKey)>,
}

impl Names {
    /// The places of a proxy, the best first.
    fn places(&self, proxy: &Proxy) -> Vec<Target> {
        match (proxy.target(), self.known.get(proxy)) {
            (Some(target), _) => vec![target],
            (None, Some(Meaning::Places(places))) => places.clone(),
            (None, _) => Vec::new(),
        }
    }

    /// Whether calls of this trunk may come from there by its proxy: the trunk registers, or the proxy has a name.
    pub(crate) fn is_at(&self, outbound: &TrunkOutbound, source: IpAddr) -> bool {
        let counts = outbound.register || outbound.proxy.ip().is_none();
        let at = |place: &Target| place.address.ip().to_canonical() == source;
        let mut former = self.former.keys();
        counts
            && (self.places(&outbound.proxy).iter().any(at)
                || former.any(|(proxy, place)| *proxy == outbound.proxy && at(place)))
    }

    /// Whether it is known that the name means nothing.
    pub(crate) fn is_missing(&self, proxy: &Proxy) -> bool {
        self.known.get(proxy) == Some(&Meaning::Nothing)
    }

    /// Whether the name means something that nobody has said yet.
    pub(crate) fn is_unknown(&self, proxy: &Proxy) -> bool {
        self.known.get(proxy) == Some(&Meaning::Unknown)
    }

    /// Whether this is still one of the proxy's places.
    pub(crate) fn leads(&self, proxy: &Proxy, way: Path) -> bool {
        self.places(proxy).contains(&target_of(way))
    }

    fn rests(&self, now: Duration, place: &Target) -> bool {
        self.resting.get(place).is_some_and(|until| *until > now)
    }

    /// The place did not take a request.
    pub(crate) fn rest(&mut self, now: Duration, way: Path, asked: Option<Duration>) {
        self.resting.retain(|_, until| *until > now);
        let rest = asked.unwrap_or(REST).clamp(SHORTEST_REST, LONGEST_REST);
        self.resting.insert(target_of(way), now + rest);
    }

    /// Whoever was registered with goes on calling from there for a while: a name may mean another server each time.
    fn remember(&mut self, now: Duration, proxy: &Proxy, before: Meaning) {
        self.former.retain(|_, until| *until > now);
        if let Meaning::Places(places) = before {
            let room = MOST_FORMER.saturating_sub(self.former.len());
            for place in places.into_iter().take(room) {
                self.former.insert((proxy.clone(), place), now + FORMERLY);
            }
        }
    }

    /// The place answers again.
    pub(crate) fn answers(&mut self, way: Path) {
        self.resting.remove(&target_of(way));
    }

    /// When somebody's patience ends.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.patience.values().map(|(until, _)| *until).min()
    }
}

impl Switch {
    /// The directory is another one: its names are to be looked up, and no others.
    pub(crate) fn name_trunks(&mut self) {
        let ways = self.directory.ways_out().into_iter();
        let names = ways.map(|(_, outbound)| outbound.proxy.clone());
        let names: BTreeSet<Proxy> = names.filter(|proxy| proxy.ip().is_none()).collect();
        let before = self.names.known.len();
        self.names.known.retain(|name, _| names.contains(name));
        let former = &mut self.names.former;
        former.retain(|(name, _), _| names.contains(name));
        if self.names.known.len() == before && names.len() == before {
            return;
        }
        for name in &names {
            let known = self.names.known.entry(name.clone());
            known.or_insert(Meaning::Unknown);
        }
        let names = names.into_iter().collect();
        self.outputs.push_back(Output::Names(names));
    }

    /// A name has been looked up.
    pub(crate) fn resolved(&mut self, now: Now, proxy: &Proxy, places: Vec<Target>) {
        let Some(meaning) = self.names.known.get_mut(proxy) else {
            return;
        };
        let new = match places.is_empty() {
            true => Meaning::Nothing,
            false => Meaning::Places(places),
        };
        let before = std::mem::replace(meaning, new);
        self.names.remember(now.mono, proxy, before);
        self.trunks_moved(now, proxy);
    }

    /// The trunk whose signalling comes from there.
    pub(crate) fn trunk_at(&self, source: IpAddr) -> Option<&Trunk> {
        self.directory.trunk_at(source, &self.names)
    }

    /// The ways to a proxy that we can go, in the order in which they are tried, and whether each failed lately.
    fn ways_to(&self, now: Now, proxy: &Proxy) -> Vec<(bool, Path)> {
        let places = self.names.places(proxy).into_iter();
        let ways = places.filter_map(|place| {
            let local = self.local_towards(place.address)?;
            let path = Path {
                transport: transport_of(place.carrier),
                ..Path::udp(local, place.address)
            };
            Some((self.names.rests(now.mono, &place), path))
        });
        let mut ways: Vec<(bool, Path)> = ways.collect();
        ways.sort_by_key(|(rests, _)| *rests);
        ways
    }

    /// The best way to a proxy.
    pub(crate) fn way_to(&self, now: Now, proxy: &Proxy) -> Option<Path> {
        self.ways_to(now, proxy).first().map(|(_, path)| *path)
    }

    /// The best way that did not fail lately.
    pub(crate) fn fresh_way(&self, now: Now, proxy: &Proxy) -> Option<Path> {
        let ways = self.ways_to(now, proxy);
        ways.first()
            .filter(|(rests, _)| !rests)
            .map(|(_, path)| *path)
    }

    /// The INVITE by a trunk is on its way: if nothing comes, it goes elsewhere.
    pub(crate) fn mind_patience(&mut self, now: Now, key: LegKey, client: ClientKey) {
        let leg = self.legs.find(key);
        let Some((Side::Trunk(trunk), path)) = leg.map(|leg| (leg.side, leg.path)) else {
            return;
        };
        let outbound = self.directory.trunk(trunk);
        let outbound = outbound.and_then(|trunk| trunk.outbound.as_ref());
        let others = outbound.is_some_and(|outbound| {
            let ways = self.ways_to(now, &outbound.proxy);
            ways.iter().any(|(rests, other)| !rests && *other != path)
        });
        if others {
            let until = now.mono + PATIENCE;
            self.names.patience.insert(key, (until, client));
        }
    }

    /// Gives up places from which nothing came.
    pub(crate) fn patience_ends(&mut self, now: Now) {
        let due = |(until, _): &(Duration, ClientKey)| *until <= now.mono;
        let waiting = self.names.patience.iter();
        let over: Vec<(LegKey, ClientKey)> = waiting
            .filter(|(_, it)| due(it))
            .map(|(key, (_, client))| (*key, *client))
            .collect();
        self.names.patience.retain(|_, it| !due(it));
        for (key, client) in over {
            let calls = |leg: &crate::leg::Leg| leg.phase == Phase::Calling(client);
            let silent =
                self.legs.find(key).is_some_and(calls) && self.transactions.is_unheard(client);
            if silent && self.invite_elsewhere(now, key, None) {
                // Should it answer all the same, it hears CANCEL, or ACK and BYE.
                self.transactions.cancel(now.mono, client);
            }
        }
    }

    /// The place did not take the INVITE: the next one of the same trunk gets it, stored before it leaves, without what only
    /// the first one could read (RFC 3263 §4.3). False if there is none.
    pub(crate) fn invite_elsewhere(
        &mut self,
        now: Now,
        key: LegKey,
        response: Option<&Response>,
    ) -> bool {
        let Some(leg) = self.legs.find(key) else {
            return false;
        };
        let (Side::Trunk(trunk), Phase::Calling(_), false) = (leg.side, leg.phase, leg.rang) else {
            return false;
        };
        let mut invite = leg.invite.clone();
        if invite.cseq().is_none_or(|cseq| cseq.number >= MOST_TIMES) {
            return false;
        }
        self.names.rest(now.mono, leg.path, asked_rest(response));
        let outbound = self.directory.trunk(trunk);
        let proxy = outbound.and_then(|trunk| Some(&trunk.outbound.as_ref()?.proxy));
        let Some(path) = proxy.and_then(|proxy| self.fresh_way(now, proxy)) else {
            return false;
        };
        for answer in [Name::Authorization, Name::ProxyAuthorization] {
            while invite.headers.remove_first(&answer) {}
        }
        let contact = format!("<{}>", self.our_contact(path));
        invite.headers.set(Name::Contact, &contact);
        if let Some(leg) = self.legs.find_mut(key) {
            leg.path = path;
            leg.challenged = false;
        }
        self.invite_anew(now, key, invite)
    }
}

/// For how long a place says that it takes nothing.
pub(crate) fn asked_rest(response: Option<&Response>) -> Option<Duration> {
    seconds(response?, &Name::RetryAfter).map(Duration::from_secs)
}

fn transport_of(carrier: Carrier) -> Transport {
    match carrier {
        Carrier::Udp => Transport::Udp,
        Carrier::Tcp => Transport::Tcp,
        Carrier::Tls => Transport::Tls,
    }
}

fn target_of(way: Path) -> Target {
    let carrier = match way.transport {
        Transport::Udp => Carrier::Udp,
        Transport::Tcp | Transport::Ws => Carrier::Tcp,
        Transport::Tls | Transport::Wss => Carrier::Tls,
    };
    Target {
        carrier,
        address: way.remote,
    }
}
