//! The laws of the algebra, for permissions of every kind at once.

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{Permissions, testing};

fn some(words: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    vec(select(words), 0..4)
}

fn list(words: Vec<&str>) -> String {
    let mut once: Vec<String> = Vec::new();
    for word in words.into_iter().map(|word| format!("{word:?}")) {
        if !once.contains(&word) {
            once.push(word);
        }
    }
    format!("[{}]", once.join(", "))
}

fn table(pairs: Vec<(&str, String)>) -> String {
    let all: std::collections::BTreeMap<_, _> = pairs.into_iter().collect();
    let all: Vec<String> = all.into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
    format!("{{ {} }}", all.join(", "))
}

const NAMES: &[&str] = &["users", "orders", "audit"];
const MODES: &[&str] = &["\"read\"", "\"read-write\""];
const TOPICS: &[&str] = &["order.*", "order.created", "**", "user.**", "*.created"];
const SCOPES: &[&str] = &["true", "[\"GET /a\"]", "[\"GET /*\", \"POST /a/*\"]", "[\"HEAD /a\"]"];
const HOSTS: &[&str] =
    &["a.example:443", "*.example", "10.0.0.0/8:80", "10.1.2.3", "[fd00::/8]:443", "https://b.example", "localhost:80"];
const VARIABLES: &[&str] = &["LOG_LEVEL", "FEATURE_*", "FEATURE_A", "FEATURE_B*"];
const STORES: &[&str] = &["\"read\"", "\"read-write\"", "{ prefix = \"a:\", mode = \"read\" }"];
const FOLDERS: &[&str] = &["./a", "b", "/srv/c", "/var/d"];

/// The text of `permissions`, of every kind.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let named = |values: &'static [&'static str]| {
        vec((select(NAMES), select(values)), 0..3)
            .prop_map(|pairs| table(pairs.into_iter().map(|(name, value)| (name, value.to_owned())).collect()))
    };
    let lists = |words: &'static [&'static str]| {
        (some(words), some(words))
            .prop_map(|(allow, deny)| format!("{{ allow = {}, deny = {} }}", list(allow), list(deny)))
    };
    let sign = option::of((some(&["user", "admin", "x"]), 1u32..90)).prop_map(|sign| {
        sign.map(|(roles, minutes)| {
            format!("sign = {{ auth = \"main\", roles = {}, ttl_max = \"{minutes}m\" }}", list(roles))
        })
    });
    let many = (named(MODES), named(STORES), some(TOPICS), some(TOPICS), named(SCOPES), lists(HOSTS), lists(VARIABLES));
    let rest = (any::<[bool; 2]>(), some(FOLDERS), some(FOLDERS), some(&["MAIL_KEY", "TOKEN"]), sign);
    (many, rest).prop_map(|((postgres, keyvalue, publish, subscribe, call, net, env), (flags, read, write, secrets, sign))| {
        let [sockets, passwords] = flags;
        format!(
            "postgres = {postgres}\nkeyvalue = {keyvalue}\npublish = {}\nsubscribe = {}\ncall = {call}\nnet = {net}\n\
             env = {env}\nsockets = {sockets}\npasswords = {passwords}\nread = {}\nwrite = {}\nsecrets = {}\n{}",
            list(publish), list(subscribe), list(read), list(write), list(secrets), sign.unwrap_or_default()
        )
    })
}

fn any_permissions() -> impl Strategy<Value = Permissions> {
    text().prop_map(|text| testing::permissions(&text))
}

/// What denies take away is still asked for afterwards.
fn undenied(permissions: Permissions) -> Permissions {
    let mut open = permissions;
    open.net.deny = [].into();
    open.env.deny = Vec::new();
    open
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_as_the_same(permissions in any_permissions()) {
        let text = permissions.lines().join("\n");
        prop_assert_eq!(testing::permissions(&text).lines(), permissions.lines());
        prop_assert_eq!(testing::permissions(&text).words(), permissions.words());
    }

    #[test]
    fn a_ceiling_never_widens_and_twice_is_once(written in any_permissions(), ceiling in any_permissions()) {
        let left = written.within(&ceiling);
        prop_assert_eq!(left.within(&ceiling), left.clone());
        prop_assert_eq!(written.lacking(&undenied(left.clone())).lines(), Vec::<String>::new());
        prop_assert_eq!(undenied(ceiling).lacking(&undenied(left)).lines(), Vec::<String>::new());
    }

    #[test]
    fn after_plus_nothing_lacks(written in any_permissions(), more in any_permissions()) {
        let (written, more) = (undenied(written), undenied(more));
        let wider = written.plus(&written.lacking(&more));
        prop_assert_eq!(wider.lacking(&more).lines(), Vec::<String>::new());
        prop_assert_eq!(wider.lacking(&written).lines(), Vec::<String>::new());
    }

    #[test]
    fn nothing_lacks_of_itself_and_all_of_it_lacks_of_nothing(permissions in any_permissions()) {
        let open = undenied(permissions);
        prop_assert_eq!(open.lacking(&open), Permissions::default());
        prop_assert_eq!(Permissions::default().lacking(&open).lines(), open.lines());
    }
}
