//! The tickets of marketplace apps. The platform pushes an app's ticket to the app's own server every hour, which hands it on
//! to tpp. A ticket is the app's, whatever pools use it and however often they are configured anew, so there is one place for all.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tpp::config::Secret;

/// How often the platform is asked to send a ticket again.
const ASK_INTERVAL: Duration = Duration::from_secs(60);
/// Longest ticket that is taken, bytes.
const LONGEST: usize = 4096;

/// What is known of an app.
#[derive(Debug, Default)]
struct App {
    ticket: Option<Secret>,
    asked: Option<Instant>,
}

static APPS: LazyLock<Mutex<HashMap<String, App>>> = LazyLock::new(Mutex::default);

fn apps() -> MutexGuard<'static, HashMap<String, App>> {
    APPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the ticket of `app` until the next one comes: its accounts may be [renewed](crate::schedule::Schedule::renew) then.
/// False: it is none.
pub fn take_ticket(app: &str, ticket: &str) -> bool {
    let is_one = (1..=LONGEST).contains(&ticket.len()) && !ticket.contains(char::is_control);
    if is_one {
        let ticket = Some(Secret::new(ticket.to_owned()));
        let asked = None;
        apps().insert(app.to_owned(), App { ticket, asked });
    }
    is_one
}

/// The ticket that came last for `app`.
pub(super) fn ticket_of(app: &str) -> Option<Secret> {
    apps().get(app)?.ticket.clone()
}

/// Whether the platform may be asked for the ticket of `app` now; then it is noted as asked.
pub(super) fn may_ask(app: &str) -> bool {
    let now = Instant::now();
    let mut apps = apps();
    let asked = &mut apps.entry(app.to_owned()).or_default().asked;
    let may = asked.is_none_or(|at| now.saturating_duration_since(at) >= ASK_INTERVAL);
    if may {
        *asked = Some(now);
    }
    may
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ticket_of_each_app_counts_and_no_nonsense_takes_its_place() {
        let app = "cli_tickets_test";
        assert!(ticket_of(app).is_none());
        assert!(take_ticket(app, "first") && take_ticket(app, "second"));
        for nonsense in ["", "a\nb", &"x".repeat(LONGEST + 1)] {
            assert!(!take_ticket(app, nonsense));
        }
        assert_eq!(ticket_of(app).unwrap().expose(), "second");
        assert!(ticket_of("cli_another").is_none());
    }

    #[test]
    fn a_ticket_is_asked_for_once_until_one_comes() {
        let app = "cli_asking_test";
        assert!(may_ask(app));
        assert!(!may_ask(app));
        assert!(take_ticket(app, "fresh"));
        assert!(may_ask(app), "that one may be bad too");
    }
}
