//! A server under measurement: started, waited for, asked to end.

use std::{
    collections::VecDeque,
    io::Read,
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use crate::{
    load::{self, Target},
    process,
};

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const END_TIMEOUT: Duration = Duration::from_secs(40);
/// A server is settled when it uses no more than so much CPU time in such a stretch.
const SETTLED_WINDOW: Duration = Duration::from_millis(300);
const SETTLED_USAGE: Duration = Duration::from_millis(10);
const SETTLED_TIMEOUT: Duration = Duration::from_secs(20);
const OUTPUT_BYTES_MAX: usize = 8 * 1024;

/// A running server. Dropped, it is told to end, and killed when it does not.
pub(crate) struct Server {
    name: String,
    pub(crate) address: SocketAddr,
    child: Child,
    output: Arc<Mutex<VecDeque<u8>>>,
}

impl Server {
    /// Starts `command` and waits until `GET /health/ready` of `address` is a 200.
    ///
    /// # Errors
    /// With the last of the server's own words when it ends or is not ready within 60 s.
    pub(crate) async fn start(name: &str, address: SocketAddr, command: Command) -> anyhow::Result<Self> {
        let mut server = Self::spawn(name, address, command)?;
        server.answers("/health/ready", Duration::from_millis(20)).await?;
        Ok(server)
    }

    /// Starts `command` and does not wait for anything.
    pub(crate) fn spawn(name: &str, address: SocketAddr, mut command: Command) -> anyhow::Result<Self> {
        let mut child = command
            .env("RUST_BACKTRACE", "0") // wasmtime captures one for each trap otherwise
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name} as {command:?}"))?;
        let output = Arc::default();
        keep_last(child.stdout.take(), &output);
        keep_last(child.stderr.take(), &output);
        Ok(Self { name: name.to_owned(), address, child, output })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `GET` of `path` is a 200, asking every `pause`.
    pub(crate) async fn answers(&mut self, path: &str, pause: Duration) -> anyhow::Result<()> {
        let (end, target) = (Instant::now() + READY_TIMEOUT, Target::new(self.address, path));
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} before it was ready; it said:\n{}", self.name, self.said());
            }
            if load::once(&target).await.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
        }
        bail!("{} is not ready after {READY_TIMEOUT:?}; it said:\n{}", self.name, self.said());
    }

    /// Waits until it has nothing left to do, such as compiling what it has already answered with;
    /// not for ever, since there are servers that are never idle.
    pub(crate) async fn settled(&self) -> anyhow::Result<()> {
        let end = Instant::now() + SETTLED_TIMEOUT;
        let mut before = process::usage(self.pid())?;
        loop {
            tokio::time::sleep(SETTLED_WINDOW).await;
            let now = process::usage(self.pid())?;
            if (now - before).total() <= SETTLED_USAGE || Instant::now() > end {
                return Ok(());
            }
            before = now;
        }
    }

    fn said(&self) -> String {
        let output = self.output.lock().expect("nobody panics while holding the output");
        String::from_utf8_lossy(&output.iter().copied().collect::<Vec<u8>>()).into_owned()
    }

    fn ended_within(&mut self, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM by way of the shell: the standard library can only kill.
        let terminate = format!("kill -TERM {}", self.pid());
        let told = Command::new("sh").args(["-c", &terminate]).stderr(Stdio::null()).status();
        if !told.is_ok_and(|status| status.success()) || !self.ended_within(END_TIMEOUT) {
            // Both fail only when the process has ended after all.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// An address of this machine where nobody listens just now.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port is free on 127.0.0.1")?;
    Ok(listener.local_addr()?)
}

/// Reads a pipe to its end, so that the server never blocks on it, and keeps the last of it.
fn keep_last(pipe: Option<impl Read + Send + 'static>, output: &Arc<Mutex<VecDeque<u8>>>) {
    let Some(mut pipe) = pipe else { return };
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            let mut output = output.lock().expect("nobody panics while holding the output");
            output.extend(&buffer[..length]);
            let excess = output.len().saturating_sub(OUTPUT_BYTES_MAX);
            output.drain(..excess);
        }
    });
}
