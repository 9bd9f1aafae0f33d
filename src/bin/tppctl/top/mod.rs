//! `tppctl top`: a tpp in a terminal, looked at each second, with keys to sort and to act.

mod draw;
mod look;
mod state;
#[cfg(test)]
mod tests;

use std::{
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyEventKind},
};
use tpp::control::{Command, Reply};

use crate::{
    Failure,
    render::{self, Page},
};

use look::Look;
use state::{Outcome, Screen};

/// How often it is looked.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a key is waited for before what was seen meanwhile is shown.
const TICK: Duration = Duration::from_millis(100);

/// Whom to ask.
pub(crate) trait Ask: Clone + Send + 'static {
    /// Asks, and waits for the answer.
    fn ask(&self, command: Command) -> Result<Reply, Failure>;
}

/// What comes in beside keys.
enum News {
    Seen(Box<Look>, Instant),
    Said(String),
}

/// Looks once.
///
/// # Errors
/// If tpp does not answer, or otherwise than it should.
pub(crate) fn look(tpp: &impl Ask) -> Result<Look, Failure> {
    let other = || Failure::Line("the supervisor answered another question".to_owned());
    let Reply::Status(status) = tpp.ask(Command::Status)? else {
        return Err(other());
    };
    let Reply::Pools(pools) = tpp.ask(Command::Pools)? else {
        return Err(other());
    };
    let Reply::Tokens(tokens) = tpp.ask(Command::Tokens)? else {
        return Err(other());
    };
    let holders = tokens.into_iter().filter(|token| token.held_ms.is_some());
    Ok(Look {
        status: *status,
        pools,
        holders: holders.collect(),
    })
}

/// All views below each other, as plain text.
pub(crate) fn page(look: &Look, now: u64, page: Page) -> String {
    let gateway = &look.status.gateway;
    let mut holders = look.holders.clone();
    holders.sort_by_key(|token| std::cmp::Reverse(token.held_ms));
    [
        // With the workers at its end.
        render::status(&look.status, now, page),
        render::pools(&look.pools, page),
        render::holders(&holders, page),
        render::domains(&gateway.domains, page),
        render::backends(&gateway.backends, page),
    ]
    .join("\n")
}

/// Shows it until it is quit.
///
/// # Errors
/// If tpp does not answer at first, or the terminal cannot be had.
pub(crate) fn run(tpp: &impl Ask) -> Result<(), Failure> {
    let mut screen = Screen::default();
    // A tpp that is not there is said so on the ordinary screen.
    screen.see(look(tpp)?, 0.0);
    let mut terminal = ratatui::try_init()?;
    let outcome = follow(&mut terminal, &mut screen, tpp);
    ratatui::try_restore()?;
    outcome
}

fn follow(
    terminal: &mut DefaultTerminal,
    screen: &mut Screen,
    tpp: &impl Ask,
) -> Result<(), Failure> {
    let (tell, news) = mpsc::channel();
    look_on(tpp.clone(), tell.clone());
    let mut seen_at = Instant::now();
    loop {
        seen_at = take_up(&news, screen, seen_at);
        terminal.draw(|frame| draw::draw(frame, screen))?;
        if !event::poll(TICK)? {
            continue;
        }
        // Others, such as a new size, are drawn by.
        let Event::Key(key) = event::read()? else {
            continue;
        };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match screen.press(key) {
            Outcome::Redraw => {}
            Outcome::Order(command) => carry_out(tpp.clone(), command, tell.clone()),
            Outcome::Quit => return Ok(()),
        }
    }
}

/// Shows what came in; returns when the last look was.
fn take_up(news: &Receiver<News>, screen: &mut Screen, mut seen_at: Instant) -> Instant {
    for news in news.try_iter() {
        match news {
            News::Seen(look, at) => {
                let passed = at.saturating_duration_since(seen_at);
                screen.see(*look, passed.as_secs_f64());
                seen_at = at;
            }
            News::Said(line) => screen.said = line,
        }
    }
    seen_at
}

/// Looks each second, in a thread that ends with the receiver. tpp may come and go meanwhile.
fn look_on(tpp: impl Ask, tell: Sender<News>) {
    thread::spawn(move || {
        loop {
            thread::sleep(PERIOD);
            let news = match look(&tpp) {
                Ok(look) => News::Seen(Box::new(look), Instant::now()),
                Err(failure) => News::Said(failure.lines().join("; ")),
            };
            if tell.send(news).is_err() {
                return;
            }
        }
    });
}

/// Has an order carried out, in a thread of its own: a refresh takes its time.
fn carry_out(tpp: impl Ask, order: Command, tell: Sender<News>) {
    thread::spawn(move || {
        let said = match tpp.ask(order) {
            Ok(Reply::Done(line)) => line,
            Ok(_) => "the supervisor answered another question".to_owned(),
            Err(failure) => failure.lines().join("; "),
        };
        // Whoever quit does not want to know.
        let _ = tell.send(News::Said(said));
    });
}
