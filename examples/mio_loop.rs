//! A subscriber in an event loop of one's own: its descriptor stands for its sockets and its timers.
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
    use std::os::fd::AsFd;
    use std::os::fd::AsRawFd;
    use std::thread;
    use std::time::Duration;

    use mio::Events;
    use mio::Interest;
    use mio::Poll;
    use mio::Token;
    use mio::unix::SourceFd;
    use nakcast::Event;
    use nakcast::Publisher;
    use nakcast::Subscriber;

    const URI: &str = "udp://239.192.0.2:4001?interface=lo";
    const SUBSCRIBER: Token = Token(0);

    pub(crate) fn run() -> Result<(), Box<dyn Error>> {
        let mut subscriber = Subscriber::open(URI)?;
        let mut poll = Poll::new()?;
        let descriptor = subscriber.as_fd().as_raw_fd();
        poll.registry().register(&mut SourceFd(&descriptor), SUBSCRIBER, Interest::READABLE)?;
        let publisher = thread::spawn(|| publish().map_err(|error| error.to_string()));
        let mut events = Events::with_capacity(8);
        while drain(&mut subscriber)? {
            poll.poll(&mut events, None)?;
        }
        publisher.join().map_err(|_| "the publishing thread panicked")??;
        Ok(())
    }

    /// Everything there is now; `false` once the publisher has ended. Not before `None` is everything done: the last
    /// call tells the publisher that all has arrived.
    fn drain(subscriber: &mut Subscriber) -> Result<bool, nakcast::Error> {
        let mut goes_on = true;
        while let Some(event) = subscriber.try_recv()? {
            match event {
                Event::Message(message) => {
                    println!("{} {}", message.offset, String::from_utf8_lossy(message.payload));
                }
                Event::Lost { range, reason, .. } => println!("lost {range}: {reason}"),
                Event::SourceDown { .. } => goes_on = false,
                _ => {}
            }
        }
        Ok(goes_on)
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
