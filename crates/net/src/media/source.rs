//! The RTP socket of a leg, and from whom it takes and to whom it gives anything ("Addresses" in docs/decisions/0003-media-plane.md).
//!
//! Before the source is confirmed the socket is unconnected and each datagram's source is checked. Confirming
//! connects it, so that the kernel does the check; what was queued before the connect is still checked one by
//! one. Nothing is ever sent to an address that the leg's rule would not accept.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    time::Duration,
};

use media::SourceRule;
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect,
        connect_unspec, recv, recvfrom, send, sendto, socket_with, sockopt,
    },
};

/// A datagram that was looked up before the connect can still be queued a moment after it.
const SETTLING: Duration = Duration::from_millis(20);
/// So long packets of the former source, still under way, cannot confirm it again after its address changed.
const FORMER_SOURCE_EBBS: Duration = Duration::from_secs(1);
/// Receive buffer of an RTP socket: several hundred packets, so that a late thread loses nothing.
const RTP_BUFFER_BYTES: usize = 128 * 1024;
/// RTCP is dropped; a small buffer is enough.
const RTCP_BUFFER_BYTES: usize = 4096;
/// DSCP "expedited forwarding" for voice (RFC 4594 §4.1).
const EXPEDITED_FORWARDING: u8 = 46 << 2;

/// Binds the two sockets of a leg: RTP on `port`, RTCP on `port + 1`.
pub(crate) fn bind_pair(ip: IpAddr, port: u16) -> io::Result<(OwnedFd, OwnedFd)> {
    let rtcp_port = port
        .checked_add(1)
        .filter(|_| port % 2 == 0 && port != 0)
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("RTP port {port} is not an even port"),
            )
        })?;
    let rtp = bind_udp(SocketAddr::new(ip, port), RTP_BUFFER_BYTES)?;
    let rtcp = bind_udp(SocketAddr::new(ip, rtcp_port), RTCP_BUFFER_BYTES)?;
    Ok((rtp, rtcp))
}

fn bind_udp(address: SocketAddr, buffer_bytes: usize) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = socket_with(family, SocketType::DGRAM, flags, None)?;
    sockopt::set_socket_recv_buffer_size(&fd, buffer_bytes)?;
    // A network that refuses the mark still carries the packets.
    if address.is_ipv4() {
        let _ = sockopt::set_ip_tos(&fd, EXPEDITED_FORWARDING);
    } else {
        let _ = sockopt::set_ipv6_tclass(&fd, u32::from(EXPEDITED_FORWARDING));
    }
    bind(&fd, &address)?;
    Ok(fd)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// No far end is known: everything is refused.
    Nobody,
    /// The socket is unconnected and waits for a first packet that the rule accepts.
    Learning,
    /// The socket is connected; what was queued before may still come out of it.
    Settling { source: SocketAddr, since: Duration },
    /// The kernel lets through only the confirmed source.
    Connected { source: SocketAddr },
}

/// A received datagram, seen through the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// From the confirmed source; its length.
    Confirmed(usize),
    /// From a source that the rule accepts, not confirmed yet; its length.
    Candidate(usize, SocketAddr),
    /// From elsewhere.
    Refused,
    /// The peer's host says that nobody listens (ICMP port unreachable); never fatal.
    Unreachable,
    /// Nothing is queued.
    Empty,
}

/// How a send ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Handed to the kernel.
    Yes,
    /// Nobody to send to is known or allowed.
    NoTarget,
    /// The kernel refused it: no route, or its buffer is full.
    Failed,
}

/// The RTP socket of a leg with its rules.
#[derive(Debug)]
pub(crate) struct RtpSocket {
    fd: OwnedFd,
    rule: SourceRule,
    sdp: SocketAddr,
    trust: Trust,
    former: Option<(SocketAddr, Duration)>,
    /// Errors that ICMP reported.
    pub(crate) unreachable: u64,
}

impl RtpSocket {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            rule: SourceRule::Sdp,
            sdp: SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0),
            trust: Trust::Nobody,
            former: None,
            unreachable: 0,
        }
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// The far end is known, or known anew. A changed address, port or rule is confirmed anew; true in that case.
    pub(crate) fn expect(
        &mut self,
        sdp: SocketAddr,
        rule: &SourceRule,
        now: Duration,
    ) -> io::Result<bool> {
        let sdp = canonical(sdp);
        if self.trust != Trust::Nobody && self.sdp == sdp && self.rule == *rule {
            return Ok(false);
        }
        if let Trust::Settling { source, .. } | Trust::Connected { source } = self.trust {
            // Local address and port stay, because they were bound explicitly.
            connect_unspec(&self.fd)?;
            if self.sdp != sdp && source != sdp {
                self.former = Some((source, now + FORMER_SOURCE_EBBS));
            }
        }
        self.sdp = sdp;
        self.rule = rule.clone();
        self.trust = Trust::Learning;
        Ok(true)
    }

    /// The candidate proved to be media: it is the source from now on, and the target too.
    pub(crate) fn confirm(&mut self, source: SocketAddr, now: Duration) -> io::Result<()> {
        connect(&self.fd, &source)?;
        self.trust = Trust::Settling { source, since: now };
        Ok(())
    }

    /// The next datagram. After [`Received::Empty`] the socket is drained.
    pub(crate) fn receive(&mut self, buffer: &mut [u8], now: Duration) -> Received {
        if let Trust::Connected { .. } = self.trust {
            return match recv(&self.fd, buffer, RecvFlags::DONTWAIT) {
                Ok((length, _)) => Received::Confirmed(length),
                Err(error) => self.failed(error),
            };
        }
        let (length, source) = match recvfrom(&self.fd, buffer, RecvFlags::DONTWAIT) {
            Ok((length, _, source)) => (length, source),
            Err(error) => {
                let received = self.failed(error);
                self.settle(received, now);
                return received;
            }
        };
        let Some(source) = source.and_then(|source| SocketAddr::try_from(source).ok()) else {
            return Received::Refused;
        };
        match self.trust {
            Trust::Settling { source: known, .. } if source == known => Received::Confirmed(length),
            Trust::Learning
                if self.rule.accepts(source, self.sdp) && !self.is_former(source, now) =>
            {
                Received::Candidate(length, source)
            }
            _ => Received::Refused,
        }
    }

    fn is_former(&self, source: SocketAddr, now: Duration) -> bool {
        self.former
            .is_some_and(|(former, until)| former == source && now < until)
    }

    fn settle(&mut self, received: Received, now: Duration) {
        if let Trust::Settling { source, since } = self.trust {
            if received == Received::Empty && now.saturating_sub(since) >= SETTLING {
                self.trust = Trust::Connected { source };
            }
        }
    }

    fn failed(&mut self, error: Errno) -> Received {
        if error == Errno::AGAIN {
            return Received::Empty;
        }
        self.unreachable += 1;
        Received::Unreachable
    }

    /// Whether the kernel alone decides whose packets arrive: then one read per readiness is enough.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.trust, Trust::Connected { .. })
    }

    /// Whether anything can be sent at present.
    pub(crate) fn has_target(&self) -> bool {
        match self.trust {
            Trust::Connected { .. } | Trust::Settling { .. } => true,
            Trust::Learning => self.may_send_to_sdp(),
            Trust::Nobody => false,
        }
    }

    /// Sends to the confirmed source; before that to the SDP's address, if the rule accepts it as a source.
    pub(crate) fn send(&mut self, packet: &[u8]) -> Sent {
        match self.trust {
            Trust::Connected { .. } | Trust::Settling { .. } => {
                match send(&self.fd, packet, SendFlags::DONTWAIT) {
                    Ok(_) => Sent::Yes,
                    Err(Errno::AGAIN) => Sent::Failed,
                    Err(_) => {
                        // The error belongs to an earlier packet (ICMP); reading it has cleared it.
                        self.unreachable += 1;
                        outcome(send(&self.fd, packet, SendFlags::DONTWAIT))
                    }
                }
            }
            Trust::Learning if self.may_send_to_sdp() => {
                outcome(sendto(&self.fd, packet, SendFlags::DONTWAIT, &self.sdp))
            }
            Trust::Learning | Trust::Nobody => Sent::NoTarget,
        }
    }

    fn may_send_to_sdp(&self) -> bool {
        self.sdp.port() != 0
            && !self.sdp.ip().is_unspecified()
            && self.rule.accepts(self.sdp, self.sdp)
    }
}

fn outcome(sent: rustix::io::Result<usize>) -> Sent {
    match sent {
        Ok(_) => Sent::Yes,
        Err(_) => Sent::Failed,
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_secs(100) + Duration::from_millis(ms)
    }

    fn peer() -> UdpSocket {
        UdpSocket::bind(("127.0.0.1", 0)).unwrap()
    }

    fn address(socket: &UdpSocket) -> SocketAddr {
        socket.local_addr().unwrap()
    }

    /// A socket that expects `peer`, and its address.
    fn expecting(peer: &UdpSocket) -> (RtpSocket, SocketAddr) {
        let free = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        // A port chosen by the system would be given back by a disconnect; ours are always chosen by us.
        let local = address(&free);
        drop(free);
        let fd = bind_udp(local, RTP_BUFFER_BYTES).unwrap();
        let mut socket = RtpSocket::new(fd);
        socket
            .expect(address(peer), &SourceRule::Sdp, at(0))
            .unwrap();
        (socket, local)
    }

    #[test]
    fn what_was_queued_before_the_connect_is_checked_one_by_one() {
        let (right, wrong) = (peer(), peer());
        let (mut socket, local) = expecting(&right);
        let mut buffer = [0; 100];
        for (from, byte) in [
            (&wrong, 1),
            (&right, 2),
            (&wrong, 3),
            (&right, 4),
            (&wrong, 5),
        ] {
            from.send_to(&[byte], local).unwrap();
        }
        assert_eq!(socket.receive(&mut buffer, at(0)), Received::Refused);
        let candidate = socket.receive(&mut buffer, at(0));
        assert_eq!(candidate, Received::Candidate(1, address(&right)));
        socket.confirm(address(&right), at(0)).unwrap();
        // From here on the kernel drops what comes, but three datagrams wait already.
        wrong.send_to(&[6], local).unwrap();
        right.send_to(&[7], local).unwrap();
        let mut heard = Vec::new();
        loop {
            match socket.receive(&mut buffer, at(1)) {
                Received::Confirmed(1) => heard.push(buffer[0]),
                Received::Refused => {}
                Received::Empty => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(heard, [4, 7]);
        // Datagrams looked up before the connect may still be queued a moment later.
        assert!(!socket.is_settled());
        assert_eq!(socket.receive(&mut buffer, at(30)), Received::Empty);
        assert!(socket.is_settled());
        wrong.send_to(&[8], local).unwrap();
        right.send_to(&[9], local).unwrap();
        assert_eq!(socket.receive(&mut buffer, at(31)), Received::Confirmed(1));
        assert_eq!(buffer[0], 9);
        assert_eq!(socket.receive(&mut buffer, at(31)), Received::Empty);
    }

    #[test]
    fn the_former_source_cannot_confirm_itself_again_after_its_address_changed() {
        let (old, new) = (peer(), peer());
        let (mut socket, local) = expecting(&old);
        let rule = SourceRule::SignallingIp(address(&old).ip());
        let mut buffer = [0; 100];
        assert!(socket.expect(address(&old), &rule, at(0)).unwrap());
        assert!(!socket.expect(address(&old), &rule, at(0)).unwrap());
        socket.confirm(address(&old), at(0)).unwrap();
        old.send_to(&[1], local).unwrap();
        assert!(socket.expect(address(&new), &rule, at(100)).unwrap());
        assert_eq!(socket.receive(&mut buffer, at(101)), Received::Refused);
        new.send_to(&[2], local).unwrap();
        assert_eq!(
            socket.receive(&mut buffer, at(102)),
            Received::Candidate(1, address(&new))
        );
        // A second later it is a host like any other of its address.
        old.send_to(&[3], local).unwrap();
        assert_eq!(
            socket.receive(&mut buffer, at(1200)),
            Received::Candidate(1, address(&old))
        );
    }

    #[test]
    fn nothing_is_sent_where_the_rule_would_accept_nothing_from() {
        let device = peer();
        device.set_nonblocking(true).unwrap();
        let (mut socket, local) = expecting(&device);
        assert_eq!(socket.send(&[1]), Sent::Yes);
        let mut buffer = [0; 10];
        assert_eq!(device.recv_from(&mut buffer).unwrap(), (1, local));
        let elsewhere = SourceRule::SignallingIp(IpAddr::from([127, 0, 0, 9]));
        socket.expect(address(&device), &elsewhere, at(0)).unwrap();
        assert_eq!(socket.send(&[2]), Sent::NoTarget);
        let nowhere = SocketAddr::from(([0, 0, 0, 0], address(&device).port()));
        socket.expect(nowhere, &SourceRule::Sdp, at(0)).unwrap();
        assert_eq!(socket.send(&[3]), Sent::NoTarget);
        assert!(device.recv_from(&mut buffer).is_err());
    }

    #[test]
    fn an_icmp_error_costs_no_packet() {
        let device = peer();
        let (mut socket, _) = expecting(&device);
        let there = address(&device);
        socket.confirm(there, at(0)).unwrap();
        drop(device);
        assert_eq!(socket.send(&[1]), Sent::Yes);
        let device = UdpSocket::bind(there).unwrap();
        device.set_nonblocking(true).unwrap();
        // The error of the first packet is taken, the second one is sent all the same.
        assert_eq!(socket.send(&[2]), Sent::Yes);
        assert_eq!(socket.unreachable, 1);
        let mut buffer = [0; 10];
        assert_eq!(device.recv_from(&mut buffer).unwrap().0, 1);
        assert_eq!(buffer[0], 2);
    }
}
