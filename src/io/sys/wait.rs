//! Sleeping, and timers.

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::ptr;
use std::time::Duration;

use super::counted;

/// Sleeps until one of the descriptors is readable or has an error to tell, or for so long; tells which are. A signal
/// ends it with all: nobody has looked.
pub(in crate::io) fn wait_readable<const N: usize>(
    fds: [BorrowedFd<'_>; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut polled = fds.map(asked);
    sleep(&mut polled, timeout).map(|()| polled.map(|polled| polled.revents != 0))
}

/// The same for any number of descriptors, of which the first 64 have a bit each in what is told.
pub(in crate::io) fn wait_any_readable(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<u64> {
    let mut room = [libc::pollfd { fd: -1, events: 0, revents: 0 }; 64];
    for (polled, fd) in room.iter_mut().zip(fds) {
        *polled = asked(*fd);
    }
    let polled = room.get_mut(..fds.len().min(64)).unwrap_or_default();
    sleep(polled, timeout)?;
    let ready = polled.iter().zip(0_u32..).filter(|(polled, _)| polled.revents != 0);
    Ok(ready.fold(0, |bits, (_, at)| bits | 1 << at))
}

fn asked(fd: BorrowedFd<'_>) -> libc::pollfd {
    libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }
}

/// Sleeps until one of those is ready, or for so long, or until a signal comes, and notes which are ready.
fn sleep(polled: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos() as _,
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let count = polled.len() as libc::nfds_t;
    // SAFETY: `polled` is `count` live entries that the call may write, and `timeout` null or live and only read; no
    // signal mask is given.
    let result = unsafe { libc::ppoll(polled.as_mut_ptr(), count, timeout, ptr::null()) };
    match counted(result as isize) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            polled.iter_mut().for_each(|polled| polled.revents = libc::POLLIN);
            Ok(())
        }
        result => result.map(|_| ()),
    }
}

/// A timer that becomes readable when it fires, for a poll to wait on.
pub(in crate::io) fn timer() -> io::Result<OwnedFd> {
    // SAFETY: the call takes no pointer.
    let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
    counted(fd as isize)?;
    // SAFETY: the descriptor was just opened, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes a timer fire once after `delay`, or never; either way it is not readable before that.
pub(in crate::io) fn set_timer(fd: BorrowedFd<'_>, delay: Option<Duration>) -> io::Result<()> {
    // Zero would mean never.
    let delay = delay.map_or(Duration::ZERO, |delay| delay.max(Duration::from_nanos(1)));
    let seconds = libc::time_t::try_from(delay.as_secs()).unwrap_or(libc::time_t::MAX);
    let once = libc::timespec { tv_sec: seconds, tv_nsec: delay.subsec_nanos() as _ };
    let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let setting = libc::itimerspec { it_interval: never, it_value: once };
    // SAFETY: `setting` is live for the call and only read; the old setting is not asked for.
    counted(unsafe { libc::timerfd_settime(fd.as_raw_fd(), 0, &setting, ptr::null_mut()) } as isize)
        .map(|_| ())
}
