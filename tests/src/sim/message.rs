//! SIP as text, as a person would read and write it: written without the product's parser on purpose.

use std::{fmt::Write, net::SocketAddr};

/// A request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The first line.
    pub start: String,
    /// Names and values in order, as they stood.
    pub headers: Vec<(String, String)>,
    /// What follows the empty line.
    pub body: String,
}

impl Message {
    /// A message without headers.
    pub fn new(start: impl Into<String>) -> Self {
        Self {
            start: start.into(),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// A request with the headers that every request has.
    pub fn request(method: &str, uri: &str, via: SocketAddr, branch: &str) -> Self {
        Self::new(format!("{method} {uri} SIP/2.0"))
            .with("Via", format!("SIP/2.0/UDP {via};branch={branch};rport"))
            .with("Max-Forwards", "70")
    }

    /// A response to a request: Via, From, To, Call-ID and CSeq are copied; the tag is added to To if it has none.
    pub fn response(request: &Message, status: u16, tag: &str) -> Self {
        let mut response = Self::new(format!("SIP/2.0 {status} {}", phrase(status)));
        for (name, value) in &request.headers {
            let lower = name.to_ascii_lowercase();
            match lower.as_str() {
                "to" if status > 100 && tag_of(value).is_none() => {
                    response = response.with("To", format!("{value};tag={tag}"));
                }
                "via" | "from" | "to" | "call-id" | "cseq" => {
                    response = response.with(name, value.clone());
                }
                _ => {}
            }
        }
        response
    }

    /// Reads a datagram; none if it is not a SIP message.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let mut message = Self::new(lines.next()?);
        for line in lines {
            let (name, value) = line.split_once(':')?;
            message
                .headers
                .push((name.trim().to_owned(), value.trim().to_owned()));
        }
        message.body = body.to_owned();
        message.start.contains("SIP/2.0").then_some(message)
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With SDP as its body.
    #[must_use]
    pub fn with_sdp(mut self, sdp: String) -> Self {
        self.body = sdp;
        self.with("Content-Type", "application/sdp")
    }

    /// As it goes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        let _ = write!(
            text,
            "Content-Length: {}\r\n\r\n{}",
            self.body.len(),
            self.body
        );
        text.into_bytes()
    }

    /// The first header of this name, compact forms included.
    pub fn header(&self, name: &str) -> Option<&str> {
        let short = match name {
            "Via" => "v",
            "From" => "f",
            "To" => "t",
            "Call-ID" => "i",
            "Contact" => "m",
            _ => name,
        };
        self.headers
            .iter()
            .find(|(is, _)| is.eq_ignore_ascii_case(name) || is.eq_ignore_ascii_case(short))
            .map(|(_, value)| value.as_str())
    }

    /// Sets the first header of this name.
    pub fn set(&mut self, name: &str, value: String) {
        match self
            .headers
            .iter_mut()
            .find(|(is, _)| is.eq_ignore_ascii_case(name))
        {
            Some(header) => header.1 = value,
            None => self.headers.push((name.to_owned(), value)),
        }
    }

    /// The header, or nothing.
    pub fn text(&self, name: &str) -> &str {
        self.header(name).unwrap_or("")
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// True for a request.
    pub fn is_request(&self) -> bool {
        self.status().is_none()
    }

    /// The method, in a response that of the request.
    pub fn method(&self) -> &str {
        self.text("CSeq")
            .split_ascii_whitespace()
            .nth(1)
            .unwrap_or("")
    }

    /// The number in CSeq.
    pub fn cseq(&self) -> u32 {
        self.text("CSeq")
            .split_ascii_whitespace()
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0)
    }

    /// The request's URI.
    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or("")
    }

    /// Branch of the first Via.
    pub fn branch(&self) -> &str {
        parameter(self.text("Via"), "branch").unwrap_or("")
    }

    /// The address and port after `c=` and `m=audio`.
    pub fn media(&self) -> Option<SocketAddr> {
        let ip = self
            .body
            .lines()
            .find_map(|line| line.strip_prefix("c=IN IP4 "))?;
        let port = self
            .body
            .lines()
            .find_map(|line| line.strip_prefix("m=audio "))?;
        let port = port.split(' ').next()?;
        format!("{}:{port}", ip.trim()).parse().ok()
    }
}

/// The tag of a From or To value.
pub fn tag_of(value: &str) -> Option<&str> {
    parameter(value.rsplit('>').next()?, "tag")
}

/// A `;name=value` parameter.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value.split(';').skip(1).find_map(|part| {
        let (is, value) = part.trim().split_once('=')?;
        is.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// What stands between `<` and `>`.
pub fn uri_of(value: &str) -> &str {
    value
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or(value, |(uri, _)| uri)
}

/// The digits of the user part of a From or To value.
pub fn number_of(value: &str) -> String {
    let user = uri_of(value)
        .trim_start_matches("sip:")
        .split('@')
        .next()
        .unwrap_or("");
    user.chars().filter(char::is_ascii_digit).collect()
}

/// The number at the beginning of a display name, if there is one.
pub fn shown_number(value: &str) -> Option<String> {
    let shown = value.strip_prefix('"')?.split(['"', ' ']).next()?;
    let digits: String = shown.chars().filter(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

/// Whom a call is with: a mobile telephone shows the caller's number as a name.
pub fn caller_of(invite: &Message) -> String {
    let from = invite.text("From");
    match is_mobile(invite) {
        true => shown_number(from).unwrap_or_default(),
        false => number_of(from),
    }
}

/// Whether an agent's mobile telephone is called.
pub fn is_mobile(message: &Message) -> bool {
    number_of(message.text("To")).starts_with("7925")
}

/// A plain G.711 offer or answer. `direction` is `sendrecv`, `sendonly`, `recvonly` or `inactive`.
pub fn sdp(media: SocketAddr, version: u32, direction: &str) -> String {
    format!(
        "v=0\r\no=- 7 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na={direction}\r\n",
        ip = media.ip(),
        port = media.port(),
    )
}

fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        200 => "OK",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        603 => "Decline",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_wire() {
        let via = "192.0.2.1:5060".parse().unwrap();
        let message = Message::request("INVITE", "sip:1@192.0.2.9", via, "z9hG4bKx")
            .with("From", "\"A\" <sip:+7916@192.0.2.1>;tag=a1")
            .with("To", "<sip:1@192.0.2.9>")
            .with("Call-ID", "c1")
            .with("CSeq", "7 INVITE")
            .with_sdp(sdp("192.0.2.1:4000".parse().unwrap(), 1, "sendrecv"));
        let read = Message::parse(&message.bytes()).unwrap();
        assert_eq!(read.method(), "INVITE");
        assert_eq!((read.cseq(), read.branch()), (7, "z9hG4bKx"));
        assert_eq!(tag_of(read.text("From")), Some("a1"));
        assert_eq!(number_of(read.text("From")), "7916");
        assert_eq!(read.media(), "192.0.2.1:4000".parse().ok());
        let answer = Message::response(&read, 486, "b2");
        assert_eq!(answer.status(), Some(486));
        assert_eq!(tag_of(answer.text("To")), Some("b2"));
    }
}
