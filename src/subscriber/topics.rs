//! What a subscriber wants, and its change of mind.

use crate::config::TOPICS;
use crate::config::within_count;
use crate::error::Error;
use crate::protocol::Prefixes;
use crate::subscriber::Subscriber;
use crate::wire::TOPIC_BYTES;

impl Subscriber {
    /// Wants topics that begin with one of `prefixes` from now on, and no others; every topic, when there is none. The
    /// topics named before no longer count.
    ///
    /// Nothing that is not wanted any more is handed out after this call, but for what [`conflate`](crate::SubscriberBuilder::conflate)
    /// keeps back. Over UDP everything comes, so what is newly wanted is handed out from the next message on. Over TCP it is
    /// the publisher that leaves out what nobody wants: messages that are newly wanted come from where it stands when it
    /// learns of the change, which is behind what lies in the buffers of the connection already; a connection made anew
    /// begins with them. A message of several parts counts where it begins. What is left out meanwhile counts as filtered,
    /// as ever.
    ///
    /// ```
    /// use nakcast::Subscriber;
    ///
    /// let mut subscriber = Subscriber::connect("tcp://127.0.0.1:7001?topic=AAPL")?;
    /// subscriber.set_topics(["AAPL", "MSFT"])?;
    /// # Ok::<(), nakcast::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] over TCP for more than 1,024 prefixes, one of more than 255 bytes, or more than fit one request,
    /// some 60,000 bytes. Nothing is changed then.
    pub fn set_topics<T: AsRef<[u8]>>(&mut self, prefixes: impl IntoIterator<Item = T>) -> Result<(), Error> {
        let topics: Vec<Vec<u8>> = prefixes.into_iter().map(|prefix| prefix.as_ref().to_vec()).collect();
        let prefixes = Prefixes::new(&topics);
        self.inlet.set_topics(topics)?;
        self.subscription.set_topics(prefixes);
        self.inlet.attend(self.now, self.subscription.receiver())
    }
}

/// Whether a publisher can be asked for these topics at all.
pub(super) fn check(topics: &[Vec<u8>]) -> Result<(), Error> {
    within_count("the number of topics", topics.len(), 0, TOPICS)?;
    let longest = topics.iter().map(Vec::len).max().unwrap_or(0);
    within_count("the length of a topic", longest, 0, TOPIC_BYTES)
}

/// They are more than fits one HELLO.
pub(super) fn too_long(topics: &[Vec<u8>]) -> Error {
    let bytes = topics.iter().map(Vec::len).sum::<usize>() as u64;
    let wanted = "bytes in all do not fit one request; choose fewer or shorter ones, 60,000 bytes at most";
    Error::Setting { setting: "topic", value: bytes, wanted: wanted.to_owned() }
}
