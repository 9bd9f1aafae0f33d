//! The few words of DolphinDB's language that the stand-in knows.
//!
//! Numbers, `"text"`, `+ - * /`, parentheses, `sleep(ms)`, `version()`, `user()`, and `;` between statements,
//! of which the last one's value counts. Nothing waits here: a `sleep` is added up for the caller.

use std::time::Duration;

/// What `version()` says.
const VERSION: &str = "3.00.2 stand-in";
/// How deep parentheses and signs may nest: each is a call on the stack.
const MAX_DEPTH: usize = 64;
/// The longest a script may sleep.
const MAX_SLEEP: Duration = Duration::from_secs(3600);

/// What an expression is worth.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// NULL: nothing, a number divided by zero, or one too large.
    Void,
    Int(i64),
    Double(f64),
    Text(String),
}

/// What a script came to.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) value: Value,
    /// How long it sleeps before it answers.
    pub(super) pause: Duration,
}

/// Runs `script` for `user`, or says in DolphinDB's manner what is wrong with it.
pub(super) fn run(script: &str, user: &str) -> Result<Outcome, String> {
    let mut parser = Parser {
        rest: script,
        user,
        line: 1,
        depth: 0,
        pause: Duration::ZERO,
    };
    let mut value = Value::Void;
    while !parser.at_end() {
        if parser.take(';') {
            continue;
        }
        value = parser.sum()?;
        if !parser.at_end() && !parser.take(';') {
            return Err(parser.unknown());
        }
    }
    Ok(Outcome {
        value,
        pause: parser.pause.min(MAX_SLEEP),
    })
}

struct Parser<'a> {
    rest: &'a str,
    user: &'a str,
    line: usize,
    depth: usize,
    pause: Duration,
}

impl<'a> Parser<'a> {
    fn sum(&mut self) -> Result<Value, String> {
        let mut left = self.product()?;
        loop {
            if self.take('+') {
                left = add(left, self.product()?);
            } else if self.take('-') {
                let right = self.product()?;
                left = self.arithmetic(&left, &right, i64::checked_sub, |a, b| a - b)?;
            } else {
                return Ok(left);
            }
        }
    }

    fn product(&mut self) -> Result<Value, String> {
        let mut left = self.factor()?;
        loop {
            if self.take('*') {
                let right = self.factor()?;
                left = self.arithmetic(&left, &right, i64::checked_mul, |a, b| a * b)?;
            } else if self.take('/') {
                let right = self.factor()?;
                left = self.arithmetic(&left, &right, floor_div, |a, b| a / b)?;
            } else {
                return Ok(left);
            }
        }
    }

    fn factor(&mut self) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fault("The expression is nested too deeply"));
        }
        let value = self.factor_within_depth();
        self.depth -= 1;
        value
    }

    fn factor_within_depth(&mut self) -> Result<Value, String> {
        if self.take('-') {
            let value = self.factor()?;
            return self.arithmetic(&Value::Int(0), &value, i64::checked_sub, |a, b| a - b);
        }
        if self.take('(') {
            let value = self.sum()?;
            return if self.take(')') {
                Ok(value)
            } else {
                Err(self.unknown())
            };
        }
        match self.peek() {
            Some('"' | '\'') => self.text(),
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_alphabetic() => self.call(),
            _ => Err(self.unknown()),
        }
    }

    fn text(&mut self) -> Result<Value, String> {
        let quote = self.rest.chars().next().unwrap_or('"');
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => text.extend(
                    chars
                        .next()
                        .map(|(_, escaped)| if escaped == 'n' { '\n' } else { escaped }),
                ),
                c if c == quote => {
                    self.advance(at + 1);
                    return Ok(Value::Text(text));
                }
                c => text.push(c),
            }
        }
        Err(self.fault("The string is not closed"))
    }

    fn number(&mut self) -> Result<Value, String> {
        let digits = self.word(|c| c.is_ascii_alphanumeric() || c == '.');
        let whole = digits.bytes().all(|byte| byte.is_ascii_digit());
        let value = if whole {
            digits.parse().map(Value::Int).ok()
        } else {
            None
        };
        match value.or_else(|| digits.parse().map(Value::Double).ok()) {
            Some(value) => {
                self.advance(digits.len());
                Ok(value)
            }
            None => Err(self.unknown()),
        }
    }

    fn call(&mut self) -> Result<Value, String> {
        let name = self.word(|c| c.is_alphanumeric() || c == '_');
        let unknown = self.unknown();
        self.advance(name.len());
        if !self.take('(') {
            return Err(unknown);
        }
        let argument = if self.take(')') {
            None
        } else {
            let value = self.sum()?;
            if !self.take(')') {
                return Err(self.unknown());
            }
            Some(value)
        };
        match (name, argument) {
            ("version", None) => Ok(Value::Text(VERSION.to_owned())),
            ("user", None) => Ok(Value::Text(self.user.to_owned())),
            ("sleep", Some(Value::Int(ms @ 0..))) => {
                self.pause = self
                    .pause
                    .saturating_add(Duration::from_millis(ms.unsigned_abs()));
                Ok(Value::Void)
            }
            ("version" | "user" | "sleep", _) => {
                Err(self.fault(&format!("Usage: {name}({})", usage(name))))
            }
            _ => Err(unknown),
        }
    }

    /// Whole numbers stay whole as long as they fit; NULL spreads; text does not count.
    fn arithmetic(
        &self,
        left: &Value,
        right: &Value,
        whole: fn(i64, i64) -> Option<i64>,
        broken: fn(f64, f64) -> f64,
    ) -> Result<Value, String> {
        match (left, right) {
            (Value::Text(_), _) | (_, Value::Text(_)) => {
                Err(self.fault("A number is wanted, not a string"))
            }
            (Value::Void, _) | (_, Value::Void) => Ok(Value::Void),
            (Value::Int(left), Value::Int(right)) => {
                Ok(whole(*left, *right).map_or(Value::Void, Value::Int))
            }
            (left, right) => {
                let result = broken(left.as_double(), right.as_double());
                Ok(if result.is_finite() {
                    Value::Double(result)
                } else {
                    Value::Void
                })
            }
        }
    }

    fn peek(&mut self) -> Option<char> {
        let trimmed = self.rest.trim_start();
        self.advance(self.rest.len() - trimmed.len());
        trimmed.chars().next()
    }

    fn at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.advance(wanted.len_utf8());
        }
        found
    }

    fn word(&self, belongs: fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        &self.rest[..end]
    }

    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes);
        self.line += passed.matches('\n').count();
        self.rest = rest;
    }

    fn unknown(&self) -> String {
        let word: String = self
            .rest
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .chars()
            .take(40)
            .collect();
        if word.is_empty() {
            return self.fault("The script ends too early");
        }
        self.fault(&format!("Cannot recognize the token {word}"))
    }

    fn fault(&self, what: &str) -> String {
        format!("Syntax Error: [line #{}] {what}", self.line)
    }
}

impl Value {
    fn as_double(&self) -> f64 {
        match self {
            Self::Int(number) => *number as f64,
            Self::Double(number) => *number,
            Self::Void | Self::Text(_) => f64::NAN,
        }
    }

    fn as_text(&self) -> String {
        match self {
            Self::Void => String::new(),
            Self::Int(number) => number.to_string(),
            Self::Double(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// Text joins with anything; the rest is arithmetic.
fn add(left: Value, right: Value) -> Value {
    match (left, right) {
        (left @ Value::Text(_), right) | (left, right @ Value::Text(_)) => {
            Value::Text(left.as_text() + &right.as_text())
        }
        (Value::Void, _) | (_, Value::Void) => Value::Void,
        (Value::Int(left), Value::Int(right)) => {
            left.checked_add(right).map_or(Value::Void, Value::Int)
        }
        (left, right) => Value::Double(left.as_double() + right.as_double()),
    }
}

/// Towards minus infinity, as DolphinDB divides whole numbers; nothing for a division by zero.
fn floor_div(left: i64, right: i64) -> Option<i64> {
    let quotient = left.checked_div(right)?;
    let inexact = left.checked_rem(right)? != 0;
    Some(if inexact && (left < 0) != (right < 0) {
        quotient - 1
    } else {
        quotient
    })
}

fn usage(name: &str) -> &'static str {
    if name == "sleep" { "milliseconds" } else { "" }
}

#[cfg(test)]
mod tests;
