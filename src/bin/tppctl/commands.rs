//! What each command asks, and how its answer is shown.

use std::{
    env,
    path::Path,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use tpp::{
    api_tokens::{ApiRole, new_token},
    config::{self, BackendState, Config, PLAIN_BACKEND},
    control::{Command, Health, HostsOrder, PoolTally, Reply, Status, client, times_since},
};

use crate::{
    Failure,
    args::{Action, Args, DrainOrder, GatewayAction, HostsAction, SwitchOrder},
    render::{self, Page, counted, visible},
    terminal::Terminal,
    top,
    watch::watch,
};

/// Carries out `args`.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::Status {
            json: as_json,
            watch: every,
        } => show_status(args, *as_json, *every),
        Action::Top { once } => show_top(args, *once),
        Action::Workers { json: as_json } => match ask(args, Command::Workers)? {
            Reply::Workers(workers) => {
                show(&workers, *as_json, |page| render::workers(&workers, page))
            }
            other => Err(unexpected(&other)),
        },
        Action::Tokens { json: as_json } => match ask(args, Command::Tokens)? {
            Reply::Tokens(tokens) => show(&tokens, *as_json, |page| render::tokens(&tokens, page)),
            other => Err(unexpected(&other)),
        },
        Action::Domains { json: as_json } => {
            let domains = status(args)?.gateway.domains;
            show(&domains, *as_json, |page| render::domains(&domains, page))
        }
        Action::Backends { json: as_json } => {
            let backends = status(args)?.gateway.backends;
            show(&backends, *as_json, |page| {
                render::backends(&backends, page)
            })
        }
        Action::Switch(switch) => order(args, switch_of(switch)),
        Action::Drain(wanted) => drain(args, wanted),
        Action::Gateway {
            action: GatewayAction::Export,
        } => match ask(args, Command::Export)? {
            Reply::Text(text) => Ok(Terminal::print(&text)?),
            other => Err(unexpected(&other)),
        },
        Action::Pools { json: as_json } => match ask(args, Command::Pools)? {
            Reply::Pools(pools) => show(&pools, *as_json, |page| render::pools(&pools, page)),
            other => Err(unexpected(&other)),
        },
        Action::Report {
            json: as_json,
            seconds,
        } => show_report(args, *as_json, *seconds),
        Action::Hosts { json, action } => hosts(args, *json, action.as_ref()),
        Action::Pause { pool } => order(args, Command::Pause { pool: pool.clone() }),
        Action::Resume { pool } => order(args, Command::Resume { pool: pool.clone() }),
        Action::Kill { slot, pool } => {
            let (pool, slot) = (pool.clone(), *slot);
            order(args, Command::EndLease { pool, slot })
        }
        Action::ApiToken { name, role } => api_token(name, *role),
        // `--all` is what happens without a user: it is there to say so.
        Action::Refresh { user, all: _ } => order(args, Command::Refresh { user: user.clone() }),
        Action::Reload => order(args, Command::Reload),
        Action::Restart => order(args, Command::Restart),
        Action::Upgrade { path } => upgrade(args, path.as_deref()),
        Action::Check { file } => check(file),
    }
}

/// Orders what is wished of this host's part among others, or shows them.
fn hosts(args: &Args, as_json: bool, action: Option<&HostsAction>) -> Result<(), Failure> {
    if let Some(action) = action {
        return order(args, Command::OrderHosts(hosts_order(action)));
    }
    match ask(args, Command::Hosts)? {
        Reply::Hosts(hosts) => show(&hosts, as_json, |page| render::hosts(&hosts, page)),
        other => Err(unexpected(&other)),
    }
}

fn hosts_order(action: &HostsAction) -> HostsOrder {
    match action {
        HostsAction::Drain { end: false } => HostsOrder::Drain,
        HostsAction::Drain { end: true } => HostsOrder::Stay,
        HostsAction::Give { sessions, host } => HostsOrder::Give {
            sessions: *sessions,
            host: host.clone(),
        },
        HostsAction::Release { host, .. } => HostsOrder::Release { host: host.clone() },
        HostsAction::Adopt => HostsOrder::Adopt,
    }
}

fn switch_of(wanted: &SwitchOrder) -> Command {
    Command::Switch {
        domain: wanted.domain.clone(),
        tag: wanted.tag.clone(),
        percent: wanted.percent,
        require_healthy: wanted.require_healthy,
    }
}

/// Drains a backend, or has it serve again, and waits until it is empty if that is wanted.
fn drain(args: &Args, wanted: &DrainOrder) -> Result<(), Failure> {
    let id = wanted.id.clone();
    let state = if wanted.end {
        BackendState::Ready
    } else {
        BackendState::Drain
    };
    order(args, Command::SetState { id, state })?;
    wanted.deadline.map_or(Ok(()), |seconds| {
        let id = wanted.id.clone();
        order(args, Command::AwaitEmpty { id, seconds })
    })
}

fn show_status(args: &Args, as_json: bool, every: Option<Duration>) -> Result<(), Failure> {
    let text_of_one = |status: &Status| {
        text_of(status, as_json, |page| {
            render::status(status, unix_now(), page)
        })
    };
    let first = status(args)?;
    let Some(every) = every else {
        Terminal::print(&text_of_one(&first)?)?;
        return match first.status {
            Health::Healthy | Health::Degraded => Ok(()),
            Health::Unhealthy => Err(Failure::Unhealthy),
        };
    };
    let text = || text_of_one(&status(args)?);
    let mut first = Some(text_of_one(&first)?);
    // From here on tpp may come and go: watching goes on.
    let block = || match first.take().map_or_else(text, Ok) {
        Ok(text) => text,
        Err(failure) => failure
            .lines()
            .iter()
            .map(|line| format!("tppctl: {line}\n"))
            .collect(),
    };
    Ok(watch(every, block)?)
}

/// All there is, live in a terminal; elsewhere once.
fn show_top(args: &Args, once: bool) -> Result<(), Failure> {
    let terminal = Terminal::stdout();
    if terminal.height.is_some() && !once {
        return top::run(args);
    }
    let look = top::look(args)?;
    Ok(Terminal::print(&top::page(
        &look,
        unix_now(),
        terminal.page,
    ))?)
}

impl top::Ask for Args {
    fn ask(&self, command: Command) -> Result<Reply, Failure> {
        ask(self, command)
    }
}

/// What pools have done since they are counted, and how long waits and answers took; or the same over `time` from now on.
fn show_report(args: &Args, as_json: bool, time: Option<Duration>) -> Result<(), Failure> {
    let tallies = || match ask(args, Command::Report)? {
        Reply::Report(tallies) => Ok(tallies),
        other => Err(unexpected(&other)),
    };
    // A supervisor of an older version knows nothing of them.
    let times = || match ask(args, Command::Times) {
        Ok(Reply::Times(times)) => times,
        _ => Vec::new(),
    };
    let (mut before, mut took) = (Vec::new(), Vec::new());
    if let Some(time) = time {
        (before, took) = (tallies()?, times());
        thread::sleep(time);
    }
    let report = |now: PoolTally| {
        let then = before.iter().find(|then| then.name == now.name);
        then.map_or_else(|| now.report(), |then| now.since(then).report())
    };
    let pools: Vec<_> = tallies()?.into_iter().map(report).collect();
    let times = times_since(&times(), &took);
    show(&pools, as_json, |page| {
        render::report(&pools, page) + &render::times(&times, page)
    })
}

fn status(args: &Args) -> Result<Status, Failure> {
    match ask(args, Command::Status)? {
        Reply::Status(status) => Ok(*status),
        other => Err(unexpected(&other)),
    }
}

/// Has an order carried out and prints what came of it.
fn order(args: &Args, command: Command) -> Result<(), Failure> {
    match ask(args, command)? {
        Reply::Done(line) => Ok(Terminal::print(&format!("{}\n", visible(&line)))?),
        other => Err(unexpected(&other)),
    }
}

/// The token, and below it the line that lets it in. Neither is kept.
fn api_token(name: &str, role: ApiRole) -> Result<(), Failure> {
    let made = new_token(name, role).map_err(|error| Failure::Line(error.to_string()))?;
    let text = format!("token  {}\nline   {}\n", made.secret, made.line);
    Ok(Terminal::print(&text)?)
}

/// The supervisor has a working directory of its own: it is told the whole path.
fn upgrade(args: &Args, path: Option<&Path>) -> Result<(), Failure> {
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .map_err(|error| Failure::Line(format!("{}: {error}", path.display())))
    };
    let path = path.map(absolute).transpose()?;
    order(args, Command::Upgrade { path })
}

/// Reads `file` as tpp would here and now, environment included.
fn check(file: &Path) -> Result<(), Failure> {
    let config = config::load(file, &config::ProcessVars).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        // A file that cannot be read is no configuration error: nothing is known of its content.
        if problems.is_unreadable() {
            Failure::Line(lines.join("; "))
        } else {
            Failure::Config(lines)
        }
    })?;
    let mut text = format!(
        "{}: good, {}\n",
        visible(&file.to_string_lossy()),
        contents(&config)
    );
    for warning in config.warnings() {
        text += &format!("warning: {}\n", visible(&warning));
    }
    Ok(Terminal::print(&text)?)
}

/// What a good file holds, in a few words; of backends and hosts only where it declares them.
fn contents(config: &Config) -> String {
    let gateway = &config.gateway;
    let accounts = || gateway.pools.iter().flat_map(|pool| &pool.credentials);
    let sessions: usize = accounts().map(|one| one.sessions).sum();
    let mut text = format!(
        "{} of {}",
        counted(sessions as u64, "token"),
        counted(accounts().count() as u64, "user"),
    );
    let hosts = gateway.virtual_hosts.len();
    if (gateway.backends.len(), hosts) != (1, 1) || gateway.backends[0].id != PLAIN_BACKEND {
        text += &format!(
            ", {}, {}",
            counted(gateway.backends.len() as u64, "backend"),
            counted(hosts as u64, "host"),
        );
    }
    text
}

fn ask(args: &Args, command: Command) -> Result<Reply, Failure> {
    let socket = args.socket(env::var_os("TPP_CONTROL_SOCKET"));
    let timeout = args.timeout(&command);
    match client::ask(&socket, command, timeout) {
        Ok(Reply::Failed(line)) => Err(Failure::Line(line)),
        Ok(Reply::Invalid(problems)) => Err(Failure::Config(problems)),
        Ok(reply) => Ok(reply),
        Err(error) => Err(Failure::Line(error.to_string())),
    }
}

fn unexpected(reply: &Reply) -> Failure {
    let kind = match reply {
        Reply::Status(_) => "a status",
        Reply::Workers(_) => "workers",
        Reply::Tokens(_) => "tokens",
        Reply::Pools(_) => "pools",
        Reply::Report(_) => "report",
        Reply::Times(_) => "times",
        Reply::Hosts(_) => "hosts",
        Reply::Text(_) => "a text",
        Reply::Done(_) => "that it is done",
        Reply::Failed(_) | Reply::Invalid(_) => "a failure",
    };
    Failure::Line(format!("the supervisor answered another question: {kind}"))
}

fn show(
    reply: &impl Serialize,
    as_json: bool,
    human: impl Fn(Page) -> String,
) -> Result<(), Failure> {
    Ok(Terminal::print(&text_of(reply, as_json, human)?)?)
}

fn text_of(
    reply: &impl Serialize,
    as_json: bool,
    human: impl Fn(Page) -> String,
) -> Result<String, Failure> {
    if as_json {
        render::json(reply).map_err(|error| Failure::Line(format!("JSON: {error}")))
    } else {
        Ok(human(Terminal::stdout().page))
    }
}

fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
