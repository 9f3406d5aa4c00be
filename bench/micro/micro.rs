//! `cargo bench -p micro`: what the steps of the hot path take, each by itself and with warm caches.

use divan::Bencher;
use divan::black_box;
use divan::counter::ItemsCount;
use nakcast::Offset;
use nakcast::OffsetRange;
use nakcast::history::Repair;
use nakcast::wire::Body;
use nakcast::wire::Datagram;

const BYTES: [usize; 3] = [32, 100, 1_024];

fn main() {
    divan::main();
}

/// A message into the ring: lock, compare, copy, and its share of sealing.
#[divan::bench(args = BYTES)]
fn publish(bencher: Bencher<'_, '_>, bytes: usize) {
    let (mut writer, _) = micro::ring();
    let payload = vec![7; bytes];
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        micro::append(&mut writer.open(), black_box(&payload));
    });
}

/// A datagram checked: header, checksum, every frame.
#[divan::bench(args = BYTES)]
fn decode(bencher: Bencher<'_, '_>, bytes: usize) {
    let datagram = micro::datagram(bytes);
    let messages = Datagram::decode(&datagram).map_or(0, |datagram| datagram.header.count());
    bencher.counter(ItemsCount::new(messages)).bench_local(|| {
        black_box(Datagram::decode(black_box(&datagram)).is_ok());
    });
}

/// The messages of a checked datagram walked.
#[divan::bench(args = BYTES)]
fn walk(bencher: Bencher<'_, '_>, bytes: usize) {
    let bytes = micro::datagram(bytes);
    let Ok(datagram) = Datagram::decode(&bytes) else { return };
    let Body::Data(frames) = datagram.body else { return };
    bencher.counter(ItemsCount::new(datagram.header.count())).bench_local(|| {
        frames.for_each(|frame| {
            black_box(frame.payload);
        });
    });
}

/// A lost datagram read back from the ring, found by its offset.
#[divan::bench(args = BYTES)]
fn read_back(bencher: Bencher<'_, '_>, bytes: usize) {
    let (mut writer, ring) = micro::ring();
    let payload = vec![7; bytes];
    while ring.sent() < Offset(20_000) {
        micro::append(&mut writer.open(), &payload);
    }
    let mut repair = Repair::new();
    let want = OffsetRange::run(Offset(10_000), 1);
    bencher.bench_local(|| {
        black_box(ring.read(black_box(want), &mut repair));
    });
}
