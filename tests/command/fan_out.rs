//! One publisher to several groups, and with a copy for each of several subscribers.

use sha2::Digest;
use sha2::Sha256;

use crate::file;
use crate::noise;
use crate::run;
use crate::subscribe;

#[test]
fn two_groups_and_two_single_subscribers_get_the_same_file() {
    let groups = [crate::uri(31), crate::uri(32)];
    let stream = groups[0].rsplit_once('&').unwrap().1;
    let single = |places: &str| format!("udp://{places}?interface=lo&{stream}");
    let (one, other) = ("127.0.0.1:41033", "127.0.0.1:41034");
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(1_000_001, 3);
    let path = file(folder.path(), "file", &bytes);
    let [a, b] = &groups;
    let uris = [a.clone(), b.clone(), single(one), single(other)];
    let subscribers = uris.map(|uri| subscribe(&uri, "--raw --fail-on-loss --inject-loss 2% --seed 5"));
    let copies = single(&format!("{one},{other}"));
    let publisher = run(&format!("pub {a} {b} {copies} --file {path} --chunk 1200 --policy block --wait 4"));
    publisher.assert(0, &["published 834 messages (1.0 MB)", "4 subscribers", "has everything"]);
    for subscriber in subscribers {
        let ended = subscriber.end();
        ended.assert(0, &["published 834 = delivered 834 "]);
        assert_eq!(Sha256::digest(&ended.stdout), Sha256::digest(&bytes));
    }
}
