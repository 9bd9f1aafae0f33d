use std::path::Path;

use tpp::config::{self, Config, Format};

use super::*;

const POOLS: &str = r#"
[[pools]]
name = "reports"
token_scope = "backend"
[[pools.credentials]]
username = "u"
password = "p"
[[backends]]
id = "one"
address = "10.0.0.1:80"
tags = ["a"]
[[backends]]
id = "two"
address = "two.example:80"
tags = ["a"]
[[backends]]
id = "spare"
address = "10.0.0.3:80"
tags = ["a"]
backup = true
[[backends]]
id = "web"
address = "10.0.0.9:80"
tags = ["web"]
pool = "none"
[[virtual_hosts]]
domain = "a.example"
enabled_backends_tag = "a"
[[virtual_hosts]]
domain = "*.example"
enabled_backends_tag = "web"
"#;

fn config(text: &str) -> Config {
    let none = BTreeMap::<String, String>::new();
    let (path, directory) = (Path::new("tpp.toml"), Path::new("/"));
    config::parse(text, path, Format::Toml, directory, &none).unwrap()
}

fn inputs(text: &str) -> Inputs {
    let config = config(text);
    let mut inputs = Inputs {
        settings: WorkerSettings::of(&config, 2),
        gateway: Arc::new(config.gateway),
        addresses: Addresses::default(),
        out: BTreeSet::new(),
    };
    inputs.addresses = super::super::known(inputs.names(), &Addresses::default(), None);
    inputs
}

fn resolved(mut inputs: Inputs) -> Inputs {
    let name = Name {
        host: "two.example".to_owned(),
        port: 80,
    };
    let addresses = vec!["10.0.0.2:80".parse().unwrap()];
    inputs.addresses.insert(name, addresses);
    inputs
}

/// Rows in order, and pools where they are said to be.
fn given(inputs: &Inputs, pools: &[(&str, u16)]) -> Given {
    let limits = limits(&inputs.gateway).into_iter().zip(100..);
    Given {
        pools: pools
            .iter()
            .map(|(name, id)| ((*name).to_owned(), PoolId::new(*id)))
            .collect(),
        permits: limits
            .map(|((key, _), id)| (key, PoolId::new(id)))
            .collect(),
        rows: RowsGiven {
            hosts: (20..20 + inputs.gateway.virtual_hosts.len()).collect(),
            backends: (40..40 + inputs.gateway.backends.len()).collect(),
            ..RowsGiven::default()
        },
    }
}

fn drawn_at(inputs: &Inputs, is_healthy: impl Fn(&str) -> bool) -> Vec<String> {
    let places = sources(inputs, "reports", is_healthy);
    places
        .iter()
        .map(|one| one.address.ip().to_string())
        .collect()
}

#[test]
fn a_plan_says_of_each_thing_what_is_wanted_and_what_was_found_out() {
    let inputs = inputs(POOLS);
    let given = given(&inputs, &[("reports", 7)]);
    let plan = compile(3, &inputs, &given, |id| id != "spare");
    assert_eq!((plan.generation, plan.pools.len()), (3, 1));
    assert_eq!(
        (plan.pools[0].name.as_str(), plan.pools[0].id),
        ("reports", PoolId::new(7))
    );
    let seen = plan.backends.iter().map(|one| {
        let pool = one.pool;
        (one.id.as_str(), one.places.len(), pool, one.is_healthy)
    });
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [
            ("one", 1, Some(0), true),
            ("two", 0, Some(0), true),
            ("spare", 1, Some(0), false),
            ("web", 1, None, true),
        ]
    );
    let hosts = plan.hosts.iter().map(|one| one.host.domain.as_str());
    assert_eq!(hosts.collect::<Vec<_>>(), ["a.example", "*.example"]);
    let rows = plan.hosts.iter().map(|one| one.row);
    assert_eq!(rows.collect::<Vec<_>>(), [20, 21]);
    assert_eq!(plan.backends[2].row, 42);
    let resolved = compile(4, &resolved(inputs), &given, |_| true);
    assert_eq!(resolved.backends[1].places.len(), 1);
}

#[test]
fn a_plain_configuration_is_counted_where_somebody_can_ask_or_something_is_bounded() {
    let planned = |text: &str| {
        let inputs = inputs(text);
        compile(1, &inputs, &given(&inputs, &[("reports", 7)]), |_| true)
    };
    let plain =
        "[upstream]\nhost = \"10.0.0.1\"\n[[credentials]]\nusername = \"u\"\npassword = \"p\"\n";
    let mut plan = planned(plain);
    assert!(plan.is_plain() && !plan.counts_hosts());
    plan.hosts[0].host.circuit_breaker.enabled = true;
    assert!(plan.counts_hosts());
    let asked = planned(&format!("{plain}[api]\nlisten = \"127.0.0.1:8081\"\n"));
    assert!(asked.is_plain() && asked.counts_hosts());
    assert!(planned(POOLS).counts_hosts());
}

#[test]
fn a_token_goes_where_it_was_drawn_or_to_all_of_its_pool() {
    let origins = |text: &str| {
        let inputs = resolved(inputs(text));
        let plan = compile(1, &inputs, &given(&inputs, &[]), |_| true);
        let places = plan.backends.into_iter().flat_map(|one| one.places);
        places.map(|place| place.origin).collect::<Vec<_>>()
    };
    let bound = origins(POOLS);
    assert!(bound[0] != bound[1] && bound[1] != bound[2], "{bound:?}");
    assert_eq!(bound[3], Origin::NONE, "a backend without a pool");
    let free = origins(&POOLS.replace("token_scope = \"backend\"", "token_scope = \"pool\""));
    assert!(free[0] == free[1] && free[1] == free[2], "{free:?}");
    assert_ne!(free[0], Origin::NONE);
    let plain =
        "[upstream]\nhost = \"10.0.0.1\"\n[[credentials]]\nusername = \"u\"\npassword = \"p\"\n";
    let moved = plain.replace("10.0.0.1", "10.0.0.2");
    assert_ne!(
        origins(plain),
        origins(&moved),
        "another upstream is another server"
    );
}

#[test]
fn tokens_are_drawn_where_they_can_be_used() {
    let inputs = resolved(inputs(POOLS));
    assert_eq!(drawn_at(&inputs, |_| true), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(drawn_at(&inputs, |id| id != "one"), ["10.0.0.2"]);
    assert_eq!(
        drawn_at(&inputs, |id| id == "spare"),
        ["10.0.0.3"],
        "the spare one serves"
    );
    let all = drawn_at(&inputs, |_| false);
    assert_eq!(
        all.len(),
        3,
        "nobody can: sessions stay for when somebody is back"
    );
    let drained = POOLS.replace(
        "address = \"10.0.0.1:80\"",
        "address = \"10.0.0.1:80\"\nstate = \"drain\"",
    );
    assert_eq!(
        drawn_at(&resolved(super::tests::inputs(&drained)), |_| true),
        ["10.0.0.2"]
    );
}

#[test]
fn who_is_bounded_has_permits_of_its_own() {
    let bounded = POOLS
        .replace("id = \"web\"", "id = \"web\"\nmax_concurrent = 3")
        .replace(
            "domain = \"a.example\"",
            "domain = \"a.example\"\nmax_concurrent = 5",
        );
    let inputs = inputs(&bounded);
    let counts: Vec<_> = limits(&inputs.gateway)
        .into_iter()
        .map(|(_, count)| count)
        .collect();
    assert_eq!(counts, [5, 3]);
    let plan = compile(1, &inputs, &given(&inputs, &[]), |_| true);
    assert_eq!(plan.hosts[0].permits, Some(PoolId::new(100)));
    assert_eq!(plan.backends[3].permits, Some(PoolId::new(101)));
    assert_eq!(
        (plan.hosts[1].permits, plan.backends[0].permits),
        (None, None)
    );
}

#[test]
fn each_host_has_a_pair_with_every_backend_of_its_tags_and_those_with_a_breaker_come_first() {
    let text = POOLS.replace(
        "domain = \"*.example\"",
        "domain = \"*.example\"\nsplit = { a = 10 }\ncircuit_breaker = { enabled = true }",
    );
    let inputs = inputs(&text);
    let keys = row_keys(&inputs.gateway).pairs;
    let named = |host: &str, backend: &str| row_key(&["pair", host, backend]);
    let of = |host: &'static str, ids: &[&str]| -> Vec<u64> {
        ids.iter().map(|id| named(host, id)).collect()
    };
    let expected = [
        of("*.example", &["one", "two", "spare", "web"]),
        of("a.example", &["one", "two", "spare"]),
    ];
    assert_eq!(keys, expected.concat());
    let mut given = given(&inputs, &[]);
    // There is room for all but the last.
    given.rows.pairs = (60..66).map(Some).chain([None]).collect();
    let plan = compile(1, &inputs, &given, |_| true);
    let rows = |host: usize| {
        (0..4)
            .map(|at| plan.hosts[host].pair(at))
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(0), [Some(64), Some(65), None, None]);
    assert_eq!(rows(1), [Some(60), Some(61), Some(62), Some(63)]);
}
