//! Everything that went over the wire, as the exchange saw it.

use std::{fmt, net::SocketAddr, time::Duration};

use super::message::Message;

/// One datagram.
#[derive(Clone, Debug)]
pub struct Record {
    /// When the exchange got or sent it.
    pub at: Duration,
    /// The exchange got it.
    pub incoming: bool,
    /// The other side.
    pub party: SocketAddr,
    /// Which life of the exchange, counted from 0.
    pub life: u32,
    /// The message.
    pub message: Message,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = if self.incoming { "-->" } else { "<--" };
        write!(
            f,
            "{:>10.4} {:<21} {arrow} {} [{} {}]",
            self.at.as_secs_f64(),
            self.party,
            self.message.start,
            self.message.text("CSeq"),
            self.message.text("Call-ID"),
        )
    }
}
