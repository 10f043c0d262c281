//! What several hosts of two versions do to the events of one service, in an order that nobody chose: they take,
//! settle, lose, die and come back while connections break. A seed gives the order; what goes wrong is told with it.
//!
//! `ARCHIPEL_FUZZ_SECONDS` says for how long, `ARCHIPEL_FUZZ_SEED` with which seed to begin.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use fastrand::Rng;
use futures_util::future::join_all;

use super::{handing::*, *};

const SECONDS: u64 = 4;
/// Systems at once on one Redis: most of the time each waits for a lease or for news.
const SYSTEMS: u64 = 6;
const HOSTS: usize = 3;
const STEPS: usize = 60;
/// Of all that is left at the end of an order.
const PATIENCE: Duration = Duration::from_secs(60);
/// What both versions subscribe to, and what only the newer one does.
const TOPICS: [&str; 2] = ["order.created", "order.changed"];

struct Host {
    events: Arc<Events>,
    group: Arc<Group>,
    taker: Taker,
    /// With how often it had been replayed.
    held: Vec<(Delivered, u32)>,
    is_newer: bool,
}

/// What is known of an event.
#[derive(Default)]
struct Fate {
    handed: u32,
    settled: bool,
    /// Among the dead letters.
    dead: bool,
    replayed: u32,
}

struct Schedule<'a> {
    server: &'a Server,
    seed: u64,
    rng: Rng,
    hosts: Vec<Host>,
    fates: BTreeMap<Uuid, Fate>,
    /// How often what was on its way to a host may have been lost.
    lost: u32,
    stalls: Arc<AtomicU32>,
}

impl<'a> Schedule<'a> {
    async fn of(server: &'a Server, seed: u64, stalls: Arc<AtomicU32>) -> Self {
        let (rng, hosts, fates) = (Rng::with_seed(seed), Vec::new(), BTreeMap::new());
        let mut schedule = Self { server, seed, rng, hosts, fates, lost: 0, stalls };
        for number in 0..HOSTS {
            let host = schedule.host(number == 0).await;
            schedule.hosts.push(host);
        }
        schedule
    }

    async fn host(&self, is_newer: bool) -> Host {
        let settings = EventSettings { redis: "main".into(), retain: Duration::from_secs(3600), retain_bytes: 1 << 24 };
        let mut events = self.server.events_of(&format!("shop-{}", self.seed), settings).await;
        events.pace = hosts::Pace {
            beat: Duration::from_millis(100),
            lease: Duration::from_millis(600),
            steady: Duration::from_millis(400),
        };
        let events = Arc::new(events);
        events.start();
        let group = Arc::new(group_of(&events, "mail", if is_newer { &TOPICS } else { &TOPICS[..1] }));
        Host { taker: Taker::new(group.clone()), events, group, held: Vec::new(), is_newer }
    }

    async fn run(mut self) {
        for _ in 0..STEPS {
            let at = self.rng.usize(..self.hosts.len());
            match self.rng.u32(..100) {
                0..25 => self.publish(at).await,
                25..60 => self.take(at).await,
                60..92 => self.settle(at).await,
                92..94 => self.replay(at).await,
                94..97 => self.replace(at).await,
                _ => self.break_connections().await,
            }
        }
        self.finish().await;
    }

    async fn publish(&mut self, at: usize) {
        let topic = TOPICS[self.rng.usize(..2)];
        let batch: Vec<_> = (0..self.rng.usize(1..5)).map(|_| event(topic, "x")).collect();
        for id in publish(&self.hosts[at].events, &batch).await {
            self.fates.insert(id, Fate::default());
        }
    }

    async fn take(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        for taken in host.taker.take(self.rng.usize(1..6)).await {
            let (seed, event) = (self.seed, &taken.event);
            let fate = self.fates.get_mut(&event.id).expect("published");
            assert!(host.is_newer || event.topic == TOPICS[0], "seed {seed}: handed what it does not subscribe to");
            assert!(!fate.settled, "seed {seed}: {} was handed out after it was handled", event.id);
            assert!(!fate.dead, "seed {seed}: {} is a dead letter and was handed out", event.id);
            fate.handed += 1;
            let most = fate.handed + self.lost + self.stalls.load(Relaxed);
            assert!(taken.attempt <= most, "seed {seed}: {}, but {most} at most began", taken.attempt);
            host.held.push((taken, fate.replayed));
        }
    }

    async fn settle(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        if host.held.is_empty() {
            return;
        }
        let (taken, replayed) = host.held.swap_remove(self.rng.usize(..host.held.len()));
        let (group, fate) = (&host.group, self.fates.get_mut(&taken.event.id).expect("published"));
        match self.rng.u32(..100) {
            0..40 => {
                until(async || group.acknowledge(&taken).await.ok()).await;
                // Also what another host has by now. What is a dead letter since, or was replayed, goes on.
                fate.settled |= !fate.dead && fate.replayed == replayed;
            }
            40..65 => {
                let pause = Duration::from_millis(self.rng.u64(..100));
                until(async || group.later(&taken, pause).await.ok()).await;
            }
            65..75 => until(async || group.again(&taken).await.ok()).await,
            75..90 => {
                let before = until(async || host.events.dead_count("mail").await.ok()).await;
                until(async || group.bury(&taken, "for a test").await.ok()).await;
                fate.dead |= until(async || host.events.dead_count("mail").await.ok()).await > before;
            }
            // It never arrived.
            _ => {}
        }
    }

    async fn replay(&mut self, at: usize) {
        let events = &self.hosts[at].events;
        until(async || events.replay("mail", None).await.ok()).await;
        until(async || events.dead_count("mail").await.ok().filter(|count| *count == 0)).await;
        for fate in self.fates.values_mut().filter(|fate| fate.dead) {
            (fate.dead, fate.replayed) = (false, fate.replayed + 1);
        }
    }

    /// One that goes in order or all of a sudden, and another of any version in its place. The first is always of
    /// the newer one, or what only that one handles would wait.
    async fn replace(&mut self, at: usize) {
        let is_newer = at == 0 || self.rng.bool();
        let next = self.host(is_newer).await;
        self.lost += 1;
        let gone = std::mem::replace(&mut self.hosts[at], next);
        match self.rng.bool() {
            true => gone.events.stop().await,
            false => {
                let tasks = std::mem::take(&mut *gone.events.upkeep.lock().unwrap());
                tasks.iter().for_each(JoinHandle::abort);
            }
        }
    }

    async fn break_connections(&mut self) {
        self.lost += 1;
        // Another order may break this one.
        let Ok(mut redis) = self.server.client().get_multiplexed_async_connection().await else { return };
        let _ = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("NORMAL").query_async::<()>(&mut redis).await;
    }

    /// Everything is handled in the end, by whoever is left.
    async fn finish(mut self) {
        let began = Instant::now();
        for host in self.hosts.drain(1..) {
            host.events.stop().await;
        }
        while self.fates.values().any(|fate| !fate.settled) {
            let left = self.fates.values().filter(|fate| !fate.settled).count();
            assert!(began.elapsed() < PATIENCE, "seed {}: {left} events are neither handled nor dead", self.seed);
            self.take(0).await;
            let host = &mut self.hosts[0];
            for (taken, replayed) in std::mem::take(&mut host.held) {
                until(async || host.group.acknowledge(&taken).await.ok()).await;
                let fate = self.fates.get_mut(&taken.event.id).expect("published");
                fate.settled |= !fate.dead && fate.replayed == replayed;
            }
            if self.fates.values().any(|fate| fate.dead) {
                self.replay(0).await;
            }
        }
        let events = &self.hosts[0].events;
        let pending = until(async || events.pending("mail").await.ok()).await;
        assert!(pending.is_empty(), "seed {}: {pending:?}", self.seed);
        assert_eq!(until(async || events.dead_count("mail").await.ok()).await, 0, "seed {}", self.seed);
        events.stop().await;
    }
}

/// Asks again while connections break.
async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "Redis does not do it");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Counts how often this thread stood still for so long that hosts may have taken one another for gone.
async fn watch(stalls: Arc<AtomicU32>) {
    loop {
        let began = Instant::now();
        tokio::time::sleep(Duration::from_millis(50)).await;
        stalls.fetch_add(u32::from(began.elapsed() > Duration::from_millis(300)), Relaxed);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`: no number")))
}

#[tokio::test]
async fn hosts_of_two_versions_that_die_at_any_moment_lose_no_event_and_bury_none_of_others() {
    let (server, stalls) = (Server::start(), Arc::<AtomicU32>::default());
    tokio::spawn(watch(stalls.clone()));
    let until = Instant::now() + Duration::from_secs(number("ARCHIPEL_FUZZ_SECONDS").unwrap_or(SECONDS));
    let mut seed = number("ARCHIPEL_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
    loop {
        let schedules =
            (seed..seed + SYSTEMS).map(async |seed| Schedule::of(&server, seed, stalls.clone()).await.run().await);
        join_all(schedules).await;
        if Instant::now() >= until {
            break;
        }
        seed += SYSTEMS;
    }
}
