//! How much memory this machine, or the container we are in, has.

use std::{fs, path::Path};

use document::quantity::Size;

/// When the machine tells nothing: enough for a few services, and on no machine too much.
const UNKNOWN: Size = Size::gib(1);

/// This part of the memory there is for us: half of it is the default of `host.guest_memory`, a quarter that of
/// `host.redis_memory`.
pub(super) fn one_of(parts: u64) -> Size {
    let group = fs::read_to_string("/proc/self/cgroup").ok();
    let limits = group.as_deref().map(group_limits).unwrap_or_default();
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let least = limits.into_iter().chain(machine).min();
    least.map_or(UNKNOWN, |bytes| Size::mib((bytes / parts) >> 20).max(Size::mib(1)))
}

/// The limits of our own cgroup and of all above it, both versions of the file system.
fn group_limits(groups: &str) -> Vec<u64> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        for above in Path::new(group).ancestors() {
            let folder = Path::new(root).join(above.strip_prefix("/").unwrap_or(above));
            let limit = fs::read_to_string(folder.join(file)).ok().and_then(|text| limit(&text));
            limits.extend(limit);
        }
    }
    limits
}

/// None for `max`, which is no limit.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_own_words_are_understood() {
        assert_eq!(total("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert_eq!(limit("536870912\n"), Some(512 << 20));
        assert_eq!(limit("max\n"), None);
    }

    #[test]
    fn there_is_always_some_memory_for_guests() {
        assert!(one_of(2) >= Size::mib(1));
    }
}
