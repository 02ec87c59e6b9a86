//! A name server that somebody else wrote (hickory), on a loopback address, for the zone `example`.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use hickory_server::{
    ServerFuture,
    authority::{Catalog, ZoneType},
    proto::rr::{
        LowerName, Name, RData, Record,
        rdata::{A, AAAA, NAPTR, SOA, SRV},
    },
    store::in_memory::InMemoryAuthority,
};

/// How long its answers may be kept: as short as Ringbook ever keeps one.
const LIFE_SECS: u32 = 1;

/// A record.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// The host has this address.
    Address(&'a str, IpAddr),
    /// The service has a server at this port of a host; the lower number first.
    Server(&'a str, u16, (&'a str, u16)),
    /// The domain offers a kind of service, such as `SIP+D2T`, under this name; the lower number first.
    Service(&'a str, u16, (&'a str, &'a str)),
}

/// A running name server.
pub struct NameServer {
    zone: Arc<InMemoryAuthority>,
    _server: ServerFuture<Catalog>,
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).expect("a name")
}

fn record(entry: Entry<'_>) -> Record {
    let (at, data) = match entry {
        Entry::Address(host, IpAddr::V4(ip)) => (host, RData::A(A(ip))),
        Entry::Address(host, IpAddr::V6(ip)) => (host, RData::AAAA(AAAA(ip))),
        Entry::Server(service, priority, (host, port)) => {
            (service, RData::SRV(SRV::new(priority, 0, port, name(host))))
        }
        Entry::Service(domain, order, (kind, service)) => {
            let text = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
            let naptr = NAPTR::new(order, 0, text("s"), text(kind), text(""), name(service));
            (domain, RData::NAPTR(naptr))
        }
    };
    Record::from_rdata(name(at), LIFE_SECS, data)
}

impl NameServer {
    /// Answers at `address`, over UDP and TCP.
    pub async fn start(address: SocketAddr, entries: &[Entry<'_>]) -> Self {
        let zone = InMemoryAuthority::empty(name("example"), ZoneType::Primary, false);
        let zone = Arc::new(zone);
        let mut catalog = Catalog::new();
        let origin = LowerName::new(&name("example"));
        catalog.upsert(origin, vec![zone.clone()]);
        let mut server = ServerFuture::new(catalog);
        let socket = tokio::net::UdpSocket::bind(address).await;
        server.register_socket(socket.expect("the address is free"));
        let listener = tokio::net::TcpListener::bind(address).await;
        let listener = listener.expect("the address is free");
        server.register_listener(listener, std::time::Duration::from_secs(5));
        let started = Self {
            zone,
            _server: server,
        };
        started.set(entries).await;
        started
    }

    /// These are the records from now on.
    pub async fn set(&self, entries: &[Entry<'_>]) {
        self.zone.records_mut().await.clear();
        let host = name("ns.example");
        let soa = SOA::new(host.clone(), host, 1, 60, 60, 60, LIFE_SECS);
        let soa = Record::from_rdata(name("example"), LIFE_SECS, RData::SOA(soa));
        let records = entries.iter().map(|entry| record(*entry));
        for record in std::iter::once(soa).chain(records) {
            assert!(self.zone.upsert(record, 1).await, "a record that fits");
        }
    }
}
