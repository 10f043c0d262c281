//! A service's build command at work.
//!
//! It runs in a process group of its own, and the whole group ends with it: a compiler that the
//! shell has started does not outlive a build that is cut.

use std::{io::IsTerminal, path::Path, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
};

use super::say;
use crate::manifest::ServiceSettings;

const BUILD_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Of what a failed build said, its end.
const OUTPUT_MAX_BYTES: usize = 64 << 10;

/// Runs the service's `build` in the manifest's folder. Dropping it ends the build.
///
/// # Errors
/// What it said, when it failed.
pub(super) async fn build(settings: &ServiceSettings, folder: &Path) -> Result<(), String> {
    let Some(command) = &settings.build else { return Ok(()) };
    say(&format!("{}: {command}", settings.name));
    let mut group = Group::run(command, folder).map_err(|error| format!("cannot run `{command}`: {error}"))?;
    let said = group.shell.stdout.take();
    let ending = async { tokio::join!(group.shell.wait(), last_of(said)) };
    match tokio::time::timeout(BUILD_TIMEOUT, ending).await {
        Ok((Ok(status), _)) if status.success() => Ok(()),
        Ok((Ok(status), output)) => Err(format!("{output}\n`{command}` ended with {status}")),
        Ok((Err(error), output)) => Err(format!("{output}\n`{command}`: {error}")),
        Err(_elapsed) => Err(format!("`{command}` did not end within {BUILD_TIMEOUT:?}")),
    }
}

/// A shell and all that it has started.
struct Group {
    shell: Child,
    leader: Option<Pid>,
}

impl Group {
    fn run(command: &str, folder: &Path) -> std::io::Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(format!("exec 2>&1\n{command}")).current_dir(folder).process_group(0).kill_on_drop(true);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        if std::io::stderr().is_terminal() {
            shell.env("CARGO_TERM_COLOR", "always");
        }
        let shell = shell.spawn()?;
        let leader = shell.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { shell, leader })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Only while the shell is not reaped: until then its id, and the group's, is nobody else's.
        if let (Some(leader), Some(_running)) = (self.leader, self.shell.id()) {
            // Nobody is left in it: then there is nothing to end.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// The end of what a command says, until it stops.
async fn last_of(said: Option<impl AsyncReadExt + Unpin>) -> String {
    let Some(mut said) = said else { return String::new() };
    let (mut kept, mut piece) = (Vec::new(), vec![0; 8 << 10]);
    while let Ok(read) = said.read(&mut piece).await {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(&piece[..read]);
        let excess = kept.len().saturating_sub(OUTPUT_MAX_BYTES);
        kept.drain(..excess);
    }
    String::from_utf8_lossy(&kept).trim_end().to_owned()
}
