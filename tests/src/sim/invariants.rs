//! What must hold after every story, read from the wire, the journal, the media plane and released resources.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use call::{Event, EventKind};
use model::{AgentState, CallId, Rule, UserId};
use switch::Resources;

use super::{
    centre::Centre,
    extensions, fairness,
    message::{number_of, tag_of},
    wire::Record,
};

/// Everything that does not hold; empty if the exchange behaved.
pub fn violations(centre: &Centre) -> Vec<String> {
    let mut found = centre.wrongs.clone();
    found.extend(centre.plane.wrongs.iter().cloned());
    found.extend(centre.world.wrongs.iter().cloned());
    one_final_answer(centre, &mut found);
    a_cancel_is_obeyed(centre, &mut found);
    extensions::kept(centre, &mut found);
    one_conversation_per_agent(centre, &mut found);
    nobody_is_offered_a_call_while_dialling(centre, &mut found);
    no_strangers(centre, &mut found);
    found.extend(fairness::offered_while_absent(centre));
    the_journal_tells_what_happened(centre, &mut found);
    found.extend(fairness::out_of_turn(centre));
    found.extend(fairness::waited_in_vain(centre));
    everybody_ends(centre, &mut found);
    everything_is_given_back(centre, &mut found);
    found
}

fn one_final_answer(centre: &Centre, found: &mut Vec<String>) {
    let mut finals: BTreeMap<(SocketAddr, &str, u32, &str, u32), BTreeSet<String>> =
        BTreeMap::new();
    let mut asked = BTreeSet::new();
    for record in &centre.wire {
        let message = &record.message;
        let key = (
            record.party,
            message.text("Call-ID"),
            message.cseq(),
            message.branch(),
            record.life,
        );
        if message.method() != "INVITE" || message.start.starts_with("ACK") {
            continue;
        }
        if record.incoming && message.is_request() {
            asked.insert(key);
        }
        if let Some(status) = message
            .status()
            .filter(|status| !record.incoming && *status >= 200)
        {
            let tag = tag_of(message.text("To")).unwrap_or("no tag");
            finals
                .entry(key)
                .or_default()
                .insert(format!("{status} {tag}"));
        }
    }
    for key in asked {
        let count = finals.get(&key).map_or(0, BTreeSet::len);
        let cut_off = key.4 < centre.life;
        if count > 1 || (count == 0 && !cut_off) {
            found.push(format!(
                "INVITE {key:?} has the final answers {:?}",
                finals.get(&key)
            ));
        }
    }
}

/// RFC 3261 §9.2: an INVITE without a final answer gets 487 as soon as its CANCEL is here.
fn a_cancel_is_obeyed(centre: &Centre, found: &mut Vec<String>) {
    let mut of_caller: BTreeMap<SocketAddr, Vec<&Record>> = BTreeMap::new();
    for record in &centre.wire {
        if centre.callers.contains_key(&record.party) {
            of_caller.entry(record.party).or_default().push(record);
        }
    }
    for cancel in of_caller.values().flatten() {
        if !cancel.incoming || !cancel.message.start.starts_with("CANCEL") {
            continue;
        }
        let same = |r: &&Record| {
            r.party == cancel.party && r.life == cancel.life && r.message.method() == "INVITE"
        };
        let theirs = || of_caller[&cancel.party].iter().copied().filter(same);
        let known = theirs().any(|r| r.incoming && r.at <= cancel.at);
        let mut answers = theirs().filter(|r| !r.incoming);
        // A challenge ends an INVITE too, but not the one that is cancelled.
        let first = answers.find(|r| {
            let status = r.message.status();
            status.is_some_and(|status| status >= 200 && status != 401)
        });
        let obeyed = match first {
            Some(answer) => {
                let place = |record: &Record| {
                    let mut all = of_caller[&cancel.party].iter();
                    all.position(|it| std::ptr::eq(*it, record))
                };
                let before = place(answer) < place(cancel);
                before || (answer.at == cancel.at && answer.message.status() == Some(487))
            }
            None => false,
        };
        if known && !obeyed {
            let got = first.map_or("nothing", |answer| &answer.message.start);
            found.push(format!(
                "{} cancelled at {:?} and got {got}",
                cancel.party, cancel.at
            ));
        }
    }
}

/// One agent's telephone in conversation, as the exchange saw it.
struct Span {
    agent: UserId,
    caller: String,
    from: Duration,
    to: Duration,
}

fn spans(centre: &Centre) -> (Vec<Span>, Vec<Span>) {
    let (mut talking, mut ringing) = (Vec::new(), Vec::new());
    let mut open: BTreeMap<(SocketAddr, &str), Vec<&Record>> = BTreeMap::new();
    for record in &centre.wire {
        if centre.owners.contains_key(&record.party) {
            open.entry((record.party, record.message.text("Call-ID")))
                .or_default()
                .push(record);
        }
    }
    for ((phone, _), records) in open {
        let Some(invite) = records
            .iter()
            .find(|r| !r.incoming && r.message.start.starts_with("INVITE"))
        else {
            continue;
        };
        let killed = |r: &&&Record| r.life > invite.life;
        let first =
            |wanted: &dyn Fn(&Record) -> bool| records.iter().find(|r| wanted(r)).map(|r| r.at);
        let answer = |r: &Record| {
            r.incoming
                && r.message.method() == "INVITE"
                && r.message.cseq() == invite.message.cseq()
        };
        let status = |r: &Record| r.message.status().unwrap_or(0);
        let rings = first(&|r| answer(r) && (101..200).contains(&status(r)));
        // A 2xx that comes after the transaction's end gets no ACK, and is no conversation (RFC 6026 §7.2).
        let taken = first(&|r| answer(r) && (200..300).contains(&status(r))).is_some();
        let ack = |r: &Record| !r.incoming && r.message.start.starts_with("ACK");
        let takes =
            first(&|r| ack(r) && r.message.cseq() == invite.message.cseq()).filter(|_| taken);
        let refuses = first(&|r| answer(r) && status(r) >= 300);
        let withdrawn = first(&|r| !r.incoming && r.message.start.starts_with("CANCEL"));
        let bye = first(&|r| r.message.start.starts_with("BYE"));
        let reborn = records.iter().find(killed).map(|r| r.at);
        let span = |from: Duration, ends: [Option<Duration>; 4]| Span {
            agent: centre.owners[&phone],
            caller: number_of(invite.message.text("From")),
            from,
            to: ends.into_iter().flatten().min().unwrap_or(from).max(from),
        };
        if let Some(from) = rings {
            ringing.push(span(from, [takes, refuses, withdrawn, reborn]));
        }
        if let Some(from) = takes {
            talking.push(span(from, [bye, reborn, None, None]));
        }
    }
    (talking, ringing)
}

fn one_conversation_per_agent(centre: &Centre, found: &mut Vec<String>) {
    let agents = centre.directory.agents.iter();
    let second = |agent| {
        let mut agents = agents.clone();
        agents.any(|it| it.user == agent && it.call_waiting)
    };
    let (mut talking, mut ringing) = spans(centre);
    talking.retain(|it| !second(it.agent));
    ringing.retain(|it| !second(it.agent));
    for (number, one) in talking.iter().enumerate() {
        let others = talking[number + 1..].iter().map(|other| ("talks", other));
        for (does, other) in others.chain(ringing.iter().map(|other| ("is rung", other))) {
            let overlap = one.from.max(other.from) < one.to.min(other.to);
            if one.agent == other.agent && one.caller != other.caller && overlap {
                found.push(format!(
                    "agent {} talks to {} from {:?} to {:?} and {does} for {} from {:?} to {:?}",
                    one.agent, one.caller, one.from, one.to, other.caller, other.from, other.to
                ));
            }
        }
    }
}

/// Distribution leaves an agent alone who is in a call that the agent began; what was decided just before may come yet.
fn nobody_is_offered_a_call_while_dialling(centre: &Centre, found: &mut Vec<String>) {
    let on_its_way = Duration::from_millis(1_500);
    let journal = &centre.world.journal;
    for dialled in journal {
        let EventKind::Dialled { agent, .. } = dialled.kind else {
            continue;
        };
        // Whoever hands a call over or parks it may leave it at once.
        let lets_go = |kind: &EventKind| match kind {
            EventKind::Ended { .. }
            | EventKind::TransferBegun { .. }
            | EventKind::Parked { .. } => true,
            EventKind::ConferenceLeft { agent: left, .. } => *left == agent,
            _ => false,
        };
        let end = journal
            .iter()
            .find(|it| it.call == dialled.call && lets_go(&it.kind));
        for offer in journal {
            let EventKind::Offered {
                agent: whom, rule, ..
            } = offer.kind
            else {
                continue;
            };
            // Whoever is asked about a client and then handed the client stays on the line.
            let taken_over = journal.iter().any(|it| {
                it.call == offer.call
                    && it.at == offer.at
                    && matches!(it.kind, EventKind::Transferred { agent, .. }
                        | EventKind::ConferenceJoined { agent, .. } if agent == whom)
            });
            let distributed = !matches!(rule, Rule::Caller | Rule::Dialled) && !taken_over;
            let during =
                offer.at > dialled.at + on_its_way && end.is_some_and(|end| offer.at < end.at);
            if whom == agent && distributed && during {
                found.push(format!(
                    "agent {agent} was offered {:?} while in {:?}, which the agent began",
                    offer.call, dialled.call
                ));
            }
        }
    }
}

/// Whether these two were to talk with each other: the number is the same, or somebody who talked with either wanted it.
pub(super) fn belong_together(
    centre: &Centre,
    (a, b): (SocketAddr, SocketAddr),
    at: Duration,
) -> bool {
    let of = |media| centre.media_of.get(&media);
    let talked = |one: SocketAddr, other: SocketAddr| {
        let mut bridges = centre.plane.bridges.iter().filter(|it| it.at <= at);
        one == other || bridges.any(|it| [(it.a, it.b), (it.b, it.a)].contains(&(one, other)))
    };
    let mut joins = centre.joins.iter().filter(|(when, ..)| *when <= at);
    let same = of(a).is_some() && of(a) == of(b);
    let names = of(a).zip(of(b));
    let out = names
        .is_some_and(|(a, b)| handed_out(centre, at, (a, b)) || handed_out(centre, at, (b, a)));
    same || out
        || joins.any(|&(_, one, other)| {
            (talked(a, one) && talked(b, other)) || (talked(b, one) && talked(a, other))
        })
}

/// Whether whoever talked to the client has handed the client to that number outside.
fn handed_out(centre: &Centre, at: Duration, (client, number): (&str, &str)) -> bool {
    let named =
        |field: &str, record: &Record, whom: &str| number_of(record.message.text(field)) == whom;
    let is_client = |call: CallId| {
        let journal = centre.world.journal.iter();
        let mut numbers = journal.filter_map(|it| match &it.kind {
            EventKind::Arrived { from, .. } if it.call == call => Some(from),
            EventKind::Dialled { to, .. } if it.call == call => Some(to),
            _ => None,
        });
        numbers.any(|number| digits(number) == client)
    };
    let mut wire = centre.wire.iter().filter(|it| it.at <= at);
    let mut ordered = centre.handed_out.iter().filter(|(when, ..)| *when <= at);
    wire.any(|it| {
        it.message.start.starts_with("REFER ")
            && named("To", it, client)
            && named("Refer-To", it, number)
    }) || ordered.any(|(_, call, to)| digits(to) == number && is_client(*call))
}

fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

fn no_strangers(centre: &Centre, found: &mut Vec<String>) {
    for bridge in &centre.plane.bridges {
        let of = |media| centre.media_of.get(media);
        if !belong_together(centre, (bridge.a, bridge.b), bridge.at) {
            found.push(format!(
                "media of {:?} and of {:?} are joined: {bridge:?}",
                of(&bridge.a),
                of(&bridge.b)
            ));
        }
    }
}

fn the_journal_tells_what_happened(centre: &Centre, found: &mut Vec<String>) {
    let mut ids = BTreeSet::new();
    let mut calls: BTreeMap<CallId, Vec<&Event>> = BTreeMap::new();
    for event in &centre.world.journal {
        if !ids.insert(event.id) {
            found.push(format!("{:?} stands in the journal twice", event.id));
        }
        calls.entry(event.call).or_default().push(event);
    }
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for (call, events) in &calls {
        one_call(*call, events, centre.life == 0, found);
        for event in events.iter().filter(|_| !is_echo(events)) {
            if let (EventKind::Ended { missed: false, .. }, Some(number)) =
                (&event.kind, caller_of(centre, *call, events))
            {
                *told.entry(number.to_owned()).or_default() += 1;
            }
        }
    }
    // Those who gave up while the exchange was down are not in the journal.
    let with_clients = calls.values().filter(|events| !is_internal(events)).count();
    if centre.life == 0 && with_clients != centre.world.numbers.len() {
        found.push(format!(
            "{} calls began, {with_clients} stand in the journal",
            centre.world.numbers.len(),
        ));
    }
    let mut answered: BTreeMap<SocketAddr, Duration> = BTreeMap::new();
    for record in &centre.wire {
        let message = &record.message;
        let answer = message.status() == Some(200) && message.method() == "INVITE";
        let begins = centre.callers.get(&record.party);
        let begins = begins.is_some_and(|caller| !caller.dials_code());
        if answer && !record.incoming && begins {
            answered.entry(record.party).or_insert(record.at);
        }
    }
    let mut talked: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unsure: BTreeSet<&str> = BTreeSet::new();
    let bridges = || centre.plane.bridges.iter();
    let joined = |media| bridges().any(|it| it.a == media || it.b == media);
    for (party, at) in &answered {
        let media = centre.callers[party].media;
        let joined = joined(media);
        // Of one who waited before, a crash may take the beginning of the conversation along.
        let waited = !bridges().any(|it| it.at <= *at && (it.a == media || it.b == media));
        if !joined || (waited && centre.life > 0) {
            // Nor is then known which of the calls by this name the journal tells of.
            unsure.insert(centre.callers[party].number.trim_start_matches('+'));
            continue;
        }
        let number = centre.callers[party].number.trim_start_matches('+');
        *talked.entry(number).or_default() += 1;
    }
    for number in questions(centre, joined) {
        *talked.entry(number).or_default() += 1;
    }
    for (number, times) in talked {
        let told = told.remove(number).unwrap_or(0);
        if told != times && !unsure.contains(number) {
            found.push(format!(
                "{number} had {times} conversations, the journal tells of {told}"
            ));
        }
    }
    told.retain(|number, _| !unsure.contains(number.as_str()));
    // After a crash, the 200 to a conversation in the journal may never have left.
    for number in told.keys().filter(|_| centre.life == 0) {
        found.push(format!(
            "the journal tells of a conversation with {number} that never was"
        ));
    }
}

/// The short number of whoever asked, for each question to a colleague that was answered.
fn questions(centre: &Centre, joined: impl Fn(SocketAddr) -> bool) -> Vec<&str> {
    let ours = |party: &SocketAddr| centre.phones.get(party).filter(|it| !it.is_gateway);
    let dialled = centre.wire.iter().filter_map(|record| {
        let message = &record.message;
        let asks = record.incoming && message.is_request() && message.method() == "INVITE";
        let first =
            tag_of(message.text("To")).is_none() && message.header("Authorization").is_some();
        ours(&record.party)?;
        let media = message.media().filter(|_| asks && first)?;
        Some((message.text("Call-ID"), (record.party, media)))
    });
    let dialled: BTreeMap<&str, (SocketAddr, SocketAddr)> = dialled.collect();
    let taken = dialled.into_iter().filter(|(call_id, (party, media))| {
        let answer = |record: &Record| {
            let message = &record.message;
            let ok = message.status() == Some(200) && message.method() == "INVITE";
            ok && !record.incoming && message.text("Call-ID") == *call_id
        };
        let mut wire = centre.wire.iter().filter(|it| it.party == *party);
        wire.any(answer) && joined(*media)
    });
    let numbers = taken.filter_map(|(_, (_, media))| Some(centre.media_of.get(&media)?.as_str()));
    let of_client = |number: &&str| centre.world.numbers.values().any(|it| it == number);
    numbers.filter(|number| !of_client(number)).collect()
}

fn is_internal(events: &[&Event]) -> bool {
    events.iter().any(|event| {
        matches!(
            event.kind,
            EventKind::Dialled {
                callee: Some(_),
                ..
            }
        )
    })
}

/// Whoever hears itself talks to nobody.
fn is_echo(events: &[&Event]) -> bool {
    events.iter().any(|event| {
        matches!(event.kind, EventKind::Dialled { callee: Some(callee), agent, .. } if callee == agent)
    })
}

/// The name of the call among the callers; none if an agent's telephones were rung first.
fn caller_of<'a>(centre: &'a Centre, call: CallId, events: &[&'a Event]) -> Option<&'a str> {
    let internal = events.iter().find_map(|event| match &event.kind {
        EventKind::Dialled {
            callee: Some(_),
            from,
            ..
        } => Some(from.as_str()),
        _ => None,
    });
    if let Some(number) = internal {
        return Some(number);
    }
    let number = centre.world.number(call)?;
    let mut callers = centre.callers.values();
    callers
        .any(|caller| caller.number.trim_start_matches('+') == number)
        .then_some(number)
}

fn one_call(call: CallId, events: &[&Event], whole: bool, found: &mut Vec<String>) {
    let count = |wanted: &dyn Fn(&EventKind) -> bool| {
        events.iter().filter(|event| wanted(&event.kind)).count()
    };
    let ended = count(&|kind| matches!(kind, EventKind::Ended { .. }));
    let begins =
        |kind: &EventKind| matches!(kind, EventKind::Arrived { .. } | EventKind::Dialled { .. });
    let arrived = count(&begins);
    let first = begins(&events[0].kind);
    if ended != 1 || arrived != 1 || !first {
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.name()).collect();
        found.push(format!("{call:?} stands in the journal as {kinds:?}"));
    }
    if !whole {
        return;
    }
    let offered = count(&|kind| matches!(kind, EventKind::Offered { .. }));
    let settled = count(&|kind| {
        matches!(
            kind,
            EventKind::OfferEnded { .. } | EventKind::OfferAccepted { .. }
        )
    });
    if offered != settled {
        found.push(format!(
            "{call:?} has {offered} offers, {settled} of them ended"
        ));
    }
    let recorded = count(&|kind| {
        matches!(
            kind,
            EventKind::MessageStarted { .. }
                | EventKind::ConversationStarted {
                    recording: Some(_),
                    ..
                }
        )
    });
    // Whoever could not be told of the recording has none, and a reason.
    let unannounced = |error: &Option<String>| error.as_ref().is_some_and(|it| it.contains("told"));
    let ready = count(
        &|kind| matches!(kind, EventKind::RecordingReady { error, .. } if !unannounced(error)),
    );
    if recorded != ready {
        found.push(format!(
            "{call:?} has {recorded} recordings, {ready} of them ready"
        ));
    }
}

fn everybody_ends(centre: &Centre, found: &mut Vec<String>) {
    for (address, caller) in &centre.callers {
        if caller.outcome.is_none() {
            found.push(format!("caller {address} never ends"));
        }
    }
    for phone in centre.phones.values().filter(|phone| phone.alive) {
        for question in phone.questions.iter().filter(|question| !question.over) {
            found.push(format!("{} still asks: {question:?}", phone.user));
        }
        for call in phone.calls.iter().filter(|call| !call.over) {
            found.push(format!(
                "{} still has a call with {}: {}",
                phone.user,
                call.caller,
                call.invite.text("Call-ID")
            ));
        }
    }
    for changed in centre.agents.values() {
        if !matches!(
            changed.state,
            AgentState::Available | AgentState::Away { .. }
        ) {
            found.push(format!(
                "agent {} is stuck: {:?}",
                changed.agent, changed.state
            ));
        }
    }
}

fn everything_is_given_back(centre: &Centre, found: &mut Vec<String>) {
    let held = centre.resources();
    if held != Resources::default() {
        found.push(format!("the exchange still holds {held:?}"));
    }
    if let Some(wake) = centre.wake {
        found.push(format!("a timer still runs until {wake:?}"));
    }
    if centre.plane.open_legs() > 0 || centre.plane.open_recordings() > 0 {
        let (legs, recordings) = (centre.plane.open_legs(), centre.plane.open_recordings());
        found.push(format!(
            "{legs} ports and {recordings} recordings are still open"
        ));
    }
    if !centre.world.ledger.is_empty() {
        found.push(format!("still reserved: {:?}", centre.world.ledger));
    }
    for (call, agent) in offers(centre) {
        if !centre.world.cards.contains(&(call, agent)) {
            found.push(format!("{agent} was rung for {call:?} without a card"));
        }
    }
}

/// Offers that rang, by the journal.
fn offers(centre: &Centre) -> impl Iterator<Item = (CallId, UserId)> {
    centre
        .world
        .journal
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::Ringing { agent, .. } => Some((event.call, agent)),
            _ => None,
        })
}
