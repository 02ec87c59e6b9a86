//! A PostgreSQL server of our own: an ordinary user in a temporary folder, gone with the test program.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use crate::daemon::PATIENCE;

/// The one server of this program.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    databases: AtomicU32,
    // Its standard input closes when this program ends, however it ends; then it stops the server.
    _keeper: Child,
}

/// The server, started when it is asked for first.
pub fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(Postgres::start)
}

impl Postgres {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("ringbook-stories-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder can be made");
        let account = account();
        if let Some((user, group)) = account {
            chown(&folder, Some(user), Some(group)).expect("root may give folders away");
        }
        let data = folder.join("data");
        let made = ordinary(account, "initdb")
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=ringbook",
                "--encoding=UTF8",
                "--locale=C",
                "-D",
            ])
            .arg(&data)
            .current_dir(&folder)
            .output()
            .expect("initdb is installed");
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let port = listener
            .local_addr()
            .expect("a listener has an address")
            .port();
        drop(listener);
        let server = ordinary(account, "postgres");
        let words: Vec<String> = std::iter::once(server.get_program())
            .chain(server.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let script = format!(
            "{} -D '{}' -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='{}' -c fsync=off \
             -c max_connections=200 >'{}/log' 2>&1 </dev/null & server=$!; read -r end; kill -QUIT $server; \
             wait $server; rm -rf '{}'",
            words.join(" "),
            data.display(),
            folder.display(),
            folder.display(),
            folder.display(),
        );
        let keeper = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir(&folder)
            // An interrupt at the terminal ends the tests; the shell still has its work to do.
            .process_group(0)
            .spawn()
            .expect("a shell can be started");
        let server = Self {
            port,
            databases: AtomicU32::new(0),
            _keeper: keeper,
        };
        let deadline = Instant::now() + PATIENCE;
        while !server.order("psql", &["-c", "SELECT 1", "postgres"]) {
            assert!(
                Instant::now() < deadline,
                "the server does not start: {:?}",
                fs::read_to_string(folder.join("log"))
            );
        }
        server
    }

    fn order(&self, program: &str, arguments: &[&str]) -> bool {
        let port = self.port.to_string();
        let mut command = Command::new(binary(program));
        command
            .args(["-h", "127.0.0.1", "-p", &port, "-U", "ringbook"])
            .args(arguments);
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Where a new, empty database is.
    pub fn database(&self) -> String {
        let name = format!("story_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        assert!(
            self.order("createdb", &[&name]),
            "the server makes databases"
        );
        format!("postgres://ringbook@127.0.0.1:{}/{name}", self.port)
    }
}

/// Whom the server runs as if we are root, which it refuses.
fn account() -> Option<(u32, u32)> {
    let own = fs::metadata("/proc/self").expect("this is Linux").uid();
    if own != 0 {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").expect("there are accounts");
    let find = |name: &str| {
        let line = passwd
            .lines()
            .find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody"))
}

fn ordinary(account: Option<(u32, u32)>, program: &str) -> Command {
    let path = binary(program);
    let Some((user, group)) = account else {
        return Command::new(path);
    };
    let mut command = Command::new("setpriv");
    command
        .args([
            format!("--reuid={user}"),
            format!("--regid={group}"),
            "--clear-groups".to_owned(),
        ])
        .arg(path);
    command
}

/// From PATH, else where Debian puts the newest version.
fn binary(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    debian.sort();
    let places = std::env::split_paths(&path).chain(debian.into_iter().rev());
    places
        .map(|folder| folder.join(program))
        .find(|file| file.exists())
        .unwrap_or_else(|| program.into())
}
