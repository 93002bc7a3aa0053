//! The line of a call: the mirror of `Call`, its arguments beside its other keys.
//!
//! Other kinds of lines are in `line`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use stentor_core::moment::Moment;
use stentor_core::timeline::call::{CallName, Errno};
use stentor_core::timeline::record::{
    Arguments, Call, CallId, Entry, Fd, Made, Message, Outcome, Pid, SocketId, SocketOption, Tid,
};

use super::address::AnyAddress;
use super::hex::Hex;
use super::line::{Extra, Refusal, is_default, other_tid, unknown};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CallLine<'a> {
    id: u64,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    entered_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_ns: Option<u64>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fd: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    socket: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<AnyAddress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    flags: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    flags_back: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<MadeLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<u32>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    option: Option<OptionLine<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    descriptors: Vec<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    returned: Option<i64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    errno: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Hex::is_empty")]
    payload: Hex<'a>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    messages: Vec<MessageLine<'a>>,
    #[serde(flatten, skip_serializing)]
    extra: Extra,
}

#[derive(Debug, Serialize, Deserialize)]
struct MadeLine {
    domain: i32,
    #[serde(rename = "type")]
    kind: i32,
    protocol: i32,
    #[serde(flatten, skip_serializing)]
    extra: Extra,
}

#[derive(Debug, Serialize, Deserialize)]
struct OptionLine<'a> {
    level: i32,
    name: i32,
    #[serde(borrow, default, skip_serializing_if = "Hex::is_empty")]
    value: Hex<'a>,
    #[serde(flatten, skip_serializing)]
    extra: Extra,
}

#[derive(Debug, Serialize, Deserialize)]
struct MessageLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<AnyAddress>,
    length: u64,
    #[serde(borrow, default, skip_serializing_if = "Hex::is_empty")]
    payload: Hex<'a>,
    #[serde(flatten, skip_serializing)]
    extra: Extra,
}

impl<'a> From<&'a Call> for CallLine<'a> {
    fn from(call: &'a Call) -> CallLine<'a> {
        let arguments = &call.arguments;
        let (returned, errno) = match call.outcome {
            Outcome::Value(value) => (Some(value), None),
            Outcome::Failed(errno) => (None, Some(errno.to_string().into())),
            Outcome::Unfinished => (None, None),
        };
        CallLine {
            id: call.id.0,
            pid: call.pid.0,
            tid: other_tid(call.pid, call.tid),
            entered_ns: call.entered.as_nanos(),
            left_ns: call.left.map(Moment::as_nanos),
            name: call.name.name().into(),
            fd: call.fd.map(|fd| fd.0),
            socket: call.socket.map(|socket| socket.0),
            address: arguments.address.clone().map(AnyAddress),
            length: arguments.length,
            flags: arguments.flags,
            flags_back: arguments.flags_back,
            made: arguments.made.map(MadeLine::from),
            number: arguments.number,
            command: arguments.command,
            option: arguments.option.as_deref().map(OptionLine::from),
            descriptors: arguments.descriptors.iter().map(|fd| fd.0).collect(),
            returned,
            errno,
            payload: Hex::from(&*call.payload),
            messages: call.messages.iter().map(MessageLine::from).collect(),
            extra: Extra::default(),
        }
    }
}

impl CallLine<'_> {
    /// Keys that are not known, here and below.
    pub(super) fn extras(&self) -> u64 {
        let messages: u64 = self.messages.iter().map(|message| message.extra.0).sum();
        let option = self.option.as_ref().map_or(0, |option| option.extra.0);
        let made = self.made.as_ref().map_or(0, |made| made.extra.0);
        self.extra.0 + messages + option + made
    }

    pub(super) fn entry(self) -> Result<Entry, Refusal> {
        let outcome = match (self.returned, self.errno) {
            (Some(_), Some(_)) => {
                return Err(Refusal::Wrong("a call that both returned and failed"));
            }
            (Some(value), None) => Outcome::Value(value),
            (None, Some(name)) => {
                Outcome::Failed(Errno::parse(&name).ok_or_else(|| unknown("call: errno", &name))?)
            }
            (None, None) => Outcome::Unfinished,
        };
        let name = CallName::parse(&self.name).ok_or_else(|| unknown("call: name", &self.name))?;
        let arguments = Arguments {
            address: self.address.map(|address| address.0),
            length: self.length,
            flags: self.flags,
            flags_back: self.flags_back,
            made: self.made.map(|made| Made {
                domain: made.domain,
                kind: made.kind,
                protocol: made.protocol,
            }),
            number: self.number,
            command: self.command,
            option: self.option.map(|option| {
                Box::new(SocketOption {
                    level: option.level,
                    name: option.name,
                    value: option.value.into_box(),
                })
            }),
            descriptors: self.descriptors.into_iter().map(Fd).collect(),
        };
        Ok(Entry::Call(Call {
            id: CallId(self.id),
            pid: Pid(self.pid),
            tid: Tid(self.tid.unwrap_or(self.pid)),
            entered: Moment::from_nanos(self.entered_ns),
            left: self.left_ns.map(Moment::from_nanos),
            name,
            fd: self.fd.map(Fd),
            socket: self.socket.map(SocketId),
            arguments,
            outcome,
            payload: self.payload.into_box(),
            messages: self.messages.into_iter().map(Message::from).collect(),
        }))
    }
}

impl From<Made> for MadeLine {
    fn from(made: Made) -> MadeLine {
        let Made { domain, kind, protocol } = made;
        MadeLine { domain, kind, protocol, extra: Extra::default() }
    }
}

impl<'a> From<&'a SocketOption> for OptionLine<'a> {
    fn from(option: &'a SocketOption) -> OptionLine<'a> {
        OptionLine {
            level: option.level,
            name: option.name,
            value: Hex::from(&*option.value),
            extra: Extra::default(),
        }
    }
}

impl<'a> From<&'a Message> for MessageLine<'a> {
    fn from(message: &'a Message) -> MessageLine<'a> {
        MessageLine {
            address: message.address.clone().map(AnyAddress),
            length: message.length,
            payload: Hex::from(&*message.payload),
            extra: Extra::default(),
        }
    }
}

impl From<MessageLine<'_>> for Message {
    fn from(line: MessageLine<'_>) -> Message {
        Message {
            address: line.address.map(|address| address.0),
            length: line.length,
            payload: line.payload.into_box(),
        }
    }
}
