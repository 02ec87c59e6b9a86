//! What telephone companies do differently: where the called number stands, and which codecs may be used.

use media::{Codec, LegKey};
use model::{CalledIn, Trunk, TrunkTerms, VoiceCodec};
use sip::{Name, NameAddr, Request};

use crate::{leg::Side, registration::account_in, switch::Switch};

impl Switch {
    /// The number called, as the trunk writes it.
    pub(crate) fn called(&self, trunk: &Trunk, invite: &Request) -> String {
        let of_uri = || invite.uri.user().unwrap_or_default().into_owned();
        let of_to = || account_in(&invite.to()?);
        let found = match &trunk.called_in {
            CalledIn::RequestUri => None,
            CalledIn::To => of_to(),
            CalledIn::Header(name) => of_header(invite, name),
            // Where we register, the request URI is our Contact whatever was dialled, so a line's number in To comes first.
            CalledIn::Automatic => {
                let registers = trunk.outbound.as_ref().is_some_and(|it| it.register);
                let of_to = of_to().filter(|_| registers);
                of_to.filter(|to| self.directory.line_called(to).is_some())
            }
        };
        found.unwrap_or_else(of_uri)
    }

    /// Whether what a trunk lets us hear before the answer passes through.
    pub(crate) fn passes_early_media(&self, key: LegKey) -> bool {
        let terms = self.terms_of(key);
        terms.is_none_or(|terms| terms.early_media)
    }

    fn terms_of(&self, key: LegKey) -> Option<&TrunkTerms> {
        let Side::Trunk(trunk) = self.legs.find(key)?.side else {
            return None;
        };
        let outbound = self.directory.trunk(trunk)?.outbound.as_ref()?;
        Some(&outbound.terms)
    }

    /// The codecs for a leg, in the order of our offers: the wanted one first, and only what its trunk takes.
    pub(crate) fn codecs_for(&self, key: LegKey, wanted: Option<Codec>) -> Vec<Codec> {
        let allowed = self
            .terms_of(key)
            .map_or(&[][..], |terms| terms.codecs.as_slice());
        let mut codecs: Vec<Codec> = allowed.iter().map(codec).collect();
        if codecs.is_empty() {
            codecs = vec![Codec::Pcma, Codec::Pcmu];
        }
        codecs.dedup();
        codecs.sort_by_key(|codec| Some(*codec) != wanted);
        codecs
    }
}

fn codec(codec: &VoiceCodec) -> Codec {
    match codec {
        VoiceCodec::Pcma => Codec::Pcma,
        VoiceCodec::Pcmu => Codec::Pcmu,
    }
}

/// The number in a field, which has an address or nothing but the number.
fn of_header(invite: &Request, name: &str) -> Option<String> {
    let value = invite.headers.first(&Name::parse(name))?.trim();
    let address = NameAddr::parse(value).ok();
    let number = address.and_then(|address| account_in(&address));
    let number = number.or_else(|| {
        let plain = |c: char| c.is_ascii_digit() || "+-.() ".contains(c);
        value.chars().all(plain).then(|| value.to_owned())
    });
    number.filter(|number| !number.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip::Message;

    fn called(field: &str) -> Option<String> {
        let text = format!(
            "INVITE sip:trunk@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1\r\n\
             From: <sip:1@x>;tag=1\r\nTo: <sip:2@y>\r\n{field}Call-ID: x\r\nCSeq: 1 INVITE\r\n\
             Max-Forwards: 70\r\nContact: <sip:b@192.0.2.2>\r\n\r\n"
        );
        match Message::parse(text.as_bytes()).unwrap() {
            Message::Request(request) => of_header(&request, "P-Called-Party-ID"),
            Message::Response(_) => unreachable!(),
        }
    }

    #[test]
    fn a_field_names_the_number_as_an_address_or_alone() {
        let number = Some("74951234501".to_owned());
        assert_eq!(called("P-Called-Party-ID: <sip:74951234501@x>\r\n"), number);
        assert_eq!(
            called("p-called-party-id: sip:74951234501@x;user=phone\r\n"),
            number
        );
        assert_eq!(called("P-Called-Party-ID: 74951234501\r\n"), number);
        assert_eq!(called(""), None);
        assert_eq!(called("P-Called-Party-ID: \"x\r\n"), None);
    }
}
