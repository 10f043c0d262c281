//! The threads that compile: as many as there are cores, and behind everything else that wants one.
//!
//! A compilation takes all cores for a second or more. At a lower priority (nice 5, a quarter of a full core) the requests
//! that are served meanwhile hardly notice it.

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

const NICE: i32 = 5;

/// A pool of its own for wasmtime's parallel compilation.
pub struct Compilers(ThreadPool);

impl Compilers {
    pub fn start() -> Result<Self, ThreadPoolBuildError> {
        let builder = ThreadPoolBuilder::new().thread_name(|index| format!("compile-{index}"));
        let pool = builder.start_handler(|_index| yield_to_others()).build()?;
        Ok(Self(pool))
    }

    /// Runs `work`, and what it does in parallel, on these threads. Blocks the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.0.install(work)
    }
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
        assert_eq!(Compilers::start().unwrap().run(nice), NICE.max(before));
        assert_eq!(nice(), before);
    }
}
