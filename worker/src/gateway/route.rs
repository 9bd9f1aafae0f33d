//! Whom a request is for: the virtual host of its name, and the backends that serve it now.

use std::sync::Arc;

use crate::{
    gateway::{client::Client, flight::Flight},
    message::{head::Head, host::without_port, reply::Reply},
    rarely::Likely as _,
    view::site::{Group, Site},
};

/// The virtual host that `head` asks, and the group that serves it. From here on what is said for them holds for the client.
///
/// # Errors
/// If there is none.
pub(crate) fn route(client: &mut Client, head: &Head) -> Result<(Arc<Site>, Arc<Group>), Reply> {
    if client.secured.is_some() {
        check_certificate(client, head).likely()?;
    }
    let Some(site) = client.view.routes.find(head.authority()).likely() else {
        return Err(Reply::not_found(
            "no virtual host of this name is served here",
        ));
    };
    let site = Arc::clone(site);
    client.attend(&site);
    let group = Arc::clone(site.group(|| client.split_key(head, &site.plan.host.split_by)));
    client.serve_by(&group);
    Ok((site, group))
}

/// Whom a client asks is proved by what it was shown: another host may be served elsewhere, or to others (RFC 9110, 15.5.20).
fn check_certificate(client: &mut Client, head: &Head) -> Result<(), Reply> {
    client.hsts = None;
    let shown = client.secured.as_ref().map(|secured| &secured.certified);
    let (Some(shown), Some(authority)) = (shown, head.authority()) else {
        return Ok(());
    };
    if shown.about().covers(without_port(authority)) {
        Ok(())
    } else {
        Err(Reply::misdirected())
    }
}

impl Flight<'_> {
    /// The same again: another plan is in force.
    pub(crate) fn route_again(&mut self) -> Result<(), Reply> {
        (self.site, self.group) = route(self.client, self.head)?;
        Ok(())
    }
}
