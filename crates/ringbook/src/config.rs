//! The configuration file: one commented TOML, one struct for each section, unknown keys refused.
//!
//! Whatever is wrong is said in one line with file, line, what and remedy.

use std::{
    fmt, fs,
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sip::transaction::Addresses;
use toml::Spanned;

use crate::prompts::{self, OwnPrompts};

mod network;
mod recordings;
mod tls;

pub(crate) use network::{Network, is_public};
pub(crate) use recordings::Recordings;
pub(crate) use tls::Tls;

/// Something is wrong with the configuration.
#[derive(Debug)]
pub(crate) struct ConfigError {
    file: PathBuf,
    line: Option<usize>,
    what: String,
    remedy: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for ConfigError {}

/// The whole file; every section and key has a default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Node, region, zone and language.
    pub general: General,
    /// Where telephones and trunks reach us.
    pub sip: Sip,
    /// Where browsers and programs reach us.
    pub http: Http,
    /// The database.
    pub store: Store,
    /// Where conversations are kept.
    pub recordings: Recordings,
    /// Ports for media.
    pub network: Network,
    /// The media threads.
    pub media: Media,
    /// What is refused beyond which number.
    pub limits: Limits,
}

/// Node, region, zone and language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct General {
    /// Number of this node, 0–1023.
    pub node: Spanned<u16>,
    /// Country whose numbers are written without a country code (ISO 3166).
    pub default_region: Spanned<String>,
    /// Zone in which times are shown (IANA name).
    pub time_zone: Spanned<String>,
    /// `ru` or `en`: language of the command line, and of prompts that belong to no line.
    pub language: Spanned<String>,
}

impl Default for General {
    fn default() -> Self {
        Self {
            node: spanned(0),
            default_region: spanned("RU".to_owned()),
            time_zone: spanned("Europe/Moscow".to_owned()),
            language: spanned("ru".to_owned()),
        }
    }
}

/// Where telephones and trunks reach us.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sip {
    /// UDP addresses; each must name an interface, since it stands in Contact and SDP.
    pub listen: Vec<Spanned<String>>,
    /// TCP addresses, likewise.
    pub listen_tcp: Vec<Spanned<String>>,
    /// TLS addresses, likewise.
    pub listen_tls: Vec<Spanned<String>>,
    /// The certificate, and those between it and the authority, in one PEM file.
    pub tls_certificate: Option<Spanned<PathBuf>>,
    /// Its key, a PEM file.
    pub tls_key: Option<Spanned<PathBuf>>,
    /// Certificates of the authorities whose word counts when we open a connection over TLS, a PEM file.
    pub tls_authorities: Option<Spanned<PathBuf>>,
    /// Realm of the digest. A device's secret is valid for one realm only.
    pub realm: Spanned<String>,
    /// How long a conversation that we begin lives without a refresh, in seconds; 0: without end.
    pub session_expires_secs: Spanned<u32>,
}

impl Default for Sip {
    fn default() -> Self {
        Self {
            listen: vec![spanned("127.0.0.1:5060".to_owned())],
            listen_tcp: Vec::new(),
            listen_tls: Vec::new(),
            tls_certificate: None,
            tls_key: None,
            tls_authorities: None,
            realm: spanned("ringbook".to_owned()),
            session_expires_secs: spanned(1_800),
        }
    }
}

/// Where browsers and programs reach us.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// Address and port of the API.
    pub listen: Spanned<String>,
    /// Origins of web pages elsewhere that may open the WebSocket.
    pub allowed_origins: Vec<String>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: spanned("127.0.0.1:8080".to_owned()),
            allowed_origins: Vec::new(),
        }
    }
}

/// The database.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Store {
    /// `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/DATABASE`.
    pub url: Spanned<String>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            url: spanned("sqlite:ringbook.db".to_owned()),
        }
    }
}

/// The media threads.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Media {
    /// Number of threads; 0 for one less than there are cores, at least one.
    pub threads: usize,
    /// A party that should be heard and is silent for so long ends the call, in seconds.
    pub rtp_timeout_secs: Spanned<u32>,
    /// Ask the system for real-time priority.
    pub real_time: bool,
    /// A folder of prompts that stand in for those that are built in, and of more.
    pub prompts: Option<Spanned<PathBuf>>,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            threads: 0,
            rtp_timeout_secs: spanned(60),
            real_time: true,
            prompts: None,
        }
    }
}

/// What is refused beyond which number.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Calls at a time; beyond that 503 with Retry-After.
    pub calls: usize,
    /// Registrations of one device; beyond that 403.
    pub bindings_per_device: usize,
    /// Connections over TCP and TLS at a time; one more is closed.
    pub sip_connections: usize,
    /// Those of one address; one more is closed.
    pub sip_connections_per_address: usize,
    /// WebSocket clients at a time; beyond that 503.
    pub websockets: usize,
    /// A parked client goes back to whoever parked them after so long.
    pub parked_secs: Spanned<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: 5_000,
            bindings_per_device: 8,
            sip_connections: 4_096,
            sip_connections_per_address: 1_024,
            websockets: 4_096,
            parked_secs: spanned(120),
        }
    }
}

fn spanned<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

/// A configuration that has been read and checked.
#[derive(Debug)]
pub(crate) struct Checked {
    /// As written.
    pub config: Config,
    /// `[sip] listen`.
    pub sip_listen: Vec<SocketAddr>,
    /// `[sip] listen_tcp`.
    pub sip_listen_tcp: Vec<SocketAddr>,
    /// `[sip] listen_tls`.
    pub sip_listen_tls: Vec<SocketAddr>,
    /// `[sip] tls_…`.
    pub tls: Tls,
    /// `[http] listen`.
    pub http_listen: SocketAddr,
    /// `[network] rtp_ports`.
    pub rtp_ports: RangeInclusive<u16>,
    /// What the others know us by.
    pub addresses: Addresses,
    /// Who is asked what names mean; none for the system's.
    pub resolvers: Vec<SocketAddr>,
    /// What is in `[media] prompts`.
    pub prompts: OwnPrompts,
}

/// Reads and checks `file`; none means the defaults.
///
/// # Errors
/// The file cannot be read or says something that cannot be; the error names line and remedy.
pub(crate) fn load(file: Option<&Path>) -> Result<Checked, ConfigError> {
    let Some(file) = file else {
        return check(Path::new("(defaults)"), "", Config::default());
    };
    let text = fs::read_to_string(file).map_err(|error| ConfigError {
        file: file.to_owned(),
        line: None,
        what: format!("the file cannot be read ({error})"),
        remedy: "name an existing file with --config, or copy config/ringbook.toml".to_owned(),
    })?;
    let config: Config = toml::from_str(&text).map_err(|error| syntax(file, &text, &error))?;
    check(file, &text, config)
}

fn syntax(file: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let message = error.message().replace('\n', " ").replace('`', "\"");
    let (what, remedy) = match message.split_once(", expected ") {
        Some((what, expected)) if message.starts_with("unknown field") => (
            what.replace("field", "key"),
            format!("known here: {}", expected.trim_start_matches("one of ")),
        ),
        Some((what, expected)) => (what.to_owned(), format!("write {expected}")),
        None => (
            message,
            "see config/ringbook.toml for the form of every key".to_owned(),
        ),
    };
    ConfigError {
        file: file.to_owned(),
        line: error.span().map(|span| line_at(text, span.start)),
        what,
        remedy,
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

fn check(file: &Path, text: &str, config: Config) -> Result<Checked, ConfigError> {
    let source = Source { file, text };
    let sip_listen = source.sip_listen(&config.sip.listen)?;
    let sip_listen_tcp = source.interfaces(&config.sip.listen_tcp)?;
    let sip_listen_tls = source.interfaces(&config.sip.listen_tls)?;
    let tls = source.tls(&config.sip)?;
    let http_listen = source.address(&config.http.listen)?;
    let rtp_ports = source.ports(&config.network.rtp_ports)?;
    let addresses = source.addresses(&config.network)?;
    let resolvers = source.resolvers(&config.network)?;
    let prompts = source.prompts(config.media.prompts.as_ref())?;
    source.general(&config.general)?;
    source.realm(&config.sip.realm)?;
    source.session_expires(&config.sip.session_expires_secs)?;
    source.store(&config.store.url)?;
    source.demand(
        (10..=3_600).contains(config.limits.parked_secs.get_ref()),
        &config.limits.parked_secs,
        |secs| format!("parked_secs {secs} is out of range"),
        "write 10 to 3600",
    )?;
    let timeout = &config.media.rtp_timeout_secs;
    source.demand(
        (5..=3_600).contains(timeout.get_ref()),
        timeout,
        |timeout| format!("rtp_timeout_secs {timeout} is out of range"),
        "write 5 to 3600 seconds",
    )?;
    source.recordings(&config.recordings)?;
    Ok(Checked {
        config,
        sip_listen,
        sip_listen_tcp,
        sip_listen_tls,
        tls,
        http_listen,
        rtp_ports,
        addresses,
        resolvers,
        prompts,
    })
}

/// The file, for errors that name its lines.
#[derive(Clone, Copy)]
struct Source<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    /// `start` is the place in the text; 0 if no place of it is meant.
    fn wrong(self, start: usize, what: String, remedy: &str) -> ConfigError {
        ConfigError {
            file: self.file.to_owned(),
            line: (start > 0).then(|| line_at(self.text, start)),
            what,
            remedy: remedy.to_owned(),
        }
    }

    fn demand<T>(
        self,
        right: bool,
        value: &Spanned<T>,
        what: impl FnOnce(&T) -> String,
        remedy: &str,
    ) -> Result<(), ConfigError> {
        if right {
            return Ok(());
        }
        Err(self.wrong(value.span().start, what(value.get_ref()), remedy))
    }

    fn address(self, value: &Spanned<String>) -> Result<SocketAddr, ConfigError> {
        value.get_ref().parse().map_err(|_| {
            let what = format!("\"{}\" is not an address with a port", value.get_ref());
            let remedy = "write it as 192.0.2.10:5060 or [2001:db8::1]:5060";
            self.wrong(value.span().start, what, remedy)
        })
    }

    fn sip_listen(self, values: &[Spanned<String>]) -> Result<Vec<SocketAddr>, ConfigError> {
        if values.is_empty() {
            let what = "[sip] listen is empty".to_owned();
            let remedy = "name at least one address, such as [\"192.0.2.10:5060\"]";
            return Err(self.wrong(0, what, remedy));
        }
        self.interfaces(values)
    }

    fn interfaces(self, values: &[Spanned<String>]) -> Result<Vec<SocketAddr>, ConfigError> {
        let address = |value| {
            let listen = self.address(value)?;
            self.demand(
                !listen.ip().is_unspecified(),
                value,
                |text| format!("\"{text}\" names no interface"),
                "name the address that telephones reach, such as 192.0.2.10:5060",
            )?;
            Ok(listen)
        };
        values.iter().map(address).collect()
    }

    fn prompts(self, folder: Option<&Spanned<PathBuf>>) -> Result<OwnPrompts, ConfigError> {
        let Some(folder) = folder else {
            return Ok(OwnPrompts::new());
        };
        prompts::read_folder(folder.get_ref())
            .map_err(|error| self.wrong(folder.span().start, error.to_string(), &error.remedy))
    }

    fn general(self, general: &General) -> Result<(), ConfigError> {
        self.demand(
            *general.node.get_ref() <= 1_023,
            &general.node,
            |node| format!("node {node} is too large"),
            "give every node a number from 0 to 1023",
        )?;
        self.demand(
            matches!(general.language.get_ref().as_str(), "ru" | "en"),
            &general.language,
            |language| format!("language \"{language}\" is not known"),
            "write \"ru\" or \"en\"",
        )?;
        self.demand(
            jiff::tz::TimeZone::get(general.time_zone.get_ref()).is_ok(),
            &general.time_zone,
            |zone| format!("time zone \"{zone}\" is not known"),
            "write an IANA name such as \"Europe/Moscow\"",
        )?;
        let region = general.default_region.get_ref().as_bytes();
        self.demand(
            region.len() == 2 && region.iter().all(u8::is_ascii_uppercase),
            &general.default_region,
            |region| format!("region \"{region}\" is not known"),
            "write two capitals such as \"RU\"",
        )
    }

    fn realm(self, realm: &Spanned<String>) -> Result<(), ConfigError> {
        let plain = !realm.get_ref().contains(['"', '\\', '\r', '\n']);
        self.demand(
            plain && !realm.get_ref().is_empty(),
            realm,
            |_| "the realm is empty or has a quote in it".to_owned(),
            "write a plain name such as \"ringbook\"",
        )
    }

    fn store(self, url: &Spanned<String>) -> Result<(), ConfigError> {
        let known = ["sqlite:", "postgres://", "postgresql://"];
        self.demand(
            known.iter().any(|scheme| url.get_ref().starts_with(scheme)),
            url,
            |_| "the store's address is neither SQLite nor PostgreSQL".to_owned(),
            "write \"sqlite:FILE\" or \"postgres://USER:PASSWORD@HOST/DATABASE\"",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ringbook.toml");
        fs::write(&file, text).unwrap();
        let error = load(Some(&file)).unwrap_err().to_string();
        error.replace(&format!("{}", file.display()), "F")
    }

    #[test]
    fn the_shipped_file_is_valid_and_says_the_defaults() {
        // Seen from the package's folder, where cargo runs its tests.
        let shipped = load(Some(Path::new("../../config/ringbook.toml"))).unwrap();
        let defaults = load(None).unwrap();
        assert_eq!(shipped.sip_listen, defaults.sip_listen);
        assert_eq!(shipped.rtp_ports, defaults.rtp_ports);
        assert_eq!(
            shipped.config.store.url.get_ref(),
            defaults.config.store.url.get_ref()
        );
        let days = |checked: &Checked| {
            let recordings = &checked.config.recordings;
            (recordings.keep_wav(), recordings.keep_mp3())
        };
        assert_eq!(days(&shipped), days(&defaults));
        assert_eq!(shipped.config.limits.calls, defaults.config.limits.calls);
    }

    #[test]
    fn what_is_wrong_is_one_line_with_file_line_what_and_remedy() {
        let cases = [
            (
                "[sip]\nlistn = [\"1.2.3.4:5060\"]\n",
                "F:2: unknown key \"listn\"; known here: \"listen\", \"listen_tcp\", ",
            ),
            (
                "[sip]\nlisten = [\"0.0.0.0:5060\"]\n",
                "F:2: \"0.0.0.0:5060\" names no interface; name the address",
            ),
            (
                "[sip]\nlisten_tcp = [\"0.0.0.0:5060\"]\n",
                "F:2: \"0.0.0.0:5060\" names no interface; name the address",
            ),
            (
                "[sip]\n\nlisten_tls = [\"192.0.2.10\"]\n",
                "F:3: \"192.0.2.10\" is not an address with a port; write it as",
            ),
            (
                "[sip]\ntls_key = \"/nowhere/k.pem\"\n",
                "F:2: tls_key without tls_certificate; set both",
            ),
            (
                "[sip]\ntls_certificate = \"/nowhere/c.pem\"\ntls_key = \"/nowhere/k.pem\"\n",
                "F:2: /nowhere/c.pem holds no certificate in PEM form",
            ),
            (
                "[sip]\ntls_authorities = \"/nowhere/a.pem\"\n",
                "F:2: /nowhere/a.pem holds no certificate in PEM form",
            ),
            (
                "\n[http]\nlisten = \"nonsense\"\n",
                "F:3: \"nonsense\" is not an address with a port; write it as",
            ),
            (
                "[network]\nrtp_ports = \"20\"\n",
                "F:2: \"20\" is not a range of ports; write two ports",
            ),
            (
                "[general]\nnode = 4096\n",
                "F:2: node 4096 is too large; give every node",
            ),
            (
                "[general]\nnode = \"a\"\n",
                "F:2: invalid type: string \"a\"; write u16",
            ),
            (
                "[store]\nurl = \"mysql://x\"\n",
                "F:2: the store's address is neither SQLite nor PostgreSQL; write",
            ),
            (
                "[general]\ntime_zone = \"Mars\"\n",
                "F:2: time zone \"Mars\" is not known; write an IANA",
            ),
            (
                "[recordings]\nkeep_wav_days = 40000\n",
                "F:2: 40000 days are out of range; write 0 to 36500",
            ),
            (
                "[recordings]\nkeep_wav_days = 90\nkeep_mp3_days = 60\n",
                "F:3: keep_mp3_days 60 is less than keep_wav_days; write",
            ),
            (
                "[media]\nprompts = \"/nowhere/prompts\"\n",
                "F:2: /nowhere/prompts: there is neither a folder ru nor a folder en in it; put prompts",
            ),
            (
                "[limits]\nparked_secs = 5\n",
                "F:2: parked_secs 5 is out of range; write 10 to 3600",
            ),
            (
                "[sip]\nsession_expires_secs = 60\n",
                "F:2: session_expires_secs 60 is out of range; write 90 to 86400",
            ),
            (
                "[network]\npublic_address = \"203.0.113.9:5060\"\n",
                "F:2: \"203.0.113.9:5060\" is not an address; write it as 203.0.113.9",
            ),
            (
                "[network]\nlocal_networks = [\"10.0.0.0\"]\n",
                "F:2: \"10.0.0.0\" is not a network; write it as 192.168.0.0/16",
            ),
            (
                "[network]\nresolvers = [\"dns.example\"]\n",
                "F:2: \"dns.example\" is not the address of a name server; write it as 192.0.2.53",
            ),
            ("[sip\n", "F:1: "),
        ];
        for (text, wanted) in cases {
            let error = error(text);
            assert!(error.starts_with(wanted), "{error}\nwanted {wanted}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
