//! The threads that compile: as many as there are cores, and behind everything else that wants one.
//!
//! A compilation takes all cores for a second or more. At a lower priority (nice 5, a quarter of a full core) the requests
//! that are served meanwhile hardly notice it. There are two pools, so that a component which takes long keeps the
//! threads of one from others and not those of both; of one service one build at a time is compiled. How long one may
//! take is said in CPU: on a busy machine it takes longer and is not refused for that.

use std::{
    future::Future,
    num::NonZeroUsize,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use tokio::sync::Notify;

use crate::telemetry;

const NICE: i32 = 5;
/// How often a compilation that is waited for is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Pools of their own for wasmtime's parallel compilation.
pub struct Compilers(Arc<[Pool; 2]>);

struct Pool {
    threads: ThreadPool,
    /// What the system calls them.
    ids: Arc<Mutex<Vec<i32>>>,
    turns: AtomicUsize,
}

/// A compilation's place in one of the pools, as long as it lives.
pub struct Turn {
    pools: Arc<[Pool; 2]>,
    at: usize,
    begun: Notify,
}

impl Compilers {
    pub fn start() -> Result<Self, ThreadPoolBuildError> {
        let cores = cores();
        Ok(Self(Arc::new([Pool::of(cores)?, Pool::of(cores.div_ceil(2))?])))
    }

    /// A place in the pool that fewer are in.
    pub fn turn(&self) -> Turn {
        let [first, second] = [0, 1].map(|at| self.0[at].turns.load(Relaxed));
        let at = usize::from(second < first);
        self.0[at].turns.fetch_add(1, Relaxed);
        Turn { pools: self.0.clone(), at, begun: Notify::new() }
    }
}

impl Pool {
    fn of(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        let ids: Arc<Mutex<Vec<i32>>> = Arc::default();
        let known = ids.clone();
        let builder = ThreadPoolBuilder::new().num_threads(threads).thread_name(|index| format!("compile-{index}"));
        let builder = builder.start_handler(move |_index| {
            yield_to_others();
            let id = rustix::thread::gettid().as_raw_nonzero().get();
            known.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        });
        Ok(Self { threads: builder.build()?, ids, turns: AtomicUsize::new(0) })
    }

    /// What its threads have used so far; none where the system does not say.
    fn cpu(&self) -> Option<Duration> {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().map(|id| telemetry::thread_cpu(*id)).sum()
    }
}

impl Turn {
    /// Runs `work`, and what it does in parallel, on these threads. Blocks the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pools[self.at].threads.install(|| {
            self.begun.notify_one();
            work()
        })
    }

    /// Waits until some work of it has begun. Cancel safe; for one who waits.
    pub async fn begun(&self) {
        self.begun.notified().await;
    }

    /// Waits for `work`, which runs in this turn, until it has used `cpu_max` of every core, and never longer than
    /// `wall_max`; none then. Where nobody says what it uses, the time that passes counts.
    pub async fn within<F: Future>(&self, work: F, cpu_max: Duration, wall_max: Duration) -> Option<F::Output> {
        let pool = &self.pools[self.at];
        let (began, before) = (Instant::now(), pool.cpu());
        let mut work = pin!(work);
        let mut look = tokio::time::interval(LOOK.min(cpu_max));
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                _ = look.tick() => {}
            }
            let used = match (pool.cpu(), before) {
                (Some(now), Some(before)) => now.saturating_sub(before) / u32::try_from(cores()).unwrap_or(1),
                _ => began.elapsed(),
            };
            if used > cpu_max || began.elapsed() > wall_max {
                return None;
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.pools[self.at].turns.fetch_sub(1, Relaxed);
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// On Linux a priority is a thread's own.
fn yield_to_others() {
    let now = rustix::process::getpriority_process(None).unwrap_or_default();
    if let Err(error) = rustix::process::setpriority_process(None, NICE.max(now)) {
        tracing::debug!(%error, "compiling at the priority of everything else");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiling_threads_stand_behind_those_that_serve() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        assert_eq!(Compilers::start().unwrap().turn().run(nice), NICE.max(before));
        assert_eq!(nice(), before);
    }

    #[test]
    fn one_compilation_never_holds_the_threads_of_all() {
        let compilers = Compilers::start().unwrap();
        let (first, second) = (compilers.turn(), compilers.turn());
        let (free, held) = std::sync::mpsc::channel::<()>();
        let held = Mutex::new(held);
        thread::scope(|scope| {
            // Every thread of its pool, until the other one has had its turn.
            scope.spawn(|| {
                first.run(|| rayon::broadcast(|_| held.lock().unwrap().recv_timeout(Duration::from_secs(30)).is_err()))
            });
            assert_eq!(second.run(|| 7), 7);
            drop(free);
        });
        drop((first, second));
        assert_eq!(compilers.0.each_ref().map(|pool| pool.turns.load(Relaxed)), [0, 0]);
    }

    #[tokio::test]
    async fn what_waits_for_a_core_is_not_late_and_what_uses_it_is() {
        let turn = Arc::new(Compilers::start().unwrap().turn());
        let (cpu, wall) = (Duration::from_millis(20), Duration::from_secs(60));
        let asleep = {
            let turn = turn.clone();
            move || turn.run(|| thread::sleep(Duration::from_millis(300)))
        };
        assert!(turn.within(tokio::task::spawn_blocking(asleep), cpu, wall).await.is_some(), "it used nothing");
        let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (ends, at_work) = (over.clone(), turn.clone());
        let busy = move || {
            at_work.run(|| {
                while !ends.load(Relaxed) {
                    std::hint::spin_loop()
                }
            })
        };
        assert!(turn.within(tokio::task::spawn_blocking(busy), cpu, wall).await.is_none(), "it used a core");
        over.store(true, Relaxed);
        let never = std::future::pending::<()>();
        assert!(turn.within(never, wall, Duration::from_millis(20)).await.is_none(), "and nothing takes for ever");
    }
}
