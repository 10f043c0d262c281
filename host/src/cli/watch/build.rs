//! A service's build command at work.
//!
//! It runs in a process group of its own, and the whole group ends with it: a compiler that the
//! shell has started does not outlive a build that is cut.

use std::{
    convert::Infallible,
    io::IsTerminal,
    path::Path,
    pin::pin,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
};

use super::say::say;
use backend::leash::{Ending, Leash};
use manifest::ServiceSettings;

const BUILD_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Of what a failed build said, its end.
const OUTPUT_MAX_BYTES: usize = 64 << 10;

/// How often somebody who waits for a build is told that it goes on.
const STILL: Duration = Duration::from_secs(10);

/// How long what is still said after the shell has ended is waited for.
const LINGER: Duration = Duration::from_secs(1);

/// Runs the service's `build` in the manifest's folder. Dropping it ends the build; what it leaves running
/// with its output open ends too.
///
/// # Errors
/// What it said, when it failed.
pub(super) async fn build(settings: &ServiceSettings, folder: &Path) -> Result<(), String> {
    let Some(command) = &settings.build else { return Ok(()) };
    say(&format!("{}: {command}", settings.name));
    let mut group = Group::run(command, folder).map_err(|error| format!("cannot run `{command}`: {error}"))?;
    let mut said = Vec::new();
    let ended = tokio::select! {
        ended = tokio::time::timeout(BUILD_TIMEOUT, group.ended(&mut said)) => ended,
        never = still_at_it(&settings.name) => match never {},
    };
    let said = String::from_utf8_lossy(&said).trim_end().to_owned();
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{said}\n`{command}` ended with {status}")),
        Ok(Err(error)) => Err(format!("{said}\n`{command}`: {error}")),
        Err(_elapsed) => Err(format!("`{command}` did not end within {BUILD_TIMEOUT:?}")),
    }
}

/// Says so again and again. A first build fetches what it needs, and that may be a minute without a word.
async fn still_at_it(service: &str) -> Infallible {
    let began = Instant::now();
    loop {
        tokio::time::sleep(STILL).await;
        say(&format!("{service}: still building, {} s", began.elapsed().as_secs()));
    }
}

/// A shell and all that it has started.
struct Group {
    shell: Child,
    leader: Option<Pid>,
    /// Ends the group when the host is killed. Let go with it.
    _leash: Leash,
    /// Nobody is left in it, as far as can be told.
    is_empty: bool,
}

impl Group {
    fn run(command: &str, folder: &Path) -> std::io::Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(format!("exec 2>&1\n{command}")).current_dir(folder);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        if std::io::stderr().is_terminal() {
            shell.env("CARGO_TERM_COLOR", "always");
        }
        let ending = Ending { signals: &["KILL"], group: true, ..Ending::default() };
        let (shell, leash) = Leash::spawn(&mut shell, Leash::shell(), &ending)?;
        let leader = shell.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { shell, leader, _leash: leash, is_empty: false })
    }

    /// Waits for the shell and keeps the end of what is said. Whoever still holds its output then is one of
    /// the group that it has left running.
    async fn ended(&mut self, said: &mut Vec<u8>) -> std::io::Result<ExitStatus> {
        let output = self.shell.stdout.take();
        let mut reading = pin!(keep_last(output, said));
        let status = tokio::select! {
            status = self.shell.wait() => {
                self.is_empty = tokio::time::timeout(LINGER, reading).await.is_ok();
                status
            }
            () = &mut reading => {
                let status = self.shell.wait().await;
                self.is_empty = true;
                status
            }
        };
        status
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Somebody is in it, the shell or who holds its output: until then its id is nobody else's.
        if let Some(leader) = self.leader.filter(|_| !self.is_empty) {
            // Who has left it for a group of their own is not ours to end.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Reads to the end, and keeps the last of it.
async fn keep_last(output: Option<impl AsyncReadExt + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut output) = output else { return };
    let mut piece = vec![0; 8 << 10];
    while let Ok(read) = output.read(&mut piece).await {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(&piece[..read]);
        let excess = kept.len().saturating_sub(OUTPUT_MAX_BYTES);
        kept.drain(..excess);
    }
}
