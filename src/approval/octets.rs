//! Bytes that are mostly text.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes, written as text where they are text, so that whoever approves them can
/// read them, and as `{"base64": …}` where not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Octets(pub(crate) Vec<u8>);

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Form {
    Text(String),
    Bytes(Base64),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Base64 {
    base64: String,
}

impl Octets {
    pub(super) fn of(text: impl AsRef<OsStr>) -> Self {
        Self(text.as_ref().as_bytes().to_vec())
    }

    pub(crate) fn to_os(&self) -> OsString {
        OsString::from_vec(self.0.clone())
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Form::Text(text.to_owned()),
            Err(_) => Form::Bytes(Base64 { base64: STANDARD.encode(&self.0) }),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(Self(text.into_bytes())),
            Form::Bytes(Base64 { base64 }) => {
                STANDARD.decode(base64).map(Self).map_err(D::Error::custom)
            }
        }
    }
}

pub(super) fn all(words: &[OsString]) -> Vec<Octets> {
    words.iter().map(Octets::of).collect()
}

pub(super) fn to_os(words: &[Octets]) -> Vec<OsString> {
    words.iter().map(Octets::to_os).collect()
}
