//! Promises about `[permission-sets]`.

use super::*;

#[test]
fn a_set_adds_its_allows_and_its_denies() {
    let text = format!(
        "[permission-sets.base]\nenv = ['LOG_*']\nnet = {{ allow = ['a.example:443'], deny = ['10.0.0.0/8'] }}\n\
         {SERVICE}permissions = {{ use = 'base', net = ['10.1.2.3:80', 'b.example:443'], env = ['TZ'] }}\n"
    );
    let loaded = loaded(&text, &[("LOG_LEVEL", "debug"), ("TZ", "UTC"), ("HOME", "/")]);
    let service = &loaded.manifest.services["a"];
    assert_eq!(service.grants.words(), ["net b.example:443", "net a.example:443", "env TZ", "env LOG_*"]);
    assert_eq!(service.env.keys().collect::<Vec<_>>(), ["LOG_LEVEL", "TZ"]);
}

#[test]
fn a_set_must_be_there_uses_no_other_and_its_mistakes_stand_where_it_is_written() {
    check(
        &format!(
            "[permission-sets.base]\nuse = 'other'\nnet = ['a.example/v1:443']\nrun = true\n\
             {SERVICE}permissions = {{ use = 'bass' }}\n"
        ),
        &[
            "3:7 permission-sets.base.use: a set uses no other set; write here what it would add",
            "4:8 permission-sets.base.net[0]: `a.example/v1:443` has a path, which `net` does not look at; write `a.example`",
            "5:7 permission-sets.base.run: a component starts no program, so only `false` is accepted; publish an event that somebody outside handles (`publish`), call a service that does it (`call`), or compose it with another component",
            "8:23 services.a.permissions.use: there is no `[permission-sets.bass]`; did you mean `base`?",
        ],
    );
}
