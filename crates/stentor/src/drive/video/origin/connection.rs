//! One connection: HTTP/1.1 by hyper, and the times that bound it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use stentor_core::video::fault::Struck;
use tokio::net::TcpStream;

use super::answer::{self, Answer};
use super::content::Content;
use super::exchange::{Ended, Exchange, WORDS_MAX};
use super::shared::{Shared, Stage};
use super::wire::{Ledger, Overdue, Wire};
use super::{now, path};

/// The longest head of a request, and what hyper holds of an answer beyond the piece being sent.
const HEAD_MAX: usize = 16 << 10;

/// Answers the requests of a client until one of both ends it.
pub(super) async fn converse(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let number = shared.arrived();
    tracing::info!("connection {number} from {peer}");
    let stream = Arc::new(stream);
    let ledger = Arc::new(Ledger::new(Arc::clone(&shared), Arc::clone(&stream)));
    let wire = Wire { stream, ledger: Arc::clone(&ledger) };
    let why = speak(wire, (number, peer), &ledger, &shared).await;
    ledger.close(why);
    shared.left();
    tracing::info!("connection {number} from {peer} ended: {}", why.name());
}

async fn speak(
    wire: Wire,
    client: (u64, SocketAddr),
    ledger: &Arc<Ledger>,
    shared: &Arc<Shared>,
) -> Ended {
    let service = service_fn(|request: Request<Incoming>| {
        let (ledger, shared) = (Arc::clone(ledger), Arc::clone(shared));
        async move { Ok::<_, Infallible>(respond(&request, client, ledger, shared).await) }
    });
    // The times are ours: hyper's bound on heads would close a quiet connection as well.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(HEAD_MAX)
        .half_close(true)
        .serve_connection(TokioIo::new(wire), service);
    let mut connection = pin!(connection);
    let mut stage = shared.stage();
    loop {
        let patience = ledger.patience().since(now()).max(Duration::from_millis(1));
        tokio::select! {
            done = connection.as_mut() => return ended(done, client.1, shared),
            changed = stage.changed() => match *stage.borrow_and_update() {
                Stage::Ended => return Ended::Stopped,
                _ if changed.is_err() => return Ended::Stopped,
                Stage::Draining | Stage::Serving if ledger.is_quiet() => return Ended::Complete,
                Stage::Draining | Stage::Serving => connection.as_mut().graceful_shutdown(),
            },
            () = ledger.hurry.notified() => {}
            () = tokio::time::sleep(patience) => {
                ledger.sample();
                match ledger.overdue() {
                    None => {}
                    Some(Overdue::Idle) => return Ended::Complete,
                    Some(Overdue::Head) => {
                        shared.slow();
                        tracing::warn!("{}: no whole request within the time (--head)", client.1);
                        return Ended::TimedOut;
                    }
                    Some(Overdue::Answer) => return Ended::TimedOut,
                }
            }
        }
    }
}

/// What hyper's end of a connection means for the answers that were not finished.
fn ended(done: hyper::Result<()>, peer: SocketAddr, shared: &Shared) -> Ended {
    if let Err(error) = done {
        if error.is_parse() || error.is_parse_too_large() {
            shared.bad();
            tracing::warn!("{peer}: no request of HTTP/1.1: {error}");
        } else {
            tracing::debug!("{peer}: {error}");
        }
    }
    Ended::ClientClosed
}

async fn respond(
    request: &Request<Incoming>,
    (connection, peer): (u64, SocketAddr),
    ledger: Arc<Ledger>,
    shared: Arc<Shared>,
) -> Response<Content> {
    ledger.asked();
    let (at, time) = (now(), SystemTime::now());
    let (method, uri) = (request.method(), request.uri());
    let asked = (method, request.version());
    let mut answer = answer::answer(asked, uri.path(), request.headers(), &shared).await;
    let struck = strike(method, uri.path(), answer.is_media, &shared);
    if !struck.late.is_zero() {
        tokio::time::sleep(struck.late).await;
    }
    if let Some(code) = struck.status {
        answer = Answer::fault(code, *method == Method::HEAD);
    }
    let Answer { status, headers, length, range, body, .. } = answer;
    let exchange = Exchange {
        number: shared.number(),
        connection,
        peer,
        at,
        time,
        method: cut(method.as_str()),
        path: cut(uri.path_and_query().map_or("*", |path| path.as_str())),
        status: status.as_u16(),
        range,
        length_bytes: if *method == Method::HEAD { 0 } else { length.unwrap_or(0) },
        sent_bytes: 0,
        duration: Duration::ZERO,
        ended: Ended::ClientClosed,
        fault: (!struck.words.is_empty()).then(|| struck.words.clone()),
    };
    let body_bytes = body.as_ref().map_or(0, |(_, begin, end)| end.saturating_sub(*begin));
    ledger.begin(exchange, body_bytes);
    let content = match body {
        Some((source, begin, end)) => Content::new(source, begin, end, ledger).struck(&struck),
        None => Content::none(ledger),
    };
    let mut response = Response::new(content);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

/// What goes wrong with an answer: faults know paths without their escapes.
fn strike(method: &Method, path: &str, is_media: bool, shared: &Shared) -> Struck {
    let asked = matches!(*method, Method::GET | Method::HEAD);
    match path::decoded(path) {
        Some(path) if asked && answer::is_witness(&path) => Struck::default(),
        Some(path) if asked => shared.strike(&String::from_utf8_lossy(&path), is_media),
        Some(_) | None => Struck::default(),
    }
}

/// As much of a word as is kept.
fn cut(word: &str) -> String {
    let end = word.floor_char_boundary(WORDS_MAX);
    word.get(..end).unwrap_or_default().to_owned()
}
