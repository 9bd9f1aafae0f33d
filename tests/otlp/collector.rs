//! A collector of OpenTelemetry's: it takes spans and metrics by OTLP over HTTP, and over gRPC, each at a port of its own.

use std::{
    collections::VecDeque,
    io::{self, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use bytes::{BufMut, Bytes, BytesMut};
use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
        trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    },
    metrics::v1::Metric,
    resource::v1::Resource,
    trace::v1::Span,
};
use prost::Message;

use super::common::{
    http::{Framing, Head, read_body, read_head},
    wait_for,
};

const GRPC_TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const GRPC_METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// What it may be told in an export's head.
const FIELDS: [&str; 2] = ["api-key", "x-tenant"];

/// What it has taken so far.
#[derive(Debug, Default)]
struct Taken {
    spans: Vec<Span>,
    resources: Vec<Resource>,
    /// The last export of each, whole.
    metrics: Vec<Metric>,
    /// Of each export the fields that are asked for besides.
    told: Vec<[Option<String>; 2]>,
    /// Exports that are answered with "unavailable" before any is taken.
    busy: VecDeque<()>,
    refused: usize,
}

/// A collector on loopback, for as long as the test lives.
pub(super) struct Collector {
    pub(super) http: SocketAddr,
    pub(super) grpc: SocketAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Collector {
    pub(super) fn start() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_at(any)
    }

    /// Its port for HTTP is to be that of `http`.
    pub(super) fn start_at(http: SocketAddr) -> Self {
        let taken = Arc::<Mutex<Taken>>::default();
        let plain = TcpListener::bind(http).expect("a port");
        let http = plain.local_addr().expect("an address");
        let calls = TcpListener::bind("127.0.0.1:0").expect("a port");
        let grpc = calls.local_addr().expect("an address");
        let served = Arc::clone(&taken);
        thread::spawn(move || serve_http(&plain, &served));
        let served = Arc::clone(&taken);
        thread::spawn(move || serve_grpc(calls, served));
        Self { http, grpc, taken }
    }

    /// Answers the next `count` exports with "unavailable".
    pub(super) fn be_busy(&self, count: usize) {
        self.taken().busy.extend(std::iter::repeat_n((), count));
    }

    /// What stood in [`FIELDS`] of each export so far.
    pub(super) fn told(&self) -> Vec<[Option<String>; 2]> {
        self.taken().told.clone()
    }

    /// How many exports it has turned down.
    pub(super) fn refused(&self) -> usize {
        self.taken().refused
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        self.taken().spans.clone()
    }

    pub(super) fn resources(&self) -> Vec<Resource> {
        self.taken().resources.clone()
    }

    /// Those of the last export.
    pub(super) fn metrics(&self) -> Vec<Metric> {
        self.taken().metrics.clone()
    }

    /// All spans of `trace`, hexadecimal, once there are so many.
    pub(super) fn spans_of(&self, trace: &str, count: usize) -> Vec<Span> {
        wait_for(&format!("{count} spans of {trace}"), || {
            let mut spans = self.spans();
            spans.retain(|span| hex(&span.trace_id) == trace);
            (spans.len() >= count).then_some(spans)
        })
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().expect("no panic")
    }
}

/// In lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes an export; `None`: it is turned down for now.
fn take(taken: &Mutex<Taken>, is_traces: bool, message: &[u8]) -> Option<Vec<u8>> {
    let mut taken = taken.lock().expect("no panic");
    if taken.busy.pop_front().is_some() {
        taken.refused += 1;
        return None;
    }
    if is_traces {
        let request = ExportTraceServiceRequest::decode(message).expect("an export of spans");
        for mut group in request.resource_spans {
            taken.resources.extend(group.resource.take());
            let scopes = group.scope_spans.into_iter();
            taken.spans.extend(scopes.flat_map(|scope| scope.spans));
        }
        return Some(ExportTraceServiceResponse::default().encode_to_vec());
    }
    let request = ExportMetricsServiceRequest::decode(message).expect("an export of metrics");
    taken.metrics.clear();
    for mut group in request.resource_metrics {
        taken.resources.extend(group.resource.take());
        let scopes = group.scope_metrics.into_iter();
        taken.metrics.extend(scopes.flat_map(|scope| scope.metrics));
    }
    Some(ExportMetricsServiceResponse::default().encode_to_vec())
}

fn serve_http(listener: &TcpListener, taken: &Arc<Mutex<Taken>>) {
    for stream in listener.incoming().map_while(Result::ok) {
        let taken = Arc::clone(taken);
        thread::spawn(move || serve_connection(stream, &taken));
    }
}

fn serve_connection(mut stream: TcpStream, taken: &Mutex<Taken>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(raw) = read_head(&mut reader)? {
        let head = Head::parse(&raw).expect("a sound head");
        let framing = head.framing(Framing::Empty).expect("a sound frame");
        let mut body = Vec::new();
        read_body(&mut reader, framing, |piece| {
            body.extend_from_slice(piece);
            Ok(())
        })?;
        let kind = head.field("content-type");
        assert_eq!(kind, Some("application/x-protobuf"), "{head:?}");
        let told = FIELDS.map(|name| head.field(name).map(str::to_owned));
        taken.lock().expect("no panic").told.push(told);
        let is_traces = match head.line.as_str() {
            "POST /v1/traces HTTP/1.1" => true,
            "POST /v1/metrics HTTP/1.1" => false,
            other => panic!("{other:?} is no export"),
        };
        match take(taken, is_traces, &body) {
            Some(answer) => {
                let length = answer.len();
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: {length}\r\n\r\n"
                )?;
                stream.write_all(&answer)?;
            }
            None => write!(
                stream,
                "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
            )?,
        }
    }
    Ok(())
}

fn serve_grpc(listener: TcpListener, taken: Arc<Mutex<Taken>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("a socket");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_calls(stream, Arc::clone(&taken)));
        }
    });
}

async fn serve_calls(stream: tokio::net::TcpStream, taken: Arc<Mutex<Taken>>) {
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    while let Some(Ok((request, respond))) = connection.accept().await {
        // Beside it, since only the connection's own loop moves bytes.
        tokio::spawn(answer_call(request, respond, Arc::clone(&taken)));
    }
}

async fn answer_call(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    taken: Arc<Mutex<Taken>>,
) {
    assert_eq!(request.method(), "POST");
    assert_eq!(request.headers()["content-type"], "application/grpc");
    assert_eq!(request.headers()["te"], "trailers");
    let headers = request.headers();
    let told = FIELDS.map(|name| {
        let value = headers.get(name)?;
        Some(value.to_str().expect("text").to_owned())
    });
    taken.lock().expect("no panic").told.push(told);
    let is_traces = match request.uri().path() {
        GRPC_TRACES => true,
        GRPC_METRICS => false,
        other => panic!("{other:?} is no call"),
    };
    let mut body = request.into_body();
    let mut message = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.expect("a whole body");
        let _ = body.flow_control().release_capacity(piece.len());
        message.extend_from_slice(&piece);
    }
    let (prefix, message) = message.split_at(5);
    assert_eq!(prefix[0], 0, "not compressed");
    let length = u32::from_be_bytes(prefix[1..].try_into().expect("four bytes"));
    assert_eq!(length as usize, message.len());
    let head = http::Response::builder()
        .header("content-type", "application/grpc")
        .body(())
        .expect("a head");
    let mut trailers = http::HeaderMap::new();
    let Some(answer) = take(&taken, is_traces, message) else {
        // A head that is the trailers as well.
        let (mut head, ()) = head.into_parts();
        head.headers.insert("grpc-status", 14.into());
        head.headers
            .insert("grpc-message", http::HeaderValue::from_static("busy"));
        let head = http::Response::from_parts(head, ());
        let _ = respond.send_response(head, true);
        return;
    };
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(answer.len()).expect("a short answer"));
    framed.put_slice(&answer);
    trailers.insert("grpc-status", 0.into());
    if let Ok(mut stream) = respond.send_response(head, false) {
        let _ = stream.send_data(framed.freeze(), false);
        let _ = stream.send_trailers(trailers);
    }
}
