//! A relay between a party and the daemon that loses, doubles, delays and reorders datagrams by a seed.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::sim::{chance::Chance, network::Network};

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    /// Where the party sends to.
    pub inside: SocketAddr,
    lost: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Relays between whoever sends to `inside` and `daemon`, towards which it speaks from `outside`.
    pub fn open(
        inside: SocketAddr,
        outside: SocketAddr,
        daemon: SocketAddr,
        network: Network,
        seed: u64,
    ) -> Self {
        let bind =
            |address| UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let (near, far) = (bind(inside), bind(outside));
        for socket in [&near, &far] {
            socket
                .set_nonblocking(true)
                .expect("a socket need not block");
        }
        let stop = Arc::new(AtomicBool::new(false));
        let lost = Arc::new(AtomicU64::new(0));
        let (its_stop, its_lost) = (Arc::clone(&stop), Arc::clone(&lost));
        let thread = std::thread::spawn(move || {
            run(
                &[near, far],
                daemon,
                &network,
                Chance::new(seed),
                &its_stop,
                &its_lost,
            );
        });
        Self {
            inside,
            lost,
            stop,
            thread: Some(thread),
        }
    }

    /// Datagrams that were lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

fn run(
    sockets: &[UdpSocket; 2],
    daemon: SocketAddr,
    network: &Network,
    mut chance: Chance,
    stop: &AtomicBool,
    lost: &AtomicU64,
) {
    let mut party = None;
    let mut buffer = vec![0; 65_536];
    let mut under_way: BTreeMap<(Instant, u64), (usize, Vec<u8>)> = BTreeMap::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        for (side, socket) in sockets.iter().enumerate() {
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                if side == 0 {
                    party = Some(from);
                }
                let copies = network.carry(&mut chance);
                lost.fetch_add(u64::from(copies.is_empty()), Ordering::Relaxed);
                for delay in copies {
                    number += 1;
                    under_way.insert(
                        (Instant::now() + delay, number),
                        (1 - side, buffer[..length].to_vec()),
                    );
                }
            }
        }
        while let Some(first) = under_way.first_entry() {
            if first.key().0 > Instant::now() {
                break;
            }
            let (side, bytes) = first.remove();
            let to = if side == 1 { Some(daemon) } else { party };
            if let Some(to) = to {
                // What cannot be sent is lost, which is what this is for.
                let _ = sockets[side].send_to(&bytes, to);
            }
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}
