//! `services.NAME.swap`: what a new build must answer first, and how it gets its share of the traffic.

use std::num::NonZeroU32;

use super::{Check, service::health_path};
use crate::{RampSettings, Smoke, defaults, raw::RawSwap};
use document::quantity::Share;
use document::source::Key;

pub(super) fn ramp(check: &mut Check<'_>, key: &Key<'_>, raw: &RawSwap) -> RampSettings {
    let (of_ramp, of_rollback) = (key.child("ramp"), key.child("rollback"));
    let (ramp, rollback) = (&raw.ramp, &raw.rollback);
    let requests = check.within(
        &of_ramp.child("min_requests"),
        ramp.min_requests,
        defaults::RAMP_REQUESTS,
        &defaults::RAMP_COUNTS,
    );
    let mut share = |name, written, default, range| {
        let share: Share = check.within(&of_rollback.child(name), written, default, range);
        u32::try_from(share.get()).expect("the range fits")
    };
    let error_rate = share("error_rate", rollback.error_rate, defaults::ROLLBACK_ERROR_RATE, &defaults::ERROR_RATES);
    let latency = share("latency", rollback.latency, defaults::ROLLBACK_LATENCY, &defaults::SLOWER);
    let window = &of_rollback.child("window");
    RampSettings {
        steps: steps(check, &of_ramp.child("steps"), ramp.steps.as_deref().unwrap_or(&defaults::RAMP_STEPS)),
        step: check.within(&of_ramp.child("step"), ramp.step, defaults::RAMP_STEP, &defaults::RAMP_TIMES).get(),
        min_requests: u32::try_from(requests).ok().and_then(NonZeroU32::new).expect("the range starts at 1 and fits"),
        error_rate,
        latency,
        window: check.within(window, rollback.window, defaults::ROLLBACK_WINDOW, &defaults::RAMP_TIMES).get(),
    }
}

fn steps(check: &mut Check<'_>, key: &Key<'_>, written: &[Share]) -> Vec<u8> {
    let max = defaults::RAMP_STEPS_MAX;
    if written.is_empty() || written.len() > max {
        check.wrong(key, format_args!("has {} steps; write 1 to {max}, such as `[\"5%\", \"50%\"]`", written.len()));
    }
    for (index, pair) in written.windows(2).enumerate() {
        if pair[1] <= pair[0] {
            check.wrong(&key.item(index + 1), format_args!("{} is no more than the step before it", pair[1]));
        }
    }
    let share = |(index, share): (usize, &Share)| {
        let share = check.within(&key.item(index), Some(*share), Share::percent(1), &defaults::SHARES);
        u8::try_from(share.get()).expect("the range fits")
    };
    written.iter().enumerate().map(share).collect()
}

pub(super) fn smoke(check: &mut Check<'_>, key: &Key<'_>, written: Option<String>) -> Smoke {
    let default = || Smoke { method: http::Method::GET, target: "/".into() };
    let Some(text) = written else { return default() };
    let parsed = text.split_once(' ').and_then(|(method, target)| {
        let method = method.parse().ok().filter(|_| method.bytes().all(|byte| byte.is_ascii_uppercase()))?;
        Some(Smoke { method, target: health_path(target.to_owned()).ok()? })
    });
    let parsed = parsed.ok_or_else(|| format!("`{text}` is no request; write a method and a path, like `GET /ready`"));
    check.keep(key, parsed).unwrap_or_else(default)
}
