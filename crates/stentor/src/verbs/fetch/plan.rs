//! What to fetch and how: the arguments of `fetch`, and the plan that is made of them.
//!
//! A plan is complete and checked: carrying it out is left to [`super::engine`].

use std::path::PathBuf;
use std::time::Duration;

use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName,
    HeaderValue, PROXY_AUTHORIZATION, TRANSFER_ENCODING, USER_AGENT,
};
use stentor_core::units::Span;
use url::Url;

use crate::complaint::Complaint;
use crate::drive::reach::Family;
use crate::drive::tls::Trust;
use crate::verbs::link::{Link, LinkArgs};

/// How many redirects are followed unless `--max-redirects` says otherwise.
const REDIRECTS_MAX: u32 = 10;
/// How long silence is borne unless `-w` says otherwise.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The arguments of `fetch`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to get: http://HOST[:PORT]/PATH or https://...; http when no scheme is written
    #[arg(value_name = "URL")]
    url: String,
    /// Writes the body to FILE instead of standard output ("-" is standard output)
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Asks for the headers alone (HEAD) and prints them as they came
    #[arg(short = 'I', long)]
    head: bool,
    /// Prints the reply as it came, headers included, chunks not joined
    #[arg(long, conflicts_with = "head")]
    raw: bool,
    /// Adds a header, or replaces one of ours; "Name:" leaves one of ours out; repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Shows a redirect instead of following it
    #[arg(long, conflicts_with = "max_redirects")]
    no_redirect: bool,
    /// Follows at most N redirects
    #[arg(long, value_name = "N", default_value_t = REDIRECTS_MAX)]
    max_redirects: u32,
    /// Trusts the certificates in FILE (PEM), and no others
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    cacert: Option<PathBuf>,
    /// Takes any certificate, and says what was wrong with it
    #[arg(short = 'k', long)]
    insecure: bool,
    /// IPv4 only
    #[arg(short = '4', conflicts_with = "v6")]
    v4: bool,
    /// IPv6 only
    #[arg(short = '6')]
    v6: bool,
    /// Gives up when nothing happens for TIME, such as 500ms or 3s
    #[arg(short = 'w', long = "wait", value_name = "TIME", default_value_t = Span(SILENCE_MAX))]
    wait: Span,
    /// Shows the phases and their times even when standard error is not a terminal
    #[arg(long)]
    pub(super) timing: bool,
    /// Shows nothing on standard error but what went wrong
    #[arg(short = 'q', long, conflicts_with_all = ["timing", "verbose"])]
    pub(super) quiet: bool,
    /// Draws the conversation: each call, each read and its size
    #[arg(short = 'v', long)]
    pub(super) verbose: bool,
    /// Prints a report as JSON; the body then goes to -o FILE, or nowhere
    #[arg(short = 'J', long)]
    pub(super) json: bool,
    #[command(flatten)]
    link: LinkArgs,
}

/// What of the reply is handed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// The body, its chunks joined.
    #[default]
    Body,
    /// The head, asked for with HEAD (RFC 9110, section 9.3.2).
    Head,
    /// Every byte as it came, of each reply in turn.
    Raw,
}

/// What to fetch and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where from: http or https, without user name or fragment.
    pub url: Url,
    /// What to hand on; [`Show::Head`] also decides the method.
    pub show: Show,
    /// The headers of the request, in the order they are sent; `Host` is added for each hop.
    pub headers: HeaderMap,
    /// Which addresses are tried.
    pub family: Family,
    /// How many redirects are followed; `None` takes a redirect as any other reply.
    pub redirects_max: Option<u32>,
    /// How long nothing may happen: in resolving, in connecting, and between two arrivals.
    pub silence_max: Duration,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// A worse network before the server.
    pub link: Option<Link>,
}

impl Plan {
    /// A plan with the defaults of the command line. Complaint (exit 2): not a URL we can fetch.
    pub fn new(url: &str) -> Result<Plan, Complaint> {
        let mut headers = HeaderMap::new();
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("stentor/", env!("CARGO_PKG_VERSION"))),
        );
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        // One request per connection: the server ends it, and nothing is left to guess.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        Ok(Plan {
            url: parse(url)?,
            show: Show::Body,
            headers,
            family: Family::Any,
            redirects_max: Some(REDIRECTS_MAX),
            silence_max: SILENCE_MAX,
            trust: Trust::System,
            link: None,
        })
    }

    /// The name of the method.
    pub fn method(&self) -> &'static str {
        match self.show {
            Show::Head => "HEAD",
            Show::Body | Show::Raw => "GET",
        }
    }

    /// Leaves out what only the first server may know; says which headers those were.
    pub(super) fn forget_secrets(&mut self) -> Vec<&'static str> {
        let secrets = [
            ("Authorization", AUTHORIZATION),
            ("Cookie", COOKIE),
            ("Proxy-Authorization", PROXY_AUTHORIZATION),
            ("Host", HOST),
        ];
        let held = secrets.into_iter().filter(|(_, name)| self.headers.remove(name).is_some());
        held.map(|(name, _)| name).collect()
    }

    fn header(&mut self, written: &str) -> Result<(), Complaint> {
        let refused = |why: String| {
            Complaint::usage(
                format!("-H {written:?}: {why}"),
                "Write it as -H 'Name: value' (RFC 9110, section 5).",
            )
        };
        let (name, value) =
            written.split_once(':').ok_or_else(|| refused("no colon in it".to_owned()))?;
        let name: HeaderName =
            name.parse().map_err(|_| refused(format!("{name:?} is not a header's name")))?;
        if name == CONTENT_LENGTH || name == TRANSFER_ENCODING {
            return Err(refused("fetch sends no body".to_owned()));
        }
        let value = value.trim();
        // Ours are replaced; a person's own stand beside each other.
        if value.is_empty() || [USER_AGENT, ACCEPT, CONNECTION, HOST].contains(&name) {
            self.headers.remove(&name);
        }
        if value.is_empty() {
            return Ok(());
        }
        let value = HeaderValue::from_str(value)
            .map_err(|_| refused("a control character in it".into()))?;
        self.headers.append(name, value);
        Ok(())
    }
}

impl Args {
    /// Checks the arguments. Complaint (exit 2): what does not make a plan.
    pub(super) fn plan(&self) -> Result<Plan, Complaint> {
        let mut plan = Plan::new(&self.url)?;
        for written in &self.headers {
            plan.header(written)?;
        }
        plan.show = match (self.head, self.raw) {
            (true, _) => Show::Head,
            (false, true) => Show::Raw,
            (false, false) => Show::Body,
        };
        plan.family = match (self.v4, self.v6) {
            (true, _) => Family::V4,
            (false, true) => Family::V6,
            (false, false) => Family::Any,
        };
        plan.redirects_max = (!self.no_redirect).then_some(self.max_redirects);
        plan.silence_max = self.wait.0;
        plan.link = self.link.link();
        if self.wait.0.is_zero() {
            return Err(Complaint::usage("-w 0s leaves no time for an answer", ""));
        }
        plan.trust = match (&self.cacert, self.insecure) {
            (Some(path), _) => Trust::File(path.clone()),
            (None, true) => Trust::Anyone,
            (None, false) => Trust::System,
        };
        Ok(plan)
    }
}

/// Reads what a person wrote: with a scheme, or without one.
fn parse(written: &str) -> Result<Url, Complaint> {
    let next = "Write http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH.";
    let refused = |why: &str| Complaint::usage(format!("{written:?} {why}"), next);
    let absolute = match written.contains("://") {
        true => written.to_owned(),
        false => format!("http://{written}"),
    };
    let mut url =
        Url::parse(&absolute).map_err(|error| refused(&format!("is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Complaint::usage(
            format!("{written:?} holds a user name, which fetch does not send"),
            "Send it as -H 'Authorization: Basic ...' (RFC 7617).",
        ));
    }
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_with_and_without_a_scheme() {
        let check = |written: &str, expected: &str| {
            let read = Plan::new(written).map(|plan| plan.url.to_string());
            assert_eq!(read.unwrap_or_else(|complaint| complaint.what), expected);
        };
        check("example.org/x", "http://example.org/x");
        check("localhost:8080", "http://localhost:8080/");
        check("127.0.0.1:80/#part", "http://127.0.0.1/");
        check("[::1]:8080/a b", "http://[::1]:8080/a%20b");
        check("HTTPS://Example.ORG", "https://example.org/");
        check("ftp://example.org/", "\"ftp://example.org/\" is neither http nor https");
        check("", "\"\" is not a URL: empty host");
        check("http://", "\"http://\" is not a URL: empty host");
        check("host:99999", "\"host:99999\" is not a URL: invalid port number");
        check(
            "http://me:secret@example.org/",
            "\"http://me:secret@example.org/\" holds a user name, which fetch does not send",
        );
    }

    #[test]
    fn headers_add_replace_and_leave_out() {
        let mut plan = Plan::new("h").unwrap();
        for written in ["User-Agent: me", "Accept:", "X-One: 1", "X-One:2"] {
            plan.header(written).unwrap();
        }
        let sent: Vec<_> = plan.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        assert_eq!(sent.len(), 4, "{sent:?}");
        assert!(sent.contains(&("user-agent", b"me".as_slice())), "{sent:?}");
        assert!(plan.headers.get(ACCEPT).is_none());
        assert_eq!(plan.headers.get_all("x-one").iter().count(), 2);
    }

    #[test]
    fn headers_that_are_none_are_refused() {
        let check = |written: &str, expected: &str| {
            let complaint = Plan::new("h").unwrap().header(written).unwrap_err();
            assert!(complaint.what.ends_with(expected), "{}", complaint.what);
        };
        check("no colon here", "no colon in it");
        check("two words: x", "\"two words\" is not a header's name");
        check("X: a\u{1}b", "a control character in it");
        check("Content-Length: 5", "fetch sends no body");
    }

    #[test]
    fn secrets_are_not_carried_to_strangers() {
        let mut plan = Plan::new("h").unwrap();
        plan.header("Authorization: Basic x").unwrap();
        plan.header("X-Kept: y").unwrap();
        assert_eq!(plan.forget_secrets(), ["Authorization"]);
        assert!(plan.headers.contains_key("x-kept") && !plan.headers.contains_key(AUTHORIZATION));
    }
}
