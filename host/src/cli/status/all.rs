//! `archipel status --all`: what runs on every host of the system, and where they differ.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{
    Output,
    admin::{Admin, Answer},
    list,
    several::{self, Member},
    table::{mebibytes, within},
};

/// Each host's status, or why there is none.
pub(super) fn asked(admin: &Admin) -> anyhow::Result<Value> {
    let (members, unreachable) = several::known(admin)?;
    let host = |member: &Member| match member.admin.get("/v1/status").and_then(Answer::data) {
        Ok(status) => json!({ "admin": member.url, "status": status }),
        Err(error) => json!({ "admin": member.url, "error": format!("{error:#}") }),
    };
    let hosts: Vec<Value> = members.iter().map(host).collect();
    Ok(json!({ "hosts": hosts, "unreachable": unreachable }))
}

pub(super) fn shown(all: &Value, output: Output) -> String {
    let header = ["HOST", "UP", "SERVICE", "VERSION", "FROM", "REQUESTS", "ERRORS", "IN FLIGHT", "MEMORY"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(list(&all["hosts"]).flat_map(|host| {
        list(&host["status"]["services"]).map(move |service| {
            let up = format!("{} s", host["status"]["uptime"]);
            let mut row = vec![word(&host["admin"]), up];
            row.extend(["name", "version", "source"].map(|key| word(&service[key])));
            row.extend(["requests", "errors", "inFlight"].map(|key| service[key].to_string()));
            row.push(mebibytes(&service["memoryBytes"]));
            row
        })
    }));
    let silent = list(&all["hosts"])
        .filter(|host| host["status"].is_null())
        .map(|host| format!("\n{} does not answer: {}\n", word(&host["admin"]), word(&host["error"])));
    let unreachable = list(&all["unreachable"])
        .map(|gateway| format!("\nothers do not reach the admin API of the host at {}\n", word(gateway)));
    let more: String = silent.chain(unreachable).chain(differing(all)).collect();
    output.alarmed(within(&rows, output.width)) + &more
}

/// A line for each service that is not the same build everywhere.
fn differing(all: &Value) -> impl Iterator<Item = String> {
    let mut builds: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for host in list(&all["hosts"]) {
        for service in list(&host["status"]["services"]) {
            let versions = builds.entry(word(&service["name"])).or_default();
            versions.entry(word(&service["version"])).or_default().push(word(&host["admin"]));
        }
    }
    builds.into_iter().filter(|(_, versions)| versions.len() > 1).map(|(service, versions)| {
        let each = versions.iter().map(|(version, hosts)| format!("{version} at {}", hosts.join(", ")));
        format!("\n{service} is not the same everywhere: {}\n", each.collect::<Vec<_>>().join("; "))
    })
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_differ_or_are_silent_are_named() {
        let host = |admin: &str, version: &str| {
            let service = json!({ "name": "users", "version": version, "source": "swap", "requests": 7, "errors": 0 });
            json!({ "admin": admin, "status": { "uptime": 60, "services": [service] } })
        };
        let gone = json!({ "admin": "http://c", "error": "nothing answers" });
        let all = json!({ "hosts": [host("http://a", "1+a"), host("http://b", "1+b"), gone], "unreachable": ["10.0.0.9:3000"] });
        let text = shown(&all, Output { json: false, red: false, width: None });
        assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("http://a  60 s  users    1+a")), "{text}");
        assert!(text.contains("\nusers is not the same everywhere: 1+a at http://a; 1+b at http://b\n"), "{text}");
        assert!(text.contains("http://c does not answer: nothing answers"), "{text}");
        assert!(text.contains("do not reach the admin API of the host at 10.0.0.9:3000"), "{text}");
        let same = json!({ "hosts": [host("http://a", "1+a"), host("http://b", "1+a")] });
        assert!(!shown(&same, Output { json: false, red: false, width: None }).contains("everywhere"));
    }
}
