//! What people write: endpoints, the numbers of the command line, the options of a simulated run.

use std::time::Duration;

use nakcast::Endpoint;
use nakcast::sim::Options;

use super::canary;

#[path = "../../src/bin/nakcast/units.rs"]
#[allow(dead_code, unreachable_pub, reason = "the command's own file; not all of it is parsers")]
mod units;

/// A year, the longest time the command takes.
const YEAR: Duration = Duration::from_secs(31_536_000);

/// Nothing panics; what is read is written so that it is read again as the same.
pub fn target(data: &[u8]) {
    let text = match core::str::from_utf8(data) {
        Ok(text) => text,
        Err(error) => core::str::from_utf8(&data[..error.valid_up_to()]).unwrap_or_default(),
    };
    endpoint(text);
    numbers(text);
    if text.contains('=') {
        options(text);
    }
}

fn endpoint(text: &str) {
    let endpoint: Endpoint = match text.parse() {
        Ok(endpoint) => endpoint,
        Err(error) => {
            let error: nakcast::EndpointError = error;
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let written = endpoint.to_string();
    let again: Endpoint = written.parse().expect("what is written is read");
    assert_eq!((&again, again.to_string()), (&endpoint, written));
    if let Endpoint::Udp(udp) = endpoint {
        assert!(udp.source.is_none() || udp.is_multicast());
        let fits = |one: core::net::SocketAddr| one.port() != 0 && one.is_ipv4() == udp.address.is_ipv4();
        assert!(udp.addresses().all(fits) && (udp.others.is_empty() || !(udp.is_multicast() || udp.join)));
        canary(udp.source.is_some() && udp.stream.0 > 1_000);
    }
}

/// Options of a simulated run.
fn options(text: &str) {
    match Options::parse(text) {
        Ok(options) => {
            let written = options.to_text();
            assert_eq!(Options::parse(&written).as_ref(), Ok(&options), "{written}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn numbers(text: &str) {
    if let Ok(bytes) = units::bytes(text) {
        let digits: String = units::count(bytes as u64).chars().filter(char::is_ascii_digit).collect();
        assert_eq!(digits, bytes.to_string());
        assert_eq!(units::bytes(&digits), Ok(bytes));
        assert!(!units::size(bytes as u64).is_empty());
    }
    if let Ok(rate) = units::rate(text) {
        assert!((1..=1_000_000_000_000).contains(&rate) && !units::bits(rate).is_empty());
    }
    if let Ok(seed) = units::seed(text) {
        assert_eq!(units::seed(&seed.to_string()), Ok(seed));
        assert_eq!(units::seed(&format!("{seed:#x}")), Ok(seed));
    }
    for share in [units::share(text), units::percent(text)].into_iter().flatten() {
        assert!((0.0..=1.0).contains(&share));
    }
    let times = [units::seconds(text), units::millis(text), units::micros(text), units::span(text)];
    for time in times.into_iter().flatten() {
        assert!(time <= YEAR && !units::time(time).is_empty());
    }
}
