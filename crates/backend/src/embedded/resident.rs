//! How much memory a process of a private server has.

use std::fs;

/// Bytes that the process has for itself alone, where the system tells.
pub(crate) fn own_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: u64 = anonymous.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}
