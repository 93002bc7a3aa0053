//! One exchange of this program with itself, both ends traced: `stentor trace` of `serve` with
//! `send`, in processes of their own.
//!
//! A process of its own, because a private network is entered before any thread exists. Tracing is
//! left to [`super::trace`]; what becomes of the output and of the record, to the caller.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Command, Stdio};

use stentor_core::endpoint::{PORT_DEFAULT, Transport};
use stentor_core::timeline::record::Mode;
use stentor_os::failure::Failure;

use super::trace;
use crate::complaint::{Complaint, Exit};

/// The longest sentence that goes as an argument, in bytes: a word of a command line has at most
/// 128 KiB (MAX_ARG_STRLEN, execve(2)), and quotation marks are added.
const SENTENCE_MAX: usize = 32 * 1024;

/// How exchanges are traced on this system.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// With packets (lab) or without (calls).
    pub mode: Mode,
    /// What is to be said about the mode: why there are no packets, and how to have them.
    pub notice: Option<String>,
    transport: Transport,
}

impl Exchange {
    /// Finds out what the system allows.
    ///
    /// # Errors
    /// It allows no tracing at all.
    pub fn prepare(transport: Transport) -> Result<Exchange, Complaint> {
        let (mode, notice) = trace::settle(None, false)?;
        Ok(Exchange { mode, notice, transport })
    }

    /// A port for the next exchange: the lecture's where the network is private, else a free one.
    ///
    /// # Errors
    /// No port of 127.0.0.1 can be had.
    pub fn port(&self) -> Result<u16, Complaint> {
        if self.mode == Mode::Lab {
            return Ok(PORT_DEFAULT);
        }
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bound = match self.transport {
            Transport::Udp => UdpSocket::bind(any).and_then(|socket| socket.local_addr()),
            Transport::Tcp | Transport::Unix => {
                TcpListener::bind(any).and_then(|socket| socket.local_addr())
            }
        };
        Ok(bound.map_err(|error| Failure::new("bind", any, error))?.port())
    }

    /// `stentor trace` with `options`, of a server at `port` and a client that sends `sentence` to
    /// it. It reads nothing from standard input.
    ///
    /// # Errors
    /// A sentence that cannot stand on a command line, or no way to find this program again.
    pub fn command<Word: AsRef<OsStr>>(
        &self,
        options: impl IntoIterator<Item = Word>,
        port: u16,
        sentence: &[u8],
    ) -> Result<Command, Complaint> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::new("readlink", "/proc/self/exe", error))?;
        let (flag, scheme) = match self.transport {
            Transport::Udp => ("-u", "udp"),
            Transport::Tcp | Transport::Unix => ("-t", "tcp"),
        };
        let target = format!("{scheme}://127.0.0.1:{port}");
        let client =
            [quoted(program.to_str())?, "send".into(), target, "--".into(), word(sentence)?];
        let mode = if self.mode == Mode::Lab { "lab" } else { "calls" };
        let mut command = Command::new(&program);
        command.args(["trace", "--mode", mode]).args(options);
        command.args(["--with", &client.join(" "), "--"]).arg(&program);
        command.args(["serve", "-q", "-1", flag, "-b", "127.0.0.1", "-p", &port.to_string()]);
        command.stdin(Stdio::null());
        Ok(command)
    }
}

/// The sentence as one word of a shell.
fn word(sentence: &[u8]) -> Result<String, Complaint> {
    let next = "stentor and stentor send take any bytes; stentor trace draws them: stentor trace -- \
                stentor serve -1 --with 'stentor send'.";
    let cannot = |why: &str| {
        Complaint::new(Exit::Usage, format!("a ladder of this sentence cannot be had: {why}"), next)
    };
    if sentence.len() > SENTENCE_MAX {
        return Err(cannot(&format!("it has {} bytes, more than {SENTENCE_MAX}", sentence.len())));
    }
    let text = std::str::from_utf8(sentence).map_err(|_| cannot("it is not UTF-8"))?;
    let quoted = shlex::try_quote(text).map_err(|_| cannot("it has a byte 0"))?;
    Ok(quoted.into_owned())
}

fn quoted(path: Option<&str>) -> Result<String, Complaint> {
    let quoted = path.and_then(|path| shlex::try_quote(path).ok());
    quoted.map(std::borrow::Cow::into_owned).ok_or_else(|| {
        let next = "Install stentor under a path that is UTF-8.";
        Complaint::new(Exit::Impossible, "the path of this program is not UTF-8", next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_one_word_or_refused() {
        for sentence in ["hello world", "it's", "-x", "", "a \"b\" $HOME `c` \\ ж", "a\nb"] {
            let line = format!("send {}", word(sentence.as_bytes()).unwrap());
            assert_eq!(shlex::split(&line), Some(vec!["send".to_owned(), sentence.to_owned()]));
        }
        for (sentence, why) in [
            (&b"a\0b"[..], "it has a byte 0"),
            (b"\xff", "it is not UTF-8"),
            (&[b'x'; SENTENCE_MAX + 1], "it has 32769 bytes"),
        ] {
            let refusal = word(sentence).unwrap_err();
            assert!(refusal.what.contains(why), "{}", refusal.what);
        }
    }
}
