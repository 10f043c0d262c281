//! Events as they stand in Redis, read from outside.

use std::{
    collections::HashMap,
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::{Map, Value};

use super::Host;

const PATIENCE: Duration = Duration::from_secs(60);

/// The streams of a host's events.
pub struct Streams {
    client: ::redis::Client,
}

impl Streams {
    /// In the host's private server.
    #[track_caller]
    pub fn inside(host: &Host) -> Self {
        let folder = fs::read_to_string(host.data().join("redis.socket")).unwrap();
        Self::at(&format!("redis+unix://{folder}/redis.sock"))
    }

    #[track_caller]
    pub fn at(url: &str) -> Self {
        Self { client: ::redis::Client::open(url).unwrap() }
    }

    /// The events of a topic in their order: the fields of each, `body` and `h` parsed.
    #[track_caller]
    pub fn of(&self, topic: &str) -> Vec<Value> {
        let mut connection = self.client.get_connection().unwrap();
        let mut range = ::redis::cmd("XRANGE");
        range.arg(format!("archipel:{{test}}:ev:{topic}")).arg("-").arg("+");
        let entries: Vec<(String, HashMap<String, String>)> = range.query(&mut connection).unwrap();
        let parsed = |name: &str, text: String| match name {
            "body" | "h" => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            _ => Value::String(text),
        };
        let event = |fields: HashMap<String, String>| {
            let fields = fields.into_iter().map(|(name, text)| (name.clone(), parsed(&name, text)));
            Value::Object(fields.collect::<Map<_, _>>())
        };
        entries.into_iter().map(|(_, fields)| event(fields)).collect()
    }

    /// What one command says.
    #[track_caller]
    pub fn command<T: ::redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let (name, arguments) = words.split_first().unwrap();
        ::redis::cmd(name).arg(arguments).query(&mut self.client.get_connection().unwrap()).unwrap()
    }

    /// As if the system had these topics already.
    #[track_caller]
    pub fn register(&self, topics: &[String]) {
        let mut connection = self.client.get_connection().unwrap();
        ::redis::cmd("SADD").arg("archipel:{test}:topics").arg(topics).exec(&mut connection).unwrap();
    }

    /// Waits until a topic has so many events, and gives them.
    #[track_caller]
    pub fn until(&self, topic: &str, count: usize) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let events = self.of(topic);
            if events.len() >= count {
                assert_eq!(events.len(), count, "{topic}: {events:?}");
                return events;
            }
            assert!(began.elapsed() < PATIENCE, "{topic} has {}, not {count}", events.len());
            thread::park_timeout(Duration::from_millis(10));
        }
    }
}
