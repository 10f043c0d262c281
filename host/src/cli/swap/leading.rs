//! A ramp over several hosts, led from here: each is told the share again and again, and what they answer is added up.
//!
//! A host that hears nothing for 45 seconds takes the build back by itself, so an end of this command leaves nothing behind.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    super::{
        admin::{self, Admin, Answer},
        several::{Member, Turn},
    },
    ramping,
};
use crate::{
    service::{ArmCounts, LEASE},
    system::{Rules, Stage, Standing},
};

/// Between two words to a host, and between two looks at them all.
const BEAT: Duration = Duration::from_millis(500);
/// How long one word may take.
const WORD_MAX: Duration = Duration::from_secs(15);
/// How long a host may not answer before the build goes back on all. Shorter than its own patience, [`LEASE`].
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The hosts that have a share of the build, in their order.
pub(super) struct Leader<'a> {
    service: &'a str,
    led: Vec<Led>,
}

/// A host, and who talks to it.
struct Led {
    host: Arc<Host>,
    talking: Option<JoinHandle<()>>,
}

struct Host {
    url: String,
    admin: Admin,
    service: String,
    version: Value,
    /// The share that it shall have, per cent.
    wanted: AtomicU8,
    /// Nobody talks to it any more.
    is_over: AtomicBool,
    heard: Mutex<Heard>,
}

/// What it said last.
struct Heard {
    at: Instant,
    percent: u64,
    standing: Standing,
    rules: Rules,
    /// Its ramp has ended, and how.
    ended: Option<String>,
}

impl<'a> Leader<'a> {
    pub(super) fn new(service: &'a str) -> Self {
        Self { service, led: Vec::new() }
    }

    /// The host gives `version` a share from now on, and is talked to until it is let go.
    pub(super) fn lead(&mut self, member: &Member, version: &Value) -> anyhow::Result<()> {
        let admin = member.admin.at(&member.url).within(WORD_MAX);
        let first = say(&admin, self.service, json!({ "version": version }))?.data()?;
        let host = Arc::new(Host {
            url: member.url.clone(),
            admin,
            service: self.service.to_owned(),
            version: version.clone(),
            wanted: AtomicU8::new(0),
            is_over: AtomicBool::new(false),
            heard: Mutex::new(Heard::from(&first)?),
        });
        let talking = thread::spawn({
            let host = host.clone();
            move || host.talk()
        });
        self.led.push(Led { host, talking: Some(talking) });
        Ok(())
    }

    /// Through all shares, by what all answered together.
    ///
    /// # Errors
    /// Why the build is to be taken back.
    pub(super) fn climb(&self) -> Result<(), String> {
        let Some(first) = self.led.first() else { return Ok(()) };
        let rules = first.host.heard().rules.clone();
        for percent in &rules.steps {
            self.led.iter().for_each(|led| led.host.wanted.store(*percent, Relaxed));
            let asked = Instant::now();
            while self.look()? < u64::from(*percent) {
                if asked.elapsed() > LEASE {
                    return Err(format!("not every host gave it {percent} % within {LEASE:?}"));
                }
                thread::sleep(BEAT);
            }
            let stage = Stage::begin(self.standing().answered);
            while !stage.judge(self.standing(), &rules)? {
                thread::sleep(BEAT.min(rules.step()));
                self.look()?;
            }
        }
        Ok(())
    }

    /// What all have answered.
    fn standing(&self) -> Standing {
        self.led.iter().map(|led| led.host.heard().standing).fold(Standing::default(), Standing::and)
    }

    /// The smallest share that any has.
    ///
    /// # Errors
    /// One is not there any more.
    fn look(&self) -> Result<u64, String> {
        let mut least = u64::MAX;
        for Led { host, .. } in &self.led {
            let heard = host.heard();
            if let Some(ended) = &heard.ended {
                return Err(format!("`{}`: {ended}", host.url));
            }
            if heard.at.elapsed() > SILENCE_MAX {
                return Err(format!("`{}` was not heard of for {SILENCE_MAX:?}", host.url));
            }
            least = least.min(heard.percent);
        }
        Ok(least)
    }

    /// The build goes live on a host that has a share of it; false: it has none.
    pub(super) fn arrive(&mut self, member: &Member) -> anyhow::Result<bool> {
        let Some(host) = self.let_go(member) else { return Ok(false) };
        // What is not answered may have been heard, and what is refused has ended before: its history says how.
        if let Ok(answer) = host.say(json!({ "version": host.version, "percent": 100 }))
            && answer.status != StatusCode::CONFLICT
        {
            answer.data()?;
        }
        ramping::ended(&host.service, &host.version, &member.admin)?;
        Ok(true)
    }

    /// Takes it back from a host that has a share of it still.
    pub(super) fn back(&mut self, member: &Member, turn: &mut Turn, reason: &str) {
        let Some(host) = self.let_go(member) else { return };
        match host.say(json!({ "version": host.version, "back": reason })) {
            // Refused: it has none any more.
            Ok(_) => *turn = Turn::TakenBack,
            Err(error) => *turn = Turn::Refused(format!("{error:#}; it takes the build back itself, after {LEASE:?}")),
        }
    }

    /// Nobody talks to that host any more.
    fn let_go(&mut self, member: &Member) -> Option<Arc<Host>> {
        let index = self.led.iter().position(|led| led.host.url == member.url)?;
        Some(self.led.remove(index).host.clone())
    }
}

impl Drop for Led {
    fn drop(&mut self) {
        self.host.is_over.store(true, Relaxed);
        if let Some(talking) = self.talking.take() {
            talking.thread().unpark();
            // A panic in it has been told.
            let _ = talking.join();
        }
    }
}

impl Host {
    fn talk(&self) {
        while !self.is_over.load(Relaxed) {
            let word = match self.wanted.load(Relaxed) {
                0 => json!({ "version": self.version }),
                percent => json!({ "version": self.version, "percent": percent }),
            };
            // One that does not answer is asked again; how long that goes on is the leader's to judge.
            if let Ok(answer) = self.say(word)
                && let Some(ended) = self.hear(answer)
            {
                self.heard().ended = Some(ended);
                return;
            }
            thread::park_timeout(BEAT);
        }
    }

    /// How its ramp has ended, when it has.
    fn hear(&self, answer: Answer) -> Option<String> {
        if answer.status == StatusCode::CONFLICT {
            let ended = ramping::ended(&self.service, &self.version, &self.admin);
            return Some(ended.map_or_else(|error| format!("{error:#}"), |()| "the build went live".to_owned()));
        }
        match answer.data().and_then(|told| Heard::from(&told)) {
            Ok(heard) => *self.heard() = heard,
            Err(error) => return Some(format!("{error:#}")),
        }
        None
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, word: Value) -> anyhow::Result<Answer> {
        say(&self.admin, &self.service, word)
    }
}

impl Heard {
    fn from(told: &Value) -> anyhow::Result<Self> {
        let count = |value: &Value| value.as_u64().unwrap_or_default();
        let arm = |told: &Value| {
            let (requests, errors) = (count(&told["requests"]), count(&told["errors"]));
            let seconds = told["meanMs"].as_f64().unwrap_or_default() / 1000.0 * requests as f64;
            ArmCounts { requests, errors, latency: Duration::try_from_secs_f64(seconds).unwrap_or_default() }
        };
        let rules = serde_json::from_value(told["rules"].clone()).context("it does not say how it judges a build")?;
        let standing = Standing { old: arm(&told["old"]), new: arm(&told["new"]), answered: count(&told["answered"]) };
        Ok(Self { at: Instant::now(), percent: count(&told["percent"]), standing, rules, ended: None })
    }
}

fn say(admin: &Admin, service: &str, word: Value) -> anyhow::Result<Answer> {
    admin.call(Method::POST, &format!("/v1/services/{service}/ramp"), Some(admin::json(&word)), "")
}
