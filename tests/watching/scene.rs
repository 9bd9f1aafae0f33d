//! Two tpps to be watched: one with a pool before one server, and a gateway.

use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};

use crate::common::{
    client::Client, origin::Origin, proxy::Proxy, settings::Settings, upstream::Upstream,
    wait_until,
};

/// The alerts and the board, as they are packaged.
pub(super) const RULES: &str = include_str!("../../packaging/prometheus/rules.yml");
pub(super) const BOARD: &str = include_str!("../../packaging/grafana/tpp.json");

pub(super) struct Scene {
    pub(super) upstream: Upstream,
    pub(super) settings: Settings,
    pub(super) plain: Proxy,
    pub(super) origin: Origin,
    pub(super) of_gateway: Settings,
    pub(super) gateway: Proxy,
}

impl Scene {
    /// Both in good health, each with one request behind it.
    pub(super) fn start() -> Self {
        let upstream = Upstream::start();
        let settings = Settings::in_front_of(&upstream)
            .accounts(&upstream, 1)
            .set("telemetry.access_log", "\"{directory}/access.log\"");
        let plain = Proxy::start(&settings);
        let origin = Origin::start("one");
        let host = "\n[[virtual_hosts]]\ndomain = \"default\"\nenabled_backends_tag = \"a\"\n\
                    circuit_breaker = { enabled = true }\n";
        let of_gateway = Settings::of_gateway()
            .set("outlier.enabled", true)
            .set("health_check.interval_seconds", 1)
            .set("health_check.unhealthy_threshold", 1)
            .set("health_check.healthy_threshold", 1)
            .further(host)
            .further(FRONT)
            .further(&origin.table("\"a\"", ""));
        let gateway = Proxy::start_without_tokens(&good_for(of_gateway.clone(), 90));
        wait_until("the backend is up", || {
            gateway.metric("tpp_health_check_up{backend=\"one\"}") == Some(1.0)
        });
        for proxy in [&plain, &gateway] {
            Client::connect(proxy.address()).get("/who").ok();
        }
        Self {
            upstream,
            settings,
            plain,
            origin,
            of_gateway,
            gateway,
        }
    }
}

const FRONT: &str = "\n[[listeners]]\naddress = \"127.0.0.2:0\"\ntls = true\n\
                     [[certificates]]\nname = \"one\"\ncert_file = \"one.pem\"\nkey_file = \"one.key\"\n";

/// The same with a certificate that ends in so many days.
pub(super) fn good_for(settings: Settings, days: u64) -> Settings {
    let mut params = CertificateParams::new(["a.test".to_owned()]).expect("names");
    let end = Duration::from_secs(tpp::clock::unix_seconds() + days * 24 * 3600);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + end;
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    settings
        .file("one.pem", &certificate.pem())
        .file("one.key", &key.serialize_pem())
}
