//! Publishes a quote every now and then; run `cargo run --example subscriber` in another terminal.

use std::time::Duration;

use nakcast::Policy;
use nakcast::Publisher;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let uri = "udp://239.192.0.1:4000?interface=lo";
    let mut publisher = Publisher::builder().udp(uri).policy(Policy::BLOCK).open()?;
    publisher.wait_for(1, Duration::from_secs(30))?;
    for price in 18_720..18_820 {
        publisher.publish(b"quotes.AAPL", format!("AAPL {price}").as_bytes())?;
    }
    publisher.finish(Duration::from_secs(5))?;
    Ok(())
}
