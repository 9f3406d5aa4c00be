//! What only the system can do: clocks, processor time, pinning, and the socket calls of the raw programs.
//!
//! The only unsafe code of the benchmarks.
#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

mod udp;

use std::fs;
use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::time::Duration;

pub use udp::MOST_DATAGRAMS;
pub use udp::ReceivePool;
pub use udp::join_segments;
pub use udp::receive_one;
pub use udp::send_many;
pub use udp::send_segments;
pub use udp::set_receive_buffer;

/// `CLOCK_MONOTONIC` in nanoseconds: the same clock in every process of the machine.
#[inline]
#[must_use]
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec to be written.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Processor time of all threads of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessorTime {
    /// Seconds in user mode.
    pub user: f64,
    /// Seconds in the kernel.
    pub system: f64,
}

impl ProcessorTime {
    /// Up to now.
    #[must_use]
    pub fn now() -> Self {
        // SAFETY: a rusage is plain integers, for which zero is a value.
        let mut usage: libc::rusage = unsafe { mem::zeroed() };
        // SAFETY: `usage` is a rusage to be written.
        unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
        Self { user: seconds(usage.ru_utime), system: seconds(usage.ru_stime) }
    }

    /// Since an earlier reading.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self { user: self.user - earlier.user, system: self.system - earlier.system }
    }
}

fn seconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 + time.tv_usec as f64 / 1e6
}

/// Pins this thread, and those it will start, to a core.
///
/// # Errors
///
/// When the system refuses: there is no such core.
pub fn pin(core: usize) -> io::Result<()> {
    // SAFETY: a cpu_set_t is plain integers, for which zero is a value.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: `core` is within the set.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: `set` is a cpu_set_t of that size.
    outcome(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) })?;
    Ok(())
}

/// Whether there is something to read, or comes within `patience`; the end of a file is something.
///
/// # Errors
///
/// When the system refuses to wait.
pub fn is_readable(file: &impl AsRawFd, patience: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `poll` is one pollfd.
    match outcome(unsafe { libc::poll(&raw mut poll, 1, millis) }) {
        Ok(ready) => Ok(ready > 0),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(error),
    }
}

/// Resident bytes of this process; 0 where the system does not tell.
#[must_use]
pub fn resident_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.as_deref().and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    // SAFETY: takes no pointer.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.unwrap_or(0) * u64::try_from(page).unwrap_or(0)
}

/// Resident bytes of this process that are no file's: what it has allocated and touched. 0 where the system does not tell.
#[must_use]
pub fn anonymous_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1_024
}

fn outcome(returned: impl TryInto<usize>) -> io::Result<usize> {
    returned.try_into().map_err(|_| io::Error::last_os_error())
}
