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
