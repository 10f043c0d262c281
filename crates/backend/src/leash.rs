//! A process that ends when the host ends, however that ends: also by kill -9.
//!
//! A small shell waits beside it, at the end of a pipe that only the host holds. A line in it says that
//! the process has ended; its end says that the host has, and then the shell ends the process. It is there
//! before the process is, and in a group of its own, so that nothing that is sent to the host's group
//! reaches it. What the process itself must be like is its owner's decision.

use std::{
    io::{self, PipeWriter, Write},
    path::PathBuf,
    process::Stdio,
};

use tokio::process::{Child, Command};

/// `$0` is what to remove in the end if it is empty, then for how many seconds a signal is waited for, the rest
/// are signals to send in turn until it is gone.
const WATCH: &str = r#"
trap '' HUP INT QUIT TERM
read -r whom && [ -n "$whom" ] || exit 0
read -r ended && exit 0
patience=$1
shift
for signal in "$@"; do
  kill -s "$signal" -- "$whom" 2>/dev/null || break
  left=$patience
  while [ "$left" -gt 0 ] && kill -s 0 -- "$whom" 2>/dev/null; do
    sleep 1
    left=$((left - 1))
  done
done
[ -z "$0" ] || rmdir "$0" 2>/dev/null
"#;

/// Held as long as the process lives. Dropped, it lets go of a process that has ended.
#[derive(Debug)]
pub struct Leash {
    pipe: Option<PipeWriter>,
    /// It ends by itself, and the runtime takes note of that.
    _watcher: Child,
}

/// How a process is ended in the host's absence.
#[derive(Debug, Default)]
pub struct Ending<'a> {
    /// Names of signals, sent in turn.
    pub signals: &'a [&'a str],
    /// How long each is waited for.
    pub patience_seconds: u32,
    /// Not only the process: all of its group.
    pub group: bool,
    /// A folder of its own, removed when it is empty then.
    pub litter: PathBuf,
}

impl Leash {
    /// Starts `command` in a process group of its own; it is killed when it is dropped, and ended like
    /// `ending` when the host is gone. `watcher` is a command for a shell that may signal it.
    ///
    /// The child is to be dropped before the leash.
    pub fn spawn(command: &mut Command, mut watcher: Command, ending: &Ending<'_>) -> io::Result<(Child, Self)> {
        let (reader, mut pipe) = io::pipe()?;
        watcher.args(["-c", WATCH]).arg(&ending.litter).arg(ending.patience_seconds.to_string()).args(ending.signals);
        watcher.stdin(reader).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let watcher = watcher.spawn()?;
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let id = child.id().ok_or(io::ErrorKind::NotFound)?;
        // It is the first of its group, whose number is the same.
        writeln!(pipe, "{}{id}", if ending.group { "-" } else { "" })?;
        Ok((child, Self { pipe: Some(pipe), _watcher: watcher }))
    }

    /// A shell, for a watcher under the host's own account.
    pub fn shell() -> Command {
        Command::new("/bin/sh")
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        // Where the watcher is gone there is nobody to tell.
        let _ = self.pipe.take().map(|mut pipe| pipe.write_all(b"ended\n"));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn sleeper(ending: &Ending<'_>, text: &str) -> (Child, Leash) {
        Leash::spawn(Leash::shell().args(["-c", text]), Leash::shell(), ending).unwrap()
    }

    /// What the kernel does when the host is killed.
    fn host_is_killed(leash: &mut Leash) {
        leash.pipe = None;
    }

    fn lives(pid: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[tokio::test]
    async fn a_process_gets_its_signals_in_turn_when_the_host_is_gone_and_its_empty_folder_goes() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("sockets");
        std::fs::create_dir(&folder).unwrap();
        let ending =
            Ending { signals: &["INT", "TERM"], patience_seconds: 1, litter: folder.clone(), ..Ending::default() };
        let said = place.path().join("said");
        // It takes the first for a wish.
        let text = format!("trap 'echo INT >> {0}' INT; echo up >> {0}; while :; do sleep 0.05; done", said.display());
        let (mut child, mut leash) = sleeper(&ending, &text);
        let words = || std::fs::read_to_string(&said).unwrap_or_default();
        tokio::time::timeout(PATIENCE, async {
            while words().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap();
        host_is_killed(&mut leash);
        let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
        assert_eq!((words().as_str(), std::os::unix::process::ExitStatusExt::signal(&status)), ("up\nINT\n", Some(15)));
        let watcher = tokio::time::timeout(PATIENCE, leash._watcher.wait()).await.unwrap().unwrap();
        assert!(watcher.success() && !folder.exists(), "{watcher}");
    }

    #[tokio::test]
    async fn a_whole_group_ends_with_the_host() {
        let ending = Ending { signals: &["KILL"], group: true, ..Ending::default() };
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("pid");
        let (mut child, mut leash) = sleeper(&ending, &format!("sleep 60 & echo $! > {}; wait", file.display()));
        let grandchild = tokio::time::timeout(PATIENCE, async {
            loop {
                match std::fs::read_to_string(&file) {
                    Ok(pid) if pid.ends_with('\n') => return pid.trim().to_owned(),
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        });
        let grandchild = grandchild.await.unwrap();
        assert!(lives(&grandchild));
        host_is_killed(&mut leash);
        tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
        tokio::time::timeout(PATIENCE, async {
            while lives(&grandchild) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("what it has started ends too");
    }

    #[tokio::test]
    async fn a_leash_that_is_let_go_ends_nothing() {
        let ending = Ending { signals: &["KILL"], ..Ending::default() };
        let (mut child, mut leash) = sleeper(&ending, "exec sleep 60");
        let mut watcher = std::mem::replace(&mut leash._watcher, Leash::shell().arg("-c").arg(":").spawn().unwrap());
        drop(leash);
        let ended = tokio::time::timeout(PATIENCE, watcher.wait()).await.unwrap().unwrap();
        assert!(ended.success());
        assert!(child.try_wait().unwrap().is_none(), "it lives on");
    }
}
