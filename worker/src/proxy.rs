//! The phases of a request, in the order in which Pingora runs them.

use std::{os::fd::RawFd, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Version, header};
use pingora_core::{modules::http::HttpModules, protocols::Digest, upstreams::peer::HttpPeer};
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use tpp::config::LeaseMode;
use tracing::debug;

use crate::{
    acquire::{Denied, acquire, refresh},
    authority::origin_form,
    client::Phase,
    connection::Connection,
    failure, headers,
    held::Held,
    reply::Reply,
    worker::{View, Worker},
};

/// Sends the request once more, with another token.
const REFRESHED: ErrorType = ErrorType::Custom("TokenRefreshed");
const FORWARDED_FOR: &str = "X-Forwarded-For";
const FORWARDED_PROTO: &str = "X-Forwarded-Proto";

/// tpp's rules, in the places Pingora has for them.
#[derive(Debug)]
pub(crate) struct Proxy {
    worker: Arc<Worker>,
}

/// One request and its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    view: Arc<View>,
    /// Set by the first phase.
    connection: Option<Arc<Connection>>,
    /// The lease of this request alone, if leases are by request.
    held: Option<Held>,
    /// Of the token it was sent with.
    version: u64,
    /// Which of the upstream's addresses is first.
    turn: usize,
    failed_connects: usize,
    /// The upstream refused the token once.
    was_refused: bool,
    /// What the client is told, if it was tpp that ended the request.
    refusal: Option<Reply>,
}

impl Exchange {
    fn connection(&self) -> &Arc<Connection> {
        self.connection.as_ref().expect("the first phase sets it")
    }

    /// Calls `f` with the lease.
    fn with_held<T>(&mut self, f: impl FnOnce(&mut Held) -> T) -> Option<T> {
        match &mut self.held {
            Some(held) => Some(f(held)),
            None => self.connection().held().as_mut().map(f),
        }
    }

    /// Ends the request with `reply`.
    fn refuse(&mut self, reply: Reply) -> Box<Error> {
        let error = Error::new(ErrorType::HTTPStatus(reply.status()));
        self.refusal = Some(reply);
        error
    }

    fn deny(&mut self, denied: Denied) -> Box<Error> {
        match denied {
            Denied::Reply(reply) => self.refuse(reply),
            Denied::Gone => Error::new_down(ErrorType::ConnectionClosed),
        }
    }

    fn enter(&self, phase: Phase) {
        let connection = self.connection();
        connection.client().enter(phase, connection.now());
    }
}

impl Proxy {
    pub(crate) fn new(worker: Arc<Worker>) -> Self {
        Self { worker }
    }

    /// Whether the connection is to be closed after this answer.
    fn is_last(&self, exchange: &Exchange) -> bool {
        self.worker.is_draining() || exchange.connection().is_held_too_long(&exchange.view)
    }

    /// The upstream refused the token: waits for another. Whether the request is to be sent again.
    async fn renew(&self, session: &Session, exchange: &mut Exchange) -> Result<bool> {
        self.worker.counters().token_errors.add(1);
        let version = exchange.version;
        let Some(refreshed) = exchange.with_held(|held| held.lease().refreshed(version)) else {
            return Ok(false);
        };
        // Without its whole body the request cannot be sent again; the login it asked for serves the next one.
        if exchange.was_refused || session.as_ref().retry_buffer_truncated() {
            return Ok(false);
        }
        exchange.was_refused = true;
        exchange.enter(Phase::Waiting);
        let outcome = refresh(&exchange.view, exchange.connection(), refreshed).await;
        outcome.map_err(|denied| exchange.deny(denied))
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        let view = self.worker.view();
        Exchange {
            turn: view.upstream.draw(),
            view,
            connection: None,
            held: None,
            version: 0,
            failed_connects: 0,
            was_refused: false,
            refusal: None,
        }
    }

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {
        // None: answers pass as they are.
    }

    async fn early_request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<()> {
        let connection = connection_of(session).ok_or_else(|| Error::new_in(ErrorType::InternalError))?;
        self.worker.counters().requests.add(1);
        let request = session.req_header();
        connection.client().begin(request.method == Method::HEAD, connection.now());
        exchange.connection = Some(connection);
        // Bounds are kept by the worker's tick, without a timer for each read.
        session.set_read_timeout(None);
        session.set_pipelining_enabled(true);
        if session.req_header().version == Version::HTTP_10 {
            session.set_ignore_info_resp(true);
        }
        let raw = session.as_http1().map(|session| session.get_headers_raw_bytes()).unwrap_or_default();
        headers::check(session.req_header(), &raw).map_err(|reply| {
            session.set_keepalive(None);
            exchange.connection().client().linger();
            exchange.refuse(reply)
        })
    }

    async fn request_filter(&self, _session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        let by_request = exchange.view.settings.lease_mode == LeaseMode::Request;
        if !by_request && exchange.connection().held().is_some() {
            return Ok(false);
        }
        let acquired = acquire(&self.worker, &exchange.view, exchange.connection()).await;
        let held = acquired.map_err(|denied| exchange.deny(denied))?;
        if by_request {
            exchange.held = Some(held);
        } else {
            *exchange.connection().held() = Some(held);
        }
        Ok(false)
    }

    async fn upstream_peer(&self, _session: &mut Session, exchange: &mut Exchange) -> Result<Box<HttpPeer>> {
        let peer = exchange.view.upstream.peer(exchange.turn, exchange.failed_connects);
        peer.map_err(|reply| {
            self.worker.note_unreachable("no address");
            exchange.refuse(reply)
        })
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        exchange: &mut Exchange,
        mut error: Box<Error>,
    ) -> Box<Error> {
        self.worker.note_unreachable(error.etype().as_str());
        exchange.failed_connects += 1;
        // Nothing was sent, so another address may be tried whatever the method.
        error.set_retry(exchange.failed_connects < exchange.view.upstream.addresses());
        error
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        _reused: bool,
        _peer: &HttpPeer,
        _fd: RawFd,
        _digest: Option<&Digest>,
        _exchange: &mut Exchange,
    ) -> Result<()> {
        self.worker.note_reached();
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        let (authorization, version) = exchange.with_held(Held::authorize).ok_or_else(|| Error::new_in(ErrorType::InternalError))?;
        exchange.version = version;
        request.insert_header("Authorization", authorization)?;
        forward(request, exchange)?;
        if !request.headers.contains_key(header::HOST) {
            request.insert_header(header::HOST, exchange.view.upstream.authority().clone())?;
        }
        if let Some(path) = origin_form(session.req_header().raw_path()) {
            request.set_raw_path(path)?;
        }
        let connection = exchange.connection();
        connection.client().send(connection.now());
        Ok(())
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        _body: &mut Option<Bytes>,
        end_of_stream: bool,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if end_of_stream {
            let connection = exchange.connection();
            connection.client().end_body(connection.now());
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if answer.status == StatusCode::UNAUTHORIZED && self.renew(session, exchange).await? {
            let mut error = Error::explain(REFRESHED, "the token was refused, another came");
            error.set_retry(true);
            return Err(error.into_up());
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        headers::strip_hop_by_hop(answer);
        if answer.status == StatusCode::SWITCHING_PROTOCOLS {
            exchange.enter(Phase::Upgraded);
            return Ok(());
        }
        if answer.status.is_informational() {
            return Ok(());
        }
        exchange.enter(Phase::Answering);
        let is_old = session.req_header().version == Version::HTTP_10;
        if is_old && answer.headers.contains_key(header::TRANSFER_ENCODING) {
            // A client of HTTP/1.0 does not know chunks: the end of the connection ends the answer.
            answer.remove_header(&header::TRANSFER_ENCODING);
            session.set_keepalive(None);
        }
        if self.is_last(exchange) {
            session.set_keepalive(None);
        }
        Ok(())
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        _exchange: &mut Exchange,
        client_reused: bool,
    ) -> Box<Error> {
        if *error.etype() == REFRESHED {
            return error;
        }
        // A connection that the upstream closed while idle is not the request's fault; but only one that may be
        // made twice without harm is made again.
        if session.req_header().method.is_idempotent() && !session.as_ref().retry_buffer_truncated() {
            error.retry.decide_reuse(client_reused);
        } else {
            error.set_retry(false);
        }
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, exchange: &mut Exchange) -> FailToProxy {
        let has_begun = session.response_written().is_some_and(|answer| !answer.status.is_informational());
        let reply = exchange.refusal.take().or_else(|| failure::reply(error)).filter(|_| !has_begun);
        debug!(
            worker = self.worker.seat(),
            client = %exchange.connection.as_ref().map_or_else(String::new, |connection| connection.address().to_string()),
            status = reply.as_ref().map_or(0, Reply::status),
            reason = error.etype().as_str(),
            source = error.esource().as_str(),
            "exchange failed"
        );
        let Some(reply) = reply else {
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        };
        self.worker.counters().request_errors.add(1);
        if exchange.connection.is_some() {
            if self.is_last(exchange) {
                session.set_keepalive(None);
            }
            exchange.enter(Phase::Answering);
        }
        let is_said = say(session, &reply).await.is_ok();
        if !session.is_body_done() && let Some(connection) = &exchange.connection {
            connection.client().linger();
        }
        FailToProxy { error_code: reply.status(), can_reuse_downstream: is_said }
    }

    async fn logging(&self, _session: &mut Session, _error: Option<&Error>, exchange: &mut Exchange) {
        exchange.held = None;
        if exchange.connection.is_some() {
            exchange.enter(Phase::Idle);
        }
    }

    fn suppress_error_log(&self, _session: &Session, _exchange: &Exchange, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _exchange: &Exchange,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

fn connection_of(session: &Session) -> Option<Arc<Connection>> {
    let digest = session.digest()?.proxy_digest.as_ref()?;
    digest.user_data.as_ref()?.downcast_ref::<Arc<Connection>>().map(Arc::clone)
}

/// Says for whom the request is made.
fn forward(request: &mut RequestHeader, exchange: &Exchange) -> Result<()> {
    let address = exchange.connection().forwarded_for();
    if !exchange.view.settings.trust_forwarded {
        request.insert_header(FORWARDED_FOR, address.clone())?;
        return request.insert_header(FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    let mut chain = Vec::new();
    for value in request.headers.get_all(FORWARDED_FOR).iter().filter(|value| !value.is_empty()) {
        chain.extend_from_slice(value.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(address.as_bytes());
    request.insert_header(FORWARDED_FOR, chain)?;
    if !request.headers.contains_key(FORWARDED_PROTO) {
        request.insert_header(FORWARDED_PROTO, HeaderValue::from_static("http"))?;
    }
    Ok(())
}

async fn say(session: &mut Session, reply: &Reply) -> Result<()> {
    let body = reply.body();
    session.write_response_header(Box::new(reply.head(&body)?), false).await?;
    session.write_response_body(Some(body), true).await
}
