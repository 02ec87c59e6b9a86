//! The folder that the demo leaves for inspection, and the configuration of its daemon.

use std::{
    fs::{self, File},
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use crm::Language;
use rustix::fs::{FlockOperation, flock};

use super::company::TRUNK;

/// Says that a folder was made by the demo and may be replaced by it.
const MARKER: &str = ".ringbook-demo";
/// Ports for media: so many from the first free block below those that the system lends.
const RTP_PORTS: u16 = 200;
const RTP_BLOCKS: std::ops::Range<u16> = 100..160;

/// The folder; nobody else uses it while this lives.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) root: PathBuf,
    pub(super) sip: SocketAddr,
    pub(super) http: SocketAddr,
    /// Where the virtual telephone company takes our calls.
    pub(super) gateway: SocketAddr,
    _lock: File,
}

impl Folder {
    /// Makes the folder, or empties one that an earlier demo left, and writes the configuration.
    pub(super) fn prepare(path: &Path, language: Language) -> Result<Self> {
        let root = std::path::absolute(path).context("the folder's name")?;
        let lock = take(&root)?;
        for name in ["recordings", "heard"] {
            fs::create_dir(root.join(name))
                .with_context(|| format!("{}/{name} cannot be made", root.display()))?;
        }
        let (sip, http) = (free_udp(Ipv4Addr::LOCALHOST)?, free_tcp()?);
        let folder = Self {
            root,
            sip,
            http,
            gateway: free_udp(TRUNK)?,
            _lock: lock,
        };
        folder.write(
            "ringbook.toml",
            &folder.configuration(language, free_block()?),
        )?;
        Ok(folder)
    }

    /// The configuration file.
    pub(super) fn config(&self) -> PathBuf {
        self.root.join("ringbook.toml")
    }

    /// Where the daemon writes its log.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("ringbook.log")
    }

    /// Where conversations are recorded.
    pub(super) fn recordings(&self) -> PathBuf {
        self.root.join("recordings")
    }

    /// Writes a file that only its owner may read.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        let file = self.root.join(name);
        let mut options = fs::OpenOptions::new();
        let opened = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&file);
        opened
            .and_then(|mut opened| opened.write_all(text.as_bytes()))
            .with_context(|| format!("{} cannot be written", file.display()))
    }

    fn configuration(&self, language: Language, first_port: u16) -> String {
        let path = |name: &str| self.root.join(name).display().to_string();
        let text = |value: String| toml::Value::String(value).to_string();
        format!(
            "# Made by `ringbook demo`.\n\n[general]\nlanguage = {}\n\n[sip]\nlisten = [{}]\n\n[http]\nlisten = {}\n\n\
             [store]\nurl = {}\n\n[recordings]\nfolder = {}\n\n[network]\nrtp_ports = {}\n",
            text(language.code().to_owned()),
            text(self.sip.to_string()),
            text(self.http.to_string()),
            text(format!("sqlite:{}", path("ringbook.db"))),
            text(path("recordings")),
            text(format!("{first_port}-{}", first_port + RTP_PORTS - 1)),
        )
    }
}

/// Makes `root` an empty folder that is ours alone.
fn take(root: &Path) -> Result<File> {
    let shown = root.display();
    let marker = root.join(MARKER);
    let is_empty = match fs::read_dir(root) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(error).with_context(|| format!("{shown} cannot be read")),
    };
    if !is_empty && !marker.is_file() {
        bail!(
            "{shown} was not made by the demo and is left alone; move it away, or name another with --folder"
        );
    }
    fs::create_dir_all(root)
        .with_context(|| format!("{shown} cannot be made; name another with --folder"))?;
    let lock = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&marker);
    let lock = lock.with_context(|| format!("{} cannot be written", marker.display()))?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!("another demo is using {shown}; end it, or name another folder with --folder");
    }
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let removed = match path.is_dir() && !path.is_symlink() {
            true => fs::remove_dir_all(&path),
            false if path == marker => Ok(()),
            false => fs::remove_file(&path),
        };
        removed.with_context(|| format!("{} cannot be removed", path.display()))?;
    }
    Ok(lock)
}

fn free_udp(on: Ipv4Addr) -> Result<SocketAddr> {
    let socket = UdpSocket::bind((on, 0)).with_context(|| format!("no UDP socket on {on}"))?;
    Ok(socket.local_addr()?)
}

fn free_tcp() -> Result<SocketAddr> {
    let socket =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no TCP socket on 127.0.0.1")?;
    Ok(socket.local_addr()?)
}

/// The first of a block of ports that are all free.
fn free_block() -> Result<u16> {
    let free = |port: u16| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let mut blocks = RTP_BLOCKS.map(|block| block * RTP_PORTS);
    let found = blocks.find(|first| (*first..first + RTP_PORTS).all(free));
    found.context(
        "no free block of UDP ports for sound between 20000 and 32000; end what occupies them",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_somebody_else_is_never_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("demo-data");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("thesis.txt"), "precious").unwrap();
        let refusal = Folder::prepare(&root, Language::English)
            .unwrap_err()
            .to_string();
        assert!(refusal.contains("--folder"), "{refusal}");
        assert_eq!(
            fs::read_to_string(root.join("thesis.txt")).unwrap(),
            "precious"
        );
    }

    #[test]
    fn its_own_folder_is_replaced_unless_in_use_and_the_configuration_is_valid() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("demo data");
        let first = Folder::prepare(&root, Language::English).unwrap();
        fs::write(first.recordings().join("old.wav"), "old").unwrap();
        let refusal = Folder::prepare(&root, Language::English)
            .unwrap_err()
            .to_string();
        assert!(refusal.contains("another demo"), "{refusal}");
        drop(first);
        let second = Folder::prepare(&root, Language::Russian).unwrap();
        assert!(!second.recordings().join("old.wav").exists());
        let checked = crate::config::load(Some(&second.config())).unwrap();
        assert_eq!(checked.sip_listen, [second.sip]);
        assert_eq!(checked.http_listen, second.http);
        assert_eq!(checked.config.recordings.folder, second.recordings());
        assert_eq!(checked.rtp_ports.count(), usize::from(RTP_PORTS));
    }
}
