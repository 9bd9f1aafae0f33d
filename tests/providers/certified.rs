//! OAuth 2.0 against a certified authorization server, npm's `oidc-provider`. It also serves as the backend, and knows which of its
//! tokens are good. `make providers` installs it and runs these.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    common::{client::Client, proxy::Proxy, settings::Settings, wait_for, wait_until},
    recipes::{Kind, Recipe},
    scene::settings_before,
};

/// The server as a process, which ends with its standard input.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    /// One whose tokens are good for `life` seconds, and that knows the client of the recipe by `secret`, shown by `auth`.
    fn start(secret: &str, auth: &str, life: u64) -> Self {
        let clients = json!([{"id": "reports", "secret": secret, "auth": auth}]);
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/oidc/server.mjs");
        let mut process = Command::new("node")
            .arg(program)
            .arg(json!({"life": life, "clients": clients}).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start node");
        let mut line = String::new();
        let out = process.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let port: u16 = line.trim().parse().expect("a port");
        Self {
            process,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        }
    }

    /// What it has seen.
    fn seen(&self) -> Value {
        Client::connect(self.address).get("/seen").ok().json()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}

/// The recipe's pool, logged in at the server and used there.
struct Scene {
    proxy: Proxy,
    server: Server,
    slots: u64,
}

impl Scene {
    fn start(auth: &str, life: u64, change: impl FnOnce(&Server, Settings) -> Settings) -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let secret = Recipe::of(Kind::OAuth2, nowhere).accounts.remove(0).secret;
        let server = Server::start(&secret, auth, life);
        let recipe = Recipe::of(Kind::OAuth2, server.address);
        let settings = settings_before(&recipe, server.address);
        let auth = format!("auth = \"{auth}\"");
        let settings = change(&server, settings.replace("auth = \"basic\"", &auth));
        Self {
            proxy: Proxy::start_without_tokens(&settings),
            server,
            slots: recipe.slots(),
        }
    }

    fn wait_for_tokens(&self) {
        wait_until("all tokens are in", || {
            self.proxy.pool().total == self.slots
        });
    }

    /// What the resource says of whoever asks through tpp.
    fn who(&self) -> Value {
        Client::connect(self.proxy.address())
            .get("/who")
            .ok()
            .json()
    }

    fn refused(&self) -> String {
        let why = wait_for("it is said why", || {
            let mut tokens = self.proxy.tokens().into_iter();
            tokens.find_map(|token| token.last_error)
        });
        assert_eq!(
            Client::connect(self.proxy.address()).get("/who").status,
            503
        );
        why
    }
}

#[test]
#[ignore = "needs npm's oidc-provider: make providers"]
fn a_client_draws_its_token_by_basic_and_by_the_body() {
    for auth in ["basic", "body"] {
        let scene = Scene::start(auth, 600, |_, settings| settings);
        scene.wait_for_tokens();
        let who = scene.who();
        assert_eq!(
            (&who["client"], &who["scope"]),
            (&json!("reports"), &json!("read"))
        );
        let seen = scene.server.seen();
        assert_eq!(
            (&seen["logins"], &seen["failed"]),
            (&json!(1), &json!([])),
            "{auth}"
        );
    }
}

#[test]
#[ignore = "needs npm's oidc-provider: make providers"]
fn a_wrong_secret_and_a_wrong_scope_are_refused() {
    let wrong = |_: &Server, settings: Settings| settings.file("secret", "another one");
    let scene = Scene::start("basic", 600, wrong);
    let why = scene.refused();
    assert!(why.starts_with("login refused: invalid_client"), "{why}");
    assert_eq!(scene.server.seen()["failed"], json!(["invalid_client"]));

    let write = |_: &Server, settings: Settings| settings.replace("\"read\"", "\"write\"");
    let why = Scene::start("basic", 600, write).refused();
    assert!(why.starts_with("login refused: invalid_scope"), "{why}");
}

#[test]
#[ignore = "needs npm's oidc-provider: make providers"]
fn tokens_are_renewed_before_the_server_lets_them_end() {
    let scene = Scene::start("basic", 6, |_, settings| settings);
    scene.wait_for_tokens();
    let mut client = Client::connect(scene.proxy.address());
    wait_until("it has drawn three", || {
        // Each answer is 200: no client sees the end of one.
        client.get("/who").ok();
        scene.server.seen()["logins"].as_u64() >= Some(3)
    });
    assert_eq!(scene.proxy.metric("tpp_token_errors_total"), Some(0.0));
}

#[test]
#[ignore = "needs npm's oidc-provider: make providers"]
fn a_token_that_is_replaced_and_the_last_one_are_revoked() {
    let scene = Scene::start("basic", 600, |server, settings| {
        let url = format!(
            "[pools.login]\nlogout_url = \"http://{}/token/revocation\"\n",
            server.address
        );
        settings.replace("[pools.login]\n", &url)
    });
    scene.wait_for_tokens();
    let first = scene.who();
    assert_eq!(scene.proxy.ctl(&["refresh", "--all"]).code, Some(0));
    wait_until("it is revoked when there is another one", || {
        scene.server.seen()["revoked"] == json!(1)
    });
    assert_ne!(scene.who()["token"], first["token"]);
    let Scene { proxy, server, .. } = scene;
    drop(proxy);
    assert_eq!(server.seen()["revoked"], json!(2));
}
