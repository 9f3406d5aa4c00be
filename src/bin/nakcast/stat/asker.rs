//! Asks publishers for the rows of their receivers, over connections, on a thread of its own: one that does not answer must
//! not keep the observer from reading its socket.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::ToSocketAddrs;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::TryRecvError;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use nakcast::Offset;
use nakcast::ReceiverId;
use nakcast::SessionId;
use nakcast::StreamId;
use nakcast::wire::Body;
use nakcast::wire::Datagram;
use nakcast::wire::HEADER_BYTES;
use nakcast::wire::Head;
use nakcast::wire::Hello;
use nakcast::wire::HelloStart;
use nakcast::wire::RowEntry;
use nakcast::wire::datagram_len;
use nakcast::wire::encode_hello;

use crate::clock::Clock;
use crate::ending::Failure;

/// How long a publisher has to take the connection, and for each answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long it has for all of them.
const ALL_WITHIN: Duration = Duration::from_secs(2);

/// Whom to ask.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) session: SessionId,
    pub(crate) stream: StreamId,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// All rows of a publisher, and the end of what it had sent by then.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) sent: Offset,
    pub(crate) entries: Vec<RowEntry>,
}

/// What came of a question, or why nothing did.
pub(crate) type Answer = (SessionId, Result<Rows, String>);

/// The thread that asks.
#[derive(Debug)]
pub(crate) struct Asker {
    questions: Sender<Question>,
    answers: Receiver<Answer>,
}

impl Asker {
    pub(crate) fn start() -> Result<Self, Failure> {
        let (questions, asked) = channel::<Question>();
        let (answered, answers) = channel();
        let work = move || {
            for question in asked {
                let rows = ask(&question).map_err(|error| error.to_string());
                if answered.send((question.session, rows)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("asker".to_owned()).spawn(work).map_err(Failure::Thread)?;
        Ok(Self { questions, answers })
    }

    pub(crate) fn ask(&self, question: Question) -> Result<(), Failure> {
        self.questions.send(question).map_err(|_| Failure::ThreadDied("asks publishers"))
    }

    pub(crate) fn answer(&self) -> Result<Option<Answer>, Failure> {
        match self.answers.try_recv() {
            Ok(answer) => Ok(Some(answer)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Failure::ThreadDied("asks publishers")),
        }
    }
}

fn ask(question: &Question) -> io::Result<Rows> {
    let clock = Clock::start();
    let mut stream = connect(question)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let (mut rows, mut from) = (Rows { sent: Offset::ZERO, entries: Vec::new() }, Some(0));
    let mut bytes = Vec::new();
    while let Some(first) = from {
        say(&mut stream, question, first)?;
        read(&mut stream, &mut bytes)?;
        from = take(&bytes, question, &mut rows)?;
        if clock.now() > ALL_WITHIN {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(rows)
}

fn connect(question: &Question) -> io::Result<TcpStream> {
    let mut addresses = (question.host.as_str(), question.port).to_socket_addrs()?;
    let first: SocketAddr = addresses.next().ok_or(io::ErrorKind::NotFound)?;
    TcpStream::connect_timeout(&first, PATIENCE)
}

fn say(stream: &mut TcpStream, question: &Question, from: u64) -> io::Result<()> {
    let head = Head { stream: question.stream, base: Offset(from), ..Head::default() };
    let (hello, mut bytes) = (Hello::new(ReceiverId(0), HelloStart::Live).for_rows(), Vec::new());
    if encode_hello(&mut bytes, &head, &hello, &[] as &[&[u8]]) { stream.write_all(&bytes) } else { Ok(()) }
}

/// One datagram, over `bytes`.
fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.resize(HEADER_BYTES, 0);
    stream.read_exact(bytes)?;
    let length = datagram_len(bytes).map_err(io::Error::other)?;
    bytes.resize(length.max(HEADER_BYTES), 0);
    stream.read_exact(bytes.get_mut(HEADER_BYTES..).unwrap_or_default())
}

/// Adds the rows in `bytes`; from which receiver on to ask again, if there are more.
fn take(bytes: &[u8], question: &Question, rows: &mut Rows) -> io::Result<Option<u64>> {
    let datagram = Datagram::decode(bytes).map_err(io::Error::other)?;
    let (more, entries) = match datagram.body {
        Body::Rows(more, entries) if datagram.header.session() == question.session => (more, entries),
        Body::Rows(..) => return Err(io::Error::other("another session is published there now")),
        Body::Close(close) => {
            return Err(io::Error::other(format!("it refuses ({:?})", close.reason())));
        }
        _ => return Err(io::Error::other("it does not know of rows")),
    };
    rows.sent = datagram.header.base();
    rows.entries.extend_from_slice(entries);
    let last = entries.last().filter(|_| more.left() > 0);
    Ok(last.and_then(|last| last.receiver().0.checked_add(1)))
}
