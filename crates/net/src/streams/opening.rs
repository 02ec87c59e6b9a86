//! A connection before its first byte of SIP: accepted or opened, and secured.

use std::{io, net::SocketAddr, sync::PoisonError, time::Duration};

use switch::{Path, Transport};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::rustls::pki_types::ServerName;

use super::Shared;
use crate::counters::count;

/// A peer without power is noticed when it leaves so many questions unanswered, one after each of these times.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMES: u32 = 3;
/// How long the system repeats what a peer does not acknowledge.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// What SIP runs over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where a connection comes from.
pub(super) enum Origin {
    Accepted(TcpStream),
    /// To be opened from an address of ours, with any port.
    Ours,
}

/// Gets the connection ready, each step within its deadline.
pub(super) async fn open(
    origin: Origin,
    path: &Path,
    shared: &Shared,
) -> io::Result<Box<dyn Stream>> {
    let (stream, ours) = match origin {
        Origin::Accepted(stream) => (stream, false),
        Origin::Ours => {
            let connecting = connect(path.local, path.remote);
            (timeout(shared.settings.connect, connecting).await??, true)
        }
    };
    watch(&stream)?;
    if path.transport == Transport::Tcp {
        return Ok(Box::new(stream));
    }
    let securing = secure(stream, ours, path, shared);
    let secured = timeout(shared.settings.handshake, securing).await;
    secured
        .unwrap_or_else(|late| Err(late.into()))
        .inspect_err(|error| {
            let failed = count(&shared.counters.streams.tls_failures);
            // The first, the second, the fourth: the log must not drown in it.
            if failed.is_power_of_two() {
                let remote = path.remote;
                tracing::warn!(%remote, %error, failed, "a TLS handshake failed");
            }
        })
}

async fn connect(local: SocketAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = match local {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(SocketAddr::new(local.ip(), 0))?;
    socket.connect(remote).await
}

async fn secure(
    stream: TcpStream,
    ours: bool,
    path: &Path,
    shared: &Shared,
) -> io::Result<Box<dyn Stream>> {
    let missing = |what| io::Error::new(io::ErrorKind::Unsupported, what);
    if ours {
        let trust = shared.tls.trust.as_ref();
        let trust = trust.ok_or_else(|| missing("[sip] tls_authorities is not set"))?;
        let name = server_name(path.remote, shared);
        return Ok(Box::new(trust.connector().connect(name, stream).await?));
    }
    let identity = shared.tls.identity.as_ref();
    let identity = identity.ok_or_else(|| missing("there is no certificate"))?;
    Ok(Box::new(identity.acceptor().accept(stream).await?))
}

/// The name that led to the address, else the address.
fn server_name(remote: SocketAddr, shared: &Shared) -> ServerName<'static> {
    let names = shared.names.lock().unwrap_or_else(PoisonError::into_inner);
    let name = names.get(&remote).cloned();
    let name = name.and_then(|name| ServerName::try_from(name).ok());
    name.unwrap_or_else(|| ServerName::IpAddress(remote.ip().into()))
}

/// Small messages leave at once, and a peer that vanished is noticed.
fn watch(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    let keep_alive = socket2::TcpKeepalive::new()
        .with_time(KEEP_ALIVE_IDLE)
        .with_interval(KEEP_ALIVE_INTERVAL)
        .with_retries(KEEP_ALIVE_TIMES);
    socket.set_tcp_keepalive(&keep_alive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}
