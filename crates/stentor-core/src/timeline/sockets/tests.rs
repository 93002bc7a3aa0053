//! Descriptors through dup, fork, exec and close.

use super::*;
use crate::timeline::call::CallName::*;
use crate::timeline::record::{Life, Mode};
use crate::timeline::script::Script;

/// The sockets' numbers that calls were about, `-` for none; made-up ones as `?`.
fn about(script: &Script) -> Vec<String> {
    let sockets = Sockets::follow(&script.record);
    let name = |place: &Option<u32>| match place.and_then(|place| sockets.at(place)) {
        Some(socket) if socket.id.0 >= MADE_UP => "?".to_owned(),
        Some(socket) => socket.id.0.to_string(),
        None => "-".to_owned(),
    };
    sockets.of_call.iter().map(name).collect()
}

fn ending(script: &Script, id: u64) -> Option<Ending> {
    let sockets = Sockets::follow(&script.record);
    sockets.all.iter().find(|socket| socket.id.0 == id).unwrap().ending
}

#[test]
fn duplicates_mean_the_same_and_a_closed_number_is_free() {
    let mut script = Script::new(Mode::Lab, 0);
    script.socket(1, 1, 3, 70);
    script.call(1, Dup, 3, 5);
    let dup2 = script.call(1, Dup2, 5, 9);
    script.given(dup2, |given| given.number = Some(9));
    let fcntl = script.call(1, Fcntl, 9, 12);
    script.given(fcntl, |given| given.command = Some(F_DUPFD_CLOEXEC));
    for fd in [3, 5, 9] {
        script.call(1, Close, fd, 0);
    }
    script.call(1, Write, 12, 1);
    script.call(1, Write, 3, 1);
    script.socket(1, 1, 3, 71);
    script.call(1, Write, 3, 1);
    assert_eq!(about(&script), ["70", "70", "70", "70", "70", "70", "70", "70", "-", "71", "71"]);
    assert_eq!(ending(&script, 70), None);
    script.call(1, Close, 12, 0);
    assert_eq!(ending(&script, 70), Some(Ending::Call(CallNo(11))));
}

#[test]
fn a_fork_has_copies_threads_share_and_exec_closes() {
    let mut script = Script::new(Mode::Lab, 0);
    script.start(1, "parent");
    let socket = script.socket(1, 1 | 0o2_000_000, 3, 70);
    script.given(socket, |given| given.made.as_mut().unwrap().kind = 1 | 0o2_000_000);
    script.life(2, Life::Forked { parent: Pid(1), shares_files: false });
    script.life(3, Life::Forked { parent: Pid(1), shares_files: true });
    script.wait(1);
    script.call(3, Close, 3, 0);
    script.call(1, Write, 3, 1);
    script.call(2, Write, 3, 1);
    assert_eq!(about(&script), ["70", "70", "-", "70"]);
    assert_eq!(ending(&script, 70), None);
    script.life(2, Life::Execed { command: vec!["other".to_owned()] });
    script.wait(1);
    let Some(Ending::Process(Pid(2), _)) = ending(&script, 70) else {
        panic!("{:?}", ending(&script, 70));
    };
}

#[test]
fn a_death_closes_what_only_the_dead_had() {
    let mut script = Script::new(Mode::Lab, 0);
    script.start(1, "parent");
    script.socket(1, 1, 3, 70);
    script.socket(1, 2, 4, 71);
    script.life(2, Life::Forked { parent: Pid(1), shares_files: false });
    script.wait(1);
    script.call(2, Close, 3, 0);
    script.life(1, Life::Killed { signal: 9 });
    assert_eq!(ending(&script, 70), Some(Ending::Process(Pid(1), script.now())));
    assert_eq!(ending(&script, 71), None);
}

#[test]
fn what_was_inherited_is_made_up_only_for_calls_on_sockets() {
    let mut script = Script::new(Mode::Lab, 0);
    script.call(1, Read, 0, 5);
    script.call(1, Getsockname, 7, 0);
    script.call(1, Read, 7, 5);
    script.call(1, Getsockname, 8, -88);
    script.call(1, CloseRange, 3, 0);
    script.call(1, Read, 7, 5);
    assert_eq!(about(&script), ["-", "?", "?", "-", "-", "-"]);
}
