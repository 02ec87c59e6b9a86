//! From a name to places, as RFC 3263 §4 has it: NAPTR says by what, SRV says where, A and AAAA say at which address.

use std::{net::IpAddr, time::Instant};

use hickory_resolver::{
    ResolveError, TokioResolver,
    lookup::Lookup as Records,
    proto::{
        ProtoErrorKind,
        op::ResponseCode,
        rr::{Name, RData, RecordType, rdata::NAPTR},
    },
};
use model::{Carrier, Proxy, Target};

use super::order;

/// Places of one name; further ones are left out.
const MOST_PLACES: usize = 16;

/// What a name means, and until when.
pub(super) struct Answer {
    pub(super) places: Vec<Target>,
    pub(super) until: Instant,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is no such name, or it has no address.
    Nothing,
    /// No name server answers, or none can.
    NobodyAnswers(ResolveError),
}

/// Whoever looks up names.
#[derive(Clone)]
pub(super) struct Lookup {
    pub(super) resolver: TokioResolver,
    /// What we can send by, in the order of our preference.
    pub(super) carriers: Vec<Carrier>,
}

/// A service: by what, and under which name its servers are listed.
type Service = (Carrier, Name);

impl Lookup {
    /// Where requests to the proxy go, the best place first.
    pub(super) async fn places(&self, proxy: &Proxy) -> Result<Answer, Trouble> {
        let host = name(proxy.host()).ok_or(Trouble::Nothing)?;
        let mut answer = Answer {
            places: Vec::new(),
            until: Instant::now() + super::LONGEST_LIFE,
        };
        let plain = proxy.carrier.unwrap_or(Carrier::Udp);
        if proxy.port.is_none() {
            let mut listed = false;
            for (carrier, service) in self.services(proxy, &host, &mut answer).await? {
                listed |= self.servers(carrier, service, &mut answer).await?;
                // RFC 3263 §4.1: the first carrier that is offered and that we have.
                if !answer.places.is_empty() {
                    return Ok(answer);
                }
            }
            // RFC 3263 §4.2: the host itself is meant only where no servers are listed.
            if listed {
                return Err(Trouble::Nothing);
            }
        }
        let port = proxy.port.unwrap_or(plain.default_port());
        self.addresses((plain, port), host, &mut answer).await?;
        match answer.places.is_empty() {
            true => Err(Trouble::Nothing),
            false => Ok(answer),
        }
    }

    /// By what the name wants to be reached, the best first (RFC 3263 §4.1).
    async fn services(
        &self,
        proxy: &Proxy,
        host: &Name,
        answer: &mut Answer,
    ) -> Result<Vec<Service>, Trouble> {
        let usual = |carrier: Carrier| Some((carrier, below(prefix(carrier), host)?));
        if let Some(carrier) = proxy.carrier {
            return Ok(usual(carrier).into_iter().collect());
        }
        let mut offered: Vec<(u16, u16, Service)> = Vec::new();
        if let Some(records) = self.records(host.clone(), RecordType::NAPTR).await? {
            note(answer, &records);
            let naptr = records.iter().filter_map(RData::as_naptr);
            let sip = naptr.filter_map(|it| Some((it, carrier_of(it)?)));
            let sip: Vec<_> = sip.collect();
            let known = sip.iter();
            let known = known.filter(|(_, carrier)| self.carriers.contains(carrier));
            offered.extend(known.map(|(it, carrier)| {
                let service = (*carrier, it.replacement().clone());
                (it.order(), it.preference(), service)
            }));
            // Whoever wants to be reached by TLS only is not called in the clear.
            if offered.is_empty() && !sip.is_empty() {
                return Err(Trouble::Nothing);
            }
        }
        offered.sort();
        if offered.is_empty() {
            // RFC 3263 §4.1: without NAPTR each carrier is asked for, but none that nobody wanted to be secret.
            let plain = self.carriers.iter().filter(|it| **it != Carrier::Tls);
            return Ok(plain.copied().filter_map(usual).collect());
        }
        Ok(offered.into_iter().map(|(.., service)| service).collect())
    }

    /// The servers of a service with their addresses (RFC 3263 §4.2, RFC 2782); whether any are listed.
    async fn servers(
        &self,
        carrier: Carrier,
        service: Name,
        answer: &mut Answer,
    ) -> Result<bool, Trouble> {
        let Some(records) = self.records(service, RecordType::SRV).await? else {
            return Ok(false);
        };
        note(answer, &records);
        let servers = records.iter().filter_map(RData::as_srv).cloned().collect();
        let servers = order::by_weight(servers, &mut rand::rng());
        let mut trouble = None;
        for server in servers {
            // RFC 2782: a single dot says that the service is not there.
            if server.target().is_root() || answer.places.len() >= MOST_PLACES {
                continue;
            }
            let by = (carrier, server.port());
            let found = self.addresses(by, server.target().clone(), answer).await;
            trouble = found.err().or(trouble);
        }
        // One server whose name is in disorder does not cost the others.
        match trouble.filter(|_| answer.places.is_empty()) {
            Some(trouble) => Err(trouble),
            None => Ok(true),
        }
    }

    async fn addresses(
        &self,
        (carrier, port): (Carrier, u16),
        host: Name,
        answer: &mut Answer,
    ) -> Result<(), Trouble> {
        match self.resolver.lookup_ip(host).await {
            Ok(found) => {
                answer.until = answer.until.min(found.valid_until());
                let room = MOST_PLACES - answer.places.len();
                let somewhere = |ip: &IpAddr| !ip.is_unspecified() && !ip.is_multicast();
                let addresses = found.iter().filter(somewhere).take(room);
                answer.places.extend(addresses.map(|ip| Target {
                    carrier,
                    address: (ip, port).into(),
                }));
                Ok(())
            }
            Err(error) => nothing::<()>(error, NOTHING).map(|_| ()),
        }
    }

    /// The records of a name; none if there are none.
    async fn records(&self, name: Name, kind: RecordType) -> Result<Option<Records>, Trouble> {
        match self.resolver.lookup(name, kind).await {
            Ok(records) => Ok(Some(records)),
            Err(error) => nothing(error, NO_SUCH_RECORDS),
        }
    }
}

fn note(answer: &mut Answer, records: &Records) {
    answer.until = answer.until.min(records.valid_until());
}

/// There is no such name, or nothing of that kind.
const NOTHING: &[ResponseCode] = &[ResponseCode::NXDomain, ResponseCode::NoError];
/// The same of NAPTR and SRV, of which some servers of small networks know nothing at all.
const NO_SUCH_RECORDS: &[ResponseCode] = &[
    ResponseCode::NXDomain,
    ResponseCode::NoError,
    ResponseCode::NotImp,
    ResponseCode::Refused,
    ResponseCode::FormErr,
];

/// A server that says that there is nothing is no trouble.
fn nothing<T>(error: ResolveError, said: &[ResponseCode]) -> Result<Option<T>, Trouble> {
    let said = match error.proto().map(|error| error.kind()) {
        Some(ProtoErrorKind::NoRecordsFound { response_code, .. }) => said.contains(response_code),
        _ => false,
    };
    match said {
        true => Ok(None),
        false => Err(Trouble::NobodyAnswers(error)),
    }
}

/// A name with a dot is whole; one without is looked for in the domains of the system too.
fn name(host: &str) -> Option<Name> {
    let mut name = Name::from_ascii(host).ok()?;
    name.set_fqdn(host.contains('.'));
    Some(name)
}

fn prefix(carrier: Carrier) -> &'static str {
    match carrier {
        Carrier::Udp => "_sip._udp",
        Carrier::Tcp => "_sip._tcp",
        Carrier::Tls => "_sips._tcp",
    }
}

fn below(prefix: &str, host: &Name) -> Option<Name> {
    let mut name = Name::from_ascii(prefix).ok()?.append_name(host).ok()?;
    name.set_fqdn(host.is_fqdn());
    Some(name)
}

/// RFC 3263 §4.1 and RFC 3403: a record that leads to SRV records without a rule to rewrite anything.
fn carrier_of(record: &NAPTR) -> Option<Carrier> {
    let leads = record.flags().eq_ignore_ascii_case(b"s") && record.regexp().is_empty();
    let services = record.services().to_ascii_uppercase();
    let carrier = match services.as_slice() {
        b"SIP+D2U" => Carrier::Udp,
        b"SIP+D2T" => Carrier::Tcp,
        b"SIPS+D2T" => Carrier::Tls,
        _ => return None,
    };
    leads.then_some(carrier)
}
