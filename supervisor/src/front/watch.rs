//! What changes of the front door without an order: files that were written anew, keys of tickets, certificates that end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::Mutex, task::spawn_blocking, time::MissedTickBehavior};
use tpp::{clock::unix_seconds, config};
use tracing::{info, warn};

use super::{FrontDoor, Wanted, tickets};

/// How often files are looked at: a change is in force within a minute.
const LOOK: Duration = Duration::from_secs(20);
/// From so many days before its end on a certificate is spoken of, each time that it has fewer days left than the next of these.
const SPOKEN_OF: [i64; 4] = [21, 7, 3, 1];

/// What was read of the files.
struct Found {
    config: config::Front,
    changed: Vec<String>,
    broken: BTreeMap<String, String>,
}

/// Looks after `front` for as long as it is polled. `turn` is held while something is put in force: a reload waits, and is waited for.
pub(crate) async fn watch(front: Arc<FrontDoor>, turn: Arc<Mutex<()>>) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut spoken = BTreeMap::new();
    loop {
        ticks.tick().await;
        let wanted = front.state().wanted.clone();
        if wanted.gates.is_empty() {
            continue;
        }
        speak_of(&wanted, &mut spoken);
        // On a thread of its own: the files may be on a server that does not answer.
        let config = wanted.config.clone();
        if let Ok(found) = spawn_blocking(move || read_again(config)).await {
            let _turn = turn.lock().await;
            front.take(&wanted, found);
        }
    }
}

/// Tells of certificates that end soon, once for each of [`SPOKEN_OF`].
fn speak_of(wanted: &Wanted, spoken: &mut BTreeMap<(String, i64), i64>) {
    let now = unix_seconds();
    for one in &wanted.config.certificates {
        let about = one.certified.about();
        let days = about.days_left(now);
        let stage = SPOKEN_OF.iter().copied().filter(|stage| days <= *stage);
        let Some(stage) = stage.min() else {
            continue;
        };
        let stage = if days < 0 { 0 } else { stage };
        let key = (one.files.name.clone(), about.not_after);
        if spoken.insert(key, stage) != Some(stage) {
            warn!(
                certificate = one.files.name,
                days, "certificate expires soon, or has expired"
            );
        }
    }
}

/// Reads all files again. What cannot be used stays as it was.
fn read_again(mut config: config::Front) -> Found {
    let (mut changed, mut broken) = (Vec::new(), BTreeMap::new());
    for one in &mut config.certificates {
        match one.read_again() {
            Ok(new) if new != *one => {
                changed.push(one.files.name.clone());
                *one = new;
            }
            Ok(_) => {}
            Err(reason) => drop(broken.insert(one.files.name.clone(), reason)),
        }
    }
    for listener in &mut config.listeners {
        let Some(file) = &mut listener.client_ca_file else {
            continue;
        };
        let name = file.path.display().to_string();
        match file.read_again() {
            Ok(new) if new != *file => {
                changed.push(name);
                *file = new;
            }
            Ok(_) => {}
            Err(reason) => drop(broken.insert(name, reason)),
        }
    }
    Found {
        config,
        changed,
        broken,
    }
}

impl FrontDoor {
    /// Puts in force what was found of the files of `wanted`, unless something else is wanted by now.
    fn take(&self, wanted: &Wanted, found: Found) {
        let (is_due, told) = {
            let mut state = self.state();
            if state.wanted != *wanted {
                return;
            }
            let has_tls = wanted.gates.iter().any(|gate| gate.tls);
            let is_due = has_tls && tickets::is_due(&state.tickets, unix_seconds());
            let told = std::mem::replace(&mut state.broken, found.broken.clone());
            (is_due, told)
        };
        for (name, reason) in &found.broken {
            if told.get(name) != Some(reason) {
                warn!(
                    certificate = name,
                    reason, "a changed file cannot be used: the old one stays in force"
                );
            }
        }
        if found.changed.is_empty() && !is_due {
            return;
        }
        let new = wanted.with(found.config);
        match self.publish(new) {
            Ok(_) => {
                self.state().broken = found.broken;
                for certificate in found.changed {
                    info!(certificate, "certificate changed, and is in force");
                }
            }
            Err(reason) => warn!(reason, "the workers keep the old certificates"),
        }
    }
}

impl Wanted {
    /// The same, of files that say something else.
    fn with(&self, config: config::Front) -> Self {
        let mut gates = self.gates.clone();
        let by_file = self.config.listeners.iter().zip(&config.listeners);
        for (old, new) in by_file {
            let (Some(old), Some(new)) = (&old.client_ca_file, &new.client_ca_file) else {
                continue;
            };
            for gate in &mut gates {
                if gate.authorities == old.certificates {
                    gate.authorities.clone_from(&new.certificates);
                }
            }
        }
        Self { config, gates }
    }
}
