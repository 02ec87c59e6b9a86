//! Names of header fields.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::bytes::is_token_byte;

macro_rules! names {
    ($($variant:ident $text:literal $compact:literal $kind:ident,)*) => {
        /// The name of a header field; comparison ignores case (RFC 3261 §7.3.1). Names without a variant are `Other`.
        #[derive(Clone, Debug)]
        pub enum Name {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
            /// Any other token, as it was written.
            Other(Box<str>),
        }

        const KNOWN: &[(&str, u8, Name)] = &[$(($text, $compact, Name::$variant),)*];

        impl Name {
            /// The full canonical name.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(name) => name,
                }
            }

            pub(crate) fn kind(&self) -> Kind {
                match self {
                    $(Self::$variant => Kind::$kind,)*
                    Self::Other(_) => Kind::Single,
                }
            }
        }
    };
}

/// How the values of a field combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One value a line; a comma is part of it.
    Single,
    /// Comma-separated values, written one a line.
    List,
    /// Comma-separated tokens, written in one line.
    Tokens,
}

// Name of the variant, canonical text, compact form (0: none), and whether commas separate values.
names! {
    Via "Via" b'v' List,
    From "From" b'f' Single,
    To "To" b't' Single,
    CallId "Call-ID" b'i' Single,
    CSeq "CSeq" 0 Single,
    Contact "Contact" b'm' List,
    MaxForwards "Max-Forwards" 0 Single,
    Route "Route" 0 List,
    RecordRoute "Record-Route" 0 List,
    ContentLength "Content-Length" b'l' Single,
    ContentType "Content-Type" b'c' Single,
    ContentEncoding "Content-Encoding" b'e' Tokens,
    ContentDisposition "Content-Disposition" 0 Single,
    ContentLanguage "Content-Language" 0 Tokens,
    MimeVersion "MIME-Version" 0 Single,
    Allow "Allow" 0 Tokens,
    AllowEvents "Allow-Events" b'u' Tokens,
    Supported "Supported" b'k' Tokens,
    Require "Require" 0 Tokens,
    ProxyRequire "Proxy-Require" 0 Tokens,
    Unsupported "Unsupported" 0 Tokens,
    Expires "Expires" 0 Single,
    MinExpires "Min-Expires" 0 Single,
    WwwAuthenticate "WWW-Authenticate" 0 Single,
    Authorization "Authorization" 0 Single,
    AuthenticationInfo "Authentication-Info" 0 Single,
    ProxyAuthenticate "Proxy-Authenticate" 0 Single,
    ProxyAuthorization "Proxy-Authorization" 0 Single,
    UserAgent "User-Agent" 0 Single,
    Server "Server" 0 Single,
    Organization "Organization" 0 Single,
    Reason "Reason" 0 List,
    RetryAfter "Retry-After" 0 Single,
    Warning "Warning" 0 List,
    PAssertedIdentity "P-Asserted-Identity" 0 List,
    PPreferredIdentity "P-Preferred-Identity" 0 List,
    PAssociatedUri "P-Associated-URI" 0 List,
    RemotePartyId "Remote-Party-ID" 0 List,
    Diversion "Diversion" 0 List,
    HistoryInfo "History-Info" 0 List,
    Identity "Identity" b'y' Single,
    Privacy "Privacy" 0 Single,
    SessionExpires "Session-Expires" b'x' Single,
    MinSe "Min-SE" 0 Single,
    RSeq "RSeq" 0 Single,
    RAck "RAck" 0 Single,
    ReferTo "Refer-To" b'r' Single,
    ReferredBy "Referred-By" b'b' Single,
    ReferSub "Refer-Sub" 0 Single,
    Replaces "Replaces" 0 Single,
    TargetDialog "Target-Dialog" 0 Single,
    Event "Event" b'o' Single,
    SubscriptionState "Subscription-State" 0 Single,
    SipEtag "SIP-ETag" 0 Single,
    SipIfMatch "SIP-If-Match" 0 Single,
    InfoPackage "Info-Package" 0 Single,
    RecvInfo "Recv-Info" 0 Tokens,
    Accept "Accept" 0 Tokens,
    AcceptEncoding "Accept-Encoding" 0 Tokens,
    AcceptLanguage "Accept-Language" 0 Tokens,
    AcceptContact "Accept-Contact" b'a' List,
    RejectContact "Reject-Contact" b'j' List,
    RequestDisposition "Request-Disposition" b'd' Tokens,
    Date "Date" 0 Single,
    Timestamp "Timestamp" 0 Single,
    Subject "Subject" b's' Single,
    Priority "Priority" 0 Single,
    ReplyTo "Reply-To" 0 Single,
    InReplyTo "In-Reply-To" 0 Tokens,
    Path "Path" 0 List,
    ServiceRoute "Service-Route" 0 List,
    AlertInfo "Alert-Info" 0 List,
    CallInfo "Call-Info" 0 List,
    ErrorInfo "Error-Info" 0 List,
}

const SLOTS: usize = 20;
const NONE: u8 = u8::MAX;

/// Indices into `KNOWN` by first letter, so that a look-up compares a handful of names.
const BY_LETTER: [[u8; SLOTS]; 26] = {
    let mut table = [[NONE; SLOTS]; 26];
    let mut index = 0;
    while index < KNOWN.len() {
        let letter = (KNOWN[index].0.as_bytes()[0].to_ascii_lowercase() - b'a') as usize;
        let mut slot = 0;
        while table[letter][slot] != NONE {
            slot += 1;
        }
        table[letter][slot] = index as u8;
        index += 1;
    }
    table
};

impl Name {
    /// Reads a name, compact forms included. Bytes that no name may hold are dropped, so that text from outside
    /// cannot end the line that it names.
    pub fn parse(text: &str) -> Self {
        if let Some(known) = Self::known(text.as_bytes()) {
            return known;
        }
        if text.bytes().all(is_token_byte) && !text.is_empty() {
            return Self::Other(text.into());
        }
        let cleaned: String = text
            .chars()
            .filter(|&c| c.is_ascii() && is_token_byte(c as u8))
            .collect();
        match Self::known(cleaned.as_bytes()) {
            Some(known) => known,
            None if cleaned.is_empty() => Self::Other("X".into()),
            None => Self::Other(cleaned.into()),
        }
    }

    fn known(text: &[u8]) -> Option<Self> {
        let first = text.first()?.to_ascii_lowercase();
        if !first.is_ascii_lowercase() {
            return None;
        }
        if text.len() == 1 {
            return KNOWN
                .iter()
                .find(|entry| entry.1 == first)
                .map(|entry| entry.2.clone());
        }
        BY_LETTER[usize::from(first - b'a')]
            .iter()
            .map_while(|&index| KNOWN.get(usize::from(index)))
            .find(|entry| entry.0.as_bytes().eq_ignore_ascii_case(text))
            .map(|entry| entry.2.clone())
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::parse(text)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other(left), Self::Other(right)) => left.eq_ignore_ascii_case(right),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.as_str().bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case_and_in_its_compact_form() {
        for (text, compact, name) in KNOWN {
            assert_eq!(&Name::parse(text), name);
            assert_eq!(&Name::parse(&text.to_ascii_uppercase()), name);
            assert_eq!(name.as_str(), *text);
            if *compact != 0 {
                let letter = char::from(*compact).to_string();
                assert_eq!(&Name::parse(&letter), name);
                assert_eq!(&Name::parse(&letter.to_ascii_uppercase()), name);
            }
        }
    }

    #[test]
    fn other_names_keep_their_spelling_and_compare_without_case() {
        assert_eq!(Name::parse("X-CID").as_str(), "X-CID");
        assert_eq!(Name::parse("X-CID"), Name::parse("x-cid"));
        assert_ne!(Name::parse("X-CID"), Name::parse("X-CIE"));
        assert_eq!(Name::parse("z"), Name::Other("z".into()));
    }

    #[test]
    fn a_name_cannot_carry_a_line_end() {
        assert_eq!(Name::parse("X-A\r\nEvil: 1").as_str(), "X-AEvil1");
        assert_eq!(Name::parse("\r\n").as_str(), "X");
        assert_eq!(Name::parse("Vi\na"), Name::Via);
    }
}
