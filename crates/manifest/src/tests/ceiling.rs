//! The operator's file: its mistakes, and what it leaves of a manifest.

use super::*;

#[track_caller]
fn mistakes(text: &str, expected: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ceiling.toml");
    fs::write(&file, text).unwrap();
    let problems = match load_ceiling(&file) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(|problem| problem.to_string()).collect(),
    };
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}\n{expected}");
    }
}

#[test]
fn all_mistakes_of_a_ceiling_are_told_at_once() {
    mistakes(
        "[ceiling]\nnet = ['*.x.example', 'a.example/v1']\nnett = ['a']\nenv = ['*', 'A-B']\npublish = ['Order']\n\
         call = { users = ['get /a'] }\nsign = { roles = ['a,b'] }\nrun = true\nuse = 'x'\npostgres = { Users = 'read' }\n\
         keyvalue = { cache = { prefix = 'a:' } }\n[servicez]\n",
        &[
            "2:23 ceiling.net[1]: `a.example/v1` has a path",
            "3:1 ceiling.nett: unknown key; did you mean `net`?",
            "4:13 ceiling.env[1]: `A-B` is no name of a variable",
            "5:12 ceiling.publish[0]: `Order` is no topic",
            "6:19 ceiling.call.users[0]: `get` is no method",
            "7:1 ceiling.sign.auth: is missing",
            "7:19 ceiling.sign.roles[0]: `a,b` cannot be a role",
            "8:7 ceiling.run: a component starts no program",
            "9:7 ceiling.use: a ceiling names no permission sets",
            "10:22 ceiling.postgres.Users: `Users` cannot be a name, write `users`",
            "11:14 ceiling.keyvalue.cache.mode: is missing",
            "12:2 servicez: belongs in a manifest; this file has one table",
        ],
    );
    mistakes("", &["1:1 ceiling: is missing; add `[ceiling]`"]);
    mistakes("[cieling]\n", &["1:1 ceiling: is missing", "1:2 cieling: unknown key; did you mean `ceiling`?"]);
    mistakes("[ceiling", &["1:"]);
    let every = "run = false\nnet = { allow = ['*'], deny = ['10.0.0.0/8'] }\nenv = ['*']\ncall = ['*']\n\
                 postgres = { '*' = 'read' }\nkeyvalue = { '*' = 'read-write' }\nsign = { auth = '*', roles = ['user'] }";
    mistakes(&format!("[ceiling]\n{every}\n"), &[]);
    mistakes("ceiling = {}", &[]);
}

#[test]
fn a_ceiling_hides_variables_and_refuses_what_could_only_be_read_by_a_role_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ceiling.toml");
    let under = |ceiling: &str, text: &str, env: &[(&str, &str)]| {
        fs::write(&file, format!("[ceiling]\n{ceiling}\n")).unwrap();
        let loaded = load(folder.path(), &format!("name = 'shop'\n{text}"), env).unwrap();
        loaded.under(Some(&load_ceiling(&file).unwrap()))
    };
    let text = format!("{SERVICE}permissions = {{ env = ['A', 'B_*'] }}\nenv = {{ B_1 = 'set' }}\n");
    let loaded = under("env = { allow = ['A', 'B_*'], deny = ['B_2'] }", &text, &[("A", "a"), ("B_2", "b")]).unwrap();
    let service = &loaded.manifest.services["a"];
    assert_eq!(service.env.keys().collect::<Vec<_>>(), ["A", "B_1"]);
    assert_eq!(service.grants.cut(), ["env B_2"]);
    let warning = loaded.warnings.iter().find(|warning| warning.message.contains("cut: env B_2")).unwrap();
    assert_eq!(warning.to_string().split(' ').take(2).collect::<Vec<_>>(), ["4:1", "services.a.permissions:"]);

    let text =
        format!("[postgres.d]\nurl = {{ env = 'DB' }}\n{SERVICE}permissions = {{ postgres = {{ d = 'read-write' }} }}");
    let refused = under("postgres = { '*' = 'read' }", &text, &[("DB", "postgres://a@b/c")]).unwrap_err().to_string();
    assert!(refused.contains("services.a.permissions.postgres.d: the operator's ceiling"), "{refused}");
    assert!(refused.contains("add `url_read` to `[postgres.d]`"), "{refused}");
}
