//! What became of a guest that ended badly: from the engine's error to a failure that people can read.

use symbols::Lines;
use wasmtime::WasmBacktrace;

use super::{failure::Failure, scene::Scene};
use crate::{
    capability::stdio::Output,
    instance::{Instance, Refusal, Stopped},
};

/// The failure that `error` is, of `instance`, whose request has ended. Its names and lines are read here, once for
/// each place: some milliseconds.
pub(super) fn explained(error: &wasmtime::Error, instance: &Instance) -> Failure {
    let asked = instance.asked_last();
    told(error, (&instance.lines, &instance.output), asked, instance.refusal())
}

/// The same of one that did not come to be.
pub(super) fn unborn(error: &wasmtime::Error, of: (&Lines, &Output)) -> Failure {
    of.1.end();
    told(error, of, Vec::new(), None)
}

/// A trap after memory was refused is most likely its consequence; both are said.
fn told(error: &wasmtime::Error, of: (&Lines, &Output), asked: Vec<String>, refusal: Option<Refusal>) -> Failure {
    let (lines, output) = of;
    let scene = Box::new(Scene::of(error, lines, asked));
    if let Some(stopped) = error.downcast_ref::<Stopped>() {
        return Failure::Stopped(*stopped, scene);
    }
    let said = output.exception().map(Box::new);
    let told = said.as_ref().map(ToString::to_string);
    let reason = [refusal.map(|refusal| refusal.to_string()), told, Some(reason(error))];
    let reason = reason.into_iter().flatten().collect::<Vec<_>>().join("; then: ");
    Failure::Trapped { reason, said, scene }
}

/// Without the engine's own list of functions, which has no names.
fn reason(error: &wasmtime::Error) -> String {
    let is_list = error.is::<WasmBacktrace>();
    let causes = error.chain().map(ToString::to_string);
    let told = causes.filter(|cause| !(is_list && cause.starts_with("error while executing at wasm backtrace")));
    told.collect::<Vec<_>>().join(": ")
}
