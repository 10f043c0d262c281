//! `archipel`: runs a microservice system in one process.

mod backend;
mod capability;
mod component;
mod engine;
mod grant;
mod health;
mod instance;
mod manifest;
mod service;
mod telemetry;

fn main() {}
