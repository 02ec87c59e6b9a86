//! Kamailio as a telephone company, or as the exchange of another office: somebody else's registrar and proxy.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, UdpSocket},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::{company::LINE, daemon::PATIENCE};

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its subscribers register, and whoever calls out is asked for the password: `office` has our line, each other one is a
    /// number. All have the password `secret`.
    Provider,
    /// The same; it asks for the password again whenever we send something in a dialog.
    StrictProvider,
    /// It knows us by our address, as we know it by its own.
    Exchange,
}

/// A running Kamailio.
#[derive(Debug)]
pub struct Kamailio {
    process: Child,
    log: Arc<(Mutex<Vec<String>>, Condvar)>,
    _folder: TempDir,
}

impl Kamailio {
    /// Starts it at `address`, port 5060, UDP and TCP, for an office behind `office`, and waits until it answers.
    pub fn start(address: SocketAddr, office: SocketAddr, role: Role) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut command = Command::new("/usr/sbin/kamailio");
        let configuration = crate::package().join("scenarios/kamailio.cfg");
        let text = fs::read_to_string(configuration).expect("the configuration is there");
        let text = text
            .replace("ADDRESS", &address.ip().to_string())
            .replace("PBX", &office.ip().to_string())
            .replace("LINE", LINE)
            // Short enough to see within a test that it is not there any more.
            .replace("EXPIRES", "6");
        let file = folder.path().join("kamailio.cfg");
        fs::write(&file, text).expect("the configuration is written");
        match role {
            Role::Provider => {}
            Role::StrictProvider => {
                command.args(["-A", "CHALLENGES_ALL"]);
            }
            Role::Exchange => {
                command.args(["-A", "TRUSTS"]);
            }
        }
        let mut process = command
            .args(["-DD", "-E", "-m", "16", "-M", "4", "-f"])
            .arg(&file)
            .arg("-Y")
            .arg(folder.path())
            .current_dir(folder.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kamailio is installed");
        let stderr = process.stderr.take().expect("standard error is a pipe");
        let log = Arc::<(Mutex<Vec<String>>, Condvar)>::default();
        let its = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                its.0.lock().expect("nobody panics with the log").push(line);
                its.1.notify_all();
            }
        });
        let kamailio = Self {
            process,
            log,
            _folder: folder,
        };
        kamailio.wait_until_it_answers(address);
        kamailio
    }

    /// Asks it over UDP until it answers.
    fn wait_until_it_answers(&self, address: SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
        socket.connect(address).expect("a local address");
        let moment = Duration::from_millis(50);
        socket
            .set_read_timeout(Some(moment))
            .expect("a timeout can be set");
        let here = socket.local_addr().expect("a socket has an address");
        let deadline = Instant::now() + PATIENCE;
        for branch in 0.. {
            assert!(Instant::now() < deadline, "no answer:\n{}", self.log());
            let question = format!(
                "OPTIONS sip:{address} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{branch}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:test@{here}>;tag=1\r\nTo: <sip:{address}>\r\n\
                 Call-ID: {branch}@{here}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            );
            // A port that nobody listens on yet refuses at once.
            let sent = socket.send(question.as_bytes());
            if sent.is_ok() && socket.recv(&mut [0; 2_048]).is_ok() {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        let lines = self.log.0.lock().expect("nobody panics with the log");
        lines.join("\n")
    }

    /// Waits until it has logged so many lines with this text.
    pub fn wait_for_log(&self, text: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        let (lines, grown) = &*self.log;
        let mut lines = lines.lock().expect("nobody panics with the log");
        while lines.iter().filter(|line| line.contains(text)).count() < times {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no \"{text}\":\n{}", lines.join("\n"));
            let waited = grown.wait_timeout(lines, left);
            lines = waited.expect("nobody panics with the log").0;
        }
    }
}

/// It works in several processes, which are one group of their own.
impl Drop for Kamailio {
    fn drop(&mut self) {
        let id = i32::try_from(self.process.id()).ok();
        if let Some(group) = id.and_then(Pid::from_raw) {
            // They may have ended by themselves.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.wait();
        if std::thread::panicking() {
            println!("--- log of Kamailio ---\n{}", self.log());
        }
    }
}
