//! Session descriptions (RFC 8866): a tolerant, bounded reader and a writer.
//!
//! Unknown lines are skipped, `\n` and `\r\n` both end a line, text that is not UTF-8 is replaced. What is
//! kept is what offer and answer need; nothing here decides which media are used.

use std::fmt;
use std::net::IpAddr;

use crate::sdp_error::SdpError;

/// Longest body that is read, in bytes.
pub const MAX_BYTES: usize = 32 * 1024;
/// Most lines of a body.
pub const MAX_LINES: usize = 512;
/// Longest line, in bytes.
pub const MAX_LINE_BYTES: usize = 1024;
/// Most `m=` lines.
pub const MAX_MEDIA: usize = 16;
/// Most formats in one `m=` line.
pub const MAX_FORMATS: usize = 64;

/// A session description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sdp {
    /// The `o=` line.
    pub origin: Origin,
    /// The `s=` line.
    pub session_name: String,
    /// The session-level `c=` line.
    pub connection: Option<Connection>,
    /// Session-level attributes in their order.
    pub attributes: Vec<Attribute>,
    /// The media descriptions in their order.
    pub media: Vec<Media>,
}

/// The `o=` line (RFC 8866 §5.2). Numbers that do not fit 64 bits are read as 0: only equality matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// User name, `-` for none.
    pub user: String,
    /// Session id, the same for the life of a dialog.
    pub session_id: u64,
    /// Grows by one with every changed description of the session.
    pub version: u64,
    /// Address of the machine that made the session; informative.
    pub address: Connection,
}

/// An address as it stands in a `c=` or `o=` line: IPv4, IPv6 or a name, which we do not resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection(String);

/// An `a=` line: `name` or `name:value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The part before the colon.
    pub name: String,
    /// The part after the colon, if there is one.
    pub value: Option<String>,
}

/// One media description: an `m=` line and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, `image`, …
    pub kind: String,
    /// Port; 0 refuses or ends the stream (RFC 3264 §6, §8.2).
    pub port: u16,
    /// `RTP/AVP`, `RTP/SAVP`, `udptl`, …
    pub protocol: String,
    /// Payload types, or whatever the protocol names.
    pub formats: Vec<String>,
    /// The media-level `c=` line.
    pub connection: Option<Connection>,
    /// Attributes in their order.
    pub attributes: Vec<Attribute>,
}

/// The encoding of a payload type: `a=rtpmap` (RFC 8866 §6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpMap<'a> {
    /// Encoding name; compare it without regard to case.
    pub name: &'a str,
    /// Clock rate in Hz.
    pub clock_rate: u32,
    /// Channels, 1 if not given.
    pub channels: u8,
}

/// Direction of a stream, as seen by the one who wrote the description (RFC 8866 §6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Sends and receives; the default.
    SendRecv,
    /// Only sends: the usual way to put somebody on hold.
    SendOnly,
    /// Only receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// Whether the writer sends.
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the writer receives.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The direction for these two abilities.
    #[must_use]
    pub const fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// The same stream as seen from the other end.
    #[must_use]
    pub const fn mirrored(self) -> Self {
        Self::of(self.receives(), self.sends())
    }

    /// The attribute's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [
            Self::SendRecv,
            Self::SendOnly,
            Self::RecvOnly,
            Self::Inactive,
        ]
        .into_iter()
        .find(|d| d.name() == name)
    }
}

impl Connection {
    /// An IP address.
    #[must_use]
    pub fn ip(ip: IpAddr) -> Self {
        Self(ip.to_string())
    }

    /// The IP address, unless a name stands there. A multicast TTL (`/127`) is cut off.
    #[must_use]
    pub fn to_ip(&self) -> Option<IpAddr> {
        self.0.split('/').next().and_then(|text| text.parse().ok())
    }

    /// The address as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From the fields `IN IP4 address`. The address type is not trusted: the address says what it is.
    fn read<'a>(mut fields: impl Iterator<Item = &'a str>) -> Option<Self> {
        let (_, _, address) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Self(address.to_owned()))
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.0.contains(':') { "IP6" } else { "IP4" };
        write!(f, "IN {family} {}", printable(&self.0))
    }
}

impl Attribute {
    /// `a=name`.
    #[must_use]
    pub fn flag(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: None,
        }
    }

    /// `a=name:value`.
    #[must_use]
    pub fn with_value(name: &str, value: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            value: Some(value.into()),
        }
    }

    fn read(text: &str) -> Self {
        match text.split_once(':') {
            Some((name, value)) => Self::with_value(name.trim(), value.trim()),
            None => Self::flag(text.trim()),
        }
    }
}

impl Media {
    /// The encoding that `a=rtpmap` gives a payload type.
    #[must_use]
    pub fn rtpmap(&self, payload_type: u8) -> Option<RtpMap<'_>> {
        self.values("rtpmap").find_map(|value| {
            let (number, encoding) = value.split_once(char::is_whitespace)?;
            if number.parse::<u8>().ok()? != payload_type {
                return None;
            }
            let mut parts = encoding.trim().split('/');
            Some(RtpMap {
                name: parts.next()?,
                clock_rate: parts.next()?.trim().parse().ok()?,
                channels: parts
                    .next()
                    .map_or(Some(1), |text| text.trim().parse().ok())?,
            })
        })
    }

    /// The payload types of the `m=` line in order of preference; formats that are none are skipped.
    pub fn payload_types(&self) -> impl Iterator<Item = u8> + '_ {
        self.formats
            .iter()
            .filter_map(|format| format.parse().ok())
            .filter(|&number: &u8| number < 128)
    }

    /// The direction attribute of the stream itself; the session's counts when there is none.
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        direction_of(&self.attributes)
    }

    /// `a=ptime` in milliseconds, if it is a whole number between 1 and 200.
    #[must_use]
    pub fn ptime_ms(&self) -> Option<u16> {
        self.values("ptime")
            .find_map(|value| value.parse().ok())
            .filter(|ms| (1..=200).contains(ms))
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.attributes
            .iter()
            .filter(move |a| a.name == name)
            .filter_map(|a| a.value.as_deref())
    }

    /// From `audio 49170 RTP/AVP 8 0`; a port count (`49170/2`) is cut off.
    fn read(text: &str) -> Result<Self, SdpError> {
        let mut fields = text.split_ascii_whitespace();
        let kind = fields.next().ok_or(SdpError::MediaLine)?.to_owned();
        let port = fields
            .next()
            .and_then(|text| text.split('/').next())
            .and_then(|text| text.parse().ok());
        let port = port.ok_or(SdpError::MediaLine)?;
        let protocol = fields.next().ok_or(SdpError::MediaLine)?.to_owned();
        let formats: Vec<String> = fields.map(str::to_owned).collect();
        if formats.is_empty() {
            return Err(SdpError::MediaLine);
        }
        if formats.len() > MAX_FORMATS {
            return Err(SdpError::TooManyFormats);
        }
        Ok(Self {
            kind,
            port,
            protocol,
            formats,
            connection: None,
            attributes: Vec::new(),
        })
    }
}

impl Sdp {
    /// Reads a body.
    ///
    /// # Errors
    /// A bound is passed, or `v=0`, `o=` or the fields of a `m=` line are missing.
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        if body.len() > MAX_BYTES {
            return Err(SdpError::TooLong { bytes: body.len() });
        }
        let mut reader = Reader::default();
        for (index, line) in body.split(|&byte| byte == b'\n').enumerate() {
            if index >= MAX_LINES {
                return Err(SdpError::TooManyLines);
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.len() > MAX_LINE_BYTES {
                return Err(SdpError::LineTooLong { line: index + 1 });
            }
            if line.iter().any(|&byte| byte == 0 || byte == b'\r') {
                return Err(SdpError::ControlCharacter { line: index + 1 });
            }
            reader.line(&String::from_utf8_lossy(line))?;
        }
        reader.finish()
    }

    /// The session-level direction attribute.
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        direction_of(&self.attributes)
    }
}

fn direction_of(attributes: &[Attribute]) -> Option<Direction> {
    attributes
        .iter()
        .filter(|a| a.value.is_none())
        .find_map(|a| Direction::from_name(&a.name))
}

#[derive(Default)]
struct Reader {
    version_seen: bool,
    origin: Option<Origin>,
    session_name: String,
    connection: Option<Connection>,
    attributes: Vec<Attribute>,
    media: Vec<Media>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), SdpError> {
        let Some((kind, value)) = line.trim().split_once('=') else {
            // Blank lines stand between the parts of some devices' bodies.
            return Ok(());
        };
        if !self.version_seen {
            // RFC 8866 §5.1: `v=0` comes first; anything else is not SDP.
            self.version_seen = kind == "v" && value.trim() == "0";
            return if self.version_seen {
                Ok(())
            } else {
                Err(SdpError::NotSdp)
            };
        }
        match kind {
            "o" if self.origin.is_none() => self.origin = Some(read_origin(value)?),
            "s" if self.media.is_empty() => value.trim().clone_into(&mut self.session_name),
            "c" => {
                let connection = Connection::read(value.split_ascii_whitespace())
                    .ok_or(SdpError::ConnectionLine)?;
                // RFC 8866 §5.7: several lines are a multicast affair; the first one counts.
                let place = self
                    .media
                    .last_mut()
                    .map_or(&mut self.connection, |media| &mut media.connection);
                place.get_or_insert(connection);
            }
            "a" => {
                let attributes = self
                    .media
                    .last_mut()
                    .map_or(&mut self.attributes, |media| &mut media.attributes);
                attributes.push(Attribute::read(value));
            }
            "m" if self.media.len() >= MAX_MEDIA => return Err(SdpError::TooManyMedia),
            "m" => self.media.push(Media::read(value)?),
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Sdp, SdpError> {
        if !self.version_seen {
            return Err(SdpError::NotSdp);
        }
        Ok(Sdp {
            origin: self.origin.ok_or(SdpError::OriginLine)?,
            session_name: self.session_name,
            connection: self.connection,
            attributes: self.attributes,
            media: self.media,
        })
    }
}

fn read_origin(value: &str) -> Result<Origin, SdpError> {
    let mut fields = value.split_ascii_whitespace();
    let user = fields.next().ok_or(SdpError::OriginLine)?.to_owned();
    let mut number = || {
        fields
            .next()
            .map(|text| text.parse().unwrap_or(0))
            .ok_or(SdpError::OriginLine)
    };
    let (session_id, version) = (number()?, number()?);
    let address = Connection::read(fields).ok_or(SdpError::OriginLine)?;
    Ok(Origin {
        user,
        session_id,
        version,
        address,
    })
}

impl fmt::Display for Sdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin {
            user,
            session_id,
            version,
            address,
        } = &self.origin;
        write!(
            f,
            "v=0\r\no={} {session_id} {version} {address}\r\n",
            printable(user)
        )?;
        // RFC 8866 §5.3: the line must not be empty.
        let name = if self.session_name.is_empty() {
            "-"
        } else {
            &self.session_name
        };
        write!(f, "s={}\r\n", printable(name))?;
        if let Some(connection) = &self.connection {
            write!(f, "c={connection}\r\n")?;
        }
        f.write_str("t=0 0\r\n")?;
        write_attributes(f, &self.attributes)?;
        for media in &self.media {
            write!(
                f,
                "m={} {} {}",
                printable(&media.kind),
                media.port,
                printable(&media.protocol)
            )?;
            for format in &media.formats {
                write!(f, " {}", printable(format))?;
            }
            f.write_str("\r\n")?;
            if let Some(connection) = &media.connection {
                write!(f, "c={connection}\r\n")?;
            }
            write_attributes(f, &media.attributes)?;
        }
        Ok(())
    }
}

fn write_attributes(f: &mut fmt::Formatter<'_>, attributes: &[Attribute]) -> fmt::Result {
    for Attribute { name, value } in attributes {
        match value {
            Some(value) => write!(f, "a={}:{}\r\n", printable(name), printable(value))?,
            None => write!(f, "a={}\r\n", printable(name))?,
        }
    }
    Ok(())
}

fn printable(text: &str) -> Printable<'_> {
    Printable(text)
}

/// Text without control characters: no value can end its line.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .split(char::is_control)
            .try_for_each(|part| f.write_str(part))
    }
}
