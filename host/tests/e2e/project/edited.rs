//! `archipel dev` in a project as it is made: the first start, an edit, a mistake.

use std::{fs, path::Path, time::Instant};

use super::Dev;
use crate::harness::exchange;

/// The project has its tools; its service answers `/` with a greeting.
#[track_caller]
pub(super) fn what_is_edited_is_live_and_a_mistake_is_shown_with_its_place(project: &Path) {
    let manifest = project.join("archipel.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    assert!(text.contains("\"127.0.0.1:3000\"") && !text.contains("[admin]"), "{text}");
    let text = text.replace("\"127.0.0.1:3000\"", "\"127.0.0.1:0\"") + "\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    fs::write(&manifest, text).unwrap();
    let began = Instant::now();
    let dev = Dev::run(project);
    let gateway = dev.says("gateway  http://");
    println!("ready after {:?}", began.elapsed());
    let address = gateway.trim().rsplit('/').next().unwrap().parse().unwrap();
    let greeting = || {
        let answer = exchange(address, "GET", "/", &[], b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    };
    assert!(greeting().contains("my-notes"));
    dev.says("GET / -> 200 by my-notes in ");

    let source = project.join("src/index.ts");
    let before = fs::read_to_string(&source).unwrap();
    let edited = before.replace("{ hello: 'my-notes' }", "{ hello: 'whoever reads this' }");
    assert_ne!(edited, before);
    let began = Instant::now();
    fs::write(&source, &edited).unwrap();
    dev.says(" is live after ");
    println!("an edit was live after {:?}", began.elapsed());
    assert!(greeting().contains("whoever reads this"));

    fs::write(&source, format!("{edited}const = 1;\n")).unwrap();
    let place = format!("src/index.ts:{}", edited.lines().count() + 1);
    dev.says(&place);
    dev.says("the build failed; the one before it goes on");
    assert!(greeting().contains("whoever reads this"));
}
