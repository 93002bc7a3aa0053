//! What requests carry: JSON, read as forgivingly as Toxiproxy does and no more.
//!
//! Its decoder takes the first JSON value and leaves the rest, matches keys without case, takes
//! `null` for nothing and ignores keys that it does not know (Go's encoding/json); clients rely on
//! some of it. Meanings are left to `toxic` and `collection`.

use serde_json::{Map, Value};

/// Why a body was not understood; told behind `bad request body: `.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread(pub String);

/// One proxy, as it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProxyBody {
    /// What it is called.
    pub name: Option<String>,
    /// Where clients come in.
    pub listen: Option<String>,
    /// Where it leads.
    pub upstream: Option<String>,
    /// `tcp` or `udp`.
    pub transport: Option<String>,
    /// Whether it listens.
    pub enabled: Option<bool>,
    /// What it does from the beginning.
    pub toxics: Vec<ToxicBody>,
}

/// One toxic, as it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToxicBody {
    /// What it is called.
    pub name: Option<String>,
    /// Its kind.
    pub kind: Option<String>,
    /// Its direction.
    pub stream: Option<String>,
    /// How likely it strikes.
    pub toxicity: Option<f64>,
    /// Its settings, by name.
    pub attributes: Map<String, Value>,
}

/// A configuration: proxies, and the seed of all chance if it says one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// From which all chance follows.
    pub seed: Option<u64>,
    /// To be opened.
    pub proxies: Vec<ProxyBody>,
}

/// The object of a body, its keys found without case.
struct Fields(Map<String, Value>);

impl Fields {
    fn read(value: Value) -> Result<Fields, Unread> {
        if let Value::Object(map) = value {
            Ok(Fields(map))
        } else if value.is_null() {
            Ok(Fields(Map::new()))
        } else {
            Err(Unread(format!("{} stands where an object is wanted", kind(&value))))
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let known = if self.0.contains_key(name) {
            name.to_owned()
        } else {
            self.0.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone()
        };
        self.0.remove(&known).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, Unread> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wanted(name, "a string", &other)),
        }
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, Unread> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(wanted(name, "true or false", &other)),
        }
    }

    fn list(&mut self, name: &str) -> Result<Vec<Value>, Unread> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list),
            Some(other) => Err(wanted(name, "an array", &other)),
        }
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

pub(super) fn wanted(name: &str, form: &str, found: &Value) -> Unread {
    let found =
        if let Value::Number(number) = found { number.to_string() } else { kind(found).to_owned() };
    Unread(format!("{name} takes {form}, not {found}"))
}

/// The first JSON value of a body.
fn first(bytes: &[u8]) -> Result<Value, Unread> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter();
    match values.next() {
        None => Err(Unread("EOF".to_owned())),
        Some(value) => value.map_err(|error: serde_json::Error| Unread(error.to_string())),
    }
}

/// Reads one proxy.
///
/// # Errors
/// No JSON, or a value of another type than its key has.
pub fn proxy(bytes: &[u8]) -> Result<ProxyBody, Unread> {
    read_proxy(first(bytes)?, true)
}

/// Reads a change of a proxy: its toxics are not looked at, for clients send back what they were
/// told long before.
///
/// # Errors
/// As [`proxy`].
pub fn change(bytes: &[u8]) -> Result<ProxyBody, Unread> {
    read_proxy(first(bytes)?, false)
}

/// Reads a list of proxies.
///
/// # Errors
/// As [`proxy`].
pub fn proxies(bytes: &[u8]) -> Result<Vec<ProxyBody>, Unread> {
    read_proxies(first(bytes)?)
}

/// Reads a configuration: Toxiproxy's list of proxies, or an object of `seed` and `proxies`.
///
/// # Errors
/// As [`proxy`], and anything behind the JSON.
pub fn config(bytes: &[u8]) -> Result<Config, Unread> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| Unread(error.to_string()))?;
    if value.is_array() {
        return Ok(Config { seed: None, proxies: read_proxies(value)? });
    }
    let mut fields = Fields::read(value)?;
    let seed = match fields.take("seed") {
        None => None,
        Some(value) => {
            Some(value.as_u64().ok_or_else(|| wanted("seed", "a whole number from 0", &value))?)
        }
    };
    let proxies = fields.list("proxies")?;
    Ok(Config { seed, proxies: read_proxies(Value::Array(proxies))? })
}

/// Reads a toxic, or a change of one.
///
/// # Errors
/// As [`proxy`].
pub fn toxic(bytes: &[u8]) -> Result<ToxicBody, Unread> {
    read_toxic(first(bytes)?)
}

fn read_proxies(value: Value) -> Result<Vec<ProxyBody>, Unread> {
    if let Value::Array(list) = value {
        list.into_iter().map(|value| read_proxy(value, true)).collect()
    } else if value.is_null() {
        Ok(Vec::new())
    } else {
        Err(Unread(format!("{} stands where a list of proxies is wanted", kind(&value))))
    }
}

fn read_proxy(value: Value, toxics: bool) -> Result<ProxyBody, Unread> {
    let mut fields = Fields::read(value)?;
    let toxics = if toxics { fields.list("toxics")? } else { Vec::new() };
    Ok(ProxyBody {
        name: fields.text("name")?,
        listen: fields.text("listen")?,
        upstream: fields.text("upstream")?,
        transport: fields.text("transport")?,
        enabled: fields.flag("enabled")?,
        toxics: toxics.into_iter().map(read_toxic).collect::<Result<_, _>>()?,
    })
}

fn read_toxic(value: Value) -> Result<ToxicBody, Unread> {
    let mut fields = Fields::read(value)?;
    let toxicity = match fields.take("toxicity") {
        None => None,
        Some(value) => {
            let within = value.as_f64().filter(|number| (0.0..=1.0).contains(number));
            Some(within.ok_or_else(|| wanted("toxicity", "a number from 0 to 1", &value))?)
        }
    };
    let attributes = match fields.take("attributes") {
        None => Map::new(),
        Some(Value::Object(map)) => map,
        Some(other) => return Err(wanted("attributes", "an object", &other)),
    };
    Ok(ToxicBody {
        name: fields.text("name")?,
        kind: fields.text("type")?,
        stream: fields.text("stream")?,
        toxicity,
        attributes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_as_forgivingly_as_clients_expect() {
        let check = |body: &str, name: Option<&str>, enabled: Option<bool>| {
            let read = proxy(body.as_bytes()).unwrap();
            assert_eq!((read.name.as_deref(), read.enabled), (name, enabled), "{body}");
        };
        check(r#"{"name":"a","enabled":false}"#, Some("a"), Some(false));
        check(r#"{"NAME":"a","Enabled":true}"#, Some("a"), Some(true));
        check(r#"{"name":"a","NAME":"b"}"#, Some("a"), None);
        check(r#"{"name":null,"enabled":null,"toxics":null}"#, None, None);
        check(r#"{"name":"a","colour":{"red":1}} and more"#, Some("a"), None);
        check("null", None, None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |body: &str, expected: &str| {
            assert_eq!(proxy(body.as_bytes()).unwrap_err().0, expected, "{body}");
        };
        check("", "EOF");
        check("  ", "EOF");
        check("[]", "an array stands where an object is wanted");
        check(r#"{"name":5}"#, "name takes a string, not 5");
        check(r#"{"enabled":"yes"}"#, "enabled takes true or false, not a string");
        check(r#"{"toxics":{}}"#, "toxics takes an array, not an object");
        check(r#"{"toxics":[{"toxicity":1.5}]}"#, "toxicity takes a number from 0 to 1, not 1.5");
        check(r#"{"toxics":[{"attributes":[]}]}"#, "attributes takes an object, not an array");
        assert!(proxy(br#"{"name":"#).unwrap_err().0.contains("EOF"));
        assert!(proxy(b"\xff").is_err());
        assert!(proxy("[".repeat(100_000).as_bytes()).is_err(), "deep nesting is refused");
    }

    #[test]
    fn a_configuration_is_a_list_or_an_object_with_a_seed() {
        assert_eq!(config(b"[]").unwrap(), Config::default());
        let read = config(br#"{"seed":7,"proxies":[{"name":"a"}]}"#).unwrap();
        assert_eq!((read.seed, read.proxies.len()), (Some(7), 1));
        assert!(config(br#"{"seed":-7}"#).unwrap_err().0.starts_with("seed takes"));
        assert!(config(b"[] more").is_err());
        assert!(config(b"5").is_err());
    }
}
