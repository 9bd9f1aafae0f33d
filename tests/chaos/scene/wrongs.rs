//! What goes wrong with a scene for a while, and how it is put right.

use std::time::{Duration, Instant};

use super::{FRESH, Scene, Supervisor, Wrong};
use crate::{
    common::{processes, upstream::Login, wait_until},
    judge::Span,
};
use nix::sys::signal::Signal;

impl Scene<'_> {
    /// Puts something right after `delay`.
    pub(crate) fn right_later(&mut self, delay: Duration, wrong: Wrong) {
        self.wrongs.push((Instant::now() + delay, wrong));
    }

    /// Puts right whatever is due.
    pub(crate) fn right_what_is_due(&mut self) {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.wrongs)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.wrongs = later;
        let due: Vec<(Instant, Wrong)> = due;
        due.into_iter().for_each(|(_, wrong)| self.right(wrong));
        self.look_at_logins();
    }

    /// Puts everything right, and waits until tpp is whole.
    pub(crate) fn heal(&mut self) {
        self.note("healing");
        for (_, wrong) in std::mem::take(&mut self.wrongs) {
            match wrong {
                Wrong::Hanging(pid) => self.wrongs.push((Instant::now(), Wrong::Hanging(pid))),
                wrong => self.right(wrong),
            }
        }
        // There is a supervisor again, and it finds them out.
        for (_, wrong) in std::mem::take(&mut self.wrongs) {
            if let Wrong::Hanging(pid) = &wrong {
                wait_until("the worker that hangs is killed", || {
                    !processes::is_stopped(*pid)
                });
            }
            self.right(wrong);
        }
        self.can_be_asked();
        let outcome = self.proxy.ctl(&["reload"]);
        assert_eq!(
            outcome.code,
            Some(0),
            "the configuration is good: {outcome:?}"
        );
        if self.logins_in_trouble.is_some() {
            let outcome = self.proxy.ctl(&["refresh", "--all"]);
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
        }
        wait_until("every account has a good token", || {
            self.look_at_logins();
            self.logins_in_trouble.is_none()
        });
        let (tokens, workers) = (self.settings.slots(), self.settings.worker_count());
        wait_until("all tokens are in", || self.proxy.pool().total == tokens);
        self.proxy.wait_until_ready(workers);
        self.note("healed");
    }

    fn right(&mut self, wrong: Wrong) {
        self.note(format!("put right: {wrong:?}"));
        match wrong {
            Wrong::Stopped(pid) if self.judge.may_pass_for_dead(pid) => self.end_hanging(pid),
            Wrong::Stopped(pid) => {
                processes::send(pid, Signal::SIGCONT);
                self.judge.goes_on(pid);
            }
            Wrong::Hanging(pid) => self.end_hanging(pid),
            Wrong::Supervisor => self.right_the_supervisor(),
            Wrong::Logins => self.servers.script_logins(Login::Accept),
            Wrong::LoginsOf(user) => self.servers.script_login(&user, Login::Accept),
            Wrong::Upstream => {
                self.servers.come_up();
                self.upstream_is_back();
            }
        }
    }

    /// It may have been found out already. Or it hangs no more: a stopped process whose parent dies is continued by
    /// the system.
    fn end_hanging(&mut self, pid: u32) {
        if self.proxy.worker_pids().contains(&pid) {
            let held = self.stop(pid);
            self.judge.note_death(held);
            processes::send(pid, Signal::SIGKILL);
        }
    }

    fn right_the_supervisor(&mut self) {
        match self.supervisor {
            Supervisor::Up => {}
            Supervisor::Stopped => self.proxy.signal_supervisor(Signal::SIGCONT),
            Supervisor::Dead => self.proxy.start_successor(),
        }
        self.upgrading &= self.supervisor == Supervisor::Stopped;
        self.supervisor = Supervisor::Up;
    }

    /// Kills the supervisor; another one comes after `length`.
    pub(crate) fn supervisor_dies(&mut self, length: Duration) {
        self.trouble_logins();
        self.proxy.kill_supervisor();
        self.supervisor = Supervisor::Dead;
        self.right_later(length, Wrong::Supervisor);
    }

    /// Something has happened that may leave a slot without a good token for a while.
    pub(crate) fn trouble_logins(&mut self) {
        self.logins_in_trouble.get_or_insert_with(Instant::now);
    }

    /// Tokens are about to expire, which no client must see if they are not brand-new.
    pub(crate) fn tokens_expire(&mut self) {
        let youngest = self.servers.youngest_token();
        if youngest.is_some_and(|age| age < FRESH) {
            self.trouble_logins();
        }
    }

    /// The trouble is over once nothing stands in a login's way and each account has a good token.
    fn look_at_logins(&mut self) {
        let is_in_the_way = |wrong: &Wrong| !matches!(wrong, Wrong::Stopped(_) | Wrong::Hanging(_));
        let in_the_way = self.wrongs.iter().any(|(_, wrong)| is_in_the_way(wrong));
        let (users, upstream) = (&self.users, self.servers.upstream());
        let is_over = || !in_the_way && users.iter().all(|user| upstream.is_logged_in(user));
        if let Some(from) = self.logins_in_trouble
            && is_over()
        {
            self.logins_in_trouble = None;
            let until = Some(Instant::now());
            self.judge.note_logins(Span { from, until });
        }
    }

    /// The upstream is about to be cut or to go away.
    pub(crate) fn upstream_goes(&mut self) {
        self.upstream_away = Some(Span::beginning_now());
        self.trouble_logins();
    }

    pub(crate) fn upstream_is_back(&mut self) {
        if let Some(mut span) = self.upstream_away.take() {
            span.until = Some(Instant::now());
            self.judge.note_upstream(span);
        }
    }
}
