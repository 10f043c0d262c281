//! `archipel`: runs a microservice system of WebAssembly components in one process.
//!
//! Start at `cli.rs` for what a user can say, at `serve.rs` for what happens then.

#![allow(unreachable_pub, reason = "in a binary `pub` says what a module offers to the others")]

use std::{io::Write, process::ExitCode};

mod admin;
mod capability;
mod cli;
mod component;
mod consumers;
mod deploy;
mod engine;
mod health;
mod instance;
mod openapi;
mod serve;
mod service;
mod system;
mod telemetry;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The heap of a small system would take two or three times as much with them. It holds for the private servers, too, whose
    // authors advise the same; where it cannot be done, no more is lost than that.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    match cli::Cli::asked().execute() {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "error: {}", document::problem::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
