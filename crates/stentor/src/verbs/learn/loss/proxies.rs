//! The sentences through proxies, where no packets can be had: datagrams are lost as truly, streams
//! cannot be.

use std::sync::mpsc;

use stentor_core::endpoint::Transport as Kind;
use stentor_core::link::{Decision, Direction, Spec, What};
use stentor_core::seed::Seed;
use stentor_os::net::socket_table::Table;

use super::{Journey, Journeys, LINK, SENTENCES, SHOWN, datagram_claims, number, sentence};
use crate::complaint::Complaint;
use crate::drive::impair::{self, Counts, Log, Proxy, Rules, UnitCounts, beside};
use crate::verbs::learn::apart::OnLink;
use crate::verbs::learn::calls::{Transport, anywhere};
use crate::verbs::learn::checksum::retransmitted;
use crate::verbs::learn::evidence::{count, rows, settled};
use crate::verbs::learn::stage::{Stage, Stop};

/// A proxy's dice have another name, and so other luck: of twelve datagrams it loses 4, 9 and 11, lets
/// 3 and 7 overtake, and doubles 7.
const SEED: Seed = Seed(15);
/// What is left of the link for a stream.
const DELAY_ALONE: OnLink = OnLink { words: "delay=30ms", ..LINK };

pub(super) fn datagrams(stage: &mut Stage<'_>, complaint: &Complaint) -> Result<(), Stop> {
    stage.step(
        "Twelve sentences leave as datagrams, through a proxy that delays each by 30 ms, loses some, \
         doubles some, and lets some overtake.",
        "A link that carries packets would show it to the kernels' TCP, too; this system allows \
         none. To a proxy a datagram is a whole: losing it is as true there as on a wire.",
    )?;
    stage.fact("packets: not to be had here", complaint)?;
    stage.fact("proxy", format!("{SHOWN} --seed {}", SEED.0))?;
    let server = stage.socket("server", Transport::Udp)?;
    stage.bind(&server, anywhere())?;
    let client = stage.socket("client", Transport::Udp)?;
    let (tell, decided) = mpsc::channel();
    let log: Log = Box::new(move |_, direction, decision| {
        // Heard until this function returns, and not missed afterwards.
        let _ = tell.send((direction, *decision));
    });
    let running = impair::start(SEED, Some(log))?;
    let rules = Rules::units(&LINK.spec()?, [None, None]);
    let rules = rules.map_err(|error| Stop::Refused(Complaint::usage(error.to_string(), "")))?;
    let proxy = Proxy {
        name: "udp".to_owned(),
        listen: anywhere(),
        upstream: vec![server.local()],
        lookup: None,
        rules,
    };
    let refused = |refusal: impair::Refusal| Stop::Refused(refusal.into());
    let (id, address) = running.handle().open(proxy).map_err(refused)?;
    for number in 1..=SENTENCES {
        stage.send_to(&client, sentence(number).as_bytes(), address)?;
    }
    let counts = || match running.handle().counts(id).map_err(refused)? {
        Some(Counts::Units(counts)) => Ok(counts),
        Some(Counts::Stream(_)) | None => Ok(UnitCounts::default()),
    };
    let through =
        |counts: &UnitCounts| counts.up.taken == SENTENCES as u64 && counts.up_waiting == 0;
    let counts = settled(counts, through)?;
    let mut order = Vec::new();
    for _ in 0..counts.up.delivered {
        let (heard, _) = stage.recv_from(&server, 2048)?;
        order.extend(number(&heard));
    }
    let journeys = journeys(counts.up.taken, decided.try_iter());
    datagram_claims(stage, &journeys, &order)?;
    stage.close(client)?;
    stage.close(server)?;
    Ok(())
}

/// What the log says of each datagram: the first has the number 1.
fn journeys(taken: u64, log: impl Iterator<Item = (Direction, Decision)>) -> Journeys {
    let once = Journey { left: 1, arrived: 1, ..Journey::default() };
    let numbers = 1..=usize::try_from(taken).unwrap_or(0);
    let mut journeys: Journeys = numbers.map(|number| (number, once)).collect();
    for (_, decision) in log.filter(|(direction, _)| *direction == Direction::Up) {
        let number = usize::try_from(decision.seq).unwrap_or(0);
        let Some(journey) = journeys.get_mut(&number) else { continue };
        match decision.what {
            What::Dropped => journey.arrived = journey.arrived.saturating_sub(1),
            What::Doubled => journey.arrived += 1,
            What::Overtakes => journey.overtook = true,
            What::Flipped(_) | What::Later(_) | What::Earlier(_) => {}
        }
        journey.lost = journey.arrived == 0;
    }
    journeys
}

pub(super) fn stream(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "The same twelve over TCP, through a proxy with the same delay.",
        "A proxy ends TCP on both of its sides: a kernel has acknowledged each byte before the proxy \
         sees it. Whatever it did, no kernel would find a segment missing.",
    )?;
    let server = stage.listening(1)?;
    let spec: Spec = DELAY_ALONE.spec()?;
    let proxy = beside((&spec, false), LINK.seed, Kind::Tcp, &[server.local()]);
    let proxy = proxy.map_err(Stop::Refused)?;
    stage.fact("proxy", DELAY_ALONE.words)?;
    stage.fact("loss, order and copies", "cannot be shown here: they would not be TCP's")?;
    let client = stage.connected("client", proxy.address)?;
    let accepted = stage.accept(&server)?;
    let mut sent = Vec::new();
    for number in 1..=SENTENCES {
        stage.send(&client, sentence(number).as_bytes())?;
        sent.extend(sentence(number).into_bytes());
    }
    let got = stage.recv_all(&accepted, sent.len())?;
    stage.claim(
        "Every sentence arrives, once, and in order.",
        got == sent,
        format!("{} of {} bytes, the same", got.len(), sent.len()),
    )?;
    let held = rows(Table::Tcp, |row| row.state == "ESTABLISHED" && row.remote == proxy.address)?;
    stage.claim(
        "The client's connection ends at the proxy, and the server's begins there.",
        accepted.peer() != Some(client.local())
            && held.iter().any(|row| row.local == client.local()),
        format!(
            "client {} to {}; at the server from {}",
            client.local(),
            proxy.address,
            accepted.peer().map_or_else(String::new, |peer| peer.to_string())
        ),
    )?;
    stage.fact("sent again (TCP_INFO)", count(retransmitted(&client)?, "segment"))?;
    stage.close(client)?;
    stage.close(accepted)?;
    stage.close(server)?;
    Ok(())
}
