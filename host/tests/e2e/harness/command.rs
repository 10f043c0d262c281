//! One `archipel` command that ends by itself.

use std::{io::Read, process::Child, thread};

use serde_json::Value;

use super::host::{archipel, wait};

/// A command that is running.
pub struct Command {
    child: Child,
}

/// What a command said, and its exit code.
pub struct Done {
    pub code: i32,
    pub output: String,
    pub errors: String,
}

impl Command {
    pub fn new(arguments: &[&str]) -> Self {
        Self::with(arguments, &[])
    }

    pub fn with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let child = archipel().args(arguments).envs(environment.iter().copied()).spawn().unwrap();
        Self { child }
    }

    /// Ends it at once, wherever it is.
    pub fn killed(mut self) {
        self.child.kill().unwrap();
        wait(&mut self.child);
    }

    #[track_caller]
    pub fn done(mut self) -> Done {
        let (output, errors) = (read(self.child.stdout.take()), read(self.child.stderr.take()));
        let code = wait(&mut self.child).code().expect("ended by itself");
        Done { code, output: output.join().unwrap(), errors: errors.join().unwrap() }
    }

    /// What it said on standard error, when it must have exited 1.
    #[track_caller]
    pub fn refused(self) -> String {
        let done = self.done();
        assert_eq!(done.code, 1, "{}{}", done.output, done.errors);
        done.errors
    }

    /// The one JSON document on standard output, when it must have exited 0.
    #[track_caller]
    pub fn json(self) -> Value {
        let done = self.done();
        assert_eq!(done.code, 0, "{}{}", done.output, done.errors);
        serde_json::from_str(&done.output).expect("one JSON document")
    }
}

fn read(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    let mut stream = stream.expect("piped");
    thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("text");
        text
    })
}
