//! The table and `bench.json`.

use std::{fmt::Write, fs, io, path::Path};

use serde::Serialize;

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What was measured, with its conditions.
    pub name: String,
    /// `ms`, `MB` or whatever the values are in.
    pub unit: &'static str,
    /// Our value.
    pub ours: f64,
    /// Who was measured beside us, or why nobody was.
    pub peer: Option<String>,
    /// The peer's value.
    pub peer_value: Option<f64>,
    /// Ours divided by the peer's.
    pub ratio: Option<f64>,
    /// What the ratio, if the target is one, or else our value must not exceed.
    pub target: Option<f64>,
    /// Whether it does not; none without a target or without the peer that the target needs.
    pub met: Option<bool>,
}

impl Line {
    /// A line without a peer.
    pub fn alone(name: impl Into<String>, unit: &'static str, ours: f64, target: f64) -> Self {
        Self {
            name: name.into(),
            unit,
            ours,
            peer: None,
            peer_value: None,
            ratio: None,
            target: Some(target),
            met: Some(ours <= target),
        }
    }

    /// A line that has no target, beside another value of ours where that tells more.
    pub fn shown(
        name: impl Into<String>,
        unit: &'static str,
        ours: f64,
        beside: Option<(&str, f64)>,
    ) -> Self {
        Self {
            peer: beside.map(|(what, _)| what.to_owned()),
            peer_value: beside.map(|(_, value)| value),
            ratio: beside.map(|(_, value)| ours / value),
            target: None,
            met: None,
            ..Self::alone(name, unit, ours, f64::NAN)
        }
    }

    /// A line whose target is a share of the peer's value; `peer` says why there is none.
    pub fn beside(
        name: impl Into<String>,
        unit: &'static str,
        ours: f64,
        peer: Result<(&str, f64), String>,
        target: f64,
    ) -> Self {
        let mut line = Self::alone(name, unit, ours, target);
        match peer {
            Ok((peer, value)) => {
                let ratio = ours / value;
                line.peer = Some(peer.to_owned());
                (line.peer_value, line.ratio) = (Some(value), Some(ratio));
                line.met = Some(ratio <= target);
            }
            Err(why) => {
                line.name = format!("{} [no peer: {why}]", line.name);
                line.met = None;
            }
        }
        line
    }
}

/// The lines as a table for people.
pub fn table(lines: &[Line]) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
    let width = lines.iter().map(|line| line.name.chars().count()).max();
    let width = width.unwrap_or(4).max(4);
    let mut table = format!(
        "{:width$}  {:>9} {:>5}  {:>10} {:>9} {:>6} {:>7}  met\n",
        "what", "ours", "unit", "peer", "value", "ratio", "target"
    );
    for line in lines {
        let met = line.met.map_or("–", |met| if met { "yes" } else { "NO" });
        let _ = writeln!(
            table,
            "{:width$}  {:>9.2} {:>5}  {:>10} {:>9} {:>6} {:>7}  {met}",
            line.name,
            line.ours,
            line.unit,
            line.peer.as_deref().unwrap_or("–"),
            number(line.peer_value),
            number(line.ratio),
            number(line.target),
        );
    }
    table
}

/// Writes the lines as JSON.
pub fn write(lines: &[Line], path: &Path) -> io::Result<()> {
    let text = serde_json::to_string_pretty(lines)?;
    fs::write(path, text + "\n")
}

/// The value below which `percent` of the values lie; the values need no order. Not a number if there are none.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 50), 100.0);
        assert_eq!(percentile(&values, 99), 198.0);
        assert_eq!(percentile(&values[..1], 99), 200.0);
        assert!(percentile(&[], 50).is_nan());
    }

    #[test]
    fn the_ratio_counts_where_there_is_a_peer_and_nothing_is_claimed_without() {
        let line = Line::beside("cpu", "ms", 30.0, Ok(("rtpengine", 50.0)), 0.75);
        assert_eq!((line.ratio, line.met), (Some(0.6), Some(true)));
        let line = Line::beside("cpu", "ms", 30.0, Err("not installed".into()), 0.75);
        assert_eq!((line.peer, line.ratio, line.met), (None, None, None));
        assert!(line.name.contains("not installed"));
        assert_eq!(Line::alone("x", "ms", 6.0, 5.0).met, Some(false));
    }
}
