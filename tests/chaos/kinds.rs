//! What a client may do: behave, and be judged by its complaints, or not behave, and harm nobody.

use std::time::Instant;

use crate::{
    common::{dice::Dice, http::pattern, message::Request},
    crowd::{Act, Crowd},
    endings,
    judge::What,
    streams,
    visit::{Over, Visit, is_about, pause, unwatched},
};

/// All that clients do, the common more often than the strange.
pub(crate) const KINDS: [(&str, Act); 22] = [
    ("keep-alive", |crowd, dice| stay(crowd, dice, 8)),
    ("keep-alive", |crowd, dice| stay(crowd, dice, 8)),
    ("keep-alive", |crowd, dice| stay(crowd, dice, 30)),
    ("newcomer", |crowd, dice| stay(crowd, dice, 1)),
    ("newcomer", |crowd, dice| stay(crowd, dice, 1)),
    ("slow sender", send_slowly),
    ("slow reader", read_slowly),
    ("pipelining", pipeline),
    ("half-close", half_close),
    ("reset in the request", reset_in_the_request),
    ("reset in the answer", reset_in_the_answer),
    ("leaving the line", leave),
    ("nonsense", send_nonsense),
    ("end of its side", endings::end_its_side),
    ("leaving at work", endings::leave_at_work),
    ("reading no more", endings::stop_reading),
    ("dripping reader", endings::drip_from),
    ("dripping sender", endings::drip_into),
    ("streams", streams::ask_at_once),
    ("streams", streams::ask_at_once),
    ("streams", streams::ask_at_once),
    ("streams taken back", streams::take_back),
];

/// Several requests over one connection.
fn stay(crowd: &Crowd, dice: &mut Dice, most: usize) {
    let Some(mut visit) = Visit::begin(crowd) else {
        return;
    };
    for turn in 1..=1 + dice.below(most) {
        if turn > 1 {
            pause(dice, 30);
        }
        if ask_something(&mut visit, turn, dice).is_err() {
            return;
        }
    }
}

fn ask_something(visit: &mut Visit, turn: usize, dice: &mut Dice) -> Result<(), Over> {
    let conn = visit.client.id();
    match dice.below(4) {
        0 => visit.ask(
            &Request::get(&format!("/bytes/{}", 1 << dice.below(17))),
            |_| true,
        ),
        1 => {
            let request = Request::get(&format!("/delay/{}", dice.below(30)));
            visit.ask(&request, |answer| is_about(answer, conn, turn))
        }
        kind => {
            // No two requests have one body, so that an answer that went astray shows.
            let mark = format!("{conn}:{turn};");
            let body: Vec<u8> = mark.bytes().cycle().take(1 + dice.below(40_000)).collect();
            let target = format!("/echo/{}", dice.below(20));
            let request = if kind == 2 {
                Request::post(&target, body.clone())
            } else {
                Request::post_chunks(&target, &body.chunks(3000).collect::<Vec<_>>())
            };
            visit.ask(&request, |answer| answer.body == body)
        }
    }
}

fn send_slowly(crowd: &Crowd, dice: &mut Dice) {
    let Some(mut visit) = Visit::begin(crowd) else {
        return;
    };
    let body = pattern(200 + dice.below(400));
    let bytes = visit.client.bytes_of(&Request::post("/echo", body.clone()));
    let asked = Instant::now();
    for piece in bytes.chunks(30 + dice.below(60)) {
        // A failure shows again when the answer is read.
        drop(visit.client.try_send_raw(piece));
        pause(dice, 4);
    }
    drop(visit.read(asked, |answer| answer.body == body));
}

/// Takes an answer that no buffer between here and the upstream can hold, piece by piece.
fn read_slowly(crowd: &Crowd, dice: &mut Dice) {
    let Some(mut visit) = Visit::begin(crowd) else {
        return;
    };
    let length = 1_000_000 + dice.below(3_000_000);
    let bytes = visit
        .client
        .bytes_of(&Request::get(&format!("/bytes/{length}")));
    let asked = Instant::now();
    drop(visit.client.try_send_raw(&bytes));
    pause(dice, 300);
    drop(visit.read(asked, |answer| answer.body == pattern(length)));
}

/// Sends several requests at once; each answer must come, and in order, until one says that it is the last.
fn pipeline(crowd: &Crowd, dice: &mut Dice) {
    let Some(mut visit) = Visit::begin(crowd) else {
        return;
    };
    let conn = visit.client.id();
    let count = 2 + dice.below(4);
    let requests: Vec<u8> = (0..count)
        .flat_map(|_| visit.client.bytes_of(&Request::get("/who")))
        .collect();
    let asked = Instant::now();
    drop(visit.client.try_send_raw(&requests));
    for seq in 1..=count {
        if visit
            .read(asked, |answer| is_about(answer, conn, seq))
            .is_err()
        {
            return;
        }
    }
}

/// Shuts its side after the request: it gets an answer, or none because who shuts his side has gone.
fn half_close(crowd: &Crowd, dice: &mut Dice) {
    let Some(mut visit) = Visit::begin(crowd) else {
        return;
    };
    let bytes = visit.client.bytes_of(&Request::get("/who"));
    let asked = Instant::now();
    drop(visit.client.try_send_raw(&bytes));
    pause(dice, 10);
    visit.client.half_close();
    let answer = String::from_utf8_lossy(&visit.client.read_to_close()).into_owned();
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    match status {
        None if answer.is_empty() => {}
        Some(200) => {}
        Some(status) => visit.complain(asked, What::Status(status, answer)),
        None => visit.complain(asked, What::Wrong(answer)),
    }
}

fn reset_in_the_request(crowd: &Crowd, dice: &mut Dice) {
    let Some(mut client) = unwatched(crowd) else {
        return;
    };
    let bytes = client.bytes_of(&Request::post("/echo", vec![b'x'; 200_000]));
    let sent = 1 + dice.below(bytes.len() - 1);
    drop(client.try_send_raw(&bytes[..sent]));
    pause(dice, 5);
    client.reset();
}

fn reset_in_the_answer(crowd: &Crowd, dice: &mut Dice) {
    let Some(mut client) = unwatched(crowd) else {
        return;
    };
    let bytes = client.bytes_of(&Request::get("/bytes/3000000"));
    drop(client.try_send_raw(&bytes));
    drop(client.read_any_head());
    pause(dice, 5);
    client.reset();
}

/// Asks and leaves before it can know whether it waits or is served.
fn leave(crowd: &Crowd, dice: &mut Dice) {
    let Some(mut client) = unwatched(crowd) else {
        return;
    };
    let bytes = client.bytes_of(&Request::post("/echo/5", vec![b'x'; dice.below(3) * 1000]));
    drop(client.try_send_raw(&bytes));
    pause(dice, 40);
    if dice.one_in(2) {
        client.reset();
    }
}

fn send_nonsense(crowd: &Crowd, _: &mut Dice) {
    let Some(mut client) = unwatched(crowd) else {
        return;
    };
    drop(client.try_send_raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"));
    client.read_to_close();
}
