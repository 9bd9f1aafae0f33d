//! What there is to see, told each second to whoever listens: server-sent events. All who listen share one picture a second.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hyper::body::Frame;
use serde::Serialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::{auth::Caller, listeners::MOST_LISTENERS, problem::Problem, state::Api};

/// Seconds after which one who found no place may try again.
const TRY_AGAIN: u16 = 5;
/// How often they are told.
const PERIOD: Duration = Duration::from_secs(1);
/// After so long a stream ends, and whoever goes on shows the token anew: one that was taken away sees no more.
const LASTS: Duration = Duration::from_secs(300);

/// A stream of events: first who listens, then a picture each second.
pub(super) async fn events(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let place = api.listeners.place().ok_or_else(|| {
        let detail =
            format!("{MOST_LISTENERS} listen already: each second costs a look at everything");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .with(header::RETRY_AFTER, HeaderValue::from(TRY_AGAIN))
    })?;
    let (told, feed) = mpsc::channel(1);
    tokio::spawn(tell(api, caller, told));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // nginx keeps nothing back then.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let body = Body::new(Feed {
        feed,
        _place: place,
    });
    Ok((headers, body).into_response())
}

/// Tells one who listens, until it has left, its time is over, or tpp ends. Whoever reads slowly is told less often.
async fn tell(api: Arc<Api>, caller: Caller, told: mpsc::Sender<Bytes>) {
    let begun = Instant::now();
    let hello = json!({"name": caller.name, "role": caller.role.word()});
    if told.send(event("hello", &hello)).await.is_err() {
        return;
    }
    while begun.elapsed() < LASTS && !api.outlook.is_stopping() {
        let picture = api.listeners.told(|| {
            let picture = api.outlook.picture(api.orders.list_pools());
            event("picture", &picture)
        });
        if told.send(picture).await.is_err() {
            return;
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// As it goes over the wire. JSON has no line breaks of its own.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_else(|error| {
        tracing::error!(%error, "an event has no JSON form");
        "null".to_owned()
    });
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// The body of a stream; its place is free again when the connection lets go of it.
struct Feed {
    feed: mpsc::Receiver<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl hyper::body::Body for Feed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let told = self.feed.poll_recv(cx);
        told.map(|told| told.map(|event| Ok(Frame::data(event))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_name_and_one_line_of_data() {
        let made = event("hello", &json!({"name": "a\nb"}));
        assert_eq!(made, "event: hello\ndata: {\"name\":\"a\\nb\"}\n\n");
    }
}
