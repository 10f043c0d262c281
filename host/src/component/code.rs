//! From wasm to machine code: by which compiler, and from the cache where it is there.
//!
//! Components run on Cranelift's code. Where some is wanted soon and there is none yet, Winch makes some in a sixth of the
//! time, until Cranelift's is ready (`system/refine.rs`); what Winch refuses is compiled by Cranelift at once. Of one file
//! there is one compilation at a time by each, whoever asks, in whichever process.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use serde::Serialize;
use wasmtime::Engine;

use super::{Artifacts, ComponentError, Digest};
use crate::engine::{Lookers, Quick, Turn};

/// Below this Cranelift takes no second, and nothing is gained by compiling twice.
const QUICK_MIN_BYTES: usize = 1 << 20;

/// Who made a component's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compiler {
    /// Quick to compile, slower to run: for the time until the other one's is there.
    Winch,
    Cranelift,
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Winch => "winch",
            Self::Cranelift => "cranelift",
        })
    }
}

/// A component's machine code.
pub struct Code {
    pub compiled: Arc<wasmtime::component::Component>,
    pub compiler: Compiler,
    /// It was there already.
    pub cached: bool,
}

/// Who may compile, on which threads, and where the result is kept.
pub struct Workshop<'a> {
    pub full: &'a Engine,
    /// Where code is wanted soon.
    pub quick: Option<&'a Quick>,
    pub artifacts: Option<&'a Artifacts>,
    pub turn: Option<&'a Turn>,
}

impl<'a> Workshop<'a> {
    /// For who looks at a component and does not run it: nothing is kept.
    pub fn looking(lookers: &'a Lookers) -> Self {
        Self { full: &lookers.full, quick: Some(&lookers.quick), artifacts: None, turn: None }
    }

    /// Code for `wasm`, which `path` is the name of in messages. Blocking, up to minutes.
    pub(super) fn code(&self, digest: &Digest, wasm: &[u8], path: &Path) -> Result<Code, ComponentError> {
        let kept = self.artifacts.and_then(|artifacts| artifacts.load(self.full, digest));
        if let Some(compiled) = kept {
            return Ok(Code { compiled, compiler: Compiler::Cranelift, cached: true });
        }
        if let Some(code) = self.quickly(digest, wasm) {
            return Ok(code);
        }
        let code = self.by(Compiler::Cranelift, self.full, digest, wasm);
        code.map_err(|error| ComponentError::Compile { path: path.to_owned(), reason: format!("{error:#}") })
    }

    /// None where that is not wanted, not worth it or not possible; the other compiler says what is wrong then.
    fn quickly(&self, digest: &Digest, wasm: &[u8]) -> Option<Code> {
        let quick = self.quick.filter(|_| wasm.len() >= QUICK_MIN_BYTES)?;
        let engine = quick.engine()?;
        // It knows less of WebAssembly than the other one, and does not always say so in good order.
        let made = catch_unwind(AssertUnwindSafe(|| self.by(Compiler::Winch, &engine, digest, wasm)));
        match made {
            Ok(Ok(code)) => Some(code),
            Ok(Err(error)) => {
                tracing::debug!(digest = digest.short(), error = %format!("{error:#}"), "not for the quick compiler");
                None
            }
            Err(_panic) => None,
        }
    }

    fn by(&self, compiler: Compiler, engine: &Engine, digest: &Digest, wasm: &[u8]) -> wasmtime::Result<Code> {
        let Some(artifacts) = self.artifacts else {
            let compiled = self.on_threads(|| wasmtime::component::Component::from_binary(engine, wasm))?;
            return Ok(Code { compiled: Arc::new(compiled), compiler, cached: false });
        };
        let _alone = artifacts.alone(engine, digest);
        if let Some(compiled) = artifacts.load(engine, digest) {
            return Ok(Code { compiled, compiler, cached: true });
        }
        let artifact = self.on_threads(|| engine.precompile_component(wasm))?;
        let compiled = artifacts.keep(engine, digest, &artifact)?;
        Ok(Code { compiled, compiler, cached: false })
    }

    fn on_threads<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match self.turn {
            Some(turn) => turn.run(work),
            None => work(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::engine::ANY_MEMORY;

    /// A component of `bytes` bytes with one exported function, most of it a section that nothing reads.
    fn component(bytes: usize) -> Vec<u8> {
        let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
        // A core module with a function that loops, whose code Winch and Cranelift must make.
        let module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x09\x01\x07\0\x03\x40\x0c\0\x0b\x0b";
        wasm.extend([1, u8::try_from(module.len()).unwrap()]);
        wasm.extend(module);
        let mut padding = vec![1, b'x'];
        padding.resize(bytes, 0);
        wasm.push(0);
        let mut length = padding.len();
        while length >= 0x80 {
            wasm.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        wasm.push(u8::try_from(length).unwrap());
        wasm.extend(padding);
        wasm
    }

    fn made(lookers: &Lookers, artifacts: &Artifacts, soon: bool, wasm: &[u8]) -> (Compiler, bool) {
        let quick = soon.then_some(&lookers.quick);
        let workshop = Workshop { full: &lookers.full, quick, artifacts: Some(artifacts), turn: None };
        let code = workshop.code(&Digest::of(wasm), wasm, Path::new("it.wasm")).unwrap();
        (code.compiler, code.cached)
    }

    #[test]
    fn what_is_wanted_soon_is_made_quickly_and_the_full_code_is_preferred_once_it_is_there() {
        let (data, lookers) = (tempfile::tempdir().unwrap(), Lookers::new(ANY_MEMORY).unwrap());
        let artifacts = Artifacts::open(data.path(), 1 << 30).unwrap();
        let (large, small) = (component(QUICK_MIN_BYTES), component(16));
        assert_eq!(made(&lookers, &artifacts, true, &small), (Compiler::Cranelift, false));
        assert_eq!(made(&lookers, &artifacts, true, &large), (Compiler::Winch, false));
        assert_eq!(made(&lookers, &artifacts, true, &large), (Compiler::Winch, true));
        assert_eq!(made(&lookers, &artifacts, false, &large), (Compiler::Cranelift, false));
        assert_eq!(made(&lookers, &artifacts, true, &large), (Compiler::Cranelift, true));
    }

    #[test]
    fn one_file_is_compiled_once_however_many_ask_at_the_same_time() {
        let (data, lookers) = (tempfile::tempdir().unwrap(), Lookers::new(ANY_MEMORY).unwrap());
        let artifacts = Artifacts::open(data.path(), 1 << 30).unwrap();
        let wasm = component(16);
        let ask = || made(&lookers, &artifacts, true, &wasm).1;
        let cached: Vec<bool> = thread::scope(|scope| {
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            asking.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        assert_eq!(cached.iter().filter(|cached| !**cached).count(), 1, "{cached:?}");
        let left = std::fs::read_dir(data.path().join("artifacts")).unwrap().count();
        assert_eq!(left, 3, "the key, the artifact and its code: no lock");
    }
}
