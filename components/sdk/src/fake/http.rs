//! Other services and the outside in a test: each request is kept, and answered as it was said.

use super::turn::{self, Kept};
use crate::bindings::archipel::http::client::{Error, Options, Request, Response, Scheme};

#[derive(Default)]
pub(crate) struct Web {
    pub(crate) rules: Vec<Rule>,
    pub(crate) sent: Vec<Request>,
}

thread_local! {
    static KEPT: Kept<Web> = Kept::default();
}

#[track_caller]
pub(crate) fn with<R>(call: &str, work: impl FnOnce(&mut Web) -> R) -> R {
    turn::with(&KEPT, call, work)
}

/// What one method of one target is answered; of several that fit, the last.
pub(crate) struct Rule {
    pub(crate) method: &'static str,
    pub(crate) authority: String,
    pub(crate) target: String,
    pub(crate) answer: Result<Response, Error>,
}

pub(crate) fn send(request: &Request, _options: Options) -> Result<Response, Error> {
    let Request { method, authority, target, .. } = request;
    with(&format!("`{method} {}`", url(request)), |web| {
        web.sent.push(request.clone());
        let fits = |rule: &&Rule| (rule.method, &rule.authority, &rule.target) == (method, authority, target);
        match web.rules.iter().rev().find(fits) {
            Some(rule) => rule.answer.clone(),
            None => panic!("no answer is set for `{method} {}`: write `{}`", url(request), wanted(request)),
        }
    })
}

fn url(Request { scheme, authority, target, .. }: &Request) -> String {
    let scheme = if *scheme == Scheme::Https { "https" } else { "http" };
    format!("{scheme}://{authority}{target}")
}

/// The line that would answer it.
fn wanted(request: &Request) -> String {
    let of = match request.authority.strip_suffix(".internal") {
        Some(service) => format!("service({service:?})"),
        None => format!("outside({:?})", request.authority),
    };
    format!("fake.{of}.{}({:?}).json(200, &…)", request.method.to_lowercase(), request.target)
}
