//! Makes a new plan when something has changed by itself: addresses, or who is healthy.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet};
use tpp::lending::Stock;
use tracing::{error, info};

use super::{
    Plans,
    compile::{Inputs, Name},
    names::Followed,
};
use crate::health::{Checker, Network};

/// What changes within so long is one plan.
const BATCH: Duration = Duration::from_millis(100);
/// How often what has been let go of is looked at.
const TIDY: Duration = Duration::from_secs(10);

/// Follows names and health as long as it is polled; `bell` changes whenever a worker rang.
pub(crate) async fn keep(plans: Arc<Plans>, stock: Arc<Stock>, bell: watch::Receiver<()>) {
    let mut rings = bell.clone();
    let (mut followed, mut finds) = Followed::new(stock, bell);
    let mut changes = plans.changes.subscribe();
    let mut turns = plans.checks.turns();
    // Ends with us.
    let mut checking = JoinSet::new();
    checking.spawn(Checker::new(plans.checks.clone(), Network).run());
    let (mut found, mut was_out) = (Vec::new(), BTreeSet::new());
    let mut tidying = tokio::time::interval(TIDY);
    loop {
        let plan = plans.in_force();
        let names = plan.backends.iter().map(|one| Name::of(&one.upstream));
        followed.replace(names);
        // Until there may be other names.
        loop {
            let (out, next_back) = plans.judge();
            if out == was_out {
                tokio::select! {
                    // The senders live as long as we do.
                    Ok(()) = changes.changed() => break,
                    Ok(()) = turns.changed() => {}
                    Some(find) = finds.recv() => found.push(find),
                    // It may be about failures of a backend.
                    Ok(()) = rings.changed() => continue,
                    () = tokio::time::sleep(next_back.unwrap_or_default()), if next_back.is_some() => continue,
                    _ = tidying.tick() => {
                        plans.tidy();
                        continue;
                    }
                }
                tokio::time::sleep(BATCH).await;
                while let Ok(find) = finds.try_recv() {
                    found.push(find);
                }
            }
            for back in was_out.difference(&out) {
                info!(backend = back, "backend is no longer left out");
            }
            was_out = out;
            renew(&plans, std::mem::take(&mut found)).await;
        }
    }
}

/// Makes a plan with what was found out, if that makes a difference.
async fn renew(plans: &Plans, found: Vec<(Name, Vec<SocketAddr>)>) {
    let turn = plans.turn().await;
    let mut inputs = with_addresses(turn.inputs(), found);
    inputs.out = plans.judge().0;
    if !turn.would_change(&inputs) {
        return;
    }
    match turn.prepare(inputs).await {
        Ok(prepared) => {
            if let Err(reason) = turn.publish(prepared).await {
                error!(reason, "the workers keep the old addresses");
            }
        }
        Err(reason) => error!(reason, "the workers keep the old addresses"),
    }
}

/// Other backends may have been put in force during a look: what it found is then nobody's.
fn with_addresses(inputs: &Inputs, found: Vec<(Name, Vec<SocketAddr>)>) -> Inputs {
    let mut inputs = inputs.clone();
    for (name, addresses) in found {
        if inputs.names().any(|one| one == name) {
            inputs.addresses.insert(name, addresses);
        }
    }
    inputs
}
