//! Servers that stand side by side to be measured in turn: started, asked once, loaded, compared.
//!
//! Who is not installed is left out, and who fails does not end the run: both are said.

use std::{net::SocketAddr, process::Command};

use crate::{
    load::Target,
    progress::say,
    report::Found,
    server::Server,
    subject::{Plan, Subject, in_turn},
    watch::Charged,
};

/// One of them.
pub(crate) struct Member {
    pub(crate) name: String,
    /// What its CPU time is filed under.
    pub(crate) group: &'static str,
    pub(crate) listen: SocketAddr,
    pub(crate) target: Target,
    /// How it is started; nothing where it is not installed.
    pub(crate) command: anyhow::Result<Option<Command>>,
    /// What stands behind it, and does not count.
    pub(crate) behind: Option<Charged>,
}

/// All that run.
pub(crate) struct Lineup {
    bench: String,
    processors: usize,
    found: Found,
    subjects: Vec<Subject>,
    servers: Vec<Server>,
}

impl Lineup {
    /// Rows are filed under `bench`; servers have so many processors.
    pub(crate) fn new(bench: &str, processors: usize) -> Self {
        let (subjects, servers) = (Vec::new(), Vec::new());
        Self { bench: bench.to_owned(), processors, found: Found::default(), subjects, servers }
    }

    /// Starts one and waits until it is idle.
    pub(crate) async fn start(&mut self, member: Member) {
        let name = member.name.clone();
        match self.started(member).await {
            Ok(true) => {}
            Ok(false) => self.found.absent.push(name),
            Err(error) => {
                say(&format!("  {name}: failed: {error:#}"));
                self.found.fail(&self.bench, &name, &format!("{error:#}"));
            }
        }
    }

    async fn started(&mut self, member: Member) -> anyhow::Result<bool> {
        let Member { name, group, listen, target, command, behind } = member;
        let Some(command) = command? else {
            return Ok(false);
        };
        say(&format!("{}: starting {name}", self.bench));
        let server = Server::start(&name, listen, command).await?;
        server.settled().await?;
        let charged = [Charged::server(group, server.pid())].into_iter().chain(behind).collect();
        self.subjects.push(Subject::get(&name, target, charged).await?);
        self.servers.push(server);
        Ok(true)
    }

    /// Those that run, with their names.
    pub(crate) fn running(&self) -> impl Iterator<Item = (&str, &Server)> {
        self.subjects.iter().map(|subject| &*subject.name).zip(&self.servers)
    }

    /// Measures all, ends them, and compares with the first of `bases` that was measured.
    pub(crate) async fn measure(mut self, plan: Plan, bases: &[&str]) -> Found {
        in_turn(&self.bench, &mut self.subjects, plan).await;
        drop(self.servers);
        let measured =
            |name: &&&str| self.subjects.iter().find(|subject| subject.failed.is_none() && subject.name == ***name);
        let base = bases.iter().find(|name| measured(name).is_some());
        let base = base.and_then(|name| measured(&name));
        for subject in &self.subjects {
            self.found.take(&self.bench, subject, base, self.processors);
        }
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::free_address;

    fn member(name: &str, command: anyhow::Result<Option<Command>>) -> Member {
        let listen = free_address().unwrap();
        let target = Target::new(listen, "/");
        Member { name: name.to_owned(), group: "server", listen, target, command, behind: None }
    }

    #[tokio::test]
    async fn who_is_not_there_and_who_cannot_start_is_said_and_the_others_go_on() {
        let plan =
            Plan { rounds: 1.try_into().unwrap(), round: Default::default(), connections: 1.try_into().unwrap() };
        let mut lineup = Lineup::new("hello", 1);
        lineup.start(member("nginx", Ok(None))).await;
        lineup.start(member("node", Ok(Some(Command::new("false"))))).await;
        lineup.start(member("deno", Err(anyhow::anyhow!("no folder")))).await;
        assert_eq!(lineup.running().count(), 0);
        let found = lineup.measure(plan, &["native"]).await;
        assert_eq!(found.absent, ["nginx"]);
        let failed: Vec<_> = found.failed.iter().map(|failure| &*failure.subject).collect();
        assert_eq!(failed, ["node", "deno"]);
        assert!(found.failed[0].why.contains("before it was ready"), "{}", found.failed[0].why);
    }
}
