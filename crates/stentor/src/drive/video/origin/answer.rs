//! What a request gets (RFC 9110): methods, conditions, ranges, and what scripts of other sites may see
//! (CORS, the Fetch standard).

use std::sync::Arc;
use std::time::SystemTime;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode, Version};

use super::entity::{ASK, Entity, KEEP_NOT, Source};
use super::folder;
use super::path;
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
    /// Whether it is a piece of film.
    pub(super) is_media: bool,
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
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        Answer { status, headers, length: None, range: None, body: None, is_media: false }
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

    /// An answer with this code, by a fault on request.
    pub(super) fn fault(code: u16, is_head: bool) -> Answer {
        let status = StatusCode::from_u16(code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let answer = Answer::text(status, format!("{status}: a fault on request\n"));
        if is_head { answer.without_body() } else { answer }
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
    (method, version): (&Method, Version),
    path: &str,
    asked: &HeaderMap,
    shared: &Arc<Shared>,
) -> Answer {
    let hosts = asked.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && version == Version::HTTP_11) {
        let text = "A request has one Host (RFC 9112, 3.2).\n";
        return Answer::text(StatusCode::BAD_REQUEST, text.to_owned());
    }
    if *method == Method::OPTIONS {
        return options();
    }
    if *method != Method::GET && *method != Method::HEAD {
        let text = format!("{method} is not possible here: {METHODS}\n");
        let mut answer = Answer::text(StatusCode::METHOD_NOT_ALLOWED, text);
        answer.set(header::ALLOW, METHODS);
        return answer;
    }
    let Some(decoded) = path::decoded(path) else {
        let text = "The path has a % without two digits behind it.\n";
        return Answer::text(StatusCode::BAD_REQUEST, text.to_owned());
    };
    let answer = match find(&decoded, shared).await {
        Found::This(entity) => of(entity, method, asked),
        Found::WithSlash => {
            let mut answer = Answer::text(StatusCode::MOVED_PERMANENTLY, "A folder.\n".to_owned());
            // Two slashes at its beginning would lead to another host (RFC 3986, 4.2).
            answer.set(header::LOCATION, &format!("/{}/", path.trim_start_matches('/')));
            answer
        }
        Found::Nothing => {
            let text = "There is nothing under this path; / says what there is.\n";
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

/// What is under a path.
enum Found {
    This(Entity),
    /// A folder, which the path does not say.
    WithSlash,
    Nothing,
}

/// The paths of the origin's own witness, which no fault strikes.
const REQUESTS: &str = "/requests";
const QUEUES: &str = "/queues";

/// Whether a path, without escapes, is one of these.
pub(super) fn is_witness(path: &[u8]) -> bool {
    path == REQUESTS.as_bytes() || path == QUEUES.as_bytes()
}

async fn find(path: &[u8], shared: &Arc<Shared>) -> Found {
    let name = std::str::from_utf8(path).unwrap_or_default();
    let lines =
        |text: String| Found::This(Entity::text("application/jsonl", KEEP_NOT, text.into()));
    match (name, shared.plan.pages.get(name)) {
        (_, Some(Page { content, body })) => {
            return Found::This(Entity::text(content, ASK, body.clone()));
        }
        (REQUESTS, None) => return lines(shared.recent()),
        (QUEUES, None) => return lines(shared.queues()),
        (_, None) => {}
    }
    let folder = match &shared.plan.source {
        Served::Film(catalogue) => return catalogue.find(name).map_or(Found::Nothing, Found::This),
        Served::Folder(folder) => folder.clone(),
    };
    let (write, path) = (shared.plan.listing, path.to_owned());
    let find = move || match folder.find(&path) {
        None => Found::Nothing,
        Some(folder::Found::File(entity)) => Found::This(entity),
        Some(folder::Found::Folder(None)) => Found::WithSlash,
        Some(folder::Found::Folder(Some(listing))) => {
            let page = write(&path, &listing);
            Found::This(Entity::text("text/html; charset=utf-8", KEEP_NOT, page.into()))
        }
    };
    // The runtime that would refuse it is about to end, and this connection with it.
    tokio::task::spawn_blocking(find).await.unwrap_or(Found::Nothing)
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
    answer.is_media = entity.is_media();
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
fn lists<'a>(list: &'a str, tag: &'a str, weakly: bool) -> bool {
    list.split(',').map(str::trim).any(|one| {
        let opaque = |tag: &'a str| tag.strip_prefix("W/").unwrap_or(tag);
        let same = if weakly { opaque(one) == opaque(tag) } else { one == tag && !is_weak(tag) };
        one == "*" || same
    })
}

fn is_weak(tag: &str) -> bool {
    tag.starts_with("W/")
}

/// Whether a range may be sent: it is still what the client has a part of (RFC 9110, 13.1.5).
fn is_still(entity: &Entity, field: Option<&str>) -> bool {
    let Some(field) = field.map(str::trim) else { return true };
    if field.ends_with('"') {
        return field == entity.tag && !is_weak(field);
    }
    let modified = entity.modified.map(seconds);
    modified.is_some() && httpdate::parse_http_date(field).ok() == modified
}

/// Dates of HTTP have whole seconds.
fn seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs())
}
