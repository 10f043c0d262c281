//! What the kernel knows of this process. Nothing where there is no `/proc`.

use std::{fs, time::Duration};

/// Of this process, now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Process {
    pub cpu_seconds: f64,
    pub resident_bytes: u64,
    pub virtual_bytes: u64,
    pub descriptors: u64,
    /// Since 1970.
    pub started_seconds: f64,
}

/// What `/proc` counts times in, on every Linux.
const TICKS_A_SECOND: f64 = 100.0;

impl Process {
    pub fn now() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // After the name, which may hold anything.
        let fields: Vec<u64> =
            stat.rsplit_once(')')?.1.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
        let field = |number: usize| fields.get(number - 3).copied(); // as proc(5) numbers them
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot: f64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) as f64 / TICKS_A_SECOND,
            resident_bytes: kib(&status, "VmRSS:")? << 10,
            virtual_bytes: field(23)?,
            // Without the one that reads the folder.
            descriptors: (fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1),
            started_seconds: boot + field(22)? as f64 / TICKS_A_SECOND,
        })
    }
}

/// The CPU that one thread of this process has used, to a hundredth of a second.
pub fn thread_cpu(thread: i32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
    // After the name: user and system time are the 14th and the 15th of all fields.
    let times = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
    let ticks: u64 = times.filter_map(|time| time.parse::<u64>().ok()).sum();
    Some(Duration::from_secs_f64(ticks as f64 / TICKS_A_SECOND))
}

/// Whether this process was started with a hang-up of its terminal ignored, as by `nohup`. It inherits that, so
/// it is asked before anybody listens for the signal. Not where there is no `/proc`.
pub fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Signal 1 is the lowest bit.
    mask.is_some_and(|mask| mask & 1 == 1)
}

/// Whether this process is told when a terminal closes: only of its controlling one, which it opens by this name.
pub fn has_terminal() -> bool {
    fs::File::open("/dev/tty").is_ok()
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_descriptors_and_began_before_now() {
        let process = Process::now().expect("there is /proc");
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!((now - 86_400.0..now + 1.0).contains(&process.started_seconds), "{process:?}, now {now}");
        assert!(process.resident_bytes > 1 << 20 && process.virtual_bytes > process.resident_bytes, "{process:?}");
        assert!(process.descriptors >= 3, "{process:?}");
    }
}
