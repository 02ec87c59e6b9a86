//! The registrar's table: at which addresses a device can be reached (RFC 3261 §10.3).
//!
//! Who the device is has been proven before; the To address and the digest are not looked at here. Requests to a device go
//! by the path that its REGISTER came by, so that they get through a NAT, with the Contact as Request-URI.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::transaction::Path;
use crate::{Name, NameAddr, Request, Response, Scheme, Uri};

/// How long and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Seconds for a phone that asks for none.
    pub default_expires_secs: u32,
    /// Fewer are refused with 423.
    pub min_expires_secs: u32,
    /// More are cut to this.
    pub max_expires_secs: u32,
    /// So many bindings of one device. One more takes the place of the oldest from the same address, else it is refused with 403.
    pub most_bindings: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            default_expires_secs: 300,
            min_expires_secs: 60,
            max_expires_secs: 3600,
            most_bindings: 10,
        }
    }
}

/// One address of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The device.
    pub device: i64,
    /// The Contact URI, without brackets and parameters of the field.
    pub contact: String,
    /// By which socket and from where the REGISTER came.
    pub path: Path,
    /// Path values (RFC 3327) in the order in which a request to the device visits them as Route.
    pub routes: Vec<String>,
    /// Call-ID of the REGISTER.
    pub call_id: String,
    /// CSeq number of the REGISTER.
    pub cseq: u32,
    /// When it ends, in seconds of UTC: it is valid before that second.
    pub expires_utc: i64,
    /// What the phone says it is.
    pub user_agent: Option<String>,
}

/// What happened to a binding; store it before the answer is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// New.
    Added(Binding),
    /// The same contact again: its expiry, and perhaps its path, changed.
    Refreshed(Binding),
    /// Withdrawn by the phone, expired, or replaced.
    Removed(Binding),
}

/// The answer to a REGISTER and what it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterOutcome {
    /// 200 with all bindings of the device and their remaining seconds, or a refusal. Has no To tag yet.
    pub response: Response,
    /// In order; empty on a refusal and on a query.
    pub changes: Vec<Change>,
}

/// The table.
pub struct Registrar {
    policy: Policy,
    devices: BTreeMap<i64, Vec<Entry>>,
    /// Expiry, device and serial of every entry.
    by_expiry: BTreeSet<(i64, i64, u64)>,
    last_serial: u64,
}

#[derive(Clone)]
struct Entry {
    serial: u64,
    uri: Uri,
    binding: Binding,
}

/// A Contact of a REGISTER.
struct Wanted {
    uri: Uri,
    /// 0 withdraws it.
    expires_secs: u32,
}

/// Why a REGISTER is refused: status and reason phrase.
struct Refusal(u16, &'static str);

const OUT_OF_ORDER: Refusal = Refusal(500, "CSeq Out Of Order");

impl Registrar {
    /// An empty table.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            devices: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            last_serial: 0,
        }
    }

    /// Takes up stored bindings, after a restart. One that cannot be read, or whose device and contact are there already, is left out.
    pub fn load(&mut self, bindings: Vec<Binding>) {
        for binding in bindings {
            let Ok(uri) = Uri::parse(&binding.contact) else {
                continue;
            };
            let entries = self.devices.get(&binding.device);
            if entries.is_none_or(|entries| entries.iter().all(|entry| !entry.uri.matches(&uri))) {
                let entry = Entry {
                    serial: self.serial(),
                    uri,
                    binding,
                };
                self.by_expiry.insert(entry.expiry_key());
                self.devices
                    .entry(entry.binding.device)
                    .or_default()
                    .push(entry);
            }
        }
    }

    /// Carries out a REGISTER of this device: all of it or, on a refusal, nothing.
    pub fn register(
        &mut self,
        now_utc_secs: i64,
        device: i64,
        request: &Request,
        path: Path,
    ) -> RegisterOutcome {
        match self.change(now_utc_secs, device, request, path) {
            Ok(changes) => RegisterOutcome {
                response: self.listing(now_utc_secs, device, request),
                changes,
            },
            Err(Refusal(status, reason)) => {
                let mut response = request.reply(status);
                reason.clone_into(&mut response.reason);
                if status == 423 {
                    response
                        .headers
                        .push(Name::MinExpires, &self.policy.min_expires_secs.to_string());
                }
                RegisterOutcome {
                    response,
                    changes: Vec::new(),
                }
            }
        }
    }

    /// The bindings of a device, oldest first. Call [`Registrar::expire`] before, else some may be over.
    pub fn bindings(&self, device: i64) -> impl Iterator<Item = &Binding> {
        self.devices
            .get(&device)
            .into_iter()
            .flatten()
            .map(|entry| &entry.binding)
    }

    /// Removes what has expired and returns it, earliest first.
    pub fn expire(&mut self, now_utc_secs: i64) -> Vec<Binding> {
        let mut gone = Vec::new();
        while let Some(&(expires, device, serial)) = self
            .by_expiry
            .first()
            .filter(|(expires, ..)| *expires <= now_utc_secs)
        {
            self.by_expiry.remove(&(expires, device, serial));
            let Some(entries) = self.devices.get_mut(&device) else {
                continue;
            };
            if let Some(at) = entries.iter().position(|entry| entry.serial == serial) {
                gone.push(entries.remove(at).binding);
            }
            if entries.is_empty() {
                self.devices.remove(&device);
            }
        }
        gone
    }

    /// When [`Registrar::expire`] is wanted next, in seconds of UTC.
    pub fn next_expiry(&self) -> Option<i64> {
        self.by_expiry.first().map(|(expires, ..)| *expires)
    }

    /// Removes all bindings of a device that is no more, and returns them.
    pub fn remove_device(&mut self, device: i64) -> Vec<Binding> {
        let entries = self.devices.remove(&device).unwrap_or_default();
        for entry in &entries {
            self.by_expiry.remove(&entry.expiry_key());
        }
        entries.into_iter().map(|entry| entry.binding).collect()
    }

    /// Removes the bindings that came by this connection, which is closed, and returns them.
    pub fn remove_path(&mut self, path: &Path) -> Vec<Binding> {
        let mut gone = Vec::new();
        for entries in self.devices.values_mut() {
            entries.retain(|entry| {
                let stays = entry.binding.path != *path;
                if !stays {
                    self.by_expiry.remove(&entry.expiry_key());
                    gone.push(entry.binding.clone());
                }
                stays
            });
        }
        self.devices.retain(|_, entries| !entries.is_empty());
        gone
    }

    /// Whether a binding came by this way.
    pub fn has_path(&self, path: &Path) -> bool {
        let mut entries = self.devices.values().flatten();
        entries.any(|entry| entry.binding.path == *path)
    }

    /// The devices that have a binding.
    pub fn devices(&self) -> impl Iterator<Item = i64> + '_ {
        self.devices.keys().copied()
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.by_expiry.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_expiry.is_empty()
    }

    /// RFC 3261 §10.3 steps 6 and 7, on a copy of the device's entries that replaces them at the end.
    fn change(
        &mut self,
        now: i64,
        device: i64,
        request: &Request,
        path: Path,
    ) -> Result<Vec<Change>, Refusal> {
        let (Some(call_id), Some(cseq)) = (request.call_id(), request.cseq()) else {
            return Err(Refusal(400, "Missing Call-ID Or CSeq"));
        };
        let mut draft = Draft {
            entries: self.devices.get(&device).cloned().unwrap_or_default(),
            changes: Vec::new(),
        };
        draft.remove_where(|entry| entry.binding.expires_utc <= now);
        let outdated = |entry: &Entry| entry.is_newer(call_id, cseq.number);
        if request.headers.first(&Name::Contact) == Some("*") {
            self.check_wildcard(request)?;
            if draft.entries.iter().any(outdated) {
                return Err(OUT_OF_ORDER);
            }
            draft.remove_where(|_| true);
            return Ok(self.commit(device, draft));
        }
        let wanted = self.wanted(request)?;
        let named = |entry: &Entry| wanted.iter().any(|wanted| entry.uri.matches(&wanted.uri));
        if draft
            .entries
            .iter()
            .any(|entry| outdated(entry) && named(entry))
        {
            return Err(OUT_OF_ORDER);
        }
        let model = Binding {
            device,
            contact: String::new(),
            path,
            routes: request
                .headers
                .all(&Name::Path)
                .map(str::to_owned)
                .collect(),
            call_id: call_id.to_owned(),
            cseq: cseq.number,
            expires_utc: now,
            user_agent: request.headers.first(&Name::UserAgent).map(str::to_owned),
        };
        for wanted in wanted {
            let serial = self.serial();
            draft.bind(wanted, serial, &model, self.policy.most_bindings)?;
        }
        Ok(self.commit(device, draft))
    }

    /// RFC 3261 §10.2.2: the wildcard stands alone and only withdraws.
    fn check_wildcard(&self, request: &Request) -> Result<(), Refusal> {
        let alone = request.headers.all(&Name::Contact).count() == 1;
        let zero = request
            .headers
            .first(&Name::Expires)
            .is_some_and(|value| seconds(value) == Some(0));
        if alone && zero {
            Ok(())
        } else {
            Err(Refusal(
                400,
                "Contact Wildcard Needs Expires 0 And Stands Alone",
            ))
        }
    }

    fn wanted(&self, request: &Request) -> Result<Vec<Wanted>, Refusal> {
        let header = request.headers.first(&Name::Expires).and_then(seconds);
        let policy = &self.policy;
        let mut list = Vec::new();
        for value in request.headers.all(&Name::Contact) {
            if value == "*" {
                return Err(Refusal(
                    400,
                    "Contact Wildcard Needs Expires 0 And Stands Alone",
                ));
            }
            let contact = NameAddr::parse(value).map_err(|_| Refusal(400, "Malformed Contact"))?;
            if !matches!(contact.uri.scheme, Scheme::Sip | Scheme::Sips) {
                return Err(Refusal(400, "Contact Is No SIP URI"));
            }
            // RFC 3261 §10.2.1.1: the contact's own value comes first; a malformed one counts as none.
            let own = contact.param("expires").flatten().and_then(seconds);
            let expires_secs = match own.or(header) {
                Some(0) => 0,
                Some(asked) if asked < policy.min_expires_secs => {
                    return Err(Refusal(423, "Interval Too Brief"));
                }
                Some(asked) => asked.min(policy.max_expires_secs.max(1)),
                None => policy.default_expires_secs.max(1),
            };
            list.push(Wanted {
                uri: contact.uri,
                expires_secs,
            });
        }
        Ok(list)
    }

    fn commit(&mut self, device: i64, draft: Draft) -> Vec<Change> {
        for entry in self.devices.remove(&device).unwrap_or_default() {
            self.by_expiry.remove(&entry.expiry_key());
        }
        self.by_expiry
            .extend(draft.entries.iter().map(Entry::expiry_key));
        if !draft.entries.is_empty() {
            self.devices.insert(device, draft.entries);
        }
        draft.changes
    }

    /// RFC 3261 §10.3 step 8.
    fn listing(&self, now: i64, device: i64, request: &Request) -> Response {
        let mut response = request.reply(200);
        for binding in self.bindings(device) {
            let remaining = binding.expires_utc.saturating_sub(now).max(0);
            response.headers.push(
                Name::Contact,
                &format!("<{}>;expires={remaining}", binding.contact),
            );
        }
        // RFC 3327 §5.3
        if request.headers.has_token(&Name::Supported, "path") {
            for value in request.headers.all(&Name::Path) {
                response.headers.push(Name::Path, value);
            }
        }
        response
    }

    fn serial(&mut self) -> u64 {
        self.last_serial += 1;
        self.last_serial
    }
}

/// What the device's entries will be.
struct Draft {
    entries: Vec<Entry>,
    changes: Vec<Change>,
}

impl Draft {
    fn remove_where(&mut self, gone: impl Fn(&Entry) -> bool) {
        let (removed, kept) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|entry| gone(entry));
        self.entries = kept;
        let removed: Vec<Entry> = removed;
        self.changes.extend(
            removed
                .into_iter()
                .map(|entry| Change::Removed(entry.binding)),
        );
    }

    fn remove(&mut self, at: usize) {
        self.changes
            .push(Change::Removed(self.entries.remove(at).binding));
    }

    /// Binds or withdraws one contact; `model` is the binding but for contact and expiry.
    fn bind(
        &mut self,
        wanted: Wanted,
        serial: u64,
        model: &Binding,
        most: usize,
    ) -> Result<(), Refusal> {
        let known = self
            .entries
            .iter()
            .position(|entry| entry.uri.matches(&wanted.uri));
        if wanted.expires_secs == 0 {
            known.into_iter().for_each(|at| self.remove(at));
            return Ok(());
        }
        let binding = Binding {
            contact: wanted.uri.to_string(),
            expires_utc: model
                .expires_utc
                .saturating_add(i64::from(wanted.expires_secs)),
            ..model.clone()
        };
        let entry = Entry {
            serial,
            uri: wanted.uri,
            binding: binding.clone(),
        };
        if let Some(at) = known {
            self.entries[at] = entry;
            self.changes.push(Change::Refreshed(binding));
            return Ok(());
        }
        if self.entries.len() >= most {
            // A phone that starts anew under another contact leaves its old one behind: it stands at the same address
            // and comes from another REGISTER.
            let left_behind = |old: &Entry| {
                old.binding.path == binding.path && old.binding.call_id != binding.call_id
            };
            let at = self
                .entries
                .iter()
                .position(left_behind)
                .ok_or(Refusal(403, "Too Many Registered Contacts"))?;
            self.remove(at);
        }
        self.entries.push(entry);
        self.changes.push(Change::Added(binding));
        Ok(())
    }
}

impl Entry {
    fn expiry_key(&self) -> (i64, i64, u64) {
        (self.binding.expires_utc, self.binding.device, self.serial)
    }

    /// RFC 3261 §10.3 step 7: within one Call-ID, only a higher number may change a binding.
    fn is_newer(&self, call_id: &str, number: u32) -> bool {
        self.binding.call_id == call_id && self.binding.cseq >= number
    }
}

/// Delta-seconds; more than fits is the most that fits (RFC 3261 §20.19), anything else is `None`.
fn seconds(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}
