//! Promises about `[keyvalue]`, `[events]`, and the permissions to use them.

use super::*;

const REDIS: &str = "[redis.main]\n[events]\nredis = 'main'\n[keyvalue.cache]\nredis = 'main'\n";

#[test]
fn stores_and_topics_are_granted_as_written() {
    let text = format!(
        "{REDIS}{SERVICE}permissions = {{ keyvalue = {{ cache = {{ prefix = 'users:', mode = 'read' }} }}, \
         publish = ['order.*'], subscribe = ['**'] }}\nevents = {{ tries = 3, backoff = '2s' }}\n"
    );
    let manifest = loaded(&text, &[]).manifest;
    let service = &manifest.services["a"];
    let words = ["keyvalue cache (read, users:…)", "publish order.*", "subscribe **"];
    assert_eq!(service.grants.words(), words);
    assert_eq!((service.events.tries.get(), service.events.backoff), (3, Duration::from_secs(2)));
    assert_eq!(service.events.timeout, Duration::from_secs(30));
    assert_eq!(manifest.events.unwrap().retain, Duration::from_secs(7 * 24 * 3600));
}

#[test]
fn what_is_not_there_is_named() {
    let unheard = format!("{SERVICE}permissions = {{ publish = ['order.created'] }}\n");
    let says = "4:27 services.a.permissions.publish: needs something that carries events; add `[events]` with `redis = \"NAME\"`";
    check(&unheard, &[says]);
    check(
        &format!(
            "[redis.main]\n[keyvalue.cache]\nredis = 'mian'\n{SERVICE}permissions = {{ keyvalue = {{ cahce = 'read' }}, \
             publish = ['Order'] }}\n"
        ),
        &[
            "4:9 keyvalue.cache.redis: there is no `[redis.mian]`; did you mean `main`?",
            "7:38 services.a.permissions.keyvalue.cahce: there is no `[keyvalue.cahce]`; did you mean `cache`?",
            "7:59 services.a.permissions.publish[0]: `Order` is no topic; write segments of lower-case letters, digits, `_` and `-`, like `order.created`",
        ],
    );
}
