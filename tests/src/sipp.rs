//! SIPp as a caller or as the one who is called: somebody else's SIP, in the scenarios of `tests/scenarios`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A running scenario.
#[derive(Debug)]
pub struct Sipp {
    name: String,
    process: Option<Child>,
    errors: PathBuf,
}

impl Sipp {
    /// Starts scenario `name` from `local` towards `remote`, dialling `line` as `number`.
    pub fn start(
        name: &str,
        folder: &Path,
        local: SocketAddr,
        remote: SocketAddr,
        numbers: (&str, &str),
    ) -> Self {
        Self::start_over("u1", name, folder, (local, remote), numbers)
    }

    /// The same over a transport as SIPp names it: `t1` is one TCP connection.
    pub fn start_over(
        transport: &str,
        name: &str,
        folder: &Path,
        (local, remote): (SocketAddr, SocketAddr),
        (number, line): (&str, &str),
    ) -> Self {
        let mut command = Command::new("sipp");
        command
            .arg(remote.to_string())
            .args(["-s", line, "-key", "number", number])
            .args(["-t", transport]);
        Self::run(command, name, folder, local)
    }

    /// Starts scenario `name`, which waits at `local` to be called.
    pub fn waiting(name: &str, folder: &Path, local: SocketAddr) -> Self {
        Self::run(Command::new("sipp"), name, folder, local)
    }

    fn run(mut command: Command, name: &str, folder: &Path, local: SocketAddr) -> Self {
        let scenario = crate::package()
            .join("scenarios")
            .join(format!("{name}.xml"));
        let errors = folder.join(format!("{name}.errors"));
        let process = command
            .arg("-sf")
            .arg(scenario)
            .args([
                "-i",
                &local.ip().to_string(),
                "-p",
                &local.port().to_string(),
            ])
            .args(["-mi", &local.ip().to_string(), "-mp", "30000"])
            .args([
                "-m",
                "1",
                "-timeout",
                "40",
                "-timeout_error",
                "-recv_timeout",
                "20000",
                "-nostdin",
            ])
            .args(["-trace_err", "-error_file"])
            .arg(&errors)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sipp is installed");
        Self {
            name: name.to_owned(),
            process: Some(process),
            errors,
        }
    }

    /// Waits until the scenario is over and asserts that it went as it says.
    pub fn succeeds(mut self) {
        let status = self
            .process
            .take()
            .expect("it runs")
            .wait()
            .expect("sipp ends");
        let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
        assert!(status.success(), "{}: {status}\n{errors}", self.name);
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
