//! The servers of `tpp dev`, and the configuration that leads to them.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::Context;
use tpp::config::Secret;
use tpp_standin::{StandIn, StandInOptions, WebStandIn};

use super::args::DevArgs;

/// The stand-ins' account.
const USER: &str = "dev";
const PASSWORD: &str = "dev-password";

/// The host whose backends are two web servers, told apart by their tags.
pub(super) const WEB_HOST: &str = "example.com";

/// Two servers that want a token, of which the first is also called the upstream, and two that want none.
pub(super) struct Scene {
    dolphins: [StandIn; 2],
    web: [WebStandIn; 2],
}

impl Scene {
    pub(super) async fn start(args: &DevArgs) -> anyhow::Result<Self> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = StandInOptions {
            users: vec![(USER.to_owned(), Secret::new(PASSWORD.to_owned()))],
            token_ttl: Some(Duration::from_secs(args.token_ttl.into())),
            ..StandInOptions::default()
        };
        let wants = "start the stand-ins";
        Ok(Self {
            dolphins: [
                StandIn::start(options.clone()).await.context(wants)?,
                StandIn::start(options).await.context(wants)?,
            ],
            web: [
                WebStandIn::start("web-v1", any).await.context(wants)?,
                WebStandIn::start("web-v2", any).await.context(wants)?,
            ],
        })
    }

    /// Where the servers with tokens are.
    pub(super) fn dolphins(&self) -> [SocketAddr; 2] {
        self.dolphins.each_ref().map(StandIn::addr)
    }

    /// Where those without are.
    pub(super) fn web(&self) -> [SocketAddr; 2] {
        self.web.each_ref().map(WebStandIn::addr)
    }

    /// The configuration, as a person would write it.
    pub(super) fn config(&self, args: &DevArgs, control_socket: &Path, state: &Path) -> String {
        let backends = self.backends();
        format!(
            r#"
listen = "{listen}"
health_listen = "{health}"
control_socket = {control:?}
state_directory = {state:?}
[api]
listen = "{api}"
[workers]
count = {workers}
[token]
ttl_seconds = {ttl}
[[credentials]]
username = "{USER}"
password = "{PASSWORD}"
sessions = {sessions}
[health_check]
interval_seconds = 1
timeout_seconds = 1
[[virtual_hosts]]
domain = "default"
enabled_backends_tag = "dolphindb"
[[virtual_hosts]]
domain = "{WEB_HOST}"
enabled_backends_tag = "a"
circuit_breaker = {{ enabled = true, failure_threshold = 3, recovery_timeout_seconds = 2 }}
{backends}[telemetry]
log_filter = {filter:?}
"#,
            listen = args.listen,
            health = args.health_listen,
            control = control_socket.display().to_string(),
            state = state.display().to_string(),
            api = args.api_listen,
            workers = args.workers,
            ttl = args.token_ttl,
            sessions = args.sessions,
            filter = args.log_filter,
        )
    }

    /// The part of it that says where they are.
    fn backends(&self) -> String {
        let [dolphin_1, dolphin_2] = self.dolphins();
        let [web_1, web_2] = self.web();
        format!(
            r#"[[backends]]
id = "dolphindb-1"
address = "{dolphin_1}"
tags = ["dolphindb"]
[backends.health_check]
type = "tcp"
[[backends]]
id = "dolphindb-2"
address = "{dolphin_2}"
tags = ["dolphindb"]
[backends.health_check]
type = "tcp"
[[backends]]
id = "web-v1"
address = "{web_1}"
tags = ["a"]
pool = "none"
[[backends]]
id = "web-v2"
address = "{web_2}"
tags = ["canary"]
pool = "none"
"#
        )
    }
}
