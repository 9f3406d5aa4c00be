//! Anything may happen, by a seed: the books are right at every step, and once the network is well everything is
//! delivered or named.

use nakcast::SessionId;
use nakcast::protocol::Order;
use nakcast::protocol::SubscriptionSettings;
use nakcast::time::Jitter;

use super::rig::BLOCK;
use super::rig::DROP;
use super::rig::FREE;
use super::rig::Fate;
use super::rig::SECOND;
use super::rig::US;
use super::rig::World;
use super::rig::publishes;
use super::rig::subscribes;

/// Runs; 20,000 were clean when this was written.
const SEEDS: u64 = 100;

/// How bad the network is, in probabilities.
#[derive(Debug, Clone, Copy)]
struct Weather {
    loss: f64,
    late: f64,
    twice: f64,
}

impl Weather {
    fn draw(chance: &mut Jitter) -> Self {
        let mut up_to = |most: f64| if chance.happens(0.3) { 0.0 } else { chance.unit() * most };
        Self { loss: up_to(0.3), late: up_to(0.3), twice: up_to(0.2) }
    }

    fn fate(self, chance: &mut Jitter) -> Fate {
        if chance.happens(self.loss) {
            Fate::Drop
        } else if chance.happens(self.late) {
            Fate::Late(chance.up_to(400 * US))
        } else if chance.happens(self.twice) {
            Fate::Twice
        } else {
            Fate::Pass
        }
    }
}

/// What a subscriber wants, drawn.
fn wants(id: u64, chance: &mut Jitter) -> SubscriptionSettings {
    let mut settings = subscribes(id);
    let receiver = &mut settings.receiver;
    receiver.order = if chance.happens(0.3) { Order::AsArrived } else { Order::Ordered };
    receiver.repair = !chance.happens(0.1);
    receiver.gaps = if chance.happens(0.2) { 3 } else { 1_024 };
    receiver.reorder_window = if chance.happens(0.2) { 20_000 } else { 4 << 20 };
    settings.conflate = chance.happens(0.1).then_some(2);
    if chance.happens(0.2) {
        settings.topics = vec![b"a".to_vec()];
    }
    settings
}

/// Publishes for a while, one message after the other, short and long, with and without pauses.
fn publish(world: &mut World, publisher: usize, chance: &mut Jitter) {
    for _ in 0..200 {
        let topic = ["a", "b", "ab", ""][(chance.bits() % 4) as usize];
        let bytes = if chance.happens(0.1) { chance.bits() % 9_000 } else { chance.bits() % 90 };
        let payload: Vec<u8> = (0..bytes).map(|byte| byte as u8).collect();
        world.send(publisher, topic, &payload);
        if chance.happens(0.5) {
            world.pass(chance.up_to(100 * US));
        }
        if chance.happens(0.02) {
            let index = (chance.bits() % world.subscribers.len() as u64) as usize;
            let stops = !world.subscribers[index].is_stopped;
            if stops { world.subscribers[index].is_stopped = true } else { world.resume(index) }
        }
    }
}

/// Whether somebody who wants this gets everything from a publisher that holds everything.
fn is_whole(settings: &SubscriptionSettings) -> bool {
    settings.receiver.repair && settings.receiver.reorder_window > 1 << 20
}

fn run(seed: u64) {
    let mut chance = Jitter::new(seed);
    let mut world = World::empty();
    let wants: Vec<_> = (1..=3).map(|id| wants(id, &mut chance)).collect();
    let early = (chance.bits() % 4) as usize;
    wants[..early].iter().for_each(|wants| world.subscribe(wants.clone()));
    let policy = [FREE, DROP, BLOCK][(chance.bits() % 3) as usize];
    world.open(publishes(77, policy));
    if chance.happens(0.5) {
        world.pass(SECOND);
    }
    wants[early..].iter().for_each(|wants| world.subscribe(wants.clone()));
    let (weather, mut own) = (Weather::draw(&mut chance), Jitter::new(seed + 1));
    world.fates(move |_| weather.fate(&mut own));
    publish(&mut world, 0, &mut chance);
    let restarts = chance.happens(0.3);
    let last = if restarts { world.restart(0, publishes(5, policy)) } else { 0 };
    if restarts {
        publish(&mut world, last, &mut chance);
    }
    world.fates(|_| Fate::Pass);
    for index in 0..world.subscribers.len() {
        if world.subscribers[index].is_stopped {
            world.resume(index);
        }
    }
    world.pass(6 * SECOND);
    world.finish(last);
    world.pass(4 * SECOND);
    let session = SessionId(if restarts { 5 } else { 77 });
    let end = world.publishers[last].ring.sent();
    for (subscriber, wants) in world.subscribers.iter().zip(&wants) {
        let is_lost = !subscriber.lost(session).is_empty();
        assert!(!is_lost || !is_whole(wants), "{:?}", subscriber.lines);
        for row in subscriber.machine.receiver_ref().rows() {
            assert_eq!((row.book.pending(), row.down.is_some()), (0, true), "{:?}", row.book);
            assert!(row.session != session || row.book.heard == end, "{end} {:?}", row.book);
        }
    }
}

#[test]
fn whatever_happens_the_books_are_right() {
    for seed in 0..SEEDS {
        println!("seed {seed}");
        run(seed);
    }
}
