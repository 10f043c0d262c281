//! `archipel`: runs a microservice system in one process.

mod backend;
mod capability;
mod component;
mod engine;
mod grant;
mod instance;
mod manifest;
mod service;

fn main() {}
