//! baresip: a telephone that somebody else wrote.

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::daemon::PATIENCE;

/// A running baresip, steered over its control port.
#[derive(Debug)]
pub struct Baresip {
    process: Child,
    control: TcpStream,
    received: Vec<u8>,
    events: Vec<Value>,
    folder: TempDir,
}

/// What it does with a call by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerMode {
    /// Answers at once.
    Auto,
    /// Rings until it is told.
    Manual,
}

/// What carries its SIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
    /// A TLS connection; whatever certificate the other side has is taken.
    Tls,
}

impl Carrier {
    fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// A port that is free for datagrams and connections, and the one above it: baresip wants both kinds, and listens for
/// TLS one above the port it was told. Below the ports that the system gives to whoever asks for any, so that nobody
/// takes it before baresip does.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = std::process::id() as u16;
    let mut tried = (0..1_000).map(|_| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        10_000 + 2 * (process.wrapping_mul(37).wrapping_add(step) % 5_000)
    });
    let free = |port: &u16| {
        [*port, *port + 1]
            .map(|port| (Ipv4Addr::LOCALHOST, port))
            .iter()
            .all(|here| UdpSocket::bind(here).is_ok() && TcpListener::bind(here).is_ok())
    };
    tried.find(free).expect("there is a free port")
}

/// The words six times over: baresip hangs up when its file ends.
pub(crate) fn write_often(words: &[i16], file: &Path) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(file, spec).expect("a WAV file can be made");
    for _ in 0..6 {
        words
            .iter()
            .for_each(|sample| writer.write_sample(*sample).expect("there is space"));
    }
    writer.finalize().expect("there is space");
}

impl Baresip {
    /// Starts a telephone that registers as `user` at `registrar`, speaks the words and writes what it hears.
    ///
    /// It stands at 127.0.0.1: its RTP leaves from there whatever address its SDP names.
    pub fn start(
        registrar: SocketAddr,
        account: (&str, &str),
        words: &[i16],
        mode: AnswerMode,
    ) -> Self {
        Self::start_over(Carrier::Udp, registrar, account, words, mode)
    }

    /// The same over another carrier.
    pub fn start_over(
        carrier: Carrier,
        registrar: SocketAddr,
        (user, secret): (&str, &str),
        words: &[i16],
        mode: AnswerMode,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let control = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), free_port());
        let path = folder.path().display();
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), free_port());
        let spoken = folder.path().join("words.wav");
        write_often(words, &spoken);
        let modules = [
            "account", "aubridge", "aufile", "ctrl_tcp", "g711", "menu", "sndfile",
        ];
        let lines: String = modules
            .iter()
            .map(|module| match *module {
                "account" | "menu" | "ctrl_tcp" => format!("module_app {module}.so\n"),
                _ => format!("module {module}.so\n"),
            })
            .collect();
        let config = format!(
            "poll_method epoll\nsip_listen {local}\nsip_verify_server no\nnet_interface {}\nmodule_path /usr/lib/baresip/modules\n{lines}\
             audio_player aubridge,nobody\naudio_source aufile,{}\naudio_alert aubridge,bell\n\
             audio_srate 8000\naudio_channels 1\nrtp_ports 40000-49999\n\
             ctrl_tcp_listen {control}\nsnd_path {path}\n",
            local.ip(),
            spoken.display(),
        );
        let mode = if mode == AnswerMode::Auto {
            "auto"
        } else {
            "manual"
        };
        let account = format!(
            "<sip:{user}@{registrar};transport={}>;auth_user={user};auth_pass={secret};answermode={mode};regint=60;\
             audio_codecs=PCMA/8000/1,PCMU/8000/1\n",
            carrier.name()
        );
        fs::write(folder.path().join("config"), config).expect("the configuration is written");
        fs::write(folder.path().join("accounts"), account).expect("the account is written");
        fs::write(folder.path().join("contacts"), "").expect("an empty list of contacts");
        let process = Command::new("baresip")
            .arg("-f")
            .arg(folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(fs::File::create(folder.path().join("log")).expect("a log"))
            .stderr(Stdio::null())
            .spawn()
            .expect("baresip is installed");
        let control = connect(control, folder.path());
        let phone = Self {
            process,
            control,
            received: Vec::new(),
            events: Vec::new(),
            folder,
        };
        phone.wait_for_log("200 OK");
        phone
    }

    /// Orders something: `accept`, `hangup`, `hold`, `resume`.
    pub fn order(&mut self, command: &str) {
        self.order_with(command, "");
    }

    /// Dials.
    pub fn dial(&mut self, number: &str) {
        self.order_with("dial", number);
    }

    /// Hands the conversation to somebody else.
    pub fn transfer(&mut self, uri: &str) {
        self.order_with("transfer", uri);
    }

    fn order_with(&mut self, command: &str, params: &str) {
        let text = json!({ "command": command, "params": params, "token": command }).to_string();
        write!(self.control, "{}:{text},", text.len()).expect("baresip takes orders");
    }

    /// Waits for an event of this type: `CALL_INCOMING`, `CALL_ESTABLISHED`, `CALL_CLOSED`, `CALL_HOLD` …
    pub fn wait_for(&mut self, kind: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.events.iter().position(|event| event["type"] == kind) {
                return self.events.remove(place);
            }
            assert!(
                Instant::now() < deadline,
                "no {kind}; baresip says:\n{}",
                self.log()
            );
            let mut buffer = [0; 4_096];
            match self.control.read(&mut buffer) {
                Ok(0) => panic!("baresip is gone:\n{}", self.log()),
                Ok(length) => self.received.extend(&buffer[..length]),
                // Nothing yet: the deadline above bounds the wait.
                Err(_) => continue,
            }
            self.take_events();
        }
    }

    /// Waits until baresip says this; its first events are over before anybody can listen to them.
    fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(
                Instant::now() < deadline,
                "no {text}; baresip says:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Netstrings: length, colon, text, comma.
    fn take_events(&mut self) {
        while let Some(colon) = self.received.iter().position(|byte| *byte == b':') {
            let length: usize = String::from_utf8_lossy(&self.received[..colon])
                .parse()
                .expect("a netstring");
            let end = colon + 1 + length;
            if self.received.len() <= end {
                return;
            }
            if let Ok(value) = serde_json::from_slice::<Value>(&self.received[colon + 1..end]) {
                if value["event"] == true {
                    self.events.push(value);
                }
            }
            self.received.drain(..=end);
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What the telephone heard, from the file that its `sndfile` module writes.
    pub fn heard(&self) -> Vec<i16> {
        let files = fs::read_dir(self.folder.path()).expect("our own folder");
        let decoded = files
            .map(|file| file.expect("our own folder").path())
            .filter(|path| path.to_string_lossy().ends_with("-dec.wav"));
        let file: PathBuf = decoded
            .max()
            .unwrap_or_else(|| panic!("baresip wrote nothing:\n{}", self.log()));
        crate::audio::samples(&file)
            .into_iter()
            .map(|frame| frame[0])
            .collect()
    }
}

fn connect(control: SocketAddr, folder: &Path) -> TcpStream {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(stream) = TcpStream::connect(control) {
            stream
                .set_read_timeout(Some(Duration::from_millis(50)))
                .expect("a timeout can be set");
            return stream;
        }
        let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(
            Instant::now() < deadline,
            "baresip does not start:\n{}",
            log()
        );
        std::thread::yield_now();
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
