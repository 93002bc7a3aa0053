//! The control server's own loop: connections, requests, and the bounds of both.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, USER_AGENT, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

use super::answer::{Answer, Problem};
use super::body::Unread;
use super::collection::too_long;
use super::route::Desk;

/// Connections at a time; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 256;
/// The longest body that is read: some 100,000 proxies.
const BODY_MAX: usize = 16 << 20;
/// How long a request may take to come, its head and then its body.
const READ_MAX: Duration = Duration::from_secs(15);
/// How long to wait before the next accept when descriptors are exhausted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `over` is said, or its sender is gone.
pub(super) async fn serve(listener: TcpListener, desk: Arc<Desk>, mut over: oneshot::Receiver<()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let ids = Arc::new(Ids::new());
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            _ = &mut over => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (desk, ids) = (Arc::clone(&desk), Arc::clone(&ids));
                tokio::spawn(async move {
                    converse(stream, desk, ids).await;
                    drop(place);
                });
            }
            // Out of descriptors, or that client has gone again: the next may succeed.
            Err(error) => {
                tracing::debug!("accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, desk: Arc<Desk>, ids: Arc<Ids>) {
    let service = service_fn(|request: Request<Incoming>| {
        let (desk, id) = (Arc::clone(&desk), ids.next());
        async move { Ok::<_, Infallible>(respond(answer(request, &desk).await, &id)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // A client that breaks off, or speaks no HTTP, is its own affair.
    if let Err(error) = connection.await {
        tracing::debug!("control: {error}");
    }
}

async fn answer(request: Request<Incoming>, desk: &Desk) -> Answer {
    // Pages of any site can send requests to this port, and name their browser with it.
    let agent = request.headers().get(USER_AGENT).map(HeaderValue::as_bytes);
    if agent.is_some_and(|agent| agent.starts_with(b"Mozilla/")) {
        return Answer::no_browsers();
    }
    let (head, body) = request.into_parts();
    if body.size_hint().lower() > BODY_MAX as u64 {
        return too_long(BODY_MAX).into();
    }
    match tokio::time::timeout(READ_MAX, Limited::new(body, BODY_MAX).collect()).await {
        Ok(Ok(body)) => desk.answer(&head.method, head.uri.path(), &body.to_bytes()).await,
        Ok(Err(error)) if error.is::<LengthLimitError>() => too_long(BODY_MAX).into(),
        Ok(Err(error)) => Problem::from(Unread(error.to_string())).into(),
        Err(_) => Problem::from(Unread(format!("it did not come within {READ_MAX:?}"))).into(),
    }
}

fn respond(answer: Answer, id: &HeaderValue) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert("x-toxiproxy-request-id", id.clone());
    if !answer.content.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content));
    }
    if answer.status.is_client_error() || answer.status.is_server_error() {
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    response
}

/// Makes a different word for every request, across restarts, too.
struct Ids {
    begun: u64,
    count: AtomicU64,
}

impl Ids {
    fn new() -> Ids {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ids { begun: since.as_secs(), count: AtomicU64::new(0) }
    }

    fn next(&self) -> HeaderValue {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:08x}{:04x}{count:08x}", self.begun, std::process::id() & 0xffff);
        HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("0"))
    }
}
