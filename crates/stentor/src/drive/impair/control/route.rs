//! Which request means what: the methods and paths of Toxiproxy 2.12.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::{Method, StatusCode};

use super::answer::{Answer, Populated, Problem};
use super::body;
use super::collection::{Change, Collection, View, Wanted, address};
use super::names::Names;

/// What requests are about.
pub(super) struct Desk {
    pub(super) collection: Mutex<Collection>,
    pub(super) names: Arc<Names>,
    pub(super) version: String,
    /// Whether GET /metrics is there.
    pub(super) metrics: bool,
}

/// What stands behind a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Proxies,
    Proxy(String),
    Toxics(String),
    Toxic(String, String),
    Populate,
    Reset,
    Version,
    Metrics,
}

impl Page {
    /// The page of a path, as it stands in the request; `None`: there is none.
    pub(super) fn read(path: &str) -> Option<Page> {
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        Some(match parts.as_slice() {
            ["proxies"] => Page::Proxies,
            ["proxies", proxy] => Page::Proxy(decoded(proxy)?),
            ["proxies", proxy, "toxics"] => Page::Toxics(decoded(proxy)?),
            ["proxies", proxy, "toxics", toxic] => Page::Toxic(decoded(proxy)?, decoded(toxic)?),
            ["populate"] => Page::Populate,
            ["reset"] => Page::Reset,
            ["version"] => Page::Version,
            ["metrics"] => Page::Metrics,
            _ => return None,
        })
    }
}

/// A part of a path with its `%XX` undone (RFC 3986, section 2.1); `None` if that is no text, or
/// none at all.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(16 * high + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().filter(|part| !part.is_empty())
}

impl Desk {
    fn collection(&self) -> MutexGuard<'_, Collection> {
        self.collection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request.
    pub(super) async fn answer(&self, method: &Method, path: &str, body: &[u8]) -> Answer {
        let Some(page) = Page::read(path) else { return Answer::no_page() };
        let changes = matches!(*method, Method::POST | Method::PATCH);
        let answer = match (page, method) {
            (Page::Proxies, &Method::GET) => Ok(shown(&self.collection().all())),
            (Page::Proxies, &Method::POST) => self.create(body).await,
            (Page::Populate, &Method::POST) => Ok(self.populate(body).await),
            (Page::Proxy(name), &Method::GET) => {
                self.collection().one(&name).map(|view| shown(&view))
            }
            (Page::Proxy(name), _) if changes => self.update(&name, body).await,
            (Page::Proxy(name), &Method::DELETE) => {
                self.collection().delete(&name).map(|()| Answer::done())
            }
            (Page::Toxics(name), &Method::GET) => {
                self.collection().toxics(&name).map(|toxics| shown(&toxics))
            }
            (Page::Toxics(name), &Method::POST) => self.add_toxic(&name, body),
            (Page::Toxic(proxy, name), &Method::GET) => {
                self.collection().toxic(&proxy, &name).map(|toxic| shown(&toxic))
            }
            (Page::Toxic(proxy, name), _) if changes => self.update_toxic(&proxy, &name, body),
            (Page::Toxic(proxy, name), &Method::DELETE) => {
                self.collection().delete_toxic(&proxy, &name).map(|()| Answer::done())
            }
            (Page::Reset, &Method::POST) => self.reset().await,
            (Page::Version, &Method::GET) => Ok(Answer::version(&self.version)),
            (Page::Metrics, _) if !self.metrics => Ok(Answer::no_page()),
            (Page::Metrics, &Method::GET) => self.collection().metrics().map(Answer::metrics),
            _ => Ok(Answer::wrong_method()),
        };
        answer.unwrap_or_else(Answer::from)
    }

    async fn create(&self, body: &[u8]) -> Result<Answer, Problem> {
        let wanted = Wanted::read(body::proxy(body)?, None)?.located(&self.names).await;
        let view = self.collection().create(wanted)?;
        Ok(Answer::json(StatusCode::CREATED, &view))
    }

    async fn populate(&self, body: &[u8]) -> Answer {
        let (views, problem) = match body::proxies(body) {
            Ok(bodies) => self.open(bodies).await,
            Err(unread) => (Vec::new(), Some(unread.into())),
        };
        let status = problem.as_ref().map_or(StatusCode::CREATED, |problem| problem.status);
        Answer::json(status, &Populated::new(views, problem.as_ref()))
    }

    /// Opens a list of proxies, all of which are understood before the first is opened.
    pub(super) async fn open(&self, bodies: Vec<body::ProxyBody>) -> (Vec<View>, Option<Problem>) {
        let numbered = bodies.into_iter().enumerate();
        let wanted = numbered.map(|(index, body)| Wanted::read(body, Some(index + 1)));
        let wanted: Vec<Wanted> = match wanted.collect() {
            Ok(wanted) => wanted,
            Err(problem) => return (Vec::new(), Some(problem)),
        };
        let mut located = Vec::with_capacity(wanted.len());
        for one in wanted {
            located.push(one.located(&self.names).await);
        }
        self.collection().populate(located)
    }

    async fn update(&self, name: &str, body: &[u8]) -> Result<Answer, Problem> {
        // Without a proxy of that name nobody looks at the body.
        self.collection().one(name)?;
        let body = body::change(body)?;
        let listen = self.collection().listen(name, &body)?;
        let address = address(&self.names, &listen).await;
        let view = self.collection().update(name, Change { body, address })?;
        Ok(shown(&view))
    }

    fn add_toxic(&self, proxy: &str, body: &[u8]) -> Result<Answer, Problem> {
        let mut collection = self.collection();
        collection.one(proxy)?;
        Ok(shown(&collection.add_toxic(proxy, body::toxic(body)?)?))
    }

    fn update_toxic(&self, proxy: &str, name: &str, body: &[u8]) -> Result<Answer, Problem> {
        let mut collection = self.collection();
        collection.toxic(proxy, name)?;
        Ok(shown(&collection.update_toxic(proxy, name, &body::toxic(body)?)?))
    }

    async fn reset(&self) -> Result<Answer, Problem> {
        let disabled = self.collection().disabled();
        let mut located = BTreeMap::new();
        for (name, listen) in disabled {
            located.insert(name, address(&self.names, &listen).await);
        }
        self.collection().reset(located)?;
        Ok(Answer::done())
    }
}

fn shown(value: &impl serde::Serialize) -> Answer {
    Answer::json(StatusCode::OK, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_toxiproxy() {
        let check = |path: &str, page: Option<Page>| assert_eq!(Page::read(path), page, "{path}");
        check("/proxies", Some(Page::Proxies));
        check("/proxies/a", Some(Page::Proxy("a".into())));
        check("/proxies/a%20b%2Fc", Some(Page::Proxy("a b/c".into())));
        check("/proxies/a/toxics", Some(Page::Toxics("a".into())));
        check("/proxies/a/toxics/b", Some(Page::Toxic("a".into(), "b".into())));
        for nowhere in [
            "",
            "/",
            "//proxies",
            "/proxies/",
            "/proxies/a/",
            "/proxies/a/toxics/",
            "/Proxies",
            "/proxies/a/toxic",
            "/proxies/a/toxics/b/c",
            "/proxies/%",
            "/proxies/%ff",
            "/proxies/%0",
        ] {
            check(nowhere, None);
        }
    }
}
