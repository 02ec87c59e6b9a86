//! REGISTER: digest, bindings, and which agents can be reached.

use std::{collections::BTreeSet, time::Duration};

use call::Notice;
use model::{DeviceId, DigestOffer, Now, UserId, Utc};
use sip::{
    Name, NameAddr, Request,
    digest::{Algorithm, Authorization, Verdict},
    registrar::{Binding, Policy, Registrar},
    transaction::{Path, ServerKey, Transport},
};

use crate::{
    io::Output,
    refusal::{Why, bad_extension},
    settings::Settings,
    switch::Switch,
};

/// The registrar's table by the settings of the process.
pub(crate) fn registrar(settings: &Settings) -> Registrar {
    Registrar::new(Policy {
        default_expires_secs: settings.register_secs.default,
        min_expires_secs: settings.register_secs.shortest,
        max_expires_secs: settings.register_secs.longest,
        most_bindings: settings.limits.bindings,
    })
}

impl Switch {
    pub(crate) fn register(&mut self, now: Now, from: (ServerKey, Path), request: &Request) {
        let (_, path) = from;
        if let Some(response) = bad_extension(request) {
            let why = Why {
                reason: "it requires an extension",
                remedy: "switch the extension off at the telephone",
            };
            return self.refuse(now.mono, from, request, response, why);
        }
        let account = request.to().as_ref().and_then(account_in);
        let owned = self
            .authenticate(now, path, request)
            .and_then(|user| self.owned_address(account.as_deref(), &user));
        match owned {
            Ok(device) => self.bind(now, from, request, device),
            Err(challenged) => {
                self.not_authenticated(now, from, request, account.as_deref(), challenged);
            }
        }
    }

    /// Asks for credentials, or says why they are not enough. `account` is whom the request claims to be of.
    pub(crate) fn not_authenticated(
        &mut self,
        now: Now,
        from: (ServerKey, Path),
        request: &Request,
        account: Option<&str>,
        challenged: Challenged,
    ) {
        let (_, path) = from;
        match challenged {
            Challenged::First => self.challenge(now, from, request, account, false),
            Challenged::Stale => self.challenge(now, from, request, account, true),
            Challenged::Refused(why) => {
                self.report(path, request, 401, why);
                self.challenge(now, from, request, account, false);
            }
            Challenged::Forbidden(why) => {
                let response = request.reply(403);
                self.refuse(now.mono, from, request, response, why);
            }
        }
    }

    /// The account whose password the request proves to know.
    pub(crate) fn authenticate(
        &mut self,
        now: Now,
        path: Path,
        request: &Request,
    ) -> Result<String, Challenged> {
        let realm = self.settings.realm.clone();
        let values = request.headers.all(&Name::Authorization);
        let ours = values.filter(|value| {
            Authorization::parse(value).is_some_and(|credentials| credentials.realm() == realm)
        });
        let Some(credentials) = ours.map(str::to_owned).next() else {
            return Err(Challenged::First);
        };
        let directory = &self.directory;
        let stored = |algorithm, user: &str| {
            let device = directory.account(user)?;
            match (algorithm, device.digest) {
                (Algorithm::Md5, DigestOffer::Md5 | DigestOffer::Both) => {
                    Some(device.ha1_md5.clone())
                }
                (Algorithm::Sha256, DigestOffer::Sha256 | DigestOffer::Both) => {
                    Some(device.ha1_sha256.clone())
                }
                _ => None,
            }
        };
        let source = path.remote.ip();
        let verdict =
            self.challenger
                .verify_request(now.utc.secs(), source, request, &credentials, stored);
        let refused = |reason, remedy| Err(Challenged::Refused(Why { reason, remedy }));
        match verdict {
            Verdict::Ok { user } => Ok(user),
            // Both had the right password: a new nonce is all that is missing.
            Verdict::Stale | Verdict::Replayed => Err(Challenged::Stale),
            Verdict::Malformed => refused(
                "the credentials cannot be read",
                "look at the phone's settings",
            ),
            Verdict::Bad { .. } => refused(
                "wrong password or unknown device",
                "compare user name, password and realm with the device's",
            ),
        }
    }

    /// A device registers its own address of record only (RFC 3261 §10.3, step 4).
    fn owned_address(&self, to: Option<&str>, account: &str) -> Result<DeviceId, Challenged> {
        match self.directory.account(account) {
            Some(device) if to == Some(account) => Ok(device.id),
            _ => Err(Challenged::Forbidden(Why {
                reason: "a device registers an address that is not its own",
                remedy: "set the phone's user name to its authentication user",
            })),
        }
    }

    fn challenge(
        &mut self,
        now: Now,
        from: (ServerKey, Path),
        request: &Request,
        account: Option<&str>,
        stale: bool,
    ) {
        let (server, path) = from;
        let device = account.and_then(|account| self.directory.account(account));
        let algorithms: &[Algorithm] = match device.map(|device| device.digest).unwrap_or_default()
        {
            DigestOffer::Md5 => &[Algorithm::Md5],
            DigestOffer::Sha256 => &[Algorithm::Sha256],
            DigestOffer::Both => &[Algorithm::Sha256, Algorithm::Md5],
        };
        let mut response = request.reply(401);
        let source = path.remote.ip();
        for value in self
            .challenger
            .challenge(now.utc.secs(), source, algorithms, stale)
        {
            response.headers.push(Name::WwwAuthenticate, &value);
        }
        self.respond(now.mono, server, response);
    }

    fn bind(&mut self, now: Now, from: (ServerKey, Path), request: &Request, device: DeviceId) {
        let (server, path) = from;
        self.expire_bindings(now);
        let outcome = self
            .registrar
            .register(now.utc.secs(), device.0, request, path);
        if !outcome.changes.is_empty() {
            self.bindings_changed(now, device);
            self.follow_device(device, path);
            self.withdraw_stranded(now, device, path);
        }
        let status = outcome.response.status;
        if status >= 300 {
            let why = Why {
                reason: "the registration itself cannot be carried out",
                remedy: "look at Contact, Expires and the number of the device's registrations",
            };
            self.report(path, request, status, why);
        }
        self.respond(now.mono, server, outcome.response);
    }

    /// Tells the store and the agents that a device's bindings changed.
    pub(crate) fn bindings_changed(&mut self, now: Now, device: DeviceId) {
        let bindings = self
            .registrar
            .bindings(device.0)
            .map(|binding| record(device, binding))
            .collect();
        self.outputs
            .push_back(Output::Notice(Notice::Bindings { device, bindings }));
        if let Some(user) = self.directory.device(device).map(|device| device.user) {
            self.update_registered(now, user);
        }
    }

    pub(crate) fn update_registered(&mut self, now: Now, user: UserId) {
        let registered = self.is_reachable(user);
        self.agents.set_registered(now, user, registered);
    }

    /// One of the user's telephones can be rung, whether or not the user is there.
    pub(crate) fn is_reachable(&self, user: UserId) -> bool {
        let mut devices = self.directory.devices_of(user).iter();
        devices.any(|device| self.registrar.bindings(device.0).next().is_some())
            || (!self.elsewhere(user).is_empty() && !self.ways_out().is_empty())
    }

    pub(crate) fn load_bindings(&mut self, now: Now, bindings: Vec<model::Binding>) {
        self.registrar
            .load(bindings.into_iter().filter_map(binding_of).collect());
        self.expire_bindings(now);
        let users: BTreeSet<UserId> = self
            .directory
            .records()
            .devices
            .iter()
            .map(|device| device.user)
            .collect();
        for user in users {
            self.update_registered(now, user);
        }
    }

    /// A device that the administrator removed is not reachable any more.
    pub(crate) fn drop_unknown_bindings(&mut self) {
        let unknown = self
            .registrar
            .devices()
            .filter(|device| self.directory.device(DeviceId(*device)).is_none());
        let unknown: Vec<i64> = unknown.collect();
        for device in unknown {
            self.registrar.remove_device(device);
            let (device, bindings) = (DeviceId(device), Vec::new());
            self.outputs
                .push_back(Output::Notice(Notice::Bindings { device, bindings }));
        }
    }

    pub(crate) fn expire_bindings(&mut self, now: Now) {
        let gone = self.registrar.expire(now.utc.secs());
        let devices: BTreeSet<DeviceId> = gone
            .iter()
            .map(|binding| DeviceId(binding.device))
            .collect();
        for device in devices {
            self.bindings_changed(now, device);
        }
    }

    /// When the next binding ends, on the monotonic clock.
    pub(crate) fn binding_expiry(&self) -> Option<Duration> {
        let expiry = Utc::from_secs(self.registrar.next_expiry()?);
        Some(self.last.mono + expiry.since(self.last.utc))
    }

    /// Whether a registered device is at this address.
    pub(crate) fn is_registered_address(&self, remote: std::net::SocketAddr) -> bool {
        self.registrar.devices().any(|device| {
            self.registrar
                .bindings(device)
                .any(|binding| binding.path.remote == remote)
        })
    }
}

/// The user part of an address.
pub(crate) fn account_in(address: &NameAddr) -> Option<String> {
    address.uri.user().map(|user| user.into_owned())
}

/// Why a request of a telephone is not carried out yet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Challenged {
    /// It has no credentials for us.
    First,
    /// They were right, the nonce is too old.
    Stale,
    Refused(Why),
    Forbidden(Why),
}

fn record(device: DeviceId, binding: &Binding) -> model::Binding {
    model::Binding {
        device,
        contact: binding.contact.clone(),
        transport: binding.path.transport.name().to_ascii_lowercase(),
        local: binding.path.local,
        remote: binding.path.remote,
        path: binding.routes.clone(),
        call_id: binding.call_id.clone(),
        cseq: binding.cseq,
        expires: Utc::from_secs(binding.expires_utc),
        user_agent: binding.user_agent.clone(),
    }
}

/// A stored binding; none for connections, which wait for the phone after a restart.
fn binding_of(record: model::Binding) -> Option<Binding> {
    if !record.transport.eq_ignore_ascii_case(Transport::Udp.name()) {
        return None;
    }
    Some(Binding {
        device: record.device.0,
        contact: record.contact,
        path: Path::udp(record.local, record.remote),
        routes: record.path,
        call_id: record.call_id,
        cseq: record.cseq,
        expires_utc: record.expires.secs(),
        user_agent: record.user_agent,
    })
}
