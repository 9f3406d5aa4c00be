//! Prints what `cargo run --example publisher` publishes.

use nakcast::Event;
use nakcast::Subscriber;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut subscriber = Subscriber::open("udp://239.192.0.1:4000?interface=lo")?;
    loop {
        match subscriber.recv()? {
            Event::Message(message) => {
                println!("{} {}", message.offset, String::from_utf8_lossy(message.payload));
            }
            Event::Lost { range, reason, .. } => eprintln!("lost {range}: {reason}"),
            Event::SourceDown { .. } => return Ok(()),
            _ => {}
        }
    }
}
