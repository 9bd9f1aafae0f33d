//! A tpp with a pool of one provider, as a recipe has it, between its login server and an upstream that both know.

use std::net::SocketAddr;

use crate::{
    common::{client::Client, proxy::Proxy, settings::Settings, upstream::Upstream, wait_until},
    identity::Identity,
    recipes::{Kind, Recipe},
};

/// Who takes part. In this order they end.
pub(crate) struct Scene {
    pub(crate) proxy: Proxy,
    pub(crate) upstream: Upstream,
    pub(crate) identity: Identity,
    pub(crate) recipe: Recipe,
}

impl Scene {
    /// One that has all its tokens.
    pub(crate) fn of(kind: Kind) -> Self {
        Self::set_up(kind, |_, settings| settings)
    }

    /// The same; `prepare` tells the login server what to do and adds to the settings.
    pub(crate) fn set_up(
        kind: Kind,
        prepare: impl FnOnce(&Identity, Settings) -> Settings,
    ) -> Self {
        let scene = Self::without_tokens(kind, prepare);
        scene.wait_for_tokens();
        scene
    }

    /// One whose workers are ready, whatever becomes of the logins.
    pub(crate) fn without_tokens(
        kind: Kind,
        prepare: impl FnOnce(&Identity, Settings) -> Settings,
    ) -> Self {
        let upstream = Upstream::start();
        let identity = Identity::start(upstream.register());
        let recipe = Recipe::of(kind, identity.address());
        identity.know(&recipe);
        let settings = prepare(&identity, settings_before(&recipe, upstream.address()));
        Self {
            proxy: Proxy::start_without_tokens(&settings),
            upstream,
            identity,
            recipe,
        }
    }

    /// Waits until each slot has its token.
    #[track_caller]
    pub(crate) fn wait_for_tokens(&self) {
        let slots = self.recipe.slots();
        wait_until("all tokens are in", || self.proxy.pool().total == slots);
    }

    /// A connection to tpp that the judge watches.
    pub(crate) fn client(&self) -> Client {
        self.proxy.client(&self.upstream)
    }

    /// The first account's name.
    pub(crate) fn user(&self) -> &str {
        &self.recipe.accounts[0].name
    }

    /// Everybody has let go of everything, and the judge has seen nothing wrong.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        self.proxy.wait_until_all_is_back(self.recipe.slots());
        self.upstream.assert_clean();
        let faults = self.identity.faults();
        assert!(faults.is_empty(), "{faults:#?}");
    }

    /// What `tppctl tokens` says went wrong last with the first slot.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.proxy
            .tokens()
            .into_iter()
            .find_map(|token| token.last_error)
    }
}

/// The recipe, before one backend.
pub(crate) fn settings_before(recipe: &Recipe, backend: SocketAddr) -> Settings {
    let (pool, address) = (&recipe.pool, backend);
    let tables = format!(
        "\n[[backends]]\nid = \"one\"\naddress = \"{address}\"\ntags = [\"a\"]\npool = \"{pool}\"\n\
         \n[[virtual_hosts]]\ndomain = \"default\"\nenabled_backends_tag = \"a\"\n"
    );
    let (name, text) = &recipe.file;
    Settings::of_gateway()
        .set("health_check.type", "\"tcp\"")
        .further("\n")
        .further(&recipe.text)
        .further(&tables)
        .file(name, text)
}
