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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(script: &str) -> Value {
        run(script, "ann").unwrap().value
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn arithmetic_follows_the_usual_order() {
        for (script, expected) in [
            ("1+2", 3),
            (" 1 + 2 * 3 ", 7),
            ("(1+2)*3", 9),
            ("10-4-3", 3),
            ("100/10/5", 2),
            ("-3+5", 2),
            ("--3", 3),
            ("2*-3", -6),
            ("7/2", 3),
            ("-7/2", -4),
            ("7/-2", -4),
            ("-8/2", -4),
        ] {
            assert_eq!(value(script), Value::Int(expected), "{script}");
        }
    }

    #[test]
    fn a_point_makes_a_double() {
        assert_eq!(value("1.5+1"), Value::Double(2.5));
        assert_eq!(value("7/2.0"), Value::Double(3.5));
        assert_eq!(value(".5*2"), Value::Double(1.0));
    }

    #[test]
    fn what_has_no_value_is_null() {
        let overflow = format!("{}+1", i64::MAX);
        for script in ["1/0", "1.0/0", "1/0+1", "sleep(0)", "", " ; ", &overflow] {
            assert_eq!(value(script), Value::Void, "{script}");
        }
    }

    #[test]
    fn text_joins_with_anything() {
        assert_eq!(value(r#""a" + 'b' + 1"#), text("ab1"));
        assert_eq!(value(r#""say \"hi\"\n""#), text("say \"hi\"\n"));
    }

    #[test]
    fn functions_know_version_and_user() {
        assert_eq!(value("user()"), text("ann"));
        assert_eq!(value("version( )"), text(VERSION));
    }

    #[test]
    fn sleeps_add_up_and_have_an_end() {
        let outcome = run("sleep(100); sleep(20*2); 7", "ann").unwrap();
        assert_eq!(
            outcome,
            Outcome {
                value: Value::Int(7),
                pause: Duration::from_millis(140)
            }
        );
        assert_eq!(
            run("sleep(9223372036854775807)", "ann").unwrap().pause,
            MAX_SLEEP
        );
    }

    #[test]
    fn anything_else_is_a_syntax_error_with_its_line() {
        for (script, message) in [
            ("1+", "[line #1] The script ends too early"),
            ("1 2", "[line #1] Cannot recognize the token 2"),
            (
                "select * from t",
                "[line #1] Cannot recognize the token select",
            ),
            (
                "1;\n2;\nfoo(1)",
                "[line #3] Cannot recognize the token foo(1)",
            ),
            ("(1", "[line #1] The script ends too early"),
            ("\"open", "[line #1] The string is not closed"),
            ("1.2.3", "[line #1] Cannot recognize the token 1.2.3"),
            ("sleep(-1)", "[line #1] Usage: sleep(milliseconds)"),
            ("sleep()", "[line #1] Usage: sleep(milliseconds)"),
            ("user(1)", "[line #1] Usage: user()"),
            ("\"a\"-1", "[line #1] A number is wanted, not a string"),
        ] {
            assert_eq!(
                run(script, "ann"),
                Err(format!("Syntax Error: {message}")),
                "{script}"
            );
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_not_a_crash() {
        for script in [
            "(".repeat(1_000_000),
            "-".repeat(1_000_000),
            "user(".repeat(100_000),
        ] {
            assert!(run(&script, "ann").unwrap_err().contains("too deeply"));
        }
    }

    proptest! {
        #[test]
        fn no_script_makes_it_panic(script in "[-0-9a-z\"'\\\\+*/(). ;\n]{0,60}") {
            let _ = run(&script, "ann");
        }

        #[test]
        fn no_text_makes_it_panic(script in any::<String>()) {
            let _ = run(&script, "ann");
        }
    }
}
