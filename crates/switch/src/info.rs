//! Keys by INFO, as some telephones and trunks tell them: `application/dtmf-relay` with `Signal=1`, or `application/dtmf`
//! with the key alone. Neither is an RFC; both are widespread (RFC 6086 §1 names them as legacy use).

use media::LegKey;
use model::Now;
use sip::{Name, Request, transaction::ServerKey};

use crate::switch::Switch;

impl Switch {
    /// INFO in a dialog: a key, or 415.
    pub(crate) fn informed(&mut self, now: Now, server: ServerKey, key: LegKey, request: &Request) {
        let Some(leg) = self.legs.find(key) else {
            return;
        };
        let Some(dialog) = &leg.dialog else { return };
        let (call, no) = (leg.call, leg.no);
        let kind = request.headers.first(&Name::ContentType);
        let pressed = pressed(kind.unwrap_or_default(), &request.body);
        // Without a body it only asks whether we are there (RFC 6086 §4.2.2).
        let understood = pressed.is_some() || request.body.is_empty();
        let mut response = dialog.response(request, if understood { 200 } else { 415 });
        if !understood {
            let accepted = "application/dtmf-relay, application/dtmf";
            response.headers.push(Name::Accept, accepted);
        }
        self.respond(now.mono, server, response);
        if let Some(key) = pressed {
            self.tell_call(now, call, call::Input::Key { leg: no, key });
        }
    }
}

fn pressed(kind: &str, body: &[u8]) -> Option<char> {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let body = std::str::from_utf8(body).ok()?;
    let signal = if kind.eq_ignore_ascii_case("application/dtmf-relay") {
        let mut lines = body.lines().filter_map(|line| line.split_once('='));
        lines
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("signal"))?
            .1
    } else if kind.eq_ignore_ascii_case("application/dtmf") {
        body
    } else {
        return None;
    };
    // Some write the event numbers of RFC 4733 for star and pound.
    match signal.trim() {
        "10" => Some('*'),
        "11" => Some('#'),
        one => {
            let mut keys = one.chars();
            let key = keys.next()?.to_ascii_uppercase();
            let known = key.is_ascii_digit() || "*#ABCD".contains(key);
            (known && keys.next().is_none()).then_some(key)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_in_both_ways_of_writing() {
        let relay = "application/dtmf-relay";
        let read = |kind, body: &str| pressed(kind, body.as_bytes());
        assert_eq!(read(relay, "Signal=1\r\nDuration=160\r\n"), Some('1'));
        assert_eq!(read(relay, "Duration = 250\nsignal = #\n"), Some('#'));
        assert_eq!(read("Application/DTMF; charset=utf-8", "b\r\n"), Some('B'));
        assert_eq!(read("application/dtmf", "10"), Some('*'));
    }

    #[test]
    fn what_is_no_key_is_none() {
        let relay = "application/dtmf-relay";
        for (kind, body) in [
            (relay, &b"Signal=12\r\n"[..]),
            (relay, b"Signal=\r\n"),
            (relay, b"1"),
            (relay, b"Signal=\xff"),
            ("application/dtmf", b""),
            ("application/dtmf", b"x"),
            ("text/plain", b"1"),
            ("", b"1"),
        ] {
            assert_eq!(pressed(kind, body), None, "{kind} {body:?}");
        }
    }
}
