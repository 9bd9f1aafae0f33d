//! The corpora, as they are and shaken: what is found by fuzzing stays found, and a little is tried at every test.

use super::{replay::replay, *};

/// Variants of each answer that are tried.
const VARIANTS: u64 = 300;

/// What servers write, and what they should not.
const PIECES: [&str; 16] = [
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    ",",
    ":",
    "null",
    "-1e999",
    "0",
    "\r\n",
    "\u{202e}",
    PASSWORD,
    "\"code\":0,",
];

/// Numbers that look thrown, the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        // xorshift64.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % (most.max(1) as u64)) as usize
    }
}

/// `bytes` with something changed at a few places.
fn shaken(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        let end = (at + dice.below(12)).min(bytes.len());
        match dice.below(6) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.truncate(at),
            2 => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            3 => {
                let piece = PIECES[dice.below(PIECES.len())];
                drop(bytes.splice(at..end, piece.bytes()));
            }
            4 if at < bytes.len() => bytes[at] = dice.below(256) as u8,
            _ => drop(bytes.splice(at..at, PIECES[dice.below(PIECES.len())].bytes())),
        }
    }
    bytes
}

/// Judges each answer of a corpus, and variants of it.
fn try_all(corpus: &str, target: fn(&[u8])) {
    let corpus = format!("{}/../fuzz/corpus/{corpus}", env!("CARGO_MANIFEST_DIR"));
    replay(&corpus, |bytes| {
        target(bytes);
        for seed in 1..=VARIANTS {
            let variant = shaken(bytes, &mut Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            // What breaks is printed with its seed.
            println!("seed {seed}");
            target(&variant);
        }
    });
}

#[test]
fn login_answers_are_judged_as_promised() {
    try_all("login_answer", login_answer);
}

#[test]
fn json_answers_are_judged_as_promised() {
    try_all("json_answer", json_answer);
}

#[test]
fn oauth2_answers_are_judged_as_promised() {
    try_all("oauth2_answer", oauth2_answer);
}

#[test]
fn feishu_answers_are_judged_as_promised() {
    try_all("feishu_answer", feishu_answer);
}
