//! A client stays with its backend: by a cookie that names none.
//!
//! The cookie is a number drawn by lot, and which backend it leads to is a function of the number and of the backends there are
//! ([`lot::score`]). So every worker knows it, none remembers it, and nobody learns from it where a request goes. A client whose
//! backend is gone gets another number, that of the backend it is sent to now: it does not go back when the first one does.

use crate::{
    gateway::flight::Flight,
    view::{backend::WHOLE, lot, member::Member, site::Group},
};

/// Name of the cookie.
const NAME: &[u8] = b"tpp_affinity";
/// Hex digits of its value.
const DIGITS: usize = 16;
/// How many numbers are drawn at most for one that leads to a backend that serves. Each misses with the share of those that do not.
const DRAWS: usize = 64;

/// The backend that a client's cookie leads to, or the one that a new cookie is for. `None`: it is chosen as for anybody.
pub(super) fn follow<'g>(
    flight: &mut Flight<'_>,
    group: &'g Group,
    fits: impl Fn(&Member) -> bool,
) -> Option<&'g Member> {
    let told = flight.head.cookie(NAME).filter(|value| is_ours(value));
    if let Some(member) = told
        .and_then(|value| leads_to(group, value))
        .filter(|one| fits(one))
    {
        return Some(member);
    }
    (0..DRAWS).find_map(|_| {
        let value = format!("{:0DIGITS$x}", fastrand::u64(..));
        let member = leads_to(group, value.as_bytes())
            .filter(|one| fits(one) && one.backend.takes_new() && one.backend.takes_turn())?;
        // What is told over TLS is to go over nothing else.
        let secure: &[u8] = match flight.client.secured {
            Some(_) => b"; Secure",
            None => b"",
        };
        let sheet = flight.client.holdings.sheet();
        sheet.answer_fields.truncate(sheet.kept_fields);
        for part in [
            b"Set-Cookie: ",
            NAME,
            b"=",
            value.as_bytes(),
            b"; Path=/; HttpOnly; SameSite=Lax",
            secure,
            b"\r\n",
        ] {
            sheet.answer_fields.extend_from_slice(part);
        }
        Some(member)
    })
}

fn is_ours(value: &[u8]) -> bool {
    value.len() == DIGITS && value.iter().all(u8::is_ascii_hexdigit)
}

/// Whom of all members this cookie leads to, whether it serves or not.
fn leads_to<'g>(group: &'g Group, value: &[u8]) -> Option<&'g Member> {
    let key = lot::key(value);
    let members = group.members.iter().filter(|one| !one.backend.plan.backup);
    members.max_by(|a, b| a.score(key, WHOLE).total_cmp(&b.score(key, WHOLE)))
}
