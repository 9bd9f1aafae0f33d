//! What can be ordered of virtual hosts and backends on the control socket.

use tpp::{
    config::{Backend, BackendState, Problem, VirtualHost},
    control::Reply,
};

use super::Orders;
use crate::desired::{Done, Refusal, Resource};

/// Who it was, for the line in the log.
pub(super) const WHO: &str = "tppctl";

impl Orders {
    /// Has backends with `tag` serve `domain`.
    pub(super) async fn switch(
        &self,
        domain: &str,
        tag: &str,
        percent: Option<u32>,
        require_healthy: bool,
    ) -> Reply {
        let desired = &self.outlook.desired;
        let done = desired.switch(WHO, domain, tag, percent, require_healthy);
        let share = percent.map_or_else(String::new, |percent| format!(" for {percent} %"));
        said::<VirtualHost>(
            domain,
            done.await,
            &format!("{domain} is served by {tag}{share}"),
        )
    }

    /// Says what is wanted of backend `id`.
    pub(super) async fn set_state(&self, id: &str, state: BackendState) -> Reply {
        let done = self.outlook.desired.set_state(WHO, id, state).await;
        said::<Backend>(id, done, &format!("backend {id}: {}", state.word()))
    }

    /// What is in force around the pools, as tables of a configuration file.
    pub(super) fn export(&self) -> Reply {
        match self.outlook.desired.state().gateway.to_toml() {
            Ok(text) => Reply::Text(text),
            Err(error) => Reply::Failed(format!("TOML: {error}")),
        }
    }
}

fn said<T: Resource>(name: &str, outcome: Result<Done, Refusal>, line: &str) -> Reply {
    let refusal = match outcome {
        Ok(done) if done.reached.lagging.is_empty() => return Reply::Done(line.to_owned()),
        Ok(done) => {
            let seats = done.reached.lagging;
            return Reply::Done(format!("{line}; workers {seats:?} do not act on it yet"));
        }
        Err(refusal) => refusal,
    };
    Reply::Failed(match refusal {
        Refusal::NotFound => format!("there is no {} {name:?}", T::KIND),
        Refusal::Exists => format!("there is a {} {name:?} already", T::KIND),
        Refusal::Stale(_) => format!("{} {name:?} was changed meanwhile", T::KIND),
        Refusal::Conflict(reason) | Refusal::Failed(reason) => reason,
        Refusal::Invalid(problems) => {
            let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
            lines.join("; ")
        }
    })
}
