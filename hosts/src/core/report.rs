//! What there is to see.
use super::Core;
use super::peers::Peer;
use crate::deadlines::Words;
use crate::keys::Place;
use crate::records::{Beat, Generation, Going};
use crate::status::{HostRow, HostState, Phase, Status};
use crate::view::Seen;

impl Core {
    /// What is known of all hosts, and what this one is doing.
    #[must_use]
    pub fn status(&self, now: u64) -> Status {
        let margin = |until: u64| until.saturating_sub(now) / 1_000_000;
        let deadlines = self.deadlines();
        let (sessions, unclaimed) = self.sums_of_accounts();
        let newest_format = self.newest_format();
        Status {
            phase: self.phase(),
            lend_margin_ms: margin(deadlines.floating.lend_until),
            lend_limit_ms: Words::after(0, self.takeover).lend_until / 1_000_000,
            home_margin_ms: margin(deadlines.home.lend_until),
            hosts: self.rows(now),
            sessions,
            unclaimed,
            format: self.format(),
            newest_format,
            held_back_by: self.held_back_by(newest_format),
            sums: self.sums.clone(),
            remarks: self.remarks(now),
        }
    }

    fn phase(&self) -> Phase {
        match (&self.end, &self.me) {
            (Some(end), _) => *end,
            (None, _) if self.store.other => Phase::OtherStore,
            (None, _) if self.leaving => Phase::Leaving,
            (None, Some(me)) if self.beating.generation == me.generation => Phase::Joined,
            (None, Some(_)) => Phase::Rejoining,
            (None, None) if self.waits.is_some() => Phase::Waiting,
            (None, None) if self.lives > 1 => Phase::Rejoining,
            (None, None) => Phase::Starting,
        }
    }

    fn sums_of_accounts(&self) -> (u32, u32) {
        let records = self.view.accounts.values().filter_map(Seen::read);
        let sums = records.map(|shares| (shares.limit, self.view.available(shares, shares.limit)));
        sums.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }

    fn rows(&self, now: u64) -> Vec<HostRow> {
        let totals = self.view.totals();
        let row = |(name, seen): (&String, &Seen<Generation>)| {
            let record = seen.read()?;
            let (beat, at) = self
                .view
                .beats
                .get(name)
                .map_or((None, 0), |seen| (seen.read(), seen.at));
            let age_ms = now.saturating_sub(at) / 1_000_000;
            let has = totals.get(name).copied().unwrap_or_default();
            let said = |what: fn(&Beat) -> u32| beat.map_or(0, what);
            Some(HostRow {
                name: name.clone(),
                me: *name == self.settings.name,
                state: self.state_of(name, record, age_ms),
                beat_ms: age_ms,
                floating: has[0],
                home: has[1],
                in_use: said(|beat| beat.in_use),
                idle: said(|beat| beat.free),
                waiting: said(|beat| beat.waiting),
                oldest_ms: beat.map_or(0, |beat| {
                    Peer {
                        name: String::new(),
                        beat: beat.clone(),
                        age_ms,
                        has: has.iter().sum(),
                    }
                    .oldest_ms()
                }),
                formats: self.spoken_by(name),
                version: beat.map_or_else(String::new, |beat| beat.version.clone()),
                config: beat.map_or_else(String::new, |beat| beat.cfg.clone()),
                differs: beat.is_some_and(|beat| beat.cfg != self.config),
            })
        };
        self.view.generations.iter().filter_map(row).collect()
    }

    /// Who keeps the cluster from a later format, and what that one is.
    fn remark_of_formats(&self, rows: impl Iterator<Item = HostRow>) -> Option<String> {
        let newest = self.newest_format();
        let holders = self.held_back_by(newest);
        let described = rows
            .filter(|row| holders.contains(&row.name))
            .map(|row| format!("{} (tpp {}, {})", row.name, row.version, row.formats));
        (!holders.is_empty()).then(|| {
            format!(
                "records are written in format {}, and in {newest} when these hosts speak it: {}",
                self.format(),
                described.collect::<Vec<_>>().join(", ")
            )
        })
    }

    fn state_of(&self, name: &str, record: &Generation, age_ms: u64) -> HostState {
        if record.inc.is_none() {
            return HostState::Off;
        }
        if self.is_fenced(name, record) {
            return HostState::Fenced;
        }
        let silent = age_ms > self.takeover * 6 / 15 / 1_000_000;
        match self.view.beat(name).map(|beat| beat.state) {
            _ if silent => HostState::Silent,
            Some(Going::Leaving) => HostState::Leaving,
            _ => HostState::Live,
        }
    }

    fn remarks(&self, now: u64) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.store.other {
            remarks.push("etcd is not the one this host knew, or was restored from a backup: nothing is taken from it; when no host lends any more: tppctl hosts adopt".to_owned());
        }
        if let (Phase::Waiting, Some(waits)) = (self.phase(), &self.waits) {
            let name = &self.settings.name;
            remarks.push(if waits.own {
                "this host's earlier life was seen a short time ago: waiting until nothing of it can be under way".to_owned()
            } else {
                format!("the name \"{name}\" is another machine's: waiting until that has been silent for hosts.home_takeover_seconds; give one of the two another hosts.name")
            });
        }
        let terms = [
            ("takeover_seconds", self.settings.takeover, self.takeover),
            (
                "home_takeover_seconds",
                self.settings.home_takeover,
                self.home_takeover,
            ),
        ];
        for (key, configured, in_force) in terms {
            if configured != in_force {
                let [configured, in_force] = [configured, in_force].map(|it| it / 1_000_000_000);
                remarks.push(format!("hosts.{key} is {configured} here and {in_force} in the cluster, which is in force"));
            }
        }
        let rows = self.rows(now).into_iter();
        remarks.extend(self.remark_of_formats(rows.clone()));
        let differs = rows.filter(|row| row.differs && row.state != HostState::Off);
        remarks.extend(differs.map(|row| {
            format!(
                "accounts at {} are not those that are configured here: nothing is given to it",
                row.name
            )
        }));
        for (account, _) in self
            .view
            .accounts
            .iter()
            .filter(|(_, seen)| seen.is_unreadable())
        {
            let key = self.keys.of(&Place::Account(*account));
            remarks.push(format!(
                "the record {key} in etcd cannot be read: it is left as it is"
            ));
        }
        remarks
    }
}
