//! Measures the media plane: CPU time per call-minute of bridged G.711 calls, and what the phones hear.
//!
//! `bridged_calls [CALLS [SECONDS [plain|record|floor [THREADS [TICK_US]]]]]`; the phones are another process, so that
//! their CPU time does not count. `floor` forwards by nothing but one `recv` and one `send` per packet, 20 ms
//! worth of packets at a time: no program that forwards through UDP sockets needs less on the same machine in
//! the same minute.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement prints, and may stop at anything unexpected"
)]

use std::{
    io::{BufRead, BufReader, Lines, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    process::{Child, ChildStdout, Command as Process, Stdio},
    time::{Duration, Instant},
};

use media::{
    Codec, Command, ConversationKey, Event, LegKey, Remote, SourceRule,
    rtp::{HEADER_BYTES, Header},
};
use net::media::{MediaPlane, MediaSettings};
use rustix::time::{ClockId, clock_gettime};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const FIRST_LEG_PORT: u16 = 10_000;
const FIRST_PHONE_PORT: u16 = 12_000;
const FRAME: Duration = Duration::from_millis(20);
const WARM_UP: Duration = Duration::from_secs(2);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |position: usize, default: &str| -> String {
        arguments
            .get(position)
            .map_or(default, String::as_str)
            .to_owned()
    };
    if argument(0, "") == "phones" {
        phones(
            argument(1, "").parse().unwrap(),
            argument(2, "").parse().unwrap(),
        );
        return;
    }
    let calls = argument(0, "200").parse().unwrap();
    let seconds = argument(1, "20").parse().unwrap();
    match argument(2, "plain").as_str() {
        "floor" => measure_floor(calls, seconds),
        mode => measure(
            calls,
            seconds,
            mode == "record",
            argument(3, "1").parse().unwrap(),
            Duration::from_micros(argument(4, "2000").parse().unwrap()),
        ),
    }
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn measure(calls: u16, seconds: u64, record: bool, threads: usize, tick: Duration) {
    let folder = tempfile::tempdir_in(".").unwrap();
    let mut settings = MediaSettings::new(folder.path().to_owned());
    settings.threads = threads;
    settings.tick = tick;
    let (mut plane, mut events) = MediaPlane::start(settings).unwrap();
    let mut generator = Generator::start(calls, seconds);
    for leg in 0..calls * 2 {
        plane.send(Command::Open {
            leg: LegKey(leg.into()),
            local_ip: LOCALHOST,
            port: FIRST_LEG_PORT + leg * 2,
        });
        plane.send(Command::SetRemote {
            leg: LegKey(leg.into()),
            remote: Remote {
                rtp: SocketAddr::new(LOCALHOST, FIRST_PHONE_PORT + leg),
                codec: Codec::Pcma,
                dtmf_payload_type: Some(101),
                source: SourceRule::Sdp,
                sending: true,
                receiving: true,
            },
        });
    }
    for call in 0..u64::from(calls) {
        let (client, agent) = (LegKey(call * 2), LegKey(call * 2 + 1));
        let conversation = ConversationKey(call);
        plane.send(Command::Join {
            a: client,
            b: agent,
            conversation,
        });
        if record {
            plane.send(Command::StartRecording {
                conversation,
                client,
                agent: Some(agent),
                file: format!("{call}.wav"),
                law: Codec::Pcma,
            });
        }
    }
    let mut opened = 0;
    while opened < calls * 2 {
        match events.wait(Duration::from_secs(5)).unwrap() {
            Event::Opened { .. } => opened += 1,
            Event::OpenFailed { reason, .. } => panic!("{reason}"),
            _ => {}
        }
    }
    generator.go();
    std::thread::sleep(WARM_UP);
    let packets = plane.counters().packets();
    let usage = Usage::over(seconds);
    let packets = plane.counters().packets() - packets;
    println!(
        "{calls} calls, {threads} thread(s), recorded: {record}, priority {:?}, {} packets/s",
        plane.priority(),
        packets / seconds
    );
    usage.print(calls);
    generator.report();
    plane.stop();
    while let Some(event) = events.pop() {
        if let Event::OpenFailed { .. } | Event::RecordingGap { .. } = event {
            println!("{event:?}");
        }
    }
}

/// CPU time of this process over a time.
struct Usage {
    cpu: Duration,
    took: Duration,
}

impl Usage {
    fn over(seconds: u64) -> Self {
        let (cpu, begin) = (clock(ClockId::ProcessCPUTime), Instant::now());
        std::thread::sleep(Duration::from_secs(seconds));
        Self {
            cpu: clock(ClockId::ProcessCPUTime) - cpu,
            took: begin.elapsed(),
        }
    }

    fn print(&self, calls: u16) {
        let call_minutes = f64::from(calls) * self.took.as_secs_f64() / 60.0;
        println!(
            "CPU {:.1} ms per call-minute ({:.1} % of a core)",
            self.cpu.as_secs_f64() * 1000.0 / call_minutes,
            self.cpu.as_secs_f64() * 100.0 / self.took.as_secs_f64(),
        );
    }
}

/// The process with the phones.
struct Generator {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Generator {
    fn start(calls: u16, seconds: u64) -> Self {
        let mut child = Process::new(std::env::current_exe().unwrap())
            .args([
                "phones",
                &(calls * 2).to_string(),
                &(seconds + 4).to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "ready");
        Self { child, said }
    }

    fn go(&mut self) {
        let mut stdin = self.child.stdin.take().unwrap();
        stdin.write_all(b"go\n").unwrap();
    }

    fn report(mut self) {
        println!("phones: {}", self.said.next().unwrap().unwrap());
        self.child.wait().unwrap();
    }
}

fn measure_floor(calls: u16, seconds: u64) {
    let sockets: Vec<UdpSocket> = (0..calls * 2)
        .map(|leg| {
            let socket = UdpSocket::bind((LOCALHOST, FIRST_LEG_PORT + leg * 2)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let mut generator = Generator::start(calls, seconds);
    for (leg, socket) in (0..).zip(&sockets) {
        socket.connect((LOCALHOST, FIRST_PHONE_PORT + leg)).unwrap();
    }
    generator.go();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        let mut next = Instant::now();
        loop {
            next += FRAME;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            for (leg, socket) in sockets.iter().enumerate() {
                if let Ok(length) = socket.recv(&mut buffer) {
                    let _ = sockets[leg ^ 1].send(&buffer[..length]);
                }
            }
        }
    });
    std::thread::sleep(WARM_UP);
    let usage = Usage::over(seconds);
    println!("{calls} calls, one recv and one send per packet");
    usage.print(calls);
    generator.report();
}

/// The phones: each sends 20 ms of A-law that carry the time, and looks at what comes.
fn phones(count: u16, seconds: u64) {
    let sockets: Vec<UdpSocket> = (0..count)
        .map(|phone| {
            let socket = UdpSocket::bind((LOCALHOST, FIRST_PHONE_PORT + phone)).unwrap();
            socket
                .connect((LOCALHOST, FIRST_LEG_PORT + phone * 2))
                .unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    println!("ready");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    let begin = clock(ClockId::Monotonic);
    let (mut sent, mut received) = (0_u64, 0_u64);
    let mut delays_us = Vec::new();
    let mut packet = [0_u8; HEADER_BYTES + 160];
    // Every millisecond a twentieth of the phones speaks, and everybody listens every four milliseconds.
    let ticks = seconds * 1000;
    for tick in 0..ticks {
        let due = begin + Duration::from_millis(tick);
        std::thread::sleep(due.saturating_sub(clock(ClockId::Monotonic)));
        let frame = tick / FRAME.as_millis() as u64;
        for (phone, socket) in sockets.iter().enumerate() {
            if phone as u64 % 20 == tick % 20 && tick < ticks - 200 {
                let header = Header {
                    payload_type: 8,
                    marker: frame == 0,
                    sequence: frame as u16,
                    timestamp: frame as u32 * 160,
                    ssrc: phone as u32,
                };
                header.write(&mut packet).unwrap();
                let now = clock(ClockId::Monotonic).as_micros() as u64;
                packet[HEADER_BYTES..HEADER_BYTES + 8].copy_from_slice(&now.to_be_bytes());
                sent += u64::from(socket.send(&packet).is_ok());
            }
            // A phone listens in the milliseconds after its partner spoke.
            if (phone as u64 ^ 1) % 20 / 5 == tick % 20 / 5 || tick % 20 == 19 {
                let mut heard = [0; 512];
                while let Ok(length) = socket.recv(&mut heard) {
                    if let Some(time) = heard[..length]
                        .get(HEADER_BYTES..)
                        .and_then(|payload| payload.first_chunk())
                    {
                        received += 1;
                        let now = clock(ClockId::Monotonic).as_micros() as u64;
                        delays_us.push(now.saturating_sub(u64::from_be_bytes(*time)) as u32);
                    }
                }
            }
        }
    }
    delays_us.sort_unstable();
    let at = |share: f64| {
        let position = (delays_us.len() as f64 * share) as usize;
        f64::from(delays_us.get(position).copied().unwrap_or(0)) / 1000.0
    };
    println!(
        "sent {sent}, received {received}, until read by the phone p50 {:.1} ms, p99 {:.1} ms, worst {:.1} ms",
        at(0.5),
        at(0.99),
        at(0.99999)
    );
}
