//! The tokens of the management API: made here, kept as hashes alone, and looked up without telling how near a wrong one came.

use std::{fmt, str::FromStr};

use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use subtle::ConstantTimeEq;

const HASH_BYTES: usize = 32;
const SECRET_BYTES: usize = 32;
/// By which a token is known for what it is, where it turns up.
const PREFIX: &str = "tpp_";

/// What a token's owner may do; each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApiRole {
    /// Look.
    Read,
    /// Switch, drain, pause, refresh, reset.
    Operate,
    /// Everything.
    Admin,
}

impl ApiRole {
    /// The role as it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for ApiRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role: read, operate or admin")]
pub struct UnknownRole(String);

impl FromStr for ApiRole {
    type Err = UnknownRole;

    fn from_str(word: &str) -> Result<Self, UnknownRole> {
        let all = [Self::Read, Self::Operate, Self::Admin];
        let found = all.into_iter().find(|role| role.word() == word);
        found.ok_or_else(|| UnknownRole(word.to_owned()))
    }
}

/// Whose a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOwner {
    /// Stands in the audit lines.
    pub name: String,
    /// What it may do.
    pub role: ApiRole,
}

/// The tokens that are good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiTokens(Vec<(TokenOwner, [u8; HASH_BYTES])>);

impl ApiTokens {
    /// Reads `NAME:ROLE:SHA256-HEX` lines; `#` begins a comment. A name may have several tokens, so that one can take another's place.
    ///
    /// # Errors
    /// The numbers of the lines that are wrong, and what is wrong with each.
    pub fn parse(text: &str) -> Result<Self, Vec<(usize, String)>> {
        let mut tokens = Vec::new();
        let mut wrong = Vec::new();
        for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match one(line) {
                Ok(token) => tokens.push(token),
                Err(reason) => wrong.push((number, reason)),
            }
        }
        if wrong.is_empty() {
            Ok(Self(tokens))
        } else {
            Err(wrong)
        }
    }

    /// Whose the token is that somebody presents. It takes as long for a wrong one as for a right one.
    #[must_use]
    pub fn find(&self, presented: &[u8]) -> Option<&TokenOwner> {
        let hash = digest(&SHA256, presented);
        let mut found = None;
        for (owner, known) in &self.0 {
            if bool::from(known.as_slice().ct_eq(hash.as_ref())) {
                found = Some(owner);
            }
        }
        found
    }
}

fn one(line: &str) -> Result<(TokenOwner, [u8; HASH_BYTES]), String> {
    let mut parts = line.split(':');
    let (Some(name), Some(role), Some(hash), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("not three parts with a colon between them".to_owned());
    };
    if !is_name(name) {
        return Err(format!("{name:?} is no name: {NAMES}"));
    }
    let role = role
        .parse()
        .map_err(|error: UnknownRole| error.to_string())?;
    let hash = from_hex(hash).ok_or("the hash is not 64 hexadecimal digits")?;
    let name = name.to_owned();
    Ok((TokenOwner { name, role }, hash))
}

const NAMES: &str = "1 to 64 of A-Z a-z 0-9 . _ -";

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

/// A token as it is made: this is the only time that it is to be seen.
#[derive(Debug)]
pub struct NewToken {
    /// What its owner presents.
    pub secret: String,
    /// The line for the file.
    pub line: String,
}

/// Why a token is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NewTokenError {
    /// A name that no line could have.
    #[error("the name may have {NAMES}")]
    Name,
    /// The system gives no random bytes.
    #[error("no random bytes from the system")]
    Random,
}

/// Makes a token of 256 random bits: so many that its hash needs no salt and no slowness.
///
/// # Errors
/// [`NewTokenError`].
pub fn new_token(name: &str, role: ApiRole) -> Result<NewToken, NewTokenError> {
    if !is_name(name) {
        return Err(NewTokenError::Name);
    }
    let mut bytes = [0; SECRET_BYTES];
    let random = SystemRandom::new();
    random.fill(&mut bytes).map_err(|_| NewTokenError::Random)?;
    let secret = format!("{PREFIX}{}", hex(&bytes));
    let hash = hex(digest(&SHA256, secret.as_bytes()).as_ref());
    let line = format!("{name}:{role}:{hash}");
    Ok(NewToken { secret, line })
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A String takes whatever is written to it.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<[u8; HASH_BYTES]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect::<Option<_>>()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_was_made_is_found_by_its_line() {
        let made = new_token("ci", ApiRole::Operate).unwrap();
        let other = new_token("ci", ApiRole::Read).unwrap();
        assert_ne!(made.secret, other.secret);
        let text = format!("# who may\n\n{}\n{}\n", made.line, other.line);
        let tokens = ApiTokens::parse(&text).unwrap();
        let owner = tokens.find(made.secret.as_bytes()).unwrap();
        assert_eq!((owner.name.as_str(), owner.role), ("ci", ApiRole::Operate));
        let role = tokens.find(other.secret.as_bytes()).map(|owner| owner.role);
        assert_eq!(role, Some(ApiRole::Read));
        assert_eq!(tokens.find(b""), None);
        assert_eq!(tokens.find(&made.secret.as_bytes()[1..]), None);
        assert!(!text.contains(&made.secret));
    }

    #[test]
    fn the_hash_is_sha_256_of_the_token() {
        let line = "x:read:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
        let tokens = ApiTokens::parse(line).unwrap();
        assert!(tokens.find(b"abc").is_some());
    }

    #[test]
    fn each_wrong_line_is_named() {
        let hash = "0".repeat(64);
        let text = format!(
            "a:read\nb:owner:{hash}\nc d:read:{hash}\ne:read:{hash}0\nf:read:{hash}\n:read:{hash}\ng:read:{hash}:\nh:read:+{}",
            "0".repeat(63)
        );
        let wrong = ApiTokens::parse(&text).unwrap_err();
        let lines: Vec<_> = wrong.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 6, 7, 8]);
    }

    #[test]
    fn no_token_is_made_for_a_name_that_no_line_can_have() {
        for name in ["", "a:b", "a b", "é", &"x".repeat(65)] {
            assert_eq!(
                new_token(name, ApiRole::Read).unwrap_err(),
                NewTokenError::Name
            );
        }
    }

    #[test]
    fn roles_are_ordered() {
        assert!(ApiRole::Read < ApiRole::Operate && ApiRole::Operate < ApiRole::Admin);
        for role in [ApiRole::Read, ApiRole::Operate, ApiRole::Admin] {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
    }
}
