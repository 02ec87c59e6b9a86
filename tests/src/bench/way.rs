//! What carries the SIP of the callers: datagrams, or a connection with or without TLS.

use std::{
    collections::VecDeque,
    fmt,
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{self, CryptoProvider},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::{connection::cut, sim::message::Message};

/// A way to the daemon.
pub enum Way {
    /// Datagrams from a socket.
    Datagrams(UdpSocket),
    /// A connection, and the messages that have come by it.
    Connection {
        /// What stands in Via.
        name: &'static str,
        /// The bytes.
        stream: Box<dyn Stream>,
        /// What has come of the next message.
        received: Vec<u8>,
        /// Messages that have come, and when.
        messages: VecDeque<(Message, Instant)>,
    },
}

/// A stream of bytes that can be waited for.
pub trait Stream: Read + Write + Send {
    /// Reading waits at most so long.
    fn wait_at_most(&self, wait: Duration);
}

impl Stream for TcpStream {
    fn wait_at_most(&self, wait: Duration) {
        self.set_read_timeout(Some(wait))
            .expect("a timeout can be set");
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn wait_at_most(&self, wait: Duration) {
        self.sock.wait_at_most(wait);
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Way {
    /// A TCP connection.
    pub fn tcp(to: SocketAddr) -> Self {
        Self::connection("TCP", Box::new(connect(to)))
    }

    /// A TLS connection; whatever certificate the daemon has is taken.
    pub fn tls(to: SocketAddr) -> Self {
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        let name = ServerName::from(to.ip());
        let session = ClientConnection::new(Arc::new(config), name).expect("a session");
        Self::connection("TLS", Box::new(StreamOwned::new(session, connect(to))))
    }

    fn connection(name: &'static str, stream: Box<dyn Stream>) -> Self {
        Self::Connection {
            name,
            stream,
            received: Vec::new(),
            messages: VecDeque::new(),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Datagrams(_) => "UDP",
            Self::Connection { name, .. } => name,
        }
    }

    /// Sends a message. What cannot be sent is as good as lost, and repeated.
    pub(super) fn send(&mut self, message: &Message, to: SocketAddr) {
        match self {
            Self::Datagrams(socket) => {
                let _ = socket.send_to(&message.bytes(), to);
            }
            Self::Connection { stream, name, .. } => {
                let text = String::from_utf8_lossy(&message.bytes()).into_owned();
                let own = format!("SIP/2.0/{name} ");
                let _ = stream.write_all(text.replacen("SIP/2.0/UDP ", &own, 1).as_bytes());
            }
        }
    }

    /// The next message, if one comes within this time, and when it came.
    pub(super) fn receive(
        &mut self,
        buffer: &mut [u8],
        wait: Duration,
    ) -> Option<(Message, Instant)> {
        match self {
            Self::Datagrams(socket) => {
                socket
                    .set_read_timeout(Some(wait))
                    .expect("a timeout can be set");
                let length = socket.recv(buffer).ok()?;
                let came = Instant::now();
                Some((Message::parse(&buffer[..length])?, came))
            }
            Self::Connection {
                stream,
                received,
                messages,
                ..
            } => {
                if messages.is_empty() {
                    stream.wait_at_most(wait);
                    let length = stream.read(buffer).ok()?;
                    let came = Instant::now();
                    received.extend(&buffer[..length]);
                    while let Some(message) = cut(received) {
                        messages.push_back((message, came));
                    }
                }
                messages.pop_front()
            }
        }
    }
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("the daemon listens");
    stream.set_nodelay(true).expect("an option can be set");
    stream
}

/// Takes any certificate: the daemon has made its own.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
