//! The real program, started for one test on addresses of its own and stopped with it.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::rest::Rest;

/// How long anything may take before a test fails; longer than the 32 s after which SIP gives up.
pub const PATIENCE: Duration = Duration::from_secs(45);

/// What is special about a daemon.
#[derive(Clone, Debug)]
pub struct Options {
    /// `[store] url`; none for a SQLite file of its own.
    pub store: Option<String>,
    /// `[media] threads`.
    pub media_threads: usize,
    /// Listens for SIP over TCP and TLS too.
    pub connections: bool,
    /// More lines for `[recordings]`.
    pub recordings: String,
    /// More lines for `[network]`; `NET` stands for the first three numbers of the daemon's addresses.
    pub network: String,
    /// More lines for the configuration.
    pub more: String,
    /// No file of the process may grow over so many bytes: for a write that is as good as a full disk.
    pub most_file_bytes: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            store: None,
            media_threads: 1,
            connections: false,
            recordings: String::new(),
            network: String::new(),
            more: String::new(),
            most_file_bytes: None,
        }
    }
}

/// What the daemon wrote to its standard error.
#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

/// A running daemon with a folder and a /24 of loopback addresses of its own.
#[derive(Debug)]
pub struct Daemon {
    /// The network: the daemon is .1, a test may use the rest.
    pub network: [u8; 3],
    /// The administrator's name and password.
    pub administrator: (String, String),
    folder: TempDir,
    most_file_bytes: Option<u64>,
    process: Option<Child>,
    log: Arc<Log>,
}

/// The folder with the programs of this build.
pub fn build_folder() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    let folder = program.parent().expect("a program lies in a folder");
    // Tests are built in a folder below that of the programs.
    let programs = folder.parent().filter(|_| folder.ends_with("deps"));
    programs.unwrap_or(folder).to_path_buf()
}

/// The program under test: that of this build, or the one that `RINGBOOK_PROGRAM` names.
pub fn program() -> PathBuf {
    let named = std::env::var_os("RINGBOOK_PROGRAM").map(PathBuf::from);
    let program = named.unwrap_or_else(|| build_folder().join("ringbook"));
    assert!(
        program.exists(),
        "{} is missing: cargo build --release -p ringbook",
        program.display()
    );
    program
}

/// A network of loopback addresses that no other test of this machine has.
fn own_network() -> [u8; 3] {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let process = std::process::id() % 110;
    [
        127,
        10 + u8::try_from(process).unwrap_or(0),
        NEXT.fetch_add(1, Ordering::Relaxed),
    ]
}

impl Daemon {
    /// Makes the first administrator, starts the daemon and waits until it is ready.
    pub fn start(options: &Options) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut daemon = Self {
            network: own_network(),
            administrator: (String::new(), String::new()),
            folder,
            most_file_bytes: options.most_file_bytes,
            process: None,
            log: Arc::default(),
        };
        fs::write(daemon.config(), daemon.configuration(options))
            .expect("the configuration is written");
        let made = daemon.run(&["user", "add", "--role", "administrator", "root"]);
        let text = String::from_utf8_lossy(&made.stdout).into_owned();
        assert!(
            made.status.success(),
            "user add: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let password = text
            .lines()
            .find_map(|line| line.strip_prefix("password: "))
            .expect("a password is printed");
        daemon.administrator = ("root".to_owned(), password.to_owned());
        daemon.begin();
        daemon
    }

    /// An address of the daemon's network.
    pub fn address(&self, host: u8, port: u16) -> SocketAddr {
        let [a, b, c] = self.network;
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, host)), port)
    }

    /// Where SIP is answered.
    pub fn sip(&self) -> SocketAddr {
        self.address(1, 5060)
    }

    /// Where SIP over TLS is answered, if it is.
    pub fn sip_tls(&self) -> SocketAddr {
        self.address(1, 5061)
    }

    /// Where HTTP is answered.
    pub fn http(&self) -> String {
        format!("http://{}", self.address(1, 8080))
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("ringbook.toml")
    }

    /// The folder of the recordings.
    pub fn recordings(&self) -> PathBuf {
        self.folder.path().join("recordings")
    }

    /// A folder for whatever the test leaves behind.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn configuration(&self, options: &Options) -> String {
        let store = options.store.clone().unwrap_or_else(|| {
            format!(
                "sqlite:{}",
                self.folder.path().join("ringbook.db").display()
            )
        });
        let Options {
            media_threads,
            recordings,
            more,
            ..
        } = options;
        let [a, b, c] = self.network;
        let network = options.network.replace("NET", &format!("{a}.{b}.{c}"));
        let connections = if options.connections {
            let (tcp, tls) = (self.sip(), self.sip_tls());
            format!("listen_tcp = [\"{tcp}\"]\nlisten_tls = [\"{tls}\"]\n")
        } else {
            String::new()
        };
        format!(
            "[general]\ndefault_region = \"RU\"\ntime_zone = \"Europe/Moscow\"\nlanguage = \"en\"\n\
             [sip]\nlisten = [\"{}\"]\n{connections}[http]\nlisten = \"{}\"\n[store]\nurl = \"{store}\"\n\
             [recordings]\nfolder = \"{}\"\n{recordings}\n[network]\nrtp_ports = \"20000-29999\"\n{network}\n\
             [media]\nthreads = {media_threads}\n{more}\n",
            self.sip(),
            self.address(1, 8080),
            self.recordings().display(),
        )
    }

    /// Runs another command of the program with the same configuration.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .current_dir(self.folder.path());
        command.output().expect("the program starts")
    }

    /// The program, under the limits of this daemon.
    fn confined(&self) -> Command {
        let Some(bytes) = self.most_file_bytes else {
            return Command::new(program());
        };
        let mut shell = Command::new("sh");
        let blocks = bytes / 512;
        shell
            .arg("-c")
            .arg(format!(
                "trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""
            ))
            .arg(program());
        shell
    }

    /// Starts the process (again).
    pub fn begin(&mut self) {
        assert!(self.process.is_none(), "the daemon runs already");
        self.log = Arc::default();
        let mut process = self
            .confined()
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = process.stderr.take().expect("standard error is a pipe");
        let log = Arc::clone(&self.log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let Ok(line) = line else { break };
                log.lines
                    .lock()
                    .expect("nobody panics with the log")
                    .push(line);
                log.grown.notify_all();
            }
            log.lines
                .lock()
                .expect("nobody panics with the log")
                .push("(the log ends)".to_owned());
            log.grown.notify_all();
        });
        self.process = Some(process);
        self.wait_for_log("Ringbook is ready");
    }

    /// Waits until the log contains the text.
    pub fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().expect("nobody panics with the log");
        while !lines.iter().any(|line| line.contains(text)) {
            let left = deadline.saturating_duration_since(Instant::now());
            let ended = lines.last().is_some_and(|line| line == "(the log ends)");
            assert!(
                !left.is_zero() && !ended,
                "no \"{text}\" in the log:\n{}",
                lines.join("\n")
            );
            lines = self
                .log
                .grown
                .wait_timeout(lines, left)
                .expect("nobody panics with the log")
                .0;
        }
    }

    /// What the daemon has logged so far.
    pub fn log(&self) -> String {
        self.log
            .lines
            .lock()
            .expect("nobody panics with the log")
            .join("\n")
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("our own process can be killed");
            process.wait().expect("a killed process ends");
        }
    }

    /// Tells the daemon to stop and waits until it has.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let id = i32::try_from(process.id()).expect("process ids are small");
            let id = rustix::process::Pid::from_raw(id).expect("a process id is not 0");
            rustix::process::kill_process(id, rustix::process::Signal::TERM)
                .expect("our own process can be told");
            let status = process.wait().expect("the daemon ends");
            assert!(
                status.success(),
                "the daemon ended with {status}:\n{}",
                self.log()
            );
        }
    }

    /// A session of the administrator.
    pub async fn rest(&self) -> Rest {
        let (login, password) = &self.administrator;
        Rest::log_in(&self.http(), login, password).await
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            println!("--- log of the daemon ---\n{}", self.log());
        }
    }
}
