//! linphonec: another telephone that somebody else wrote. It has no sound card but plays and records files.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    baresip::{free_port, write_often},
    daemon::PATIENCE,
};

/// What it has printed, and how much of that was waited for.
#[derive(Debug, Default)]
struct Printed {
    text: String,
    taken: usize,
}

/// A running linphonec, steered by its command line.
#[derive(Debug)]
pub struct Linphone {
    process: Child,
    commands: ChildStdin,
    printed: Arc<(Mutex<Printed>, Condvar)>,
    folder: TempDir,
}

/// How often it is asked whether it is registered.
const MOMENT: Duration = Duration::from_millis(50);

impl Linphone {
    /// Starts a telephone that registers as `user` at `registrar`, speaks the words and writes what it hears.
    pub fn start(registrar: SocketAddr, (user, secret): (&str, &str), words: &[i16]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let home = folder.path();
        // Without its folder it complains that it has no database.
        fs::create_dir_all(home.join(".local/share/linphone")).expect("our own folder");
        let spoken = home.join("words.wav");
        write_often(words, &spoken);
        let host = registrar.ip();
        // Both codecs of ours first; it adds whatever else it can below. Ports: RTP takes one, and RTCP the one above.
        let config = format!(
            "[sip]\nsip_port={}\nsip_tcp_port=0\nsip_tls_port=0\nbind_address={}\nuse_ipv6=0\nguess_hostname=1\n\
             register_only_when_network_is_up=0\ndefault_proxy=0\n[rtp]\naudio_rtp_port={}\n\
             [sound]\nechocancellation=0\n\
             [proxy_0]\nreg_proxy=<sip:{registrar}>\nreg_identity=sip:{user}@{host}\nreg_expires=60\n\
             reg_sendregister=1\npublish=0\n\
             [auth_info_0]\nusername={user}\npasswd={secret}\n\
             [audio_codec_0]\nmime=PCMA\nrate=8000\nchannels=1\nenabled=1\n\
             [audio_codec_1]\nmime=PCMU\nrate=8000\nchannels=1\nenabled=1\n",
            free_port(),
            Ipv4Addr::LOCALHOST,
            free_port(),
        );
        let file = home.join("linphonerc");
        fs::write(&file, config).expect("the configuration is written");
        let mut process = Command::new("stdbuf")
            .args(["-o0", "linphonec", "-d", "0", "-c"])
            .arg(&file)
            .env("HOME", home)
            .current_dir(home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(home.join("errors")).expect("our own folder"))
            .spawn()
            .expect("linphonec is installed");
        let commands = process.stdin.take().expect("standard input is a pipe");
        let mut stdout = process.stdout.take().expect("standard output is a pipe");
        let printed = Arc::<(Mutex<Printed>, Condvar)>::default();
        let its = Arc::clone(&printed);
        std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                let mut printed = its.0.lock().expect("nobody panics with it");
                printed.text.push_str(&text);
                its.1.notify_all();
            }
        });
        let mut phone = Self {
            process,
            commands,
            printed,
            folder,
        };
        phone.order("soundcard use files");
        phone.wait_for("Using wav files");
        let (words, heard) = (spoken.display().to_string(), phone.heard_file());
        phone.order(&format!("play {words}"));
        phone.order(&format!("record {}", heard.display()));
        phone.register();
        phone
    }

    fn register(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.takes("registered, identity", MOMENT) {
            assert!(Instant::now() < deadline, "{}", self.printed());
            self.order("status register");
        }
    }

    /// Orders something: `answer`, `terminate`, `pause`, `resume`.
    pub fn order(&mut self, command: &str) {
        writeln!(self.commands, "{command}").expect("linphonec takes orders");
    }

    /// Dials.
    pub fn dial(&mut self, number: &str) {
        self.order(&format!("call {number}"));
    }

    /// Waits until it prints this after what was waited for last.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        assert!(
            self.takes(text, PATIENCE),
            "no \"{text}\"; linphonec says:\n{}",
            self.printed()
        );
    }

    fn takes(&self, text: &str, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let (printed, grown) = &*self.printed;
        let mut printed = printed.lock().expect("nobody panics with it");
        loop {
            if let Some(at) = printed.text[printed.taken..].find(text) {
                printed.taken += at + text.len();
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = grown.wait_timeout(printed, left);
            printed = waited.expect("nobody panics with it").0;
        }
    }

    fn printed(&self) -> String {
        let errors = fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default();
        let printed = self.printed.0.lock().expect("nobody panics with it");
        format!("{}\n{errors}", printed.text)
    }

    fn heard_file(&self) -> PathBuf {
        self.folder.path().join("heard.wav")
    }

    /// What it heard, once it has ended.
    pub fn heard(mut self) -> Vec<i16> {
        self.order("quit");
        self.wait_for("Terminating");
        self.process.wait().expect("it ends");
        let file = hound::WavReader::open(self.heard_file()).expect("it wrote what it heard");
        // The header of a file that was taken up again after a hold promises more than there is.
        file.into_samples::<i16>().map_while(Result::ok).collect()
    }
}

impl Drop for Linphone {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            println!("--- linphonec ---\n{}", self.printed());
        }
    }
}
