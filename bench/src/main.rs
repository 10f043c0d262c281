//! Measures Archipel against its peers: one run, one machine, rounds in turn.
//!
//! Decides what is compared and how; it asserts no figure, because a figure is no test.
//! CPU time for each request comes first: it holds on a noisy machine where wall clock does not.
//! Start at [`hello::run`].

mod answer;
mod cores;
mod hello;
mod latency;
mod load;
mod manifest;
mod native;
mod orders;
mod process;
mod proxy;
mod report;
mod server;
mod shop;
mod swap;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The host's allocator, so that the native peer differs from it only in what it does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Archipel against its peers.
#[derive(Parser)]
#[command(after_help = "Example: bench hello --rounds 9 --seconds 2")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Hello, world: native hyper, a fresh instance for each request, a reused one.
    Hello(hello::Options),
    /// The shop: reading a user and a profile with a token, in one process and over two HTTP hops.
    Shop(shop::Options),
    /// The whole shop: orders a second, what one costs, and when its notification is there.
    Orders(orders::Options),
    /// New builds under load: failures, latency, and what stays behind.
    Swap(swap::Options),
    /// The gateway of two hops by itself; `shop` starts it.
    #[command(hide = true)]
    Proxy(proxy::Options),
    /// The native peer by itself; `hello` starts it.
    #[command(hide = true)]
    Native(native::Options),
}

#[allow(clippy::print_stderr, reason = "the reason of a failure goes to whoever typed the command")]
fn main() -> ExitCode {
    let done = match Cli::parse().what {
        What::Hello(options) => hello::run(&options),
        What::Shop(options) => shop::run(&options),
        What::Orders(options) => orders::run(&options),
        What::Swap(options) => swap::run(&options),
        What::Proxy(options) => proxy::run(&options),
        What::Native(options) => native::run(&options),
    };
    if let Err(error) = done {
        eprintln!("{error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
