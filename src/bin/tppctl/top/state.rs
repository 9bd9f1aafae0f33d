//! What is on the screen, and what a key makes of it. Pure: what is to be ordered is returned.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tpp::{config::BackendState, control::Command};

use super::look::{Look, Shown, Target, View};

/// The screen.
#[derive(Debug)]
pub(crate) struct Screen {
    pub(crate) view: View,
    /// By the so manieth of a view's orders, for each view; and whether the other way round.
    orders: [(usize, bool); View::ALL.len()],
    /// What was seen last, and before that.
    pub(crate) look: Option<Look>,
    pub(crate) requests_per_second: Option<f64>,
    /// The line that is meant.
    selected: Option<Target>,
    pub(crate) question: Option<Question>,
    /// What came of the last order, or why nothing is seen.
    pub(crate) said: String,
}

/// An order that is to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) text: String,
    order: Command,
    /// Tags that a switch may be to.
    tags: Vec<String>,
}

/// What comes of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The screen may have changed.
    Redraw,
    /// That is to be carried out.
    Order(Command),
    /// It is over.
    Quit,
}

impl Default for Screen {
    fn default() -> Self {
        Self {
            view: View::Pools,
            orders: Default::default(),
            look: None,
            requests_per_second: None,
            selected: None,
            question: None,
            said: String::new(),
        }
    }
}

impl Screen {
    /// Shows what was seen, so many seconds after what was seen before.
    pub(crate) fn see(&mut self, look: Look, seconds: f64) {
        let before = self.look.as_ref().map(|before| before.status.requests);
        self.requests_per_second = before
            .filter(|_| seconds > 0.0)
            .map(|before| look.status.requests.saturating_sub(before) as f64 / seconds);
        self.look = Some(look);
    }

    fn at(&self) -> usize {
        let at = View::ALL.iter().position(|view| *view == self.view);
        at.unwrap_or(0)
    }

    /// By what it is sorted, and whether the other way round.
    pub(crate) fn order(&self) -> (usize, bool) {
        self.orders[self.at()]
    }

    /// The lines to be shown, and which of them is meant.
    pub(crate) fn shown(&self) -> Option<(Shown, Option<usize>)> {
        let (order, reversed) = self.order();
        let shown = self.look.as_ref()?.shown(self.view, order, reversed);
        let selected = self.selected.as_ref();
        let at = selected
            .and_then(|one| shown.targets.iter().position(|target| target.is(one)))
            .or((!shown.targets.is_empty()).then_some(0));
        Some((shown, at))
    }

    fn target(&self) -> Option<Target> {
        let (shown, at) = self.shown()?;
        at.map(|at| shown.targets[at].clone())
    }

    /// What comes of `key`.
    pub(crate) fn press(&mut self, key: KeyEvent) -> Outcome {
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Outcome::Quit;
        }
        if self.question.is_some() {
            return self.answer(key.code);
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Outcome::Quit,
            KeyCode::Tab | KeyCode::Right => self.turn(1),
            KeyCode::BackTab | KeyCode::Left => self.turn(View::ALL.len() - 1),
            KeyCode::Char(digit @ '1'..='5') => {
                self.view = View::ALL[digit as usize - '1' as usize];
            }
            KeyCode::Char('s') => {
                let (at, count) = (self.at(), self.view.orders().len());
                self.orders[at].0 = (self.orders[at].0 + 1) % count;
            }
            KeyCode::Char('o') => {
                let at = self.at();
                self.orders[at].1 = !self.orders[at].1;
            }
            KeyCode::Up => self.step(|at, _| at.saturating_sub(1)),
            KeyCode::Down => self.step(|at, last| (at + 1).min(last)),
            KeyCode::Home => self.step(|_, _| 0),
            KeyCode::End => self.step(|_, last| last),
            KeyCode::Char(letter) => self.ask(letter),
            _ => {}
        }
        Outcome::Redraw
    }

    fn turn(&mut self, by: usize) {
        self.view = View::ALL[(self.at() + by) % View::ALL.len()];
    }

    fn step(&mut self, to: impl Fn(usize, usize) -> usize) {
        let Some((shown, Some(at))) = self.shown() else {
            return;
        };
        let to = to(at, shown.targets.len() - 1);
        self.selected = Some(shown.targets[to].clone());
    }

    /// Puts the question that `letter` stands for.
    fn ask(&mut self, letter: char) {
        let tags = self.look.as_ref().map_or_else(Vec::new, Look::tags);
        let Some(target) = self.target() else { return };
        self.question = question(letter, &target, tags);
        // What is asked about stays what is meant.
        if self.question.is_some() {
            self.selected = Some(target);
        }
    }

    fn answer(&mut self, key: KeyCode) -> Outcome {
        if let (Some(question), KeyCode::Left | KeyCode::Right) = (&mut self.question, key) {
            question.turn(key == KeyCode::Right);
            return Outcome::Redraw;
        }
        let question = self.question.take();
        match question.filter(|_| matches!(key, KeyCode::Char('y' | 'Y'))) {
            Some(question) => {
                self.said = "…".to_owned();
                Outcome::Order(question.order)
            }
            None => Outcome::Redraw,
        }
    }
}

impl Question {
    fn new(text: String, order: Command) -> Self {
        Self {
            text,
            order,
            tags: Vec::new(),
        }
    }

    /// A switch of `domain`, which `from` serves, to one of `tags`.
    fn switch(domain: &str, from: &str, mut tags: Vec<String>) -> Option<Self> {
        tags.retain(|tag| tag != from);
        let tag = tags.first()?.clone();
        let more = if tags.len() > 1 {
            " (left, right: another tag)"
        } else {
            ""
        };
        Some(Self {
            text: format!("Switch {domain} from {from} to {tag}{more}?"),
            order: Command::Switch {
                domain: domain.to_owned(),
                tag,
                percent: None,
                require_healthy: false,
            },
            tags,
        })
    }

    /// To the next tag, or the one before.
    fn turn(&mut self, forward: bool) {
        let Command::Switch { tag, .. } = &mut self.order else {
            return;
        };
        let count = self.tags.len();
        let at = self.tags.iter().position(|one| one == tag).unwrap_or(0);
        let next = &self.tags[(at + if forward { 1 } else { count - 1 }) % count];
        self.text = self
            .text
            .replace(&format!(" to {tag} "), &format!(" to {next} "));
        tag.clone_from(next);
    }
}

/// The question that a letter stands for, with what is meant selected.
fn question(letter: char, target: &Target, tags: Vec<String>) -> Option<Question> {
    match (letter, target) {
        (
            'p',
            Target::Pool {
                name,
                paused: false,
            },
        ) => Some(Question::new(
            format!("Pause pool {name}: nothing of it is lent until it is resumed?"),
            Command::Pause { pool: name.clone() },
        )),
        ('r', Target::Pool { name, paused: true }) => Some(Question::new(
            format!("Resume pool {name}?"),
            Command::Resume { pool: name.clone() },
        )),
        ('f', Target::Pool { .. }) => Some(Question::new(
            "Log in anew for all accounts of all pools?".to_owned(),
            Command::Refresh { user: None },
        )),
        ('f', Target::Holder { user, .. }) => Some(Question::new(
            format!("Log in anew for user {user}?"),
            Command::Refresh {
                user: Some(user.clone()),
            },
        )),
        ('k', Target::Holder { pool, slot, .. }) => Some(Question::new(
            format!("Cut off the connection that holds slot {slot} of pool {pool}?"),
            Command::EndLease {
                pool: pool.clone(),
                slot: *slot,
            },
        )),
        ('w', Target::Host { domain, tag }) => Question::switch(domain, tag, tags),
        ('d', Target::Backend { id, serves }) => {
            let (text, state) = if *serves {
                (format!("Drain backend {id}?"), BackendState::Drain)
            } else {
                (
                    format!("Have backend {id} serve again?"),
                    BackendState::Ready,
                )
            };
            let id = id.clone();
            Some(Question::new(text, Command::SetState { id, state }))
        }
        _ => None,
    }
}
