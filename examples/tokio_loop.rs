//! A subscriber in tokio: `AsyncFd` waits for its descriptor, which stands for its sockets and its timers.
//!
//! The rule: call `try_recv` until it gives `None`, then wait for the descriptor to be readable. A thread publishes
//! something, so that there is something to see.

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    unix::run()
}

#[cfg(not(unix))]
fn main() {
    println!("this system has no descriptors to poll");
}

#[cfg(unix)]
mod unix {
    use std::error::Error;
    use std::io;
    use std::os::fd::AsFd;
    use std::os::fd::AsRawFd;
    use std::os::fd::RawFd;
    use std::thread;
    use std::time::Duration;

    use nakcast::Event;
    use nakcast::OwnedMessage;
    use nakcast::Publisher;
    use nakcast::Subscriber;
    use tokio::io::unix::AsyncFd;

    const URI: &str = "udp://239.192.0.3:4002?interface=lo";

    /// `AsyncFd` asks for `AsRawFd`.
    struct Pollable(Subscriber);

    impl AsRawFd for Pollable {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }
    }

    pub(crate) fn run() -> Result<(), Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(receive_all())
    }

    async fn receive_all() -> Result<(), Box<dyn Error>> {
        let mut subscriber = register(Subscriber::open(URI)?)?;
        let publisher = thread::spawn(|| publish().map_err(|error| error.to_string()));
        while let Some(message) = next(&mut subscriber).await? {
            println!("{} {}", message.offset, String::from_utf8_lossy(&message.payload));
        }
        // A subscriber that is kept but not called leaves its publisher waiting; a dropped one says good-bye.
        drop(subscriber);
        publisher.join().map_err(|_| "the publishing thread panicked")??;
        Ok(())
    }

    /// From tokio 1.54 on, `unsafe { AsyncFd::register(..) }` does the same and asks for a promise that holds here: the
    /// descriptor stays open and the same for as long as there is the subscriber.
    #[expect(deprecated, reason = "what takes its place is `unsafe`, which this project keeps to one file")]
    fn register(subscriber: Subscriber) -> io::Result<AsyncFd<Pollable>> {
        AsyncFd::new(Pollable(subscriber))
    }

    /// The next message; `None` once the publisher has ended. Nothing is lost when this is dropped half-way.
    async fn next(subscriber: &mut AsyncFd<Pollable>) -> Result<Option<OwnedMessage>, Box<dyn Error>> {
        loop {
            while let Some(event) = subscriber.get_mut().0.try_recv()? {
                match event {
                    Event::Message(message) => return Ok(Some(message.to_owned())),
                    Event::Lost { range, reason, .. } => println!("lost {range}: {reason}"),
                    Event::SourceDown { .. } => return Ok(None),
                    _ => {}
                }
            }
            subscriber.readable().await?.clear_ready();
        }
    }

    fn publish() -> Result<(), Box<dyn Error>> {
        let mut publisher = Publisher::open(URI)?;
        publisher.wait_for(1, Duration::from_secs(5))?;
        for number in 0..10 {
            publisher.publish(b"", format!("message {number}").as_bytes())?;
        }
        publisher.finish(Duration::from_secs(5))?;
        Ok(())
    }
}
