//! The cable to a database server, which can be pulled out and put back.

use std::{
    io,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// A TCP relay on a port of its own.
#[derive(Debug)]
pub struct Cable {
    near: SocketAddr,
    ends: Arc<Mutex<Ends>>,
}

#[derive(Debug, Default)]
struct Ends {
    pulled: bool,
    open: Vec<TcpStream>,
}

impl Cable {
    /// A cable to `far`.
    pub fn lay(far: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let near = listener.local_addr().expect("a listener has an address");
        let ends = Arc::new(Mutex::new(Ends::default()));
        let its_ends = Arc::clone(&ends);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Without a server behind it the connection is closed, as by a server that is gone.
                let Ok(server) = TcpStream::connect(far) else {
                    continue;
                };
                let mut ends = its_ends.lock().expect("nobody panics with the cable");
                if !ends.pulled {
                    join(&client, &server).expect("a connection can be shared");
                    ends.open.extend([client, server]);
                }
            }
        });
        Self { near, ends }
    }

    /// Where the near end is.
    pub fn address(&self) -> SocketAddr {
        self.near
    }

    /// Breaks every connection and lets none come about.
    pub fn pull(&self) {
        let mut ends = self.ends.lock().expect("nobody panics with the cable");
        ends.pulled = true;
        for end in ends.open.drain(..) {
            // One that has ended by itself need not be broken.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Lets connections come about again.
    pub fn plug(&self) {
        self.ends
            .lock()
            .expect("nobody panics with the cable")
            .pulled = false;
    }
}

fn join(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    for (from, to) in [(client, server), (server, client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        std::thread::spawn(move || {
            // However it ends, the other side learns of the end alone.
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}
