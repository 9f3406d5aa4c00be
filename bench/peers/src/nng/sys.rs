//! The part of nng's C API that is needed, and nothing else of it.

#![expect(unsafe_code, reason = "the one module that calls nng")]

use std::ffi::CStr;
use std::ffi::CString;
use std::ffi::c_char;
use std::ffi::c_int;
use std::ffi::c_void;
use std::io;
use std::ptr;
use std::ptr::NonNull;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

const NONBLOCK: c_int = 2;
const TIMED_OUT: c_int = 5;
const AGAIN: c_int = 8;
const PIPE_ADDED: c_int = 1;
const PIPE_REMOVED: c_int = 2;

#[repr(C)]
#[derive(Clone, Copy)]
struct Id(u32);

type PipeCallback = unsafe extern "C" fn(Id, c_int, *mut c_void);

#[link(name = "nng")]
unsafe extern "C" {
    fn nng_strerror(number: c_int) -> *const c_char;
    fn nng_pub0_open(socket: *mut Id) -> c_int;
    fn nng_sub0_open(socket: *mut Id) -> c_int;
    fn nng_close(socket: Id) -> c_int;
    fn nng_socket_set(socket: Id, option: *const c_char, value: *const c_void, bytes: usize) -> c_int;
    fn nng_socket_set_int(socket: Id, option: *const c_char, value: c_int) -> c_int;
    fn nng_socket_set_ms(socket: Id, option: *const c_char, value: i32) -> c_int;
    fn nng_listen(socket: Id, address: *const c_char, listener: *mut Id, flags: c_int) -> c_int;
    fn nng_dial(socket: Id, address: *const c_char, dialer: *mut Id, flags: c_int) -> c_int;
    fn nng_pipe_notify(socket: Id, event: c_int, callback: PipeCallback, context: *mut c_void) -> c_int;
    fn nng_msg_alloc(message: *mut *mut c_void, bytes: usize) -> c_int;
    fn nng_msg_free(message: *mut c_void);
    fn nng_msg_body(message: *mut c_void) -> *mut c_void;
    fn nng_msg_len(message: *const c_void) -> usize;
    fn nng_sendmsg(socket: Id, message: *mut c_void, flags: c_int) -> c_int;
    fn nng_recvmsg(socket: Id, message: *mut *mut c_void, flags: c_int) -> c_int;
}

fn checked(status: c_int) -> io::Result<()> {
    match status {
        0 => Ok(()),
        AGAIN | TIMED_OUT => Err(io::ErrorKind::WouldBlock.into()),
        _ => {
            // SAFETY: returns a static string for any number.
            let text = unsafe { CStr::from_ptr(nng_strerror(status)) };
            Err(io::Error::other(format!("nng: {}", text.to_string_lossy())))
        }
    }
}

static CONNECTED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn on_pipe(_pipe: Id, event: c_int, _context: *mut c_void) {
    match event {
        PIPE_ADDED => CONNECTED.fetch_add(1, Ordering::Relaxed),
        _ => CONNECTED.fetch_sub(1, Ordering::Relaxed),
    };
}

/// How many subscribers this process's publisher has now.
pub(crate) fn connected() -> usize {
    CONNECTED.load(Ordering::Relaxed)
}

pub(crate) struct Socket(Id);

impl Socket {
    /// A publishing socket that listens and counts its subscribers; one a process.
    pub(crate) fn publisher(address: &str, buffer: c_int) -> io::Result<Self> {
        let mut id = Id(0);
        // SAFETY: fills in `id`.
        checked(unsafe { nng_pub0_open(&mut id) })?;
        let socket = Self(id);
        socket.set_int(c"send-buffer", buffer)?;
        for event in [PIPE_ADDED, PIPE_REMOVED] {
            // SAFETY: the callback touches only a static.
            checked(unsafe { nng_pipe_notify(id, event, on_pipe, ptr::null_mut()) })?;
        }
        let address = CString::new(address)?;
        // SAFETY: the socket is open, the string ends with a zero, and no listener is asked for.
        checked(unsafe { nng_listen(id, address.as_ptr(), ptr::null_mut(), 0) })?;
        Ok(socket)
    }

    /// A subscribing socket that connects, again and again until somebody listens.
    pub(crate) fn subscriber(address: &str, buffer: c_int) -> io::Result<Self> {
        let mut id = Id(0);
        // SAFETY: fills in `id`.
        checked(unsafe { nng_sub0_open(&mut id) })?;
        let socket = Self(id);
        socket.set_int(c"recv-buffer", buffer)?;
        // SAFETY: the socket is open; an empty topic: no byte is read.
        checked(unsafe { nng_socket_set(id, c"sub:subscribe".as_ptr(), ptr::null(), 0) })?;
        // SAFETY: the socket is open and the name ends with a zero.
        checked(unsafe { nng_socket_set_ms(id, c"recv-timeout".as_ptr(), 100) })?;
        // SAFETY: as above.
        checked(unsafe { nng_socket_set_ms(id, c"reconnect-time-min".as_ptr(), 10) })?;
        let address = CString::new(address)?;
        // SAFETY: the socket is open, the string ends with a zero, and no dialer is asked for.
        checked(unsafe { nng_dial(id, address.as_ptr(), ptr::null_mut(), NONBLOCK) })?;
        Ok(socket)
    }

    fn set_int(&self, option: &CStr, value: c_int) -> io::Result<()> {
        // SAFETY: the socket is open and the name ends with a zero.
        checked(unsafe { nng_socket_set_int(self.0, option.as_ptr(), value) })
    }

    #[inline]
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let mut message = ptr::null_mut();
        // SAFETY: fills in `message`.
        checked(unsafe { nng_msg_alloc(&mut message, bytes.len()) })?;
        // SAFETY: the new message's body has room for exactly these bytes.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), nng_msg_body(message).cast(), bytes.len()) };
        // SAFETY: the socket is open; from success on the message is nng's.
        let sent = checked(unsafe { nng_sendmsg(self.0, message, 0) });
        if sent.is_err() {
            // SAFETY: not sent, so still ours.
            unsafe { nng_msg_free(message) };
        }
        sent
    }

    /// The next message, or `None` if there is none (at once, or after 100 ms when `wait`).
    #[inline]
    pub(crate) fn receive(&self, wait: bool) -> io::Result<Option<Message>> {
        let mut message = ptr::null_mut();
        let flags = if wait { 0 } else { NONBLOCK };
        // SAFETY: the socket is open; fills in `message`, which is ours from then on.
        match checked(unsafe { nng_recvmsg(self.0, &mut message, flags) }) {
            Ok(()) => Ok(NonNull::new(message).map(Message)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: a socket of ours, closed once.
        unsafe { nng_close(self.0) };
    }
}

pub(crate) struct Message(NonNull<c_void>);

impl Message {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        let message = self.0.as_ptr();
        // SAFETY: body and length belong to the message, which is borrowed while the slice lives.
        unsafe { std::slice::from_raw_parts(nng_msg_body(message).cast(), nng_msg_len(message)) }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: ours, freed once.
        unsafe { nng_msg_free(self.0.as_ptr()) };
    }
}
