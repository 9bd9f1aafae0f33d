//! What stands in every export: attributes, and whose they are.

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value,
};
pub(super) use opentelemetry_proto::tonic::resource::v1::Resource;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Where Linux keeps the host's name.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// An attribute that is text.
pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

/// One that is a number.
pub(super) fn number(key: &str, value: impl Into<i64>) -> KeyValue {
    attribute(key, Value::IntValue(value.into()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// tpp, as one that listens on `listen` at this host. The same for every supervisor of it.
pub(super) fn resource(listen: &str) -> Resource {
    let host = std::fs::read_to_string(HOST_NAME).unwrap_or_default();
    let host = host.trim();
    Resource {
        attributes: vec![
            text("service.name", "tpp"),
            text("service.version", VERSION),
            text("service.instance.id", format!("{host}/{listen}")),
            text("host.name", host),
        ],
        ..Resource::default()
    }
}

/// Who measured.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "tpp".to_owned(),
        version: VERSION.to_owned(),
        ..InstrumentationScope::default()
    }
}
