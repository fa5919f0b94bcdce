//! Estimates memory before it is allocated, so that a request that is too large ends with a message.

/// The environment variable that sets the number of bytes that a run may take.
pub const LIMIT: &str = "COUPLET_MEMORY";

/// Bytes that this process may still take: what [`LIMIT`] says, or what the machine has free and its container leaves.
pub fn available() -> u64 {
    let limit = std::env::var(LIMIT).ok();
    if let Some(limit) = limit.and_then(|limit| limit.trim().parse().ok()) {
        return limit;
    }
    unused()
}

#[cfg(not(target_arch = "wasm32"))]
fn unused() -> u64 {
    use sysinfo::{MemoryRefreshKind, RefreshKind, System};
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(memory);
    let container = system.cgroup_limits().map(|limits| limits.free_memory);
    match system.available_memory() {
        // A system that does not report its memory sets no limit.
        0 => u64::MAX,
        free => free.min(container.filter(|&free| free > 0).unwrap_or(u64::MAX)),
    }
}

/// WebAssembly has addresses of 32 bits, and gives no memory back.
#[cfg(target_arch = "wasm32")]
fn unused() -> u64 {
    const PAGE: u64 = 1 << 16;
    (1 << 32) - PAGE * core::arch::wasm32::memory_size::<0>() as u64
}

/// Why `bytes` cannot be had, in words that follow the name of what takes them; none where they can.
pub fn shortfall(bytes: u64) -> Option<String> {
    let available = available();
    (bytes > available).then(|| {
        format!(
            "takes {} of memory, and {} can be had here",
            readable(bytes),
            readable(available)
        )
    })
}

/// A number of bytes for people.
pub fn readable(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut size = bytes as f64;
    let mut name = "bytes";
    for unit in UNITS {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        name = unit;
    }
    if name == "bytes" {
        format!("{bytes} bytes")
    } else {
        format!("{size:.1} {name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        assert_eq!(readable(1023), "1023 bytes");
        assert_eq!(readable(1536), "1.5 KiB");
        assert_eq!(readable(u64::MAX), "16.0 EiB");
        assert!(shortfall(0).is_none());
        assert!(shortfall(u64::MAX - 1).is_some());
    }
}
