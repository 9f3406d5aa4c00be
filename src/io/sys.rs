//! The system calls that no safe crate offers, Linux only, and the only `unsafe` in the library.
//!
//! Every function takes what it needs as safe values and borrows; none keeps a pointer beyond the call, and none
//! allocates. What is not here goes through `socket2` or `mio`.
#![expect(unsafe_code, reason = "the one module for system calls that have no safe wrapper")]

use std::io;
use std::mem::MaybeUninit;
use std::mem::offset_of;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::net::SocketAddrV6;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::ptr;

use libc::c_int;

use super::parts::MOST_PARTS;
use super::parts::Part;
use super::pool::Filled;
use super::pool::ReceiveSlots;

mod wait;

pub(super) use wait::set_timer;
pub(super) use wait::timer;
pub(super) use wait::wait_any_readable;
pub(super) use wait::wait_readable;

/// Room for the control messages asked for: a segment size and a drop count, 48 bytes, and some to spare.
const CONTROL_BYTES: usize = 96;

/// The place of the drop count in what `SO_MEMINFO` returns.
const DROPS: usize = libc::SK_MEMINFO_DROPS as usize;

/// Sends `parts`, the first 64 of them, to an address or where the socket is connected, with one system call; says how
/// many of them were taken.
///
/// # Errors
///
/// What the system said of the first part; an error of a later one is met when that part comes first.
pub(super) fn send_many(fd: BorrowedFd<'_>, to: Option<SocketAddr>, parts: &[Part<'_>]) -> io::Result<usize> {
    let mut name = to.map_or(Name::NONE, Name::encode);
    let length = if to.is_some() { name.length() } else { 0 };
    if let [part] = parts
        && part.segment.is_none()
    {
        return send_one(fd, (&name, length), part.bytes);
    }
    let mut iovecs = [const { MaybeUninit::uninit() }; MOST_PARTS];
    let mut controls = [const { MaybeUninit::uninit() }; MOST_PARTS];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MOST_PARTS];
    let name = ptr::from_mut(&mut name);
    for (((part, iovec), control), header) in
        parts.iter().zip(&mut iovecs).zip(&mut controls).zip(&mut headers)
    {
        // The system only reads what a message points to when it sends.
        let iovec = iovec.write(bytes_at(part.bytes.as_ptr().cast_mut(), part.bytes.len()));
        let message = header.write(message(name, length, iovec));
        if let Some(segment) = part.segment {
            set_control(&mut message.msg_hdr, control.write(SegmentControl::new(segment)));
        }
    }
    let count = parts.len().min(MOST_PARTS);
    // SAFETY: the first `count` headers were written above, and what they point to (the name, iovecs, controls and
    // the bytes of the parts) lives until the end of this function; the system writes only `msg_len` of each header.
    let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr().cast(), count as u32, FLAGS) };
    counted(sent as isize)
}

/// No call waits, and none raises `SIGPIPE`.
const FLAGS: c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// Sends a single datagram, without the headers that several need.
fn send_one(fd: BorrowedFd<'_>, name: (&Name, libc::socklen_t), bytes: &[u8]) -> io::Result<usize> {
    let (name, length) = name;
    let to = if length == 0 { ptr::null() } else { ptr::from_ref(name).cast::<libc::sockaddr>() };
    // SAFETY: `bytes` and `name` (if any) are live for the call with the lengths given, and only read.
    let sent = unsafe { libc::sendto(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), FLAGS, to, length) };
    counted(sent).map(|_| 1)
}

/// Reads datagrams into the buffers of `slots` with one system call, and says how many buffers it filled. With `waits`
/// it sleeps until there is one, if the socket blocks, or until its time is up.
///
/// # Errors
///
/// `WouldBlock` when nothing has arrived; else what the system said.
pub(super) fn recv_many(fd: BorrowedFd<'_>, slots: &mut ReceiveSlots, waits: bool) -> io::Result<usize> {
    const MOST: usize = ReceiveSlots::MOST;
    let mut names = [const { MaybeUninit::uninit() }; MOST];
    let mut iovecs = [const { MaybeUninit::uninit() }; MOST];
    let mut controls = [const { MaybeUninit::<ReceiveControl>::uninit() }; MOST];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MOST];
    let mut room = 0;
    for ((((buffer, name), iovec), control), header) in
        slots.buffers().zip(&mut names).zip(&mut iovecs).zip(&mut controls).zip(&mut headers)
    {
        let iovec = iovec.write(bytes_at(buffer.as_mut_ptr(), buffer.len()));
        let length = size_of::<Name>() as libc::socklen_t;
        let message = header.write(message(name.write(Name::NONE), length, iovec));
        set_control(&mut message.msg_hdr, control.write(ReceiveControl([0; CONTROL_BYTES])));
        room += 1;
    }
    let headers_at = headers.as_mut_ptr().cast();
    let flags = if waits { libc::MSG_WAITFORONE } else { libc::MSG_DONTWAIT };
    // SAFETY: the first `room` headers were written above; each points to a name, an iovec and a control buffer of
    // its own on this stack, and to a buffer of `slots`, all of the lengths given and borrowed by nobody else.
    let read = unsafe { libc::recvmmsg(fd.as_raw_fd(), headers_at, room, flags, ptr::null_mut()) };
    let count = counted(read as isize)?;
    for (index, (header, name)) in headers.iter().zip(&names).take(count).enumerate() {
        // SAFETY: `count <= room`, and the first `room` headers and names were written above.
        let (message, name) = unsafe { (header.assume_init_ref(), name.assume_init_ref()) };
        // SAFETY: the system has read into this header, whose control buffer lives on this stack.
        let (segment, overflow) = unsafe { read_control(&message.msg_hdr) };
        slots.fill(index, Filled { length: message.msg_len as usize, segment, from: name.decode() });
        slots.overflow = overflow.or(slots.overflow);
    }
    Ok(count)
}

/// The segment size of a train (0 without one) and the drop count, from the control messages of a received header.
///
/// # Safety
///
/// The header's control pointer and length must describe live memory that the system has filled in.
unsafe fn read_control(header: &libc::msghdr) -> (usize, Option<u32>) {
    let (mut segment, mut overflow) = (0, None);
    // SAFETY: by this function's condition; the same holds for CMSG_NXTHDR below.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: a pointer from CMSG_FIRSTHDR or CMSG_NXTHDR is null or points to a whole header in that memory.
    while let Some(control) = unsafe { next.as_ref() } {
        // SAFETY: CMSG_LEN and CMSG_DATA only compute; the four bytes read lie within `cmsg_len`, which the system
        // keeps within the buffer, and `read_unaligned` asks for no alignment.
        let value = unsafe {
            let whole = control.cmsg_len >= libc::CMSG_LEN(4) as _;
            whole.then(|| libc::CMSG_DATA(next).cast::<u32>().read_unaligned())
        };
        match (control.cmsg_level, control.cmsg_type, value) {
            (libc::SOL_UDP, libc::UDP_GRO, Some(value)) => segment = value as usize,
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL, Some(value)) => overflow = Some(value),
            _ => {}
        }
        // SAFETY: `next` is not null, so it points to a header in that memory.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    (segment, overflow)
}

/// Takes what waits in the socket's error queue, at most 64 reports, since they are charged to its receive buffer.
pub(super) fn drain_errors(fd: BorrowedFd<'_>) -> usize {
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: no byte is written through the null pointer, for its length is 0.
    let take = || unsafe { libc::recv(fd.as_raw_fd(), ptr::null_mut(), 0, flags) };
    (0..64).take_while(|_| take() >= 0).count()
}

/// How many datagrams the socket's full receive buffer has dropped, modulo 2³² (`SO_MEMINFO`, Linux 4.12).
pub(super) fn kernel_drops(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut info = [0_u32; DROPS + 1];
    let mut length = size_of_val(&info) as libc::socklen_t;
    let info_at = info.as_mut_ptr().cast();
    // SAFETY: `info` has room for `length` bytes, and any bytes are valid integers.
    let told =
        unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, info_at, &mut length) };
    counted(told as isize).map(|_| info[DROPS])
}

/// Sets a socket option whose value is an integer, named by its level and number.
pub(super) fn set_integer(fd: BorrowedFd<'_>, option: (c_int, c_int), value: c_int) -> io::Result<()> {
    set_option(fd, option, &value)
}

/// Lets the calling thread run on processor number `core` only.
///
/// # Errors
///
/// `InvalidInput` for a processor that this thread cannot have.
pub(super) fn run_on(core: usize) -> io::Result<()> {
    // SAFETY: the set consists of integers, for which zero is valid: no processor.
    let mut set: libc::cpu_set_t = unsafe { MaybeUninit::zeroed().assume_init() };
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the set has a bit for every number below CPU_SETSIZE.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: `set` is live for the call with the size given, and only read; 0 names the calling thread.
    counted(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } as isize).map(|_| ())
}

/// Joins `group` on an interface for what `source` alone sends to it.
pub(super) fn join_source(fd: BorrowedFd<'_>, group: IpAddr, source: IpAddr, index: u32) -> io::Result<()> {
    let level = by_family(group, libc::IPPROTO_IP, libc::IPPROTO_IPV6);
    set_option(fd, (level, libc::MCAST_JOIN_SOURCE_GROUP), &source_group(group, source, index))
}

/// Undoes [`join_source`].
pub(super) fn leave_source(fd: BorrowedFd<'_>, group: IpAddr, source: IpAddr, index: u32) -> io::Result<()> {
    let level = by_family(group, libc::IPPROTO_IP, libc::IPPROTO_IPV6);
    set_option(fd, (level, libc::MCAST_LEAVE_SOURCE_GROUP), &source_group(group, source, index))
}

fn source_group(group: IpAddr, source: IpAddr, index: u32) -> libc::group_source_req {
    // SAFETY: the struct consists of integers, for which zero is valid.
    let mut request: libc::group_source_req = unsafe { MaybeUninit::zeroed().assume_init() };
    request.gsr_interface = index;
    for (at, address) in [(&mut request.gsr_group, group), (&mut request.gsr_source, source)] {
        // SAFETY: a `sockaddr_storage` is large enough and aligned for every address, which a `Name` is.
        unsafe { ptr::from_mut(at).cast::<Name>().write(Name::encode(SocketAddr::new(address, 0))) };
    }
    request
}

pub(super) const fn by_family<T: Copy>(family_of: IpAddr, v4: T, v6: T) -> T {
    if family_of.is_ipv4() { v4 } else { v6 }
}

/// Sets a socket option, named by its level and number.
fn set_option<T: Copy>(fd: BorrowedFd<'_>, (level, name): (c_int, c_int), value: &T) -> io::Result<()> {
    let (at, length) = (ptr::from_ref(value).cast(), size_of::<T>() as libc::socklen_t);
    // SAFETY: `value` is live for the call, `length` is its size, and the system only reads it.
    counted(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, at, length) } as isize).map(|_| ())
}

/// The result of a call that returns a count, or -1 and sets the error number.
fn counted(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// A socket address in the form of the system; the family, first in each member, tells which one it is.
#[derive(Clone, Copy)]
#[repr(C)]
union Name {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

// The family is where the system looks for it, whichever member was written.
const _: () =
    assert!(offset_of!(libc::sockaddr_in, sin_family) == offset_of!(libc::sockaddr_in6, sin6_family));
const _: () = assert!(offset_of!(libc::sockaddr_in, sin_family) == offset_of!(libc::sockaddr, sa_family));

impl Name {
    /// No address: every byte is 0.
    // SAFETY: all members consist of integers, for which zero is valid.
    const NONE: Self = unsafe { MaybeUninit::zeroed().assume_init() };

    fn encode(address: SocketAddr) -> Self {
        let mut name = Self::NONE;
        match address {
            SocketAddr::V4(address) => {
                let sin_addr = libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) };
                let (sin_family, sin_port) = (libc::AF_INET as u16, address.port().to_be());
                name.v4 = libc::sockaddr_in { sin_family, sin_port, sin_addr, sin_zero: [0; 8] };
            }
            SocketAddr::V6(address) => {
                name.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as u16,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: address.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                    sin6_scope_id: address.scope_id(),
                };
            }
        }
        name
    }

    /// The address; 0.0.0.0:0 for a family that is neither.
    fn decode(&self) -> SocketAddr {
        // SAFETY: every byte of a `Name` is initialised from `NONE` on, and all members are integers.
        let (family, v4, v6) = unsafe { (c_int::from(self.family), self.v4, self.v6) };
        match family {
            libc::AF_INET => {
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)))
            }
            libc::AF_INET6 => {
                let (ip, port) = (Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port));
                SocketAddr::V6(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id))
            }
            _ => SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)),
        }
    }

    /// The length in bytes of the member in use.
    fn length(&self) -> libc::socklen_t {
        // SAFETY: as in `decode`.
        let v4 = unsafe { c_int::from(self.family) } == libc::AF_INET;
        (if v4 { size_of::<libc::sockaddr_in>() } else { size_of::<libc::sockaddr_in6>() }) as u32
    }
}

/// The control message that names the size of a train's datagrams, as the system lays it out.
#[derive(Clone, Copy)]
#[repr(C)]
struct SegmentControl {
    header: libc::cmsghdr,
    segment: u16,
}

/// The bytes that the value of a segment size takes.
const SEGMENT_BYTES: u32 = size_of::<u16>() as u32;

// SAFETY: the two macros only compute.
const _: () = unsafe {
    assert!(size_of::<SegmentControl>() == libc::CMSG_SPACE(SEGMENT_BYTES) as usize);
    assert!(offset_of!(SegmentControl, segment) == libc::CMSG_LEN(0) as usize);
};

impl SegmentControl {
    fn new(segment: u16) -> Self {
        // SAFETY: the header consists of integers, for which zero is valid; CMSG_LEN only computes.
        let (mut header, length): (libc::cmsghdr, _) =
            unsafe { (MaybeUninit::zeroed().assume_init(), libc::CMSG_LEN(SEGMENT_BYTES)) };
        header.cmsg_len = length as _;
        (header.cmsg_level, header.cmsg_type) = (libc::SOL_UDP, libc::UDP_SEGMENT);
        Self { header, segment }
    }
}

/// Room for the control messages of one received buffer, aligned as their headers are.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct ReceiveControl([u8; CONTROL_BYTES]);

fn bytes_at(at: *mut u8, length: usize) -> libc::iovec {
    libc::iovec { iov_base: at.cast(), iov_len: length }
}

/// A header that points to a name and to one run of bytes.
fn message(name: *mut Name, length: libc::socklen_t, bytes: *mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: the struct consists of integers and pointers, for which zero is valid.
    let mut message: libc::mmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    (message.msg_hdr.msg_name, message.msg_hdr.msg_namelen) = (name.cast(), length);
    (message.msg_hdr.msg_iov, message.msg_hdr.msg_iovlen) = (bytes, 1);
    message
}

/// Points a header to its control messages.
fn set_control<T>(header: &mut libc::msghdr, control: &mut T) {
    header.msg_controllen = size_of::<T>() as _;
    header.msg_control = ptr::from_mut(control).cast();
}

/// The state of a network interface, by name: its `IFF_*` flags and its MTU; any socket serves for the question.
pub(super) fn link(fd: BorrowedFd<'_>, name: &str) -> io::Result<(c_int, usize)> {
    // SAFETY: the struct consists of integers and pointers, for which zero is valid.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as _;
    }
    let mut ask = |what| {
        // SAFETY: the system reads the name, which ends in a zero byte, and writes one integer into the union.
        counted(unsafe { libc::ioctl(fd.as_raw_fd(), what, ptr::from_mut(&mut request)) } as isize)?;
        // SAFETY: both members are integers, and the union was zero where nothing was written.
        Ok::<_, io::Error>(unsafe { (request.ifr_ifru.ifru_flags, request.ifr_ifru.ifru_mtu) })
    };
    let ((flags, _), (_, mtu)) = (ask(libc::SIOCGIFFLAGS as _)?, ask(libc::SIOCGIFMTU as _)?);
    Ok((c_int::from(flags), usize::try_from(mtu).unwrap_or(0)))
}

#[cfg(test)]
mod tests;
