//! Each call against real sockets: what a misuse of it would show.

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::Duration;

use super::*;
use crate::io::Pool;

fn pair() -> (UdpSocket, UdpSocket) {
    let bind = || UdpSocket::bind("127.0.0.1:0").unwrap();
    (bind(), bind())
}

fn receive(socket: &UdpSocket, pool: &mut Pool) -> Vec<(SocketAddr, Vec<u8>)> {
    pool.refill(|slots| recv_many(socket.as_fd(), slots, false)).unwrap();
    let spans: Vec<_> = std::iter::from_fn(|| pool.next_datagram()).collect();
    spans.into_iter().map(|span| (pool.from(span), pool.bytes(span).to_vec())).collect()
}

#[test]
fn addresses_survive_the_form_of_the_system() {
    let v6 = SocketAddrV6::new("fe80::1:2".parse().unwrap(), 65_535, 7, 9);
    for address in [SocketAddr::V6(v6), "1.2.3.4:80".parse().unwrap(), "[::1]:1".parse().unwrap()] {
        assert_eq!(Name::encode(address).decode(), address);
    }
    assert_eq!(Name::NONE.decode(), "0.0.0.0:0".parse().unwrap());
    assert_eq!(Name::encode("1.2.3.4:80".parse().unwrap()).length(), 16);
    assert_eq!(Name::encode("[::1]:80".parse().unwrap()).length(), 28);
}

#[test]
fn a_connected_socket_needs_no_address() {
    let (from, to) = pair();
    let part = |byte: &'static [u8]| Part { bytes: byte, segment: None };
    assert!(send_many(from.as_fd(), None, &[part(b"x")]).is_err(), "not connected yet");
    from.connect(to.local_addr().unwrap()).unwrap();
    assert_eq!(send_many(from.as_fd(), None, &[part(b"a")]).unwrap(), 1);
    assert_eq!(send_many(from.as_fd(), None, &[part(b"b"), part(b"c")]).unwrap(), 2);
    let came = receive(&to, &mut Pool::new(4, 64));
    assert_eq!(came.into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>().concat(), b"abc");
}

#[test]
fn a_wait_tells_which_are_readable() {
    let ((from, to), idle) = (pair(), pair().0);
    let wait = |timeout| wait_readable([idle.as_fd(), to.as_fd()], timeout).unwrap();
    assert_eq!(wait(Some(Duration::from_millis(1))), [false, false], "the time was up");
    from.send_to(b"x", to.local_addr().unwrap()).unwrap();
    assert_eq!(wait(None), [false, true]);
    assert_eq!(wait(Some(Duration::ZERO)), [false, true], "it was not taken");
}

#[test]
fn one_call_sends_no_more_than_64_parts() {
    let (from, to) = pair();
    let bytes: Vec<u8> = (0..100).collect();
    let parts: Vec<Part<'_>> = bytes.chunks(1).map(|bytes| Part { bytes, segment: None }).collect();
    let address = to.local_addr().unwrap();
    assert_eq!(send_many(from.as_fd(), Some(address), &parts).unwrap(), 64);
    assert_eq!(send_many(from.as_fd(), Some(address), &parts[..0]).unwrap(), 0);
    let mut pool = Pool::new(100, 100);
    let taken = receive(&to, &mut pool);
    assert_eq!(pool.filled(), 64);
    for (index, (sender, datagram)) in taken.iter().enumerate() {
        assert_eq!((*sender, datagram.as_slice()), (from.local_addr().unwrap(), &bytes[index..=index]));
    }
}

#[test]
fn trains_and_single_datagrams_mix_in_one_call() {
    let (from, to) = pair();
    set_integer(to.as_fd(), (libc::SOL_UDP, libc::UDP_GRO), 1).unwrap();
    let bytes: Vec<u8> = (0..=255).collect();
    let part = |range: std::ops::Range<usize>, segment| Part { bytes: &bytes[range], segment };
    let parts = [part(0..100, Some(40)), part(100..130, None), part(130..131, None), part(131..256, Some(1))];
    let address = to.local_addr().unwrap();
    assert_eq!(send_many(from.as_fd(), Some(address), &parts[..3]).unwrap(), 3);
    let lengths: Vec<usize> =
        receive(&to, &mut Pool::new(8, 65_536)).iter().map(|(_, datagram)| datagram.len()).collect();
    assert_eq!(lengths, [40, 40, 20, 30, 1]);
}

/// A datagram longer than a buffer must not reach into the next one.
#[test]
fn a_long_datagram_is_cut_at_the_end_of_its_buffer() {
    let (from, to) = pair();
    for value in 1..=3 {
        from.send_to(&[value; 300], to.local_addr().unwrap()).unwrap();
    }
    let mut pool = Pool::new(4, 100);
    let taken = receive(&to, &mut pool);
    assert_eq!(
        taken.iter().map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>(),
        [[1; 100], [2; 100], [3; 100]]
    );
    let untouched = crate::io::Span { buffer: 3, start: 0, end: 100 };
    assert_eq!(pool.bytes(untouched), [0; 100]);
}

#[test]
fn an_empty_socket_would_block() {
    let (from, to) = pair();
    let mut pool = Pool::new(8, 100);
    let read = pool.refill(|slots| recv_many(to.as_fd(), slots, false));
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(drain_errors(from.as_fd()), 0);
}

/// Both ways of learning of drops tell the same number, one with the next datagram, one at once.
#[test]
fn drops_are_told_at_once_and_with_the_next_datagram() {
    let (from, to) = pair();
    set_integer(to.as_fd(), (libc::SOL_SOCKET, libc::SO_RXQ_OVFL), 1).unwrap();
    socket2::SockRef::from(&to).set_recv_buffer_size(2_304).unwrap();
    let address = to.local_addr().unwrap();
    (0..100).for_each(|_| assert_eq!(from.send_to(&[1; 200], address).unwrap(), 200));
    let told = kernel_drops(to.as_fd()).unwrap();
    let mut pool = Pool::new(64, 1_000);
    assert_eq!(receive(&to, &mut pool).len() as u32 + told, 100);
    assert_eq!(pool.take_overflow(), None);
    from.send_to(&[2], address).unwrap();
    assert_eq!(receive(&to, &mut pool).len(), 1);
    assert_eq!(pool.take_overflow(), Some(told));
}

/// With reports switched on the queue fills; draining it empties it, since it is charged to the receive buffer.
#[test]
fn error_reports_are_drained() {
    let (from, _) = pair();
    let closed = SocketAddr::from(([127, 0, 0, 77], 9));
    set_integer(from.as_fd(), (libc::IPPROTO_IP, libc::IP_RECVERR), 1).unwrap();
    let part = [Part { bytes: b"x", segment: None }];
    assert_eq!(send_many(from.as_fd(), Some(closed), &part).unwrap(), 1);
    let told = send_many(from.as_fd(), Some(closed), &part).unwrap_err();
    assert_eq!(told.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!((drain_errors(from.as_fd()), drain_errors(from.as_fd())), (1, 0));
}

#[test]
fn a_link_is_known_by_name_only() {
    let (any, _) = pair();
    let (flags, mtu) = link(any.as_fd(), "lo").unwrap();
    assert!(flags & libc::IFF_LOOPBACK != 0 && mtu >= 1_500);
    assert!(link(any.as_fd(), "nosuch0").is_err());
    assert_eq!(link(any.as_fd(), "a-name-of-16-b..").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert!(link(any.as_fd(), "").is_err());
}

#[test]
fn a_closed_descriptor_or_wrong_kind_is_an_error_and_no_more() {
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(send_many(file.as_fd(), "127.0.0.1:9".parse().ok(), &[Part::default()]).is_err());
    assert!(Pool::new(2, 10).refill(|slots| recv_many(file.as_fd(), slots, false)).is_err());
    assert!(
        kernel_drops(file.as_fd()).is_err()
            && set_integer(file.as_fd(), (libc::SOL_UDP, libc::UDP_GRO), 1).is_err()
    );
    assert!(set_timer(file.as_fd(), None).is_err());
    set_timer(timer().unwrap().as_fd(), Some(Duration::MAX)).unwrap();
}
