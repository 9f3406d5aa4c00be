//! The part of libzmq's C API that is needed, and nothing else of it.

#![expect(unsafe_code, reason = "the one module that calls libzmq")]

use std::ffi::CStr;
use std::ffi::CString;
use std::ffi::c_char;
use std::ffi::c_int;
use std::ffi::c_void;
use std::io;
use std::ptr::NonNull;
use std::rc::Rc;

pub(crate) const XPUB: c_int = 9;
pub(crate) const SUB: c_int = 2;

pub(crate) const SUBSCRIBE: c_int = 6;
pub(crate) const RATE: c_int = 8;
pub(crate) const RECOVERY_INTERVAL: c_int = 9;
pub(crate) const SEND_BUFFER: c_int = 11;
pub(crate) const RECEIVE_BUFFER: c_int = 12;
pub(crate) const LINGER: c_int = 17;
pub(crate) const RECEIVE_TIMEOUT: c_int = 27;
pub(crate) const XPUB_VERBOSE: c_int = 40;
pub(crate) const XPUB_NODROP: c_int = 69;

const DONTWAIT: c_int = 1;

#[repr(C, align(8))]
struct RawMessage([u8; 64]);

#[link(name = "zmq")]
unsafe extern "C" {
    fn zmq_errno() -> c_int;
    fn zmq_strerror(number: c_int) -> *const c_char;
    fn zmq_ctx_new() -> *mut c_void;
    fn zmq_ctx_term(context: *mut c_void) -> c_int;
    fn zmq_socket(context: *mut c_void, kind: c_int) -> *mut c_void;
    fn zmq_close(socket: *mut c_void) -> c_int;
    fn zmq_setsockopt(socket: *mut c_void, option: c_int, value: *const c_void, bytes: usize) -> c_int;
    fn zmq_bind(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    fn zmq_connect(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    fn zmq_send(socket: *mut c_void, bytes: *const c_void, count: usize, flags: c_int) -> c_int;
    fn zmq_msg_init(message: *mut RawMessage) -> c_int;
    fn zmq_msg_recv(message: *mut RawMessage, socket: *mut c_void, flags: c_int) -> c_int;
    fn zmq_msg_data(message: *mut RawMessage) -> *mut c_void;
    fn zmq_msg_size(message: *const RawMessage) -> usize;
    fn zmq_msg_close(message: *mut RawMessage) -> c_int;
}

fn last_error() -> io::Error {
    // SAFETY: no arguments; it reads the calling thread's error number.
    let number = unsafe { zmq_errno() };
    // SAFETY: returns a static string for any number.
    let text = unsafe { CStr::from_ptr(zmq_strerror(number)) };
    match number {
        EAGAIN => io::ErrorKind::WouldBlock.into(),
        EINTR => io::ErrorKind::Interrupted.into(),
        _ => io::Error::other(format!("zmq: {}", text.to_string_lossy())),
    }
}

const EINTR: c_int = 4;
const EAGAIN: c_int = 11;

fn checked(status: c_int) -> io::Result<()> {
    if status == -1 { Err(last_error()) } else { Ok(()) }
}

/// A libzmq context with its one input/output thread; waits at the end until every socket has sent all, or its
/// linger is over.
pub(crate) struct Context(NonNull<c_void>);

impl Context {
    pub(crate) fn new() -> io::Result<Rc<Self>> {
        // SAFETY: no arguments; null means that it failed.
        let context = unsafe { zmq_ctx_new() };
        NonNull::new(context).map(|context| Rc::new(Self(context))).ok_or_else(last_error)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: a context of ours, ended once; every socket holds an `Rc` of it, so all are closed.
        unsafe { zmq_ctx_term(self.0.as_ptr()) };
    }
}

pub(crate) struct Socket {
    socket: NonNull<c_void>,
    _context: Rc<Context>,
}

impl Socket {
    pub(crate) fn new(context: &Rc<Context>, kind: c_int) -> io::Result<Self> {
        // SAFETY: the context lives; null means that it failed.
        let socket = unsafe { zmq_socket(context.0.as_ptr(), kind) };
        let socket = NonNull::new(socket).ok_or_else(last_error)?;
        Ok(Self { socket, _context: Rc::clone(context) })
    }

    pub(crate) fn set(&self, option: c_int, value: c_int) -> io::Result<()> {
        self.set_bytes(option, &value.to_ne_bytes())
    }

    pub(crate) fn set_bytes(&self, option: c_int, value: &[u8]) -> io::Result<()> {
        // SAFETY: the socket is open; libzmq copies `value.len()` bytes.
        checked(unsafe { zmq_setsockopt(self.socket.as_ptr(), option, value.as_ptr().cast(), value.len()) })
    }

    pub(crate) fn bind(&self, endpoint: &str) -> io::Result<()> {
        let endpoint = CString::new(endpoint)?;
        // SAFETY: the socket is open and the string ends with a zero.
        checked(unsafe { zmq_bind(self.socket.as_ptr(), endpoint.as_ptr()) })
    }

    pub(crate) fn connect(&self, endpoint: &str) -> io::Result<()> {
        let endpoint = CString::new(endpoint)?;
        // SAFETY: the socket is open and the string ends with a zero.
        checked(unsafe { zmq_connect(self.socket.as_ptr(), endpoint.as_ptr()) })
    }

    /// Waits while a subscriber's queue is full.
    #[inline]
    pub(crate) fn send(&self, message: &[u8]) -> io::Result<()> {
        loop {
            // SAFETY: the socket is open; libzmq copies the bytes before it returns.
            match checked(unsafe {
                zmq_send(self.socket.as_ptr(), message.as_ptr().cast(), message.len(), 0)
            }) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// The next message, or `None` if there is none (at once, or after the socket's time limit when `wait`).
    #[inline]
    pub(crate) fn receive<'m>(&self, message: &'m mut Message, wait: bool) -> io::Result<Option<&'m [u8]>> {
        let flags = if wait { 0 } else { DONTWAIT };
        // SAFETY: the socket is open and the message initialised; libzmq releases what it held before.
        let status = unsafe { zmq_msg_recv(&mut message.0, self.socket.as_ptr(), flags) };
        match checked(status) {
            Ok(()) => Ok(Some(message.bytes())),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: a socket of ours, closed once.
        unsafe { zmq_close(self.socket.as_ptr()) };
    }
}

pub(crate) struct Message(RawMessage);

impl Message {
    pub(crate) fn new() -> Self {
        let mut raw = RawMessage([0; 64]);
        // SAFETY: 64 bytes, aligned as a pointer, as libzmq's header says of `zmq_msg_t`. An empty message holds
        // nothing that points at itself, so it may be moved.
        unsafe { zmq_msg_init(&mut raw) };
        Self(raw)
    }

    fn bytes(&mut self) -> &[u8] {
        // SAFETY: data and size belong to the initialised message, which is borrowed while the slice lives.
        unsafe { std::slice::from_raw_parts(zmq_msg_data(&mut self.0).cast(), zmq_msg_size(&self.0)) }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: initialised, closed once.
        unsafe { zmq_msg_close(&mut self.0) };
    }
}
