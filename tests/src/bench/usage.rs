//! What a process used, as the kernel counts it: CPU time of all threads and children, resident memory.

use std::{fs, time::Duration};

/// The kernel's `USER_HZ`: what `/proc` counts CPU time in on every Linux we run on.
const TICKS_PER_SECOND: u64 = 100;
/// `VmRSS` is in KiB.
const KIB_PER_MIB: f64 = 1024.0;

/// The fields of `/proc/PID/stat` behind the command's name, which may contain blanks.
fn stat(id: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

fn children(parent: u32) -> Vec<u32> {
    let Ok(folder) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = folder
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| stat(*id).is_some_and(|fields| fields[1] == parent.to_string()))
        .collect()
}

/// The child of this process that runs the command (its first 15 characters, as the kernel keeps it).
pub fn child_named(command: &str) -> Option<u32> {
    children(std::process::id()).into_iter().find(|id| {
        fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|comm| comm.trim() == command)
    })
}

/// CPU time since its start: all threads, the ended ones too, and all children, those waited for and those running.
/// Exact to 10 ms.
pub fn cpu(id: u32) -> Duration {
    let Some(fields) = stat(id) else {
        return Duration::ZERO;
    };
    // proc(5): utime, stime, cutime and cstime are fields 14 to 17; the state is field 3.
    let ticks: u64 = fields[11..15]
        .iter()
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let own = Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND);
    children(id).into_iter().fold(own, |sum, id| sum + cpu(id))
}

/// CPU time of the children of a process only: those waited for and those running.
pub fn children_cpu(id: u32) -> Duration {
    let waited = stat(id).map_or(0, |fields| {
        let ticks = fields[13..15].iter();
        ticks.filter_map(|field| field.parse::<u64>().ok()).sum()
    });
    let waited = Duration::from_millis(waited * 1_000 / TICKS_PER_SECOND);
    children(id)
        .into_iter()
        .fold(waited, |sum, id| sum + cpu(id))
}

/// Resident memory in MiB.
pub fn memory_mib(id: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / KIB_PER_MIB
}

/// True if a thread of the process runs with real-time priority.
pub fn real_time(id: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else {
        return false;
    };
    threads.flatten().any(|thread| {
        let text = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // proc(5): field 40 is the real-time priority, 0 for ordinary threads.
        let fields = text.rsplit_once(") ").map_or("", |(_, fields)| fields);
        fields
            .split(' ')
            .nth(37)
            .is_some_and(|priority| priority != "0")
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn work_is_counted() {
        let id = std::process::id();
        let (before, begun) = (cpu(id), Instant::now());
        let mut sum = 0_u64;
        while cpu(id) < before + Duration::from_millis(30) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
            assert!(begun.elapsed() < Duration::from_secs(30), "no time counted");
        }
        assert!(memory_mib(id) > 1.0);
        assert!(!real_time(id));
    }
}
