//! HTTP/1.1 between bytes and meaning: it holds no policy.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod request;
