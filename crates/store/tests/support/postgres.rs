//! A PostgreSQL server of our own for one test program: an ordinary user in a temporary folder,
//! gone when the program ends, however it ends.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// The one server of this program.
pub(crate) struct Cluster {
    port: u16,
    databases: AtomicU32,
    // The keeper stops the server when its standard input closes: with this program's end.
    _keeper: Child,
}

/// Who runs the server: it refuses to run as root.
enum Account {
    Own,
    Other { uid: u32, gid: u32 },
}

/// The server, started when it is asked for first.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

impl Cluster {
    fn start() -> Self {
        let account = account();
        let folder = std::env::temp_dir().join(format!("ringbook-postgres-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a temporary folder can be made");
        if let Account::Other { uid, gid } = account {
            chown(&folder, Some(uid), Some(gid)).expect("root may give folders away");
        }
        let data = folder.join("data");
        let made = as_account(&account, "initdb")
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
        let port = free_port();
        let keeper = keep(&account, &folder, &data, port);
        let cluster = Self {
            port,
            databases: AtomicU32::new(0),
            _keeper: keeper,
        };
        cluster.wait(&folder);
        cluster
    }

    /// Where a new, empty database is.
    pub(crate) async fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("story_{number}");
        let mut conn = self.connect("postgres").await;
        let made = sqlx::query(&format!("CREATE DATABASE {name}"))
            .execute(&mut conn)
            .await;
        made.expect("the server makes databases");
        self.url(&name)
    }

    /// A plain connection to a database of this server.
    pub(crate) async fn connect(&self, name: &str) -> sqlx::PgConnection {
        use sqlx::Connection;
        sqlx::PgConnection::connect(&self.url(name))
            .await
            .expect("the server answers")
    }

    /// The address of a database of this server, whether it exists or not.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("postgres://ringbook@127.0.0.1:{}/{name}", self.port)
    }

    fn wait(&self, folder: &Path) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !answers(self.port) {
            let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
            assert!(
                Instant::now() < deadline,
                "the server does not start: {}",
                log()
            );
            std::thread::yield_now();
        }
    }
}

/// Asks for TLS (protocol 3.0, SSLRequest): a server that is ready for messages answers one byte.
/// While it starts up nobody listens, or it hangs up on the start-up message that follows.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
        return false;
    };
    let mut startup = Vec::new();
    startup.extend(196_608_u32.to_be_bytes());
    startup.extend(b"user\0ringbook\0database\0postgres\0\0");
    let length = (startup.len() as u32 + 4).to_be_bytes();
    let mut answer = [0];
    let sent = stream
        .write_all(&length)
        .and_then(|()| stream.write_all(&startup));
    // R: authentication. E: an error, such as that the server is starting up.
    sent.and_then(|()| stream.read_exact(&mut answer)).is_ok() && answer == *b"R"
}

/// A shell that runs the server and ends it when its own input ends.
fn keep(account: &Account, folder: &Path, data: &Path, port: u16) -> Child {
    let server = as_account(account, "postgres");
    let words = std::iter::once(server.get_program()).chain(server.get_args());
    let words: Vec<String> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let script = format!(
        "{} -D '{data}' -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='{folder}' \
         -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c max_connections=300 >'{folder}/log' 2>&1 </dev/null & \
         server=$!; read -r end; kill -QUIT $server; wait $server; rm -rf '{folder}'",
        words.join(" "),
        data = data.display(),
        folder = folder.display(),
    );
    Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir(folder)
        // An interrupt at the terminal ends the tests; the shell then still has its work to do.
        .process_group(0)
        .spawn()
        .expect("a shell can be started")
}

fn account() -> Account {
    let status = fs::metadata("/proc/self").expect("this is Linux");
    if std::os::unix::fs::MetadataExt::uid(&status) != 0 {
        return Account::Own;
    }
    let passwd = fs::read_to_string("/etc/passwd").expect("there are accounts");
    let find = |name: &str| {
        let line = passwd
            .lines()
            .find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2);
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account::Other { uid, gid })
    };
    find("postgres")
        .or_else(|| find("nobody"))
        .expect("there is an account that is not root")
}

fn as_account(account: &Account, program: &str) -> Command {
    let path = binary(program);
    match account {
        Account::Own => Command::new(path),
        Account::Other { uid, gid } => {
            let mut command = Command::new("setpriv");
            command
                .arg(format!("--reuid={uid}"))
                .arg(format!("--regid={gid}"))
                .arg("--clear-groups")
                .arg(path);
            command
        }
    }
}

/// From PATH, else where Debian puts version 15.
fn binary(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = PathBuf::from("/usr/lib/postgresql/15/bin");
    std::env::split_paths(&path)
        .chain([debian.clone()])
        .map(|folder| folder.join(program))
        .find(|file| file.exists())
        .unwrap_or_else(|| debian.join(program))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    listener
        .local_addr()
        .expect("a listener has an address")
        .port()
}
