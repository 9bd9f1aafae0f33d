//! Clients with an end of their own: they stop reading for good, drip, end their side, or leave while the upstream is
//! at work for them. None of them may hold a token for longer than the configuration says.

use std::{thread, time::Instant};

use crate::{
    common::{dice::Dice, message::Request, patience},
    crowd::Crowd,
    judge::What,
    stalled::{DRIP, Stalled},
    visit::{Visit, is_about, pause, unwatched},
};

/// More than all buffers between the upstream and a client hold.
const LARGE: usize = 12_000_000;

/// Asks for more than anybody holds in advance, in one of the ways an answer may end, and comes to its head.
fn ask_for_much<'a, 'b>(crowd: &'a Crowd<'b>, dice: &mut Dice) -> Option<Visit<'a, 'b>> {
    let mut visit = Visit::begin(crowd)?;
    visit.client.narrow();
    let path = dice.pick(&["bytes", "chunks", "until-close"]);
    let request = Request::get(&format!("/{path}/{LARGE}"));
    let bytes = visit.client.bytes_of(&request);
    drop(visit.client.try_send_raw(&bytes));
    let (status, _) = visit.client.read_any_head().ok()?;
    // It will hang up without a word, which nobody sees behind what lies unread before it.
    visit.client.forsake();
    (status == 200).then_some(visit)
}

pub(crate) fn stop_reading(crowd: &Crowd, dice: &mut Dice) {
    if let Some(visit) = ask_for_much(crowd, dice) {
        crowd.keep(Stalled {
            client: visit.client,
            drips: false,
        });
    }
}

pub(crate) fn drip_from(crowd: &Crowd, dice: &mut Dice) {
    let Some(visit) = ask_for_much(crowd, dice) else {
        return;
    };
    let mut stalled = Stalled {
        client: visit.client,
        drips: true,
    };
    for _ in 0..dice.below(60) {
        stalled.drip();
        thread::sleep(DRIP);
    }
    crowd.keep(stalled);
}

/// Sends its body byte by byte, once a token may have been lent for it. Somebody must put an end to that.
pub(crate) fn drip_into(crowd: &Crowd, dice: &mut Dice) {
    let Some(mut visit) = Visit::begin(crowd) else {
        return;
    };
    let mut request = Request::post("/sum", vec![b'x'; 1_000_000]);
    let mut sent = 70_000;
    if dice.one_in(2) {
        request = request.field("Expect", "100-continue");
        sent = 0;
    }
    let bytes = visit.client.bytes_of(&request);
    let head = bytes.len() - 1_000_000;
    let asked = Instant::now();
    let mut is_sent = visit.client.try_send_raw(&bytes[..head + sent]);
    let mut has_been_told = sent > 0;
    while is_sent.is_ok() && asked.elapsed() < patience() {
        thread::sleep(DRIP);
        if !visit.client.is_idle() {
            // The first word may be that it should go on.
            let head = visit.client.read_any_head();
            if has_been_told || !head.is_ok_and(|(status, _)| status == 100) {
                return;
            }
            has_been_told = true;
        }
        is_sent = visit.client.try_send_raw(b"x");
    }
    if is_sent.is_ok() {
        let what = "a body that drips goes on and on".to_owned();
        visit.complain(asked, What::Wrong(what));
    }
}

/// Ends its side after a request on a connection that has its token: it is served all the same, unless the token
/// goes astray with a move: who stands in line then has left it.
pub(crate) fn end_its_side(crowd: &Crowd, dice: &mut Dice) {
    let Some(mut visit) = Visit::begin(crowd) else {
        return;
    };
    let conn = visit.client.id();
    if visit
        .ask(&Request::get("/who"), |answer| is_about(answer, conn, 1))
        .is_err()
    {
        return;
    }
    let request = Request::get(&format!("/delay/{}", dice.below(60)));
    let bytes = visit.client.bytes_of(&request);
    let asked = Instant::now();
    drop(visit.client.try_send_raw(&bytes));
    pause(dice, 30);
    visit.end_its_side();
    drop(visit.read(asked, |answer| is_about(answer, conn, 2)));
}

/// Leaves, one way or the other, while the upstream works for it or still sends.
pub(crate) fn leave_at_work(crowd: &Crowd, dice: &mut Dice) {
    let Some(mut client) = unwatched(crowd) else {
        return;
    };
    let target = if dice.one_in(3) {
        format!("/bytes/{LARGE}")
    } else {
        format!("/delay/{}", 50 + dice.below(350))
    };
    let bytes = [Request::get("/who"), Request::get(&target)].map(|one| client.bytes_of(&one));
    drop(client.try_send_raw(&bytes.concat()));
    // With the first answer it has a token, and the second request is on its way.
    drop(client.try_read_answer());
    pause(dice, 100);
    if dice.one_in(2) {
        client.reset();
    }
}
