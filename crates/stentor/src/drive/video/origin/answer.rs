//! What a request gets (RFC 9110): methods, conditions, ranges, and what scripts of other sites may see
//! (CORS, the Fetch standard).

use std::sync::Arc;
use std::time::SystemTime;

use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

use super::entity::{Entity, KEEP_NOT, Source};
use super::range::{self, Wanted};
use super::shared::Shared;
use super::{Page, Source as Served};

/// An answer, before its body is made.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// What Content-Length says; `None` where there is no body to speak of.
    pub(super) length: Option<u64>,
    /// The part that is sent, by its first and last byte.
    pub(super) range: Option<(u64, u64)>,
    /// What is sent: the bytes from one up to another.
    pub(super) body: Option<(Source, u64, u64)>,
}

/// What may be asked for.
const METHODS: &str = "GET, HEAD, OPTIONS";
/// What scripts of other sites may read of an answer.
const EXPOSED: &str =
    "Accept-Ranges, Content-Length, Content-Range, Date, ETag, Last-Modified, Server";
const TEXT: &str = "text/plain; charset=utf-8";
const SERVER: &str = concat!("stentor/", env!("CARGO_PKG_VERSION"));

impl Answer {
    fn new(status: StatusCode) -> Answer {
        let mut headers = HeaderMap::with_capacity(16);
        let mut set =
            |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
        set(header::SERVER, SERVER);
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        set(HeaderName::from_static("timing-allow-origin"), "*");
        set(HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
        Answer { status, headers, length: None, range: None, body: None }
    }

    /// An answer that is a line of text.
    pub(super) fn text(status: StatusCode, text: String) -> Answer {
        let mut answer = Answer::new(status);
        answer.set(header::CONTENT_TYPE, TEXT);
        answer.set(header::CACHE_CONTROL, KEEP_NOT);
        let length = text.len() as u64;
        answer.length = Some(length);
        answer.body = Some((Source::Memory(text.into()), 0, length));
        answer
    }

    fn set(&mut self, name: HeaderName, value: &str) {
        // Ours are all visible ASCII.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }

    /// Without what HEAD does not send.
    fn without_body(mut self) -> Answer {
        self.body = None;
        self
    }
}

/// Answers a request.
pub(super) async fn answer(
    method: &Method,
    path: &str,
    asked: &HeaderMap,
    shared: &Arc<Shared>,
) -> Answer {
    if *method == Method::OPTIONS {
        return options();
    }
    if *method != Method::GET && *method != Method::HEAD {
        let text = format!("{method} is not possible here: {METHODS}\n");
        let mut answer = Answer::text(StatusCode::METHOD_NOT_ALLOWED, text);
        answer.set(header::ALLOW, METHODS);
        return answer;
    }
    let answer = match find(path, shared).await {
        Some(entity) => of(entity, method, asked),
        None => {
            let text = "There is nothing under this path; / lists what there is.\n";
            Answer::text(StatusCode::NOT_FOUND, text.to_owned())
        }
    };
    if *method == Method::HEAD { answer.without_body() } else { answer }
}

/// The answer to a preflight, or to somebody who wants to know what is possible.
fn options() -> Answer {
    let mut answer = Answer::new(StatusCode::NO_CONTENT);
    answer.set(header::ALLOW, METHODS);
    answer.set(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    answer.set(header::ACCESS_CONTROL_ALLOW_HEADERS, "*");
    answer.set(header::ACCESS_CONTROL_MAX_AGE, "86400");
    answer
}

async fn find(path: &str, shared: &Arc<Shared>) -> Option<Entity> {
    if let Some(Page { content, body }) = shared.plan.pages.get(path) {
        return Some(Entity::text(content, super::entity::ASK, body.clone()));
    }
    if path == "/requests" {
        let text = Bytes::from(shared.recent());
        return Some(Entity::text("application/jsonl", KEEP_NOT, text));
    }
    match &shared.plan.source {
        Served::Film(catalogue) => catalogue.find(path),
    }
}

/// The answer to a request for something that is there (RFC 9110, 13.2.2).
fn of(entity: Entity, method: &Method, asked: &HeaderMap) -> Answer {
    let described = |status| {
        let mut answer = Answer::new(status);
        answer.set(header::CACHE_CONTROL, entity.cache);
        answer.set(header::ACCEPT_RANGES, "bytes");
        answer.set(header::ETAG, &entity.tag);
        if let Some(modified) = entity.modified {
            answer.set(header::LAST_MODIFIED, &httpdate::fmt_http_date(modified));
        }
        answer
    };
    match condition(&entity, asked) {
        Condition::Fails => return described(StatusCode::PRECONDITION_FAILED),
        Condition::Same => return described(StatusCode::NOT_MODIFIED),
        Condition::Holds => {}
    }
    let field = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let wanted = match field(header::RANGE) {
        // Only GET has ranges (RFC 9110, 14.2).
        Some(range) if *method == Method::GET && is_still(&entity, field(header::IF_RANGE)) => {
            range::wanted(range, entity.length)
        }
        Some(_) | None => Wanted::Whole,
    };
    let (status, range) = match wanted {
        Wanted::Whole => (StatusCode::OK, None),
        Wanted::Part(first, last) => (StatusCode::PARTIAL_CONTENT, Some((first, last))),
        Wanted::Beyond => {
            let text = format!("There are {} bytes.\n", entity.length);
            let mut answer = Answer::text(StatusCode::RANGE_NOT_SATISFIABLE, text);
            answer.set(header::CONTENT_RANGE, &format!("bytes */{}", entity.length));
            return answer;
        }
    };
    let mut answer = described(status);
    answer.set(header::CONTENT_TYPE, entity.content);
    let (begin, end) = range.map_or((0, entity.length), |(first, last)| (first, last + 1));
    if let Some((first, last)) = range {
        answer.set(header::CONTENT_RANGE, &format!("bytes {first}-{last}/{}", entity.length));
    }
    answer.range = range;
    answer.length = Some(end - begin);
    answer.body = Some((entity.source, begin, end));
    answer
}

/// What the conditions of a request come to.
enum Condition {
    /// It is answered.
    Holds,
    /// The client has it (304).
    Same,
    /// It is not what the client thinks (412).
    Fails,
}

fn condition(entity: &Entity, asked: &HeaderMap) -> Condition {
    let tags = |name| {
        let values: Vec<_> = asked.get_all(name).iter().collect();
        let value = |value: &&HeaderValue| value.to_str().map(str::to_owned).ok();
        (!values.is_empty()).then(|| values.iter().filter_map(value).collect::<Vec<_>>().join(","))
    };
    let date = |name| {
        let value = asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        value.and_then(|value| httpdate::parse_http_date(value).ok())
    };
    let unchanged_since = |time| entity.modified.is_none_or(|modified| seconds(modified) <= time);
    match (tags(header::IF_MATCH), date(header::IF_UNMODIFIED_SINCE)) {
        (Some(list), _) if !lists(&list, &entity.tag, false) => return Condition::Fails,
        (None, Some(time)) if !unchanged_since(time) => return Condition::Fails,
        _ => {}
    }
    match (tags(header::IF_NONE_MATCH), date(header::IF_MODIFIED_SINCE)) {
        (Some(list), _) if lists(&list, &entity.tag, true) => Condition::Same,
        (None, Some(time)) if entity.modified.is_some() && unchanged_since(time) => Condition::Same,
        _ => Condition::Holds,
    }
}

/// Whether a list of validators has this one; weakly, a `W/` before it does not matter (RFC 9110,
/// 8.8.3.2). Ours have no comma in them.
fn lists(list: &str, tag: &str, weakly: bool) -> bool {
    list.split(',').map(str::trim).any(|one| {
        let one = if weakly { one.strip_prefix("W/").unwrap_or(one) } else { one };
        one == "*" || one == tag
    })
}

/// Whether a range may be sent: it is still what the client has a part of (RFC 9110, 13.1.5).
fn is_still(entity: &Entity, field: Option<&str>) -> bool {
    let Some(field) = field.map(str::trim) else { return true };
    if field.starts_with('"') {
        return field == entity.tag;
    }
    let modified = entity.modified.map(seconds);
    modified.is_some() && httpdate::parse_http_date(field).ok() == modified
}

/// Dates of HTTP have whole seconds.
fn seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs())
}
