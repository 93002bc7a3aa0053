//! `-- SERVER ARGS --with CLIENT`: several programs in one command line.
//!
//! What is done with them is left to the verbs.

use std::ffi::OsString;

use crate::complaint::Complaint;

/// The first program, and the further ones. Without a `--with` before the `--`, one after it is ours,
/// too.
pub(crate) fn read(
    command: &[OsString],
    with: &[String],
) -> Result<(Vec<OsString>, Vec<Vec<OsString>>), Complaint> {
    let (first, with) = match with {
        [] => divide(command)?,
        with => (command.to_vec(), with.to_vec()),
    };
    let with = with.iter().map(|line| words(line)).collect::<Result<_, _>>()?;
    Ok((first, with))
}

/// `SERVER ARGS --with CLIENT --with CLIENT`: the command, and the clients.
fn divide(command: &[OsString]) -> Result<(Vec<OsString>, Vec<String>), Complaint> {
    let at = command.iter().position(|word| word == "--with").unwrap_or(command.len());
    let (first, rest) = command.split_at(at);
    let mut with = Vec::new();
    for pair in rest.chunks(2) {
        match pair {
            [flag, line] if flag == "--with" => {
                with.push(line.to_string_lossy().into_owned());
            }
            _ => {
                let stray = pair.last().map(|word| word.to_string_lossy().into_owned());
                let what = format!("after --with 'COMMAND': {}", stray.unwrap_or_default());
                let next = "Each --with takes one COMMAND, in quotes; a program with a --with of \
                            its own needs ours before the --.";
                return Err(Complaint::usage(what, next));
            }
        }
    }
    Ok((first.to_vec(), with))
}

/// A command in one argument, cut into words as a shell would.
fn words(line: &str) -> Result<Vec<OsString>, Complaint> {
    let words = shlex::split(line).filter(|words| !words.is_empty());
    let words = words.ok_or_else(|| {
        let next = "Its quotes must be closed: --with 'python3 client.py'.";
        Complaint::usage(format!("--with {line:?} is not a command"), next)
    })?;
    Ok(words.into_iter().map(OsString::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_may_stand_behind_the_server() {
        let check = |line: &str, expected: &str| {
            let command: Vec<OsString> =
                shlex::split(line).unwrap().into_iter().map(Into::into).collect();
            let read = match divide(&command) {
                Ok((first, with)) => format!("{first:?} {with:?}"),
                Err(complaint) => complaint.what,
            };
            assert_eq!(read, expected, "{line}");
        };
        check("s -p 80", r#"["s", "-p", "80"] []"#);
        check("s --with 'c d' --with e", r#"["s"] ["c d", "e"]"#);
        check("s --with", "after --with 'COMMAND': --with");
        check("s --with c d", "after --with 'COMMAND': d");
    }
}
