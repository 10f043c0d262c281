//! `archipel run` as the first process of a container.
//!
//! The kernel hands that one every process whose parent has ended, and it must take note of each when it
//! ends. The host waits for its own children only; so the first process does nothing but that, passes
//! signals on, and runs the host as its child.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::Context;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use tokio::{
    signal::unix::{self, SignalKind, signal},
    task::JoinSet,
};

use crate::telemetry;

/// What a host that was killed leaves to others to end, a private server above all, has this long.
const LEFT: Duration = Duration::from_secs(10);
/// A process that a signal ended, as shells say it.
const BY_SIGNAL: i32 = 128;

/// Whether this is the first process.
pub(super) fn is_first() -> bool {
    std::process::id() == 1
}

/// Runs this same command as a child; its exit code.
pub(super) fn run() -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(host()).context("cannot run the host")?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

async fn host() -> io::Result<i32> {
    // Before there is a child: none is missed.
    let mut ended = signal(SignalKind::child())?;
    let signals = signals()?;
    // A group of its own: what a terminal sends arrives here, and once.
    let host = Command::new(std::env::current_exe()?).args(std::env::args_os().skip(1)).process_group(0).spawn()?;
    let host = i32::try_from(host.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    let mut passing = JoinSet::new();
    for (stream, which) in signals {
        passing.spawn(pass_on(stream, which, host));
    }
    let mut code = None;
    while code.is_none() {
        ended.recv().await;
        code = reap(host).1;
    }
    passing.shutdown().await;
    let left = async {
        while reap(host).0 == Left::Children {
            ended.recv().await;
        }
    };
    // Whoever takes longer ends with this process.
    let _ = tokio::time::timeout(LEFT, left).await;
    Ok(code.unwrap_or_default())
}

/// Those that the host may be sent.
fn signals() -> io::Result<Vec<(unix::Signal, Signal)>> {
    let mut all = vec![
        (SignalKind::interrupt(), Signal::INT),
        (SignalKind::quit(), Signal::QUIT),
        (SignalKind::terminate(), Signal::TERM),
        (SignalKind::user_defined1(), Signal::USR1),
        (SignalKind::user_defined2(), Signal::USR2),
    ];
    // Listened for, it would not be ignored any more.
    if !telemetry::ignores_hangup() {
        all.push((SignalKind::hangup(), Signal::HUP));
    }
    all.into_iter().map(|(kind, which)| Ok((signal(kind)?, which))).collect()
}

async fn pass_on(mut stream: unix::Signal, which: Signal, host: Pid) {
    while stream.recv().await.is_some() {
        // It may have ended meanwhile.
        let _ = kill_process(host, which);
    }
}

/// Whether anybody is left to wait for.
#[derive(PartialEq)]
enum Left {
    Nobody,
    Children,
}

/// Takes note of all that have ended; the host's exit code, if it is among them.
fn reap(host: Pid) -> (Left, Option<i32>) {
    let mut code = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((ended, status))) if ended == host => {
                code = status.exit_status().or(status.terminating_signal().map(|signal| BY_SIGNAL + signal));
            }
            Ok(Some(_other)) => {}
            Ok(None) => return (Left::Children, code),
            Err(_no_child) => return (Left::Nobody, code),
        }
    }
}
