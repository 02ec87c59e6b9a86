//! A TCP connection that carries SIP as text and breaks when a test says so; cut into messages without the product's code.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::sim::message::Message;

/// A connection to the daemon, or the place of one.
#[derive(Debug)]
pub(crate) struct Connection {
    switch: SocketAddr,
    stream: Option<TcpStream>,
    received: Vec<u8>,
}

fn connect(switch: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(switch).expect("the daemon listens");
    stream
        .set_read_timeout(Some(Duration::from_millis(5)))
        .expect("a timeout can be set");
    stream
}

impl Connection {
    pub(crate) fn open(switch: SocketAddr) -> Self {
        Self {
            switch,
            stream: Some(connect(switch)),
            received: Vec::new(),
        }
    }

    pub(crate) fn local(&self) -> SocketAddr {
        let stream = self.stream.as_ref().expect("it is open at first");
        stream.local_addr().expect("a socket has an address")
    }

    /// Opens or closes it if it is not as it should be.
    pub(crate) fn keep(&mut self, connected: bool) {
        if connected != self.stream.is_some() {
            self.received.clear();
            self.stream = connected.then(|| connect(self.switch));
        }
    }

    /// The next message, if it comes within a moment.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Option<Message> {
        if let Some(message) = cut(&mut self.received) {
            return Some(message);
        }
        let Some(stream) = &mut self.stream else {
            std::thread::sleep(Duration::from_millis(5));
            return None;
        };
        match stream.read(buffer) {
            Ok(length) => self.received.extend(&buffer[..length]),
            Err(error) => {
                let nothing = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
                assert!(nothing.contains(&error.kind()), "{error}");
            }
        }
        cut(&mut self.received)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if let Some(stream) = &mut self.stream {
            // What cannot be sent is as good as lost.
            let _ = stream.write_all(bytes);
        }
    }
}

/// The first message of what a connection has brought, once it is whole.
pub(crate) fn cut(received: &mut Vec<u8>) -> Option<Message> {
    let text = std::str::from_utf8(received).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("Content-Length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.expect("a length stands in every message on a connection");
    if body.len() < length {
        return None;
    }
    let end = head.len() + 4 + length;
    let message = Message::parse(&received[..end]);
    received.drain(..end);
    message
}
