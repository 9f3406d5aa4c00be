//! How a run ends: its exit code, or the one line that says what went wrong and what to do.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use nakcast::Offset;
use nakcast::PublishError;
use nakcast::SessionId;
use nakcast::WaitError;
use nakcast::sim::OptionsError;

/// How a run ended that has already said what there is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Well,
    Failed,
    Misused,
    Lost,
    Unbalanced,
    /// A promise does not hold in a simulated world.
    Broken,
    Interrupted,
    /// The doctor has warnings.
    Warned,
    /// The doctor has found what cannot work.
    Ailing,
}

impl Ending {
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Well => 0,
            Self::Failed | Self::Warned => 1,
            Self::Misused | Self::Ailing => 2,
            Self::Lost => 3,
            Self::Unbalanced | Self::Broken => 4,
            Self::Interrupted => 130,
        })
    }
}

/// What went wrong, in one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Usage(&'static str),
    #[error(transparent)]
    Library(#[from] nakcast::Error),
    #[error(transparent)]
    Wait(#[from] WaitError),
    #[error("message {number} was not published: {error}")]
    Publish { number: u64, error: PublishError },
    #[error("cannot open {}: {error}; name a file that exists and that you may read", .path.display())]
    Open { path: PathBuf, error: io::Error },
    #[error("cannot read the options in {}: {error}", .path.display())]
    Options { path: PathBuf, error: OptionsError },
    #[error("cannot read {name}: {error}; what came before was published")]
    Read { name: String, error: io::Error },
    #[error(
        "line {number} is longer than {most} bytes: cut the input into pieces with --chunk, or its lines shorter"
    )]
    LineTooLong { number: u64, most: usize },
    #[error(
        "the input ends inside record {number}, with {have} of its {need} bytes: it is cut off, or not u16-prefixed"
    )]
    CutOff { number: u64, have: usize, need: usize },
    #[error("cannot read the state in {}: {error}; name a file that you may read", .path.display())]
    ReadState { path: PathBuf, error: io::Error },
    #[error(
        "{} is no state of `nakcast sub` ({what}): name the right file, or delete it to begin anew, or say --from OFFSET without --state",
        .path.display()
    )]
    DamagedState { path: PathBuf, what: String },
    #[error(
        "the state in {} says offset {next} of session {session}, and that session has not come so far: it was altered; delete it to begin anew",
        .path.display()
    )]
    StateAhead { path: PathBuf, session: SessionId, next: Offset },
    #[error(
        "cannot keep the state in {}: {error}; its folder must exist and be yours to write to", .path.display()
    )]
    WriteState { path: PathBuf, error: io::Error },
    #[error("cannot create {}: {error}; name a file that does not exist, in a folder of yours", .path.display())]
    CreateCapture { path: PathBuf, error: io::Error },
    #[error("cannot write to {}: {error}; what stands there up to now is whole", .path.display())]
    WriteCapture { path: PathBuf, error: io::Error },
    #[error("{} is no capture: name a file in pcap or pcapng format", .path.display())]
    NoCapture { path: PathBuf },
    #[error("{} is cut off inside what begins at byte {at}: what came before was published", .path.display())]
    TornCapture { path: PathBuf, at: u64 },
    #[error("{} breaks the format at byte {at}: what came before was published", .path.display())]
    BrokenCapture { path: PathBuf, at: u64 },
    #[error("cannot write to standard output: {0}")]
    Write(io::Error),
    #[error(
        "the message at offset {offset} has {bytes} bytes, more than a u16 prefix can say: use --raw or --json"
    )]
    TooLongForPrefix { offset: u64, bytes: usize },
    #[error(
        "no publisher was heard for {0:?}: start one, and check that it names the same group, port, interface and stream"
    )]
    NobodyHeard(Duration),
    #[error("no publisher was heard for {0:?}: start one, and check the host, the port and the stream")]
    NobodyAnswered(Duration),
    #[error("--count {wanted} was asked for, and only {came} came")]
    TooFew { wanted: u64, came: u64 },
    #[error("cannot listen for Ctrl-C: {0}")]
    Signals(#[from] ctrlc::Error),
    #[error("cannot serve metrics at {address}: {error}; choose another address or port")]
    Metrics { address: SocketAddr, error: Box<dyn std::error::Error + Send + Sync> },
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    #[error("the thread that {0} died; please report it")]
    ThreadDied(&'static str),
    #[error("cannot draw a random number from the system: {0}")]
    Random(getrandom::Error),
}
