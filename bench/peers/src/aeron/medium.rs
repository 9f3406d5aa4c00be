//! Aeron's media driver and a client of it, both on the thread that plays the role: nobody else runs them.

use std::cell::Cell;
use std::cell::RefCell;
use std::ffi::CStr;
use std::ffi::CString;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::rc::Rc;
use std::rc::Weak;
use std::time::Duration;

use harness::Nak;
use harness::Options;
use harness::Result;
use harness::system;
use rusteron_client::Aeron;
use rusteron_client::AeronContext;
use rusteron_client::AeronCountersReader;
use rusteron_media_driver::AeronDriver;
use rusteron_media_driver::AeronDriverContext;
use rusteron_media_driver::bindings::aeron_threading_mode_enum as ThreadingMode;

const MIB: usize = 1 << 20;

/// How much of a stream may be on its way to a receiver.
pub(crate) const WINDOW: usize = 4 * MIB;

/// The largest datagram that Aeron makes (its default), and the header before each message.
pub(crate) const MTU: usize = 1_408;
pub(crate) const HEADER: usize = 32;

/// Duty cycles of the driver to one of the client, whose only work is to stay alive and hear of new streams.
const CYCLES: u32 = 64;

/// Datagrams to a system call, the most that Aeron allows; 4 by default.
const VECTOR: u32 = 16;

/// Tuned: the longest wait before a NAK (10 ms by default), and for how long a repair is not repeated (10 ms too; in
/// spite of its name for multicast as well).
const NAK_BACKOFF: Duration = Duration::from_micros(100);
const RETRANSMIT_LINGER: Duration = Duration::from_micros(200);

/// How often the driver looks at whether streams have ended; by default every second, which every run would wait for.
const TIMER: Duration = Duration::from_millis(100);

/// How long a command to the driver may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Medium {
    cycles: Cell<u32>,
    // In the order in which they must end.
    client: Aeron,
    driver: AeronDriver,
    _directory: Directory,
}

thread_local! {
    static SHARED: RefCell<Weak<Medium>> = const { RefCell::new(Weak::new()) };
}

impl Medium {
    /// The one of this thread: `ping` and `echo` have both of their streams in one driver.
    pub(crate) fn shared(options: &Options) -> Result<Rc<Self>> {
        SHARED.with_borrow_mut(|shared| {
            if let Some(medium) = shared.upgrade() {
                return Ok(medium);
            }
            let medium = Rc::new(Self::start(options)?);
            *shared = Rc::downgrade(&medium);
            Ok(medium)
        })
    }

    fn start(options: &Options) -> Result<Self> {
        let directory = Directory::new()?;
        let name = CString::new(directory.path.to_string_lossy().into_owned())?;
        let driver = AeronDriver::new(&driver_context(options, &name)?)?;
        driver.start(true)?;
        let context = AeronContext::new()?;
        context.set_dir(&name)?;
        context.set_use_conductor_agent_invoker(true)?;
        context.set_pre_touch_mapped_memory(true)?;
        let client = Aeron::new(&context)?;
        client.start()?;
        Ok(Self { cycles: Cell::new(0), client, driver, _directory: directory })
    }

    pub(crate) fn client(&self) -> &Aeron {
        &self.client
    }

    /// One duty cycle of the driver; allowed while a message is being handed on.
    #[inline]
    pub(crate) fn turn(&self) -> Result<()> {
        self.driver.main_do_work()?;
        Ok(())
    }

    /// One duty cycle of the driver, and now and then of the client.
    #[inline]
    pub(crate) fn tend(&self) -> Result<()> {
        self.turn()?;
        self.cycles.set(self.cycles.get().wrapping_add(1));
        if self.cycles.get().is_multiple_of(CYCLES) {
            self.client.main_do_work()?;
        }
        Ok(())
    }

    /// One duty cycle of either: while streams come up.
    pub(crate) fn tend_both(&self) -> Result<()> {
        self.turn()?;
        self.client.main_do_work()?;
        Ok(())
    }

    pub(crate) fn tend_for(&self, time: Duration) -> Result<()> {
        let end = system::now() + time.as_nanos() as u64;
        while system::now() < end {
            self.tend()?;
        }
        Ok(())
    }

    /// Tends until there is an answer.
    pub(crate) fn wait_for<T>(&self, what: &str, mut answer: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let deadline = system::now() + PATIENCE.as_nanos() as u64;
        loop {
            self.tend_both()?;
            if let Some(answer) = answer()? {
                return Ok(answer);
            }
            if system::now() > deadline {
                return Err(format!("no {what} within {PATIENCE:?}").into());
            }
        }
    }

    pub(crate) fn counters(&self) -> AeronCountersReader {
        self.client.counters_reader()
    }

    /// A counter of the whole driver; they are numbered from 0.
    pub(crate) fn count(&self, counter: u32) -> u64 {
        let value = self.counters().get_counter_value(counter as i32);
        value.ok().and_then(|value| u64::try_from(value).ok()).unwrap_or(0)
    }
}

fn driver_context(options: &Options, directory: &CStr) -> Result<AeronDriverContext> {
    let context = AeronDriverContext::new()?;
    context.set_dir(directory)?;
    context.set_dir_delete_on_start(true)?;
    context.set_dir_delete_on_shutdown(true)?;
    context.set_threading_mode(ThreadingMode::AERON_THREADING_MODE_INVOKER)?;
    context.set_term_buffer_length(16 * MIB)?;
    context.set_term_buffer_sparse_file(false)?;
    context.set_mtu_length(MTU)?;
    context.set_socket_so_rcvbuf(16 * MIB)?;
    context.set_socket_so_sndbuf(16 * MIB)?;
    context.set_rcv_initial_window_length(WINDOW)?;
    context.set_timer_interval_ns(TIMER.as_nanos() as u64)?;
    if options.nak == Nak::Tuned {
        context.set_nak_multicast_max_backoff_ns(NAK_BACKOFF.as_nanos() as u64)?;
        context.set_nak_multicast_group_size(options.subscribers.max(2))?;
        context.set_retransmit_unicast_linger_ns(RETRANSMIT_LINGER.as_nanos() as u64)?;
    }
    context.set_sender_io_vector_capacity(VECTOR)?;
    context.set_receiver_io_vector_capacity(VECTOR)?;
    context.set_network_publication_max_messages_per_send(VECTOR)?;
    Ok(context)
}

/// The driver's files, in memory; removed when the program ends, by a signal too.
struct Directory {
    path: PathBuf,
}

impl Directory {
    const PREFIX: &str = "nakcast-bench-aeron-";

    fn new() -> Result<Self> {
        Self::remove_stale();
        let path = Path::new("/dev/shm").join(format!("{}{}", Self::PREFIX, process::id()));
        let ours = path.clone();
        ctrlc::set_handler(move || {
            remove(&ours);
            process::exit(1);
        })?;
        Ok(Self { path })
    }

    /// What programs left behind that were killed.
    fn remove_stale() {
        for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.strip_prefix(Self::PREFIX));
            if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
                remove(&entry.path());
            }
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn remove(path: &Path) {
    if path.exists()
        && let Err(error) = fs::remove_dir_all(path)
    {
        eprintln!("{} stays: {error}", path.display());
    }
}
