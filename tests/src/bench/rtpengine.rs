//! rtpengine in userspace as the peer of the media lines, driven over its control protocol: a cookie, a blank and a
//! bencoded dictionary in one datagram.

use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr, UdpSocket},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::sim::message::sdp;

/// How long it may take to start and to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running rtpengine with one media thread.
#[derive(Debug)]
pub struct RtpEngine {
    process: Child,
    control: UdpSocket,
    cookie: usize,
}

impl RtpEngine {
    /// Starts it on an address of its own; says why not if it is not installed or does not answer.
    pub fn start(address: IpAddr) -> Result<Self, String> {
        let ng = SocketAddr::new(address, 22_222);
        let process = Command::new("rtpengine")
            .args(["--config-file=none", "--foreground", "--table=-1"])
            .args(["--num-threads=1", "--log-level=3", "--log-stderr"])
            .args(["--port-min=40000", "--port-max=41999"])
            .arg(format!("--interface={address}"))
            .arg(format!("--listen-ng={ng}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("rtpengine does not start: {error}"))?;
        let control = UdpSocket::bind(SocketAddr::new(address, 0)).map_err(|e| e.to_string());
        let mut engine = Self {
            process,
            control: control?,
            cookie: 0,
        };
        let options = engine.control.connect(ng).and_then(|()| {
            engine
                .control
                .set_read_timeout(Some(Duration::from_millis(200)))
        });
        options.map_err(|error| error.to_string())?;
        let pong = engine.ask("ping", &[])?;
        if pong.contains("4:pong") {
            Ok(engine)
        } else {
            Err(format!("rtpengine says {pong} to a ping"))
        }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// A call between the two far ends; returns where rtpengine wants to hear the first and the second.
    pub fn call(&mut self, name: &str, ends: [SocketAddr; 2]) -> Result<[SocketAddr; 2], String> {
        let [caller, agent] = ends.map(|end| sdp(end, 1, "sendrecv"));
        let offer = [
            ("call-id", name),
            ("from-tag", "a"),
            ("sdp", caller.as_str()),
        ];
        let for_agent = media(&self.ask("offer", &offer)?)?;
        let answer = [
            ("call-id", name),
            ("from-tag", "a"),
            ("to-tag", "b"),
            ("sdp", agent.as_str()),
        ];
        let for_caller = media(&self.ask("answer", &answer)?)?;
        Ok([for_caller, for_agent])
    }

    /// Ends a call.
    pub fn delete(&mut self, name: &str) -> Result<(), String> {
        self.ask("delete", &[("call-id", name), ("from-tag", "a")])
            .map(drop)
    }

    fn ask(&mut self, command: &str, fields: &[(&str, &str)]) -> Result<String, String> {
        self.cookie += 1;
        let cookie = format!("c{}", self.cookie);
        let mut request = format!("{cookie} d{}{}", bencoded("command"), bencoded(command));
        for (name, value) in fields {
            let _ = write!(request, "{}{}", bencoded(name), bencoded(value));
        }
        request.push('e');
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = vec![0; 65_536];
        while Instant::now() < deadline {
            // Refused while it starts: the next attempt follows.
            let _ = self.control.send(request.as_bytes());
            if let Ok(length) = self.control.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if text.contains("6:result5:error") {
                    return Err(format!("rtpengine refuses {command}: {text}"));
                }
                if let Some(result) = text.strip_prefix(&format!("{cookie} ")) {
                    return Ok(result.to_owned());
                }
            } else {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Err(format!("rtpengine does not answer {command}"))
    }
}

impl Drop for RtpEngine {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn bencoded(text: &str) -> String {
    format!("{}:{text}", text.len())
}

/// The address after `c=` and `m=audio` of the description in an answer.
fn media(result: &str) -> Result<SocketAddr, String> {
    let field = |name: &str| {
        let (_, rest) = result.split_once(name)?;
        rest.split([' ', '\r', '\n']).next()
    };
    let (ip, port) = (field("c=IN IP4 "), field("m=audio "));
    let address = ip.zip(port).map(|(ip, port)| format!("{ip}:{port}"));
    address
        .and_then(|address| address.parse().ok())
        .ok_or_else(|| format!("no media in {result}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_protocol_is_read_and_written() {
        assert_eq!(bencoded("sdp"), "3:sdp");
        let result =
            "d6:result2:ok3:sdp60:v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 40002 RTP/AVP 8\r\ne";
        assert_eq!(media(result), Ok("127.0.0.1:40002".parse().unwrap()));
        assert!(media("d6:result2:oke").is_err());
    }
}
