//! Addresses of sockets in JSON.
//!
//! An address of the Internet is a string as people write it, `127.0.0.1:12000` or
//! `[fe80::1%2]:12000`; flow information, which hardly anyone sets, follows as ` flow 7`. One of a
//! unix socket is `{"unix":"/run/x"}`, any other `{"family":16}`.

use std::fmt;
use std::net::SocketAddr;

use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use stentor_core::timeline::record::Address;

/// An address of the Internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inet(pub(super) SocketAddr);

impl Inet {
    fn parse(text: &str) -> Option<Inet> {
        let (address, flow) = match text.split_once(" flow ") {
            Some((address, flow)) => (address, flow.parse().ok()?),
            None => (text, 0),
        };
        let mut address: SocketAddr = address.parse().ok()?;
        match &mut address {
            SocketAddr::V6(address) => address.set_flowinfo(flow),
            SocketAddr::V4(_) if flow != 0 => return None,
            SocketAddr::V4(_) => {}
        }
        Some(Inet(address))
    }
}

impl fmt::Display for Inet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        match self.0 {
            SocketAddr::V6(address) if address.flowinfo() != 0 => {
                write!(f, " flow {}", address.flowinfo())
            }
            SocketAddr::V4(_) | SocketAddr::V6(_) => Ok(()),
        }
    }
}

impl Serialize for Inet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Inet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Inet, D::Error> {
        match AnyAddress::deserialize(deserializer)?.0 {
            Address::Inet(address) => Ok(Inet(address)),
            Address::Unix(_) | Address::Other(_) => {
                Err(D::Error::custom("an address of another family than the Internet's"))
            }
        }
    }
}

/// An address of any family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AnyAddress(pub(super) Address);

impl Serialize for AnyAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Address::Inet(address) => serializer.collect_str(&Inet(*address)),
            Address::Unix(path) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("unix", path)?;
                map.end()
            }
            Address::Other(family) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("family", family)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for AnyAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AnyAddress, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Address;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address such as \"127.0.0.1:12000\" or {\"unix\":\"/path\"}")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Address, E> {
                let read = Inet::parse(text).map(|address| Address::Inet(address.0));
                read.ok_or_else(|| E::custom(format!("{text:?} is not an address with its port")))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Address, M::Error> {
                let mut address = None;
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "unix" => address = Some(Address::Unix(map.next_value()?)),
                        "family" => address = Some(Address::Other(map.next_value()?)),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                address.ok_or_else(|| M::Error::custom("an address without \"unix\" or \"family\""))
            }
        }
        deserializer.deserialize_any(Either).map(AnyAddress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv6Addr, SocketAddrV6};

    #[test]
    fn addresses_read_as_they_are_written() {
        let check = |address: Address, expected: &str| {
            let written = serde_json::to_string(&AnyAddress(address.clone())).unwrap();
            assert_eq!(written, expected);
            assert_eq!(serde_json::from_str::<AnyAddress>(&written).unwrap().0, address);
        };
        let v6 =
            |flow, scope| SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 80, flow, scope));
        check(Address::Inet(([127, 0, 0, 1], 12000).into()), r#""127.0.0.1:12000""#);
        check(Address::Inet(v6(0, 0)), r#""[::1]:80""#);
        check(Address::Inet(v6(7, 3)), r#""[::1%3]:80 flow 7""#);
        check(Address::Unix("@a \"b\"".to_owned()), r#"{"unix":"@a \"b\""}"#);
        check(Address::Unix(String::new()), r#"{"unix":""}"#);
        check(Address::Other(16), r#"{"family":16}"#);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in [r#""127.0.0.1""#, r#""127.0.0.1:80 flow 1""#, r#""""#, "7", "{}", "null"] {
            assert!(serde_json::from_str::<AnyAddress>(wrong).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<Inet>(r#"{"family":16}"#).is_err());
    }
}
