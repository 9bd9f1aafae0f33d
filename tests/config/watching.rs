//! Where logs, spans and orders go.

use tpp::config::{AccessLog, ApiListen, LogOutput, OtlpProtocol};

use crate::*;

#[test]
fn a_log_goes_where_its_word_or_path_says() {
    let telemetry = |text: &str| toml(&format!("{LEAST}[telemetry]\n{text}\n")).telemetry;
    assert_eq!(telemetry("").log_output, LogOutput::Stderr);
    assert_eq!(
        telemetry("log_output = 'stderr'").log_output,
        LogOutput::Stderr
    );
    assert_eq!(
        telemetry("log_output = 'logs/tpp.log'").log_output,
        LogOutput::File(Path::new(FIXTURES).join("logs/tpp.log"))
    );
    assert_eq!(telemetry("").access_log, AccessLog::Off);
    assert_eq!(telemetry("access_log = 'off'").access_log, AccessLog::Off);
    assert_eq!(
        telemetry("access_log = 'stderr'").access_log,
        AccessLog::Stderr
    );
    assert_eq!(
        telemetry("access_log = '/var/log/tpp/access.log'").access_log,
        AccessLog::File("/var/log/tpp/access.log".into())
    );
}

#[test]
fn a_collector_speaks_what_is_said_or_what_its_port_is_for() {
    let at = |text: &str, port| {
        let config = toml(&format!("{LEAST}[telemetry]\n{text}\n"));
        config.telemetry.protocol_at(port)
    };
    assert_eq!(at("", Some(4317)), OtlpProtocol::Grpc);
    assert_eq!(at("", Some(4318)), OtlpProtocol::Http);
    assert_eq!(at("", None), OtlpProtocol::Http);
    assert_eq!(
        at("otlp_protocol = 'http/protobuf'", Some(4317)),
        OtlpProtocol::Http
    );
    assert_eq!(at("otlp_protocol = 'grpc'", None), OtlpProtocol::Grpc);
}

#[test]
fn what_a_collector_is_told_in_plain_or_never_is_warned_of() {
    let warnings = |text: &str| toml(&format!("{LEAST}[telemetry]\n{text}\n")).warnings();
    let further = "otlp_ca_file = 'files/ca.pem'\notlp_headers = 'api-key=hunter2'\n";
    let plain = warnings(&format!("otlp_endpoint = 'http://c:4318'\n{further}"));
    assert_eq!(
        plain,
        [
            "telemetry.otlp_ca_file has no effect on a collector without TLS",
            "telemetry.otlp_headers go to the collector without TLS",
        ]
    );
    assert_eq!(
        warnings(further),
        ["telemetry.otlp_ca_file and otlp_headers have no effect without otlp_endpoint"]
    );
    let secure = warnings(&format!("otlp_endpoint = 'https://c:4318'\n{further}"));
    assert!(secure.is_empty(), "{secure:?}");
}

#[test]
fn the_api_listens_at_an_address_or_a_socket_and_says_so_as_it_was_written() {
    let listen = |text: &str| {
        let config = toml(&format!("{LEAST}[api]\nlisten = '{text}'\n"));
        config.api.unwrap().listen
    };
    let socket = listen("unix:/run/tpp/api.sock");
    assert_eq!(socket, ApiListen::Unix("/run/tpp/api.sock".into()));
    for text in ["unix:/run/tpp/api.sock", "127.0.0.1:8081", "[::1]:8081"] {
        assert_eq!(listen(text).to_string(), text);
    }
}
