//! What /proc tells of a process from outside: memory, processor time, descriptors.

use std::fs;

/// A line of /proc/PID/status, or of smaps_rollup for `Pss`, in bytes (proc_pid_status(5)).
///
/// # Errors
/// The process is gone, or the kernel does not tell.
pub(crate) fn memory(pid: u32, name: &str) -> Result<u64, String> {
    let file = if name == "Pss" { "smaps_rollup" } else { "status" };
    let path = format!("/proc/{pid}/{file}");
    let text = fs::read_to_string(&path).map_err(|error| format!("read {path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| format!("{path} has no {name}"))
}

/// Nanoseconds on a processor, all threads together (the first field of schedstat).
///
/// # Errors
/// The process is gone, or the kernel keeps no such account.
pub(crate) fn cpu_ns(pid: u32) -> Result<u64, String> {
    let folder = format!("/proc/{pid}/task");
    let failed = |error: std::io::Error| format!("read {folder}: {error}");
    let mut sum = 0;
    for thread in fs::read_dir(&folder).map_err(failed)? {
        let path = thread.map_err(failed)?.path().join("schedstat");
        // A thread may end between the two looks.
        let text = fs::read_to_string(path).unwrap_or_default();
        sum += text.split_whitespace().next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

/// The descriptors that a process has open.
///
/// # Errors
/// The process is gone.
pub(crate) fn descriptors(pid: u32) -> Result<Vec<u32>, String> {
    let folder = format!("/proc/{pid}/fd");
    let entries = fs::read_dir(&folder).map_err(|error| format!("read {folder}: {error}"))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}
