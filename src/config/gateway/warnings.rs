//! What is declared and without effect as yet.

use super::Gateway;

impl Gateway {
    /// One sentence for each kind of it, for an administrator.
    pub(in crate::config) fn warnings(&self) -> Vec<String> {
        let mut hosts = self.virtual_hosts.iter();
        let is_any_for_tls = hosts.any(|one| one.http_to_https || one.hsts_seconds > 0);
        let vain = [(
            is_any_for_tls,
            "http_to_https or hsts_seconds of a virtual host",
        )];
        let set = vain.into_iter().filter(|(is_set, _)| *is_set);
        set.map(|(_, what)| format!("{what} is set, but has no effect yet"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{self, Format};
    use std::{collections::BTreeMap, path::Path};

    #[test]
    fn what_has_no_effect_yet_is_said_once_a_kind() {
        let text = r#"
            [[backends]]
            id = "a"
            address = "a.example:80"
            tags = ["x"]
            [[backends]]
            id = "b"
            address = "b.example:80"
            tags = ["x"]
            [[virtual_hosts]]
            domain = "default"
            enabled_backends_tag = "x"
            hsts_seconds = 60
        "#;
        let unset = BTreeMap::<String, String>::new();
        let (file, directory) = (Path::new("tpp.toml"), Path::new("/"));
        let config = config::parse(text, file, Format::Toml, directory, &unset).unwrap();
        assert_eq!(
            config.warnings(),
            ["http_to_https or hsts_seconds of a virtual host is set, but has no effect yet",]
        );
    }
}
