//! Request methods.

use std::fmt;

/// A SIP method. Methods are case-sensitive (RFC 3261 §7.1); one that this crate does not know is `Other`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// RFC 3261: begins or changes a session.
    Invite,
    /// RFC 3261: confirms the final answer to an INVITE.
    Ack,
    /// RFC 3261: ends a session.
    Bye,
    /// RFC 3261: withdraws an INVITE that is not yet answered.
    Cancel,
    /// RFC 3261: asks for capabilities, and serves as a keep-alive.
    Options,
    /// RFC 3261: binds an address of record to contacts.
    Register,
    /// RFC 3311: changes a session without a new INVITE.
    Update,
    /// RFC 3262: acknowledges a reliable provisional answer.
    Prack,
    /// RFC 6086: application data within a session, such as DTMF.
    Info,
    /// RFC 3515: asks the other side to call somebody.
    Refer,
    /// RFC 6665: asks for notifications.
    Subscribe,
    /// RFC 6665: a notification.
    Notify,
    /// RFC 3428: an instant message.
    Message,
    /// RFC 3903: publishes event state.
    Publish,
    /// Any other token.
    Other(Box<str>),
}

impl Method {
    /// The method as it stands on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Register => "REGISTER",
            Self::Update => "UPDATE",
            Self::Prack => "PRACK",
            Self::Info => "INFO",
            Self::Refer => "REFER",
            Self::Subscribe => "SUBSCRIBE",
            Self::Notify => "NOTIFY",
            Self::Message => "MESSAGE",
            Self::Publish => "PUBLISH",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for Method {
    fn from(text: &str) -> Self {
        match text {
            "INVITE" => Self::Invite,
            "ACK" => Self::Ack,
            "BYE" => Self::Bye,
            "CANCEL" => Self::Cancel,
            "OPTIONS" => Self::Options,
            "REGISTER" => Self::Register,
            "UPDATE" => Self::Update,
            "PRACK" => Self::Prack,
            "INFO" => Self::Info,
            "REFER" => Self::Refer,
            "SUBSCRIBE" => Self::Subscribe,
            "NOTIFY" => Self::Notify,
            "MESSAGE" => Self::Message,
            "PUBLISH" => Self::Publish,
            other => Self::Other(other.into()),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_case_sensitive_and_survive_a_round_trip() {
        for text in [
            "INVITE",
            "ACK",
            "BYE",
            "CANCEL",
            "OPTIONS",
            "REGISTER",
            "UPDATE",
            "PRACK",
            "INFO",
            "REFER",
            "SUBSCRIBE",
            "NOTIFY",
            "MESSAGE",
            "PUBLISH",
        ] {
            let method = Method::from(text);
            assert!(!matches!(method, Method::Other(_)), "{text}");
            assert_eq!(method.to_string(), text);
        }
        assert_eq!(Method::from("invite"), Method::Other("invite".into()));
    }
}
