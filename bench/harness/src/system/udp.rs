//! Many datagrams in one system call.

use std::io;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::ptr;
use std::slice;

use crate::Wait;
use crate::system::outcome;

/// The most datagrams, or trains of them, in one call.
pub const MOST_DATAGRAMS: usize = 64;

/// Bytes of a receive buffer that may hold a train.
const TRAIN_BYTES: usize = 65_536;

/// Bytes of a receive buffer that holds one datagram.
const DATAGRAM_BYTES: usize = 2_048;

/// A control message with a segment size, as the kernel lays it out.
#[repr(C)]
#[derive(Clone, Copy)]
struct Control {
    header: libc::cmsghdr,
    value: [u8; 8],
}

const NO_CONTROL: Control =
    Control { header: libc::cmsghdr { cmsg_len: 0, cmsg_level: 0, cmsg_type: 0 }, value: [0; 8] };

/// Sends a train of datagrams of `segment` bytes, the last maybe shorter, which the system cuts (`UDP_SEGMENT`).
///
/// # Errors
///
/// What the system says; it takes all or nothing.
pub fn send_segments(socket: &UdpSocket, train: &[u8], segment: u16) -> io::Result<()> {
    let mut part = iovec(train.as_ptr().cast_mut(), train.len());
    let mut control = NO_CONTROL;
    // SAFETY: CMSG_LEN only computes.
    control.header.cmsg_len = unsafe { libc::CMSG_LEN(size_of::<u16>() as u32) } as _;
    control.header.cmsg_level = libc::SOL_UDP;
    control.header.cmsg_type = libc::UDP_SEGMENT;
    control.value[..2].copy_from_slice(&segment.to_ne_bytes());
    let mut header = message(&raw mut part);
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = size_of::<Control>() as _;
    // SAFETY: the header, the control message and the train live for the call, and are only read.
    outcome(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, 0) })?;
    Ok(())
}

/// Sends datagrams, at most [`MOST_DATAGRAMS`], with one call; says how many left.
///
/// # Errors
///
/// What the system says of the first.
pub fn send_many<'a>(socket: &UdpSocket, datagrams: impl Iterator<Item = &'a [u8]>) -> io::Result<usize> {
    let mut parts = [const { iovec(ptr::null_mut(), 0) }; MOST_DATAGRAMS];
    let mut count = 0;
    for (part, datagram) in parts.iter_mut().zip(datagrams) {
        *part = iovec(datagram.as_ptr().cast_mut(), datagram.len());
        count += 1;
    }
    let first = parts.as_mut_ptr();
    let mut headers: [libc::mmsghdr; MOST_DATAGRAMS] =
        std::array::from_fn(|at| libc::mmsghdr { msg_hdr: message(first.wrapping_add(at)), msg_len: 0 });
    // SAFETY: the first `count` headers point to parts that point to datagrams, all of which live for the call.
    outcome(unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, 0) })
}

/// Receives one datagram; `None` when there is none now, or (blocking) none came in the socket's timeout.
///
/// # Errors
///
/// What the system says, if it is not that.
pub fn receive_one<'a>(socket: &UdpSocket, buffer: &'a mut [u8], wait: Wait) -> io::Result<Option<&'a [u8]>> {
    let flags = if wait == Wait::Spin { libc::MSG_DONTWAIT } else { 0 };
    // SAFETY: the buffer is borrowed for the call, with its length.
    let read = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) };
    let read = some_or_nothing(outcome(read))?;
    Ok(read.map(|bytes| &buffer[..bytes]))
}

/// Buffers that one call fills, with the headers that describe them, made once.
pub struct ReceivePool {
    bytes: Box<[u8]>,
    bytes_each: usize,
    /// The headers point into it.
    _parts: Box<[libc::iovec]>,
    controls: Box<[Control]>,
    headers: Box<[libc::mmsghdr]>,
}

impl ReceivePool {
    /// Eight buffers for trains of datagrams, or 64 for datagrams.
    #[must_use]
    pub fn new(is_joining: bool) -> Self {
        let (count, bytes_each) =
            if is_joining { (8, TRAIN_BYTES) } else { (MOST_DATAGRAMS, DATAGRAM_BYTES) };
        let mut bytes = vec![1; count * bytes_each].into_boxed_slice();
        let mut controls = vec![NO_CONTROL; count].into_boxed_slice();
        let parts = bytes.chunks_exact_mut(bytes_each).map(|buffer| iovec(buffer.as_mut_ptr(), buffer.len()));
        let mut parts: Box<[libc::iovec]> = parts.collect();
        let pairs = parts.iter_mut().zip(&mut controls);
        let headers = pairs.map(|(part, control)| {
            let mut header = message(part);
            header.msg_control = ptr::from_mut(control).cast();
            libc::mmsghdr { msg_hdr: header, msg_len: 0 }
        });
        Self { headers: headers.collect(), bytes, bytes_each, _parts: parts, controls }
    }

    /// Fills buffers with what there is, at least one when it blocks; says how many.
    ///
    /// # Errors
    ///
    /// What the system says, if it is not that there is nothing.
    pub fn receive(&mut self, socket: &UdpSocket, wait: Wait) -> io::Result<usize> {
        for header in &mut self.headers {
            header.msg_hdr.msg_controllen = size_of::<Control>() as _;
        }
        for control in &mut self.controls {
            control.header.cmsg_len = 0;
        }
        let flags = if wait == Wait::Spin { libc::MSG_DONTWAIT } else { libc::MSG_WAITFORONE };
        let (at, count) = (self.headers.as_mut_ptr(), self.headers.len() as u32);
        // SAFETY: each header points to a part and a control message in boxes that `self` owns and does not move,
        // and each part to a buffer of its own within `bytes`; nobody else borrows them now.
        let read = unsafe { libc::recvmmsg(socket.as_raw_fd(), at, count, flags, ptr::null_mut()) };
        Ok(some_or_nothing(outcome(read))?.unwrap_or(0))
    }

    /// The datagrams of a buffer that the last call filled.
    pub fn datagrams(&self, buffer: usize) -> slice::Chunks<'_, u8> {
        let length = (self.headers[buffer].msg_len as usize).min(self.bytes_each);
        let control = self.controls[buffer];
        let is_train = control.header.cmsg_len != 0
            && control.header.cmsg_level == libc::SOL_UDP
            && control.header.cmsg_type == libc::UDP_GRO;
        let [a, b, c, d, ..] = control.value;
        let segment = if is_train { u32::from_ne_bytes([a, b, c, d]) as usize } else { length };
        let start = buffer * self.bytes_each;
        self.bytes[start..start + length].chunks(segment.max(1))
    }
}

/// Asks for trains of equal datagrams in one buffer (`UDP_GRO`).
///
/// # Errors
///
/// What the system says.
pub fn join_segments(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket, (libc::SOL_UDP, libc::UDP_GRO), 1)
}

/// Sets `SO_RCVBUF`, beyond the system's limit where the process may.
///
/// # Errors
///
/// What the system says.
pub fn set_receive_buffer(socket: &UdpSocket, bytes: i32) -> io::Result<()> {
    set_option(socket, (libc::SOL_SOCKET, libc::SO_RCVBUFFORCE), bytes)
        .or_else(|_| set_option(socket, (libc::SOL_SOCKET, libc::SO_RCVBUF), bytes))
}

fn set_option(
    socket: &UdpSocket,
    (level, name): (libc::c_int, libc::c_int),
    value: libc::c_int,
) -> io::Result<()> {
    let at = (&raw const value).cast();
    // SAFETY: `value` is an int to be read.
    outcome(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, at, size_of_val(&value) as u32) })?;
    Ok(())
}

const fn iovec(at: *mut u8, length: usize) -> libc::iovec {
    libc::iovec { iov_base: at.cast(), iov_len: length }
}

/// A header of one part, without an address or control messages.
fn message(part: *mut libc::iovec) -> libc::msghdr {
    // SAFETY: a msghdr is integers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = part;
    header.msg_iovlen = 1;
    header
}

fn some_or_nothing(read: io::Result<usize>) -> io::Result<Option<usize>> {
    match read {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
