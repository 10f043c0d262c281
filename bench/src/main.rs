//! Measures Archipel against its peers: one run, one machine, rounds in turn.
//!
//! Decides what is compared and how; it asserts no figure, because a figure is no test.
//! CPU time for each request comes first: it holds on a noisy machine where wall clock does not.
//! Start at [`hello::measure`]; what every bench shares is in [`run`].

mod all;
mod answer;
mod cores;
mod gateway;
mod hello;
mod latency;
mod lineup;
mod load;
mod manifest;
mod native;
mod ours;
mod peers;
mod process;
mod progress;
mod proxy;
mod report;
mod row;
mod run;
mod scale;
mod server;
mod shop;
mod subject;
mod swap;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The host's allocator, so that the native peer differs from it only in what it does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Archipel against its peers.
#[derive(Parser)]
#[command(after_help = "Example: bench all --archipel target/release/archipel --json")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Everything below, in one table.
    All(all::Options),
    /// Hello, world: the host with fresh and with reused instances, native hyper, and the peers that are installed.
    Hello(hello::Options),
    /// In front of a server that is no component, beside proxies.
    Gateway(gateway::Options),
    /// The whole shop: what a user, a new one, a profile and an order cost, with PostgreSQL and Redis.
    Shop(shop::Options),
    /// The shop's orders: how many a second, what one costs, and when its notification is there.
    Orders(run::Options),
    /// Many services, routes, connections, processors; a start to the first answer.
    Scale(scale::Options),
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
        What::All(options) => all::run(&options),
        What::Hello(options) => hello::run(&options),
        What::Gateway(options) => gateway::run(&options),
        What::Shop(options) => shop::run(&options),
        What::Orders(options) => shop::run_orders(&options),
        What::Scale(options) => scale::run(&options),
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
