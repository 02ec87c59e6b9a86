//! Call progress tones (ITU-T E.180; the Russian network: 425 Hz).

/// A tone that the media plane can play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tone {
    /// Ringback: 1 s on, 4 s off.
    Ringback,
    /// Busy: 0.35 s on, 0.35 s off.
    Busy,
    /// Congestion: 0.175 s on, 0.175 s off.
    Congestion,
    /// Call waiting: two short pips every 5 s.
    CallWaiting,
    /// Silence packets, so that the peer's own timeout does not fire.
    Silence,
}
