//! Takes names and lines out of components: `split FILE.wasm …` leaves what there was before beside each, as FILE.debug.
//!
//! `archipel strip` does the same; this is for where there is no host yet, and needs nothing but a compiler.

#![allow(dead_code, reason = "the host needs more of these files")]

#[path = "../crates/symbols/src/strip.rs"]
mod strip;
#[path = "../crates/symbols/src/wasm.rs"]
mod wasm;

use std::{env, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in env::args_os().skip(1).map(PathBuf::from) {
        let whole = fs::read(&file)?;
        let Some(stripped) = strip::strip(&whole).map_err(|broken| format!("{}: {broken}", file.display()))? else { continue };
        let (beside, new) = (file.with_extension("debug"), file.with_extension("new"));
        // Put there whole: the one before may be running, and cargo's own copy is the same file.
        fs::write(&new, &whole)?;
        fs::rename(&new, &beside)?;
        fs::write(&new, &stripped)?;
        fs::rename(&new, &file)?;
    }
    Ok(())
}
