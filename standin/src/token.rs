//! Tokens as DolphinDB writes them: random bytes in base64, in lines of 64.

/// As many as the token in DolphinDB's documentation has.
const BYTES: usize = 128;
const LINE: usize = 64;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A new token: in lines, each with a line feed at its end, the last one too.
pub(super) fn draw() -> String {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes);
    let mut token = String::new();
    for line in base64(&bytes).as_bytes().chunks(LINE) {
        token.extend(line.iter().copied().map(char::from));
        token.push('\n');
    }
    token
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for place in 0..4 {
            let sextet = (word >> (18 - 6 * place)) as usize & 0x3f;
            text.push(if place > group.len() {
                '='
            } else {
                char::from(ALPHABET[sextet])
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standard_one() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn a_token_comes_in_lines_and_no_two_are_alike() {
        let token = draw();
        let lines: Vec<_> = token.lines().map(str::len).collect();
        assert_eq!(lines, [64, 64, 44]);
        assert!(token.ends_with("=\n"));
        assert_ne!(token, draw());
    }
}
