//! Our registration with one provider (RFC 3261 §10.2): what is asked, what an answer means, and when to ask again.

use std::{collections::BTreeMap, time::Duration};

use model::{Credentials, Proxy, TrunkCode, TrunkOutbound};
use sip::{
    CSeq, Method, Name, NameAddr, Request, Response, Uri,
    digest::{self, Challenge},
    transaction::{Path, Tokens, Transport},
};

use crate::{directory::dialled, trunk_challenge::login};

/// Requests of one round: challenges, a stale nonce and a longer time included. Beyond that the provider goes in circles.
const MOST_REQUESTS: u32 = 6;
/// After the first failure; doubled with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(30);
/// Most between two attempts that nobody asked us to put off.
const LONGEST_RETRY: Duration = Duration::from_secs(600);
/// What a Retry-After may ask for.
const RETRY_AFTER_SECS: std::ops::RangeInclusive<u64> = 10..=3_600;
/// The longest registration that a Min-Expires may ask for.
const MOST_EXPIRES_SECS: u32 = 86_400;
/// Of a Service-Route; further values are left out.
const MOST_ROUTES: usize = 8;
/// A provider that grants less is asked again after this long all the same.
const SHORTEST_REFRESH_SECS: u32 = 5;

/// What names a registration: with another proxy, user or contact it is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) proxy: Proxy,
    domain: Option<String>,
    user: String,
    auth_user: String,
    contact_user: String,
}

impl Account {
    /// The registration that the settings ask for, and its password; none if they ask for none.
    pub(crate) fn of(outbound: &TrunkOutbound) -> Option<(Self, Credentials)> {
        let credentials = outbound.credentials.clone().filter(|_| outbound.register)?;
        let account = Self {
            proxy: outbound.proxy.clone(),
            domain: outbound.domain.clone(),
            auth_user: login(outbound)?.user,
            user: credentials.user.clone(),
            // A provider calls the user of the Contact: that is to be a number which a line has.
            contact_user: dialled(&outbound.caller_number),
        };
        Some((account, credentials))
    }

    /// Where the provider's calls come in.
    fn contact(&self, path: Path) -> Uri {
        let here = path.local.ip().to_string();
        let contact = Uri::sip(Some(&self.contact_user), &here, Some(path.local.port()));
        match path.transport {
            Transport::Udp => contact,
            other => contact.with_param("transport", Some(&other.name().to_ascii_lowercase())),
        }
    }
}

/// A challenge that we can answer, and how often we did.
#[derive(Debug)]
struct Given {
    challenge: Challenge,
    uses: u32,
    /// Of this round: whoever asks again did not like the answer.
    fresh: bool,
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing yet.
    Wait,
    /// Ask again at once.
    Again,
    /// We are registered; ask again after this long.
    Registered(Duration),
    /// We are not; ask again after this long.
    Failed(TrunkCode, Duration),
}

/// A registration.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) account: Account,
    password: String,
    /// From the settings.
    wanted_secs: u32,
    /// As asked for; longer if the provider wants that.
    asked_secs: u32,
    call_id: String,
    tag: String,
    cseq: u32,
    /// Challenges by the status that they came with, 401 or 407.
    given: BTreeMap<u16, Given>,
    requests: u32,
    failures: u32,
    /// The provider knew us at some time.
    bound: bool,
    /// The way that our calls are to take (RFC 3608 §5).
    pub(crate) service_route: Vec<String>,
}

impl Registration {
    pub(crate) fn new(
        account: Account,
        credentials: Credentials,
        secs: u32,
        tokens: &mut Tokens,
    ) -> Self {
        Self {
            account,
            password: credentials.password,
            wanted_secs: secs,
            asked_secs: secs,
            // RFC 3261 §10.2.4: the same Call-ID as long as we live.
            call_id: tokens.call_id(),
            tag: tokens.tag(),
            cseq: 0,
            given: BTreeMap::new(),
            requests: 0,
            failures: 0,
            bound: false,
            service_route: Vec::new(),
        }
    }

    /// Takes the settings as they are now; true if they differ, so that the provider has to hear of it.
    pub(crate) fn update(&mut self, credentials: Credentials, secs: u32) -> bool {
        if self.password == credentials.password && self.wanted_secs == secs {
            return false;
        }
        self.password = credentials.password;
        (self.wanted_secs, self.asked_secs) = (secs, secs);
        self.given.clear();
        (self.requests, self.failures) = (0, 0);
        true
    }

    /// Whether there is something to take back.
    pub(crate) fn is_bound(&self) -> bool {
        self.bound
    }

    /// Begins a round: challenges of earlier ones are answered before they are asked.
    pub(crate) fn begin(&mut self) {
        self.requests = 0;
        for given in self.given.values_mut() {
            given.fresh = false;
        }
    }

    /// The next REGISTER, without Via. To take the registration back, `leave`.
    pub(crate) fn request(&mut self, path: Path, leave: bool, tokens: &mut Tokens) -> Request {
        self.requests += 1;
        self.cseq += 1;
        let account = &self.account;
        let (host, port) = match &account.domain {
            Some(domain) => (domain.as_str(), None),
            None => (account.proxy.host(), account.proxy.port),
        };
        let address = NameAddr::new(Uri::sip(Some(&account.user), host, None));
        let mut request = Request::new(Method::Register, Uri::sip(None, host, port));
        let cseq = CSeq {
            number: self.cseq,
            method: Method::Register,
        };
        let expires = if leave { 0 } else { self.asked_secs };
        let headers = &mut request.headers;
        headers.push(Name::MaxForwards, "70");
        headers.push(Name::To, &address.to_string());
        headers.push(Name::From, &address.with_tag(&self.tag).to_string());
        headers.push(Name::CallId, &self.call_id);
        headers.push(Name::CSeq, &cseq.to_string());
        headers.push(Name::Contact, &format!("<{}>", account.contact(path)));
        headers.push(Name::Expires, &expires.to_string());
        self.authorize(&mut request, tokens);
        request
    }

    fn authorize(&mut self, request: &mut Request, tokens: &mut Tokens) {
        let uri = request.uri.to_string();
        let user = &self.account.auth_user;
        for (status, given) in &mut self.given {
            given.uses += 1;
            let challenge = &given.challenge;
            let ha1 = digest::ha1(challenge.algorithm, user, &challenge.realm, &self.password);
            let method = Method::Register;
            let value = digest::respond(
                challenge,
                user,
                &ha1,
                method.as_str(),
                &uri,
                &tokens.tag(),
                given.uses,
            );
            let name = match status {
                407 => Name::ProxyAuthorization,
                _ => Name::Authorization,
            };
            request.headers.push(name, &value);
        }
    }

    /// An answer came (RFC 3261 §10.2.4 to §10.2.8).
    pub(crate) fn answered(&mut self, response: &Response, path: Path) -> Heard {
        match response.status {
            ..200 => Heard::Wait,
            200..300 => {
                self.bound = true;
                self.failures = 0;
                let routes = response.headers.all(&Name::ServiceRoute);
                self.service_route = routes.take(MOST_ROUTES).map(str::to_owned).collect();
                let granted = self.granted(response, path);
                let secs = (granted / 5 * 4).max(SHORTEST_REFRESH_SECS);
                Heard::Registered(Duration::from_secs(secs.into()))
            }
            401 | 407 => match self.take_challenge(response) {
                Ok(()) => Heard::Again,
                Err(code) => self.failed(code, Some(response)),
            },
            408 => self.failed(TrunkCode::Unreachable, Some(response)),
            423 if self.lengthen(response) => Heard::Again,
            _ => self.failed(TrunkCode::Refused, Some(response)),
        }
    }

    /// The attempt failed; each further one waits longer, unless the provider says how long (RFC 3261 §20.33).
    pub(crate) fn failed(&mut self, code: TrunkCode, response: Option<&Response>) -> Heard {
        let doubled = FIRST_RETRY * 2_u32.pow(self.failures.min(8));
        self.failures += 1;
        let asked = response.and_then(|response| seconds(response, &Name::RetryAfter));
        let wait = match asked {
            Some(secs) => {
                Duration::from_secs(secs.clamp(*RETRY_AFTER_SECS.start(), *RETRY_AFTER_SECS.end()))
            }
            None => doubled.min(LONGEST_RETRY),
        };
        Heard::Failed(code, wait)
    }

    fn take_challenge(&mut self, response: &Response) -> Result<(), TrunkCode> {
        let asked = match response.status {
            407 => Name::ProxyAuthenticate,
            _ => Name::WwwAuthenticate,
        };
        let challenge = Challenge::strongest(response.headers.all(&asked));
        let challenge = challenge.ok_or(TrunkCode::Refused)?;
        let answered = self.given.get(&response.status);
        let disliked = answered.is_some_and(|given| given.fresh) && !challenge.stale;
        if disliked || self.requests >= MOST_REQUESTS {
            // The next attempt begins without what was refused.
            self.given.clear();
            return Err(TrunkCode::PasswordRefused);
        }
        let given = Given {
            challenge,
            uses: 0,
            fresh: true,
        };
        self.given.insert(response.status, given);
        Ok(())
    }

    /// 423: the provider wants longer registrations (RFC 3261 §10.2.8).
    fn lengthen(&mut self, response: &Response) -> bool {
        let least = seconds(response, &Name::MinExpires).and_then(|secs| u32::try_from(secs).ok());
        let longer = least.filter(|secs| *secs > self.asked_secs && *secs <= MOST_EXPIRES_SECS);
        if let (Some(secs), true) = (longer, self.requests < MOST_REQUESTS) {
            self.asked_secs = secs;
            return true;
        }
        false
    }

    /// For how long we are registered: as our own Contact says, else the only one, else Expires.
    fn granted(&self, response: &Response, path: Path) -> u32 {
        let contact = self.account.contact(path);
        let values = response.headers.all(&Name::Contact);
        let contacts: Vec<NameAddr> = values.filter_map(|it| NameAddr::parse(it).ok()).collect();
        let ours = contacts.iter().find(|it| it.uri.matches(&contact));
        // A provider before which an address is translated may have written another one.
        let ours = ours.or(match contacts.as_slice() {
            [only] => Some(only),
            _ => None,
        });
        let of_contact = ours.and_then(|it| it.param("expires")??.parse().ok());
        let of_answer = || seconds(response, &Name::Expires);
        let secs: Option<u64> = of_contact.or_else(of_answer).filter(|secs| *secs > 0);
        let secs = secs.map(|secs| u32::try_from(secs).unwrap_or(MOST_EXPIRES_SECS));
        secs.unwrap_or(self.asked_secs).min(MOST_EXPIRES_SECS)
    }
}

/// The number at the start of a header: a comment or parameters may follow.
pub(crate) fn seconds(response: &Response, name: &Name) -> Option<u64> {
    let value = response.headers.first(name)?.trim();
    let digits = value.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}
