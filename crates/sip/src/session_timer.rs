//! Session timers (RFC 4028): how long a session lives without a refresh, and who refreshes it.
//!
//! Nothing of a message that breaks the RFC makes a session shorter than [`SHORTEST_TAKEN_SECS`].

use std::fmt;
use std::time::Duration;

use crate::{Headers, Name, Request};

/// The smallest interval that may be asked for (RFC 4028 §4).
pub const LEAST_SECS: u32 = 90;
/// What a peer that breaks the RFC may make of it, so that nobody is refreshed without end.
const SHORTEST_TAKEN_SECS: u32 = 30;
/// RFC 4028 §10: whoever does not refresh ends the session so long before its end, or a third of it.
const BEFORE_END_SECS: u32 = 32;

/// Who refreshes, by their part in the transaction that says so (RFC 4028 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// Who sent the request.
    Uac,
    /// Who answered it.
    Uas,
}

/// A Session-Expires value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// How long the session lives, in seconds.
    pub secs: u32,
    /// Who refreshes it; nobody is named in most first requests.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    /// The value in these fields; `None` where there is none, or one that cannot be read.
    pub fn of(headers: &Headers) -> Option<Self> {
        let mut parts = headers.first(&Name::SessionExpires)?.split(';');
        let secs = parts.next()?.trim().parse().ok()?;
        let refresher = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            let named = name.trim().eq_ignore_ascii_case("refresher");
            named.then(|| value.trim().to_ascii_lowercase())
        });
        let refresher = match refresher.as_deref() {
            Some("uac") => Some(Refresher::Uac),
            Some("uas") => Some(Refresher::Uas),
            _ => None,
        };
        Some(Self { secs, refresher })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.secs)?;
        match self.refresher {
            Some(Refresher::Uac) => f.write_str(";refresher=uac"),
            Some(Refresher::Uas) => f.write_str(";refresher=uas"),
            None => Ok(()),
        }
    }
}

/// Whether the sender knows session timers.
pub fn is_supported(headers: &Headers) -> bool {
    [Name::Supported, Name::Require]
        .iter()
        .any(|name| headers.has_token(name, "timer"))
}

/// The Min-SE of a message; never less than the RFC's.
pub fn least_secs(headers: &Headers) -> u32 {
    let said = headers.first(&Name::MinSe);
    let said = said.and_then(|value| value.split(';').next()?.trim().parse().ok());
    said.unwrap_or(LEAST_SECS).max(LEAST_SECS)
}

/// What we say to a request that could set a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The session has no end of its own.
    Endless,
    /// 422 with our Min-SE.
    TooShort,
    /// This goes into the 2xx.
    Timer(SessionExpires),
}

/// How we answer an INVITE or UPDATE (RFC 4028 §9). `wanted_secs` is what we should like, 0 for no timer of our own;
/// `running_secs` is the timer that the session has already, which we go on with where they leave it out.
pub fn grant(request: &Request, wanted_secs: u32, running_secs: Option<u32>) -> Grant {
    let headers = &request.headers;
    let (theirs, supported) = (SessionExpires::of(headers), is_supported(headers));
    let by_us = |secs: u32| {
        Grant::Timer(SessionExpires {
            secs: secs.max(least_secs(headers)),
            refresher: Some(Refresher::Uas),
        })
    };
    match theirs {
        Some(theirs) if theirs.secs < LEAST_SECS && supported => Grant::TooShort,
        // Somebody on the way asks for it, and who sent the request would not understand a 422.
        Some(theirs) if theirs.secs < LEAST_SECS => Grant::Endless,
        Some(theirs) => {
            let most = if wanted_secs == 0 {
                u32::MAX
            } else {
                wanted_secs
            };
            // RFC 4028 §9: it may be made shorter, down to the Min-SE, and never longer.
            let secs = theirs.secs.min(most.max(least_secs(headers)));
            let refresher = match theirs.refresher {
                Some(Refresher::Uac) if supported => Refresher::Uac,
                _ => Refresher::Uas,
            };
            Grant::Timer(SessionExpires {
                secs,
                refresher: Some(refresher),
            })
        }
        None => match running_secs {
            Some(running) => by_us(running),
            None if supported && wanted_secs > 0 => by_us(wanted_secs),
            None => Grant::Endless,
        },
    }
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send a refresh.
    Refresh,
    /// End the session.
    Expired,
}

/// The running timer of one session, from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimer {
    secs: u32,
    expires_at: Duration,
    /// When we refresh; none while they do, or while ours is under way.
    refresh_at: Option<Duration>,
}

impl SessionTimer {
    /// A session that was begun or refreshed just now.
    pub fn new(now: Duration, secs: u32, we_refresh: bool) -> Self {
        let secs = secs.max(SHORTEST_TAKEN_SECS);
        let after = |secs: u32| now.saturating_add(Duration::from_secs(u64::from(secs)));
        Self {
            secs,
            expires_at: after(secs - BEFORE_END_SECS.min(secs / 3)),
            refresh_at: we_refresh.then(|| after(secs / 2)),
        }
    }

    /// The interval, in seconds.
    pub fn secs(&self) -> u32 {
        self.secs
    }

    /// When [`SessionTimer::due`] has something to say.
    pub fn next(&self) -> Duration {
        self.refresh_at
            .unwrap_or(self.expires_at)
            .min(self.expires_at)
    }

    /// What is to be done; a refresh is told once.
    pub fn due(&mut self, now: Duration) -> Option<Due> {
        if self.expires_at <= now {
            return Some(Due::Expired);
        }
        self.refresh_at.filter(|at| *at <= now)?;
        self.refresh_at = None;
        Some(Due::Refresh)
    }

    /// The refresh failed for now: again after this time.
    pub fn retry(&mut self, now: Duration, after: Duration) {
        self.refresh_at = Some(now.saturating_add(after));
    }

    /// Half of what is left until the end, and at least a second.
    pub fn half_of_rest(&self, now: Duration) -> Duration {
        (self.expires_at.saturating_sub(now) / 2).max(Duration::from_secs(1))
    }

    /// The other side wants it no shorter than that.
    pub fn lengthen(&mut self, least_secs: u32) {
        self.secs = self.secs.max(least_secs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    fn update(headers: &str) -> Request {
        let text = format!(
            "UPDATE sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1\r\n\
             From: <sip:b@c>;tag=1\r\nTo: <sip:a@192.0.2.1>;tag=2\r\nCall-ID: x\r\n\
             CSeq: 1 UPDATE\r\nMax-Forwards: 70\r\n{headers}\r\n"
        );
        match Message::parse(text.as_bytes()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => unreachable!(),
        }
    }

    fn timer(secs: u32, refresher: Refresher) -> Grant {
        Grant::Timer(SessionExpires {
            secs,
            refresher: Some(refresher),
        })
    }

    #[test]
    fn table_2_of_the_rfc_says_who_refreshes() {
        use Refresher::{Uac, Uas};
        let knows = "Supported: timer\r\n";
        for (headers, granted) in [
            ("x: 600\r\n".to_owned(), timer(600, Uas)),
            (
                "Session-Expires: 600;refresher=uas\r\n".to_owned(),
                timer(600, Uas),
            ),
            (format!("{knows}Session-Expires: 600\r\n"), timer(600, Uas)),
            (
                format!("{knows}Session-Expires: 600; Refresher=UAC\r\n"),
                timer(600, Uac),
            ),
            (
                format!("{knows}Session-Expires: 600;refresher=uas\r\n"),
                timer(600, Uas),
            ),
            (
                format!("{knows}Session-Expires: 3600;refresher=uac\r\n"),
                timer(1800, Uac),
            ),
            (
                format!("{knows}Session-Expires: 7200\r\nMin-SE: 3600\r\n"),
                timer(3600, Uas),
            ),
            (format!("{knows}Session-Expires: 89\r\n"), Grant::TooShort),
            ("Session-Expires: 89\r\n".to_owned(), Grant::Endless),
            (knows.to_owned(), timer(1800, Uas)),
            (format!("{knows}Min-SE: 2000\r\n"), timer(2000, Uas)),
            ("Session-Expires: soon\r\n".to_owned(), Grant::Endless),
            (String::new(), Grant::Endless),
        ] {
            assert_eq!(grant(&update(&headers), 1800, None), granted, "{headers}");
        }
        assert_eq!(grant(&update(knows), 0, None), Grant::Endless);
        assert_eq!(
            grant(&update(""), 0, Some(300)),
            timer(300, Uas),
            "it goes on"
        );
    }

    #[test]
    fn a_refresh_is_due_at_half_time_and_the_end_before_the_end() {
        let at = Duration::from_secs;
        let mut ours = SessionTimer::new(at(10), 90, true);
        assert_eq!((ours.next(), ours.due(at(54))), (at(55), None));
        assert_eq!(ours.due(at(55)), Some(Due::Refresh));
        assert_eq!((ours.due(at(55)), ours.next()), (None, at(70)));
        ours.retry(at(56), at(2));
        assert_eq!(ours.due(at(58)), Some(Due::Refresh));
        assert_eq!(ours.due(at(70)), Some(Due::Expired));
        let theirs = SessionTimer::new(at(0), 1800, false);
        assert_eq!(theirs.next(), at(1768));
        assert_eq!(
            SessionTimer::new(at(0), 0, true).next(),
            at(15),
            "never without end"
        );
    }
}
