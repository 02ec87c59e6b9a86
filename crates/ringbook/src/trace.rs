//! `ringbook trace NUMBER`: why the last calls from a number went where they went, in words (R8).

use std::{collections::HashMap, fmt::Write as _};

use anyhow::Result;
use crm::{Base, Call, Offer, Parking, Queued, Reception, ReceptionStep, RecordingPause, Route};
use jiff::{Timestamp, tz::TimeZone};
use model::{
    AgentState, AwayReason, Considered, Destination, Explanation, LineId, PassedOver, Priority,
    Rule, UserId, Utc, Verdict,
};

use crate::words::Words;

/// Calls that one trace shows.
const MOST_CALLS: u32 = 5;

/// Makes the report on the last calls from `number`, newest first.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn report(
    base: &dyn Base,
    words: &Words,
    zone: &TimeZone,
    number: &str,
) -> Result<String> {
    let calls = base.calls().by_number(number, MOST_CALLS).await?;
    if calls.is_empty() {
        return Ok(words.say("call-none", &[("number", number.to_owned())]) + "\n");
    }
    let mut names = Names {
        base,
        known: HashMap::new(),
        lines: HashMap::new(),
    };
    let mut text = String::new();
    for call in calls {
        let route = base.calls().route(call.id).await?;
        names.learn(&route, &call.pauses).await;
        Tale {
            words,
            zone,
            names: &names.known,
            lines: &names.lines,
            text: &mut text,
        }
        .call(&call, &route);
    }
    Ok(text)
}

/// Names of the users in a report.
struct Names<'a> {
    base: &'a dyn Base,
    known: HashMap<UserId, String>,
    lines: HashMap<LineId, String>,
}

impl Names<'_> {
    async fn learn(&mut self, route: &Route, pauses: &[RecordingPause]) {
        // Whoever has left is no user any more, but the history has the name.
        for offer in &route.offers {
            if let Some(name) = &offer.agent_name {
                self.known.insert(offer.agent, name.clone());
            }
        }
        let explained = route
            .offers
            .iter()
            .map(|offer| &offer.explanation)
            .chain(route.queued.iter().map(|queued| &queued.explanation))
            .chain(&route.exhausted);
        let considered = explained.flat_map(|explanation| &explanation.considered);
        let owners = route.offers.iter().filter_map(|offer| offer.owner);
        let chosen = route.received.iter().filter_map(|step| match step.what {
            Reception::Chosen {
                to: Destination::Agent(agent),
                ..
            } => Some(agent),
            _ => None,
        });
        let users = considered
            .map(|entry| entry.agent)
            .chain(owners)
            .chain(chosen)
            .chain(route.parkings.iter().map(|parking| parking.by))
            .chain(pauses.iter().map(|pause| pause.paused_by));
        let users: Vec<UserId> = users
            .filter(|user| !self.known.contains_key(user))
            .collect();
        for user in users {
            if let Ok(found) = self.base.users().read(user).await {
                self.known.insert(user, found.data.name);
            }
        }
        let named = route.received.iter().flat_map(|step| match step.what {
            Reception::Received { line, instead, .. } => [Some(line), instead],
            Reception::Chosen {
                to: Destination::Line(line),
                ..
            } => [Some(line), None],
            Reception::Chosen { .. } => [None, None],
        });
        for line in named.flatten() {
            if let Ok(found) = self.base.lines().read(line).await {
                self.lines.insert(line, found.data.name);
            }
        }
    }
}

/// One report being written.
struct Tale<'a> {
    words: &'a Words,
    zone: &'a TimeZone,
    names: &'a HashMap<UserId, String>,
    lines: &'a HashMap<LineId, String>,
    text: &'a mut String,
}

impl Tale<'_> {
    fn line(&mut self, indent: usize, line: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{:indent$}{line}", "");
    }

    fn say(&mut self, indent: usize, key: &str, facts: &[(&str, String)]) {
        let line = self.words.say(key, facts);
        self.line(indent, &line);
    }

    fn name(&self, user: UserId) -> String {
        self.names
            .get(&user)
            .cloned()
            .unwrap_or_else(|| user.to_string())
    }

    fn time(&self, at: Utc) -> String {
        Timestamp::from_microsecond(at.micros()).map_or_else(
            |_| at.micros().to_string(),
            |at| {
                at.to_zoned(self.zone.clone())
                    .strftime("%Y-%m-%d %H:%M:%S %Z")
                    .to_string()
            },
        )
    }

    fn call(&mut self, call: &Call, route: &Route) {
        let from = if call.from.is_empty() {
            self.words.say("number-withheld", &[])
        } else {
            call.from.clone()
        };
        let head = [
            ("id", call.id.to_string()),
            ("at", self.time(call.arrived_at)),
            ("from", from),
            ("to", call.to.clone()),
        ];
        self.say(0, "call-head", &head);
        let names: Vec<&str> = route
            .caller
            .matches
            .iter()
            .map(|found| found.name.as_str())
            .collect();
        match names.as_slice() {
            [] if !route.caller.in_time => self.say(2, "call-caller-late", &[]),
            [] => self.say(2, "call-caller-unknown", &[]),
            [name] => self.say(2, "call-caller-known", &[("name", (*name).to_owned())]),
            names => self.say(2, "call-caller-several", &[("names", names.join(", "))]),
        }
        for step in &route.received {
            self.received(step);
        }
        let mut queued = route.queued.as_ref();
        let mut parkings = route.parkings.iter().peekable();
        for offer in &route.offers {
            while let Some(parking) = parkings.next_if(|it| it.at <= offer.offered_at) {
                self.parked(parking);
            }
            if let Some(queued) = queued.take_if(|queued| queued.at <= offer.offered_at) {
                self.queued(queued);
            }
            // Nobody was chosen for a call that the agent began.
            if !offer.explanation.considered.is_empty() {
                let attempt = (offer.attempt + 1).to_string();
                self.say(2, "decision", &[("attempt", attempt)]);
                self.explanation(&offer.explanation);
            }
            self.offer(offer);
        }
        if let Some(queued) = queued {
            self.queued(queued);
        }
        for parking in parkings {
            self.parked(parking);
        }
        if let Some(exhausted) = &route.exhausted {
            self.say(2, "decision-last", &[]);
            self.explanation(exhausted);
        }
        self.outcome(call);
    }

    fn received(&mut self, step: &ReceptionStep) {
        let at = ("at", self.time(step.at));
        let lines = |line: &LineId| {
            self.lines
                .get(line)
                .cloned()
                .unwrap_or_else(|| line.to_string())
        };
        let (key, facts) = match &step.what {
            Reception::Received {
                line,
                closed,
                instead,
            } => {
                let key = match (closed, instead) {
                    (true, Some(_)) => "reception-instead",
                    (true, None) => "reception-closed",
                    (false, _) => "reception-open",
                };
                let instead = instead.as_ref().map(lines).unwrap_or_default();
                (key, vec![at, ("line", lines(line)), ("instead", instead)])
            }
            Reception::Chosen { keys, to } => {
                let keys = ("keys", keys.clone());
                match to {
                    Destination::Line(line) => (
                        "reception-chose-line",
                        vec![at, keys, ("line", lines(line))],
                    ),
                    Destination::Agent(agent) => {
                        let agent = ("agent", self.name(*agent));
                        ("reception-chose-agent", vec![at, keys, agent])
                    }
                    Destination::Voicemail => ("reception-chose-voicemail", vec![at, keys]),
                }
            }
        };
        self.say(2, key, &facts);
    }

    fn queued(&mut self, queued: &Queued) {
        let class = match queued.priority {
            Priority::First => "queue-first",
            Priority::Usual => "queue-usual",
            Priority::Last => "queue-last",
        };
        let facts = [
            ("at", self.time(queued.at)),
            ("place", queued.place.to_string()),
            ("class", self.words.say(class, &[])),
        ];
        self.say(2, "queue-entered", &facts);
        self.explanation(&queued.explanation);
    }

    fn parked(&mut self, parking: &Parking) {
        let facts = [
            ("at", self.time(parking.at)),
            ("place", parking.place.to_string()),
            ("by", self.name(parking.by)),
        ];
        self.say(2, "parked", &facts);
    }

    fn explanation(&mut self, explanation: &Explanation) {
        for entry in &explanation.considered {
            let line = format!(
                "{} · {} · {}",
                self.name(entry.agent),
                self.rule(entry.rule),
                self.verdict(entry)
            );
            self.line(4, &line);
        }
        if explanation.more > 0 {
            self.say(
                4,
                "decision-more",
                &[("count", explanation.more.to_string())],
            );
        }
    }

    fn rule(&self, rule: Rule) -> String {
        match rule {
            Rule::Assigned { match_index: 0 } => self.words.say("rule-assigned", &[]),
            Rule::Assigned { match_index } => {
                let place = (u16::from(match_index) + 1).to_string();
                self.words.say("rule-assigned-nth", &[("place", place)])
            }
            Rule::Skilled {
                level,
                idle_ms: None,
            } => self
                .words
                .say("rule-skilled", &[("level", level.to_string())]),
            Rule::Skilled {
                level,
                idle_ms: Some(idle),
            } => {
                let facts = [
                    ("level", level.to_string()),
                    ("idle", self.words.length(idle)),
                ];
                self.words.say("rule-skilled-idle", &facts)
            }
            Rule::Dialled => self.words.say("rule-dialled", &[]),
            Rule::Caller => self.words.say("rule-caller", &[]),
            Rule::Transferred { by } => {
                let by = self.name(by);
                self.words.say("rule-transferred", &[("by", by)])
            }
            Rule::Conference { by } => {
                let by = self.name(by);
                self.words.say("rule-conference", &[("by", by)])
            }
            Rule::PickedUp { by } => {
                let by = self.name(by);
                self.words.say("rule-picked-up", &[("by", by)])
            }
            Rule::Retrieved { by } => {
                let by = self.name(by);
                self.words.say("rule-retrieved", &[("by", by)])
            }
            Rule::NotRetrieved => self.words.say("rule-not-retrieved", &[]),
            Rule::Deputy { of, .. } => {
                let of = self.name(of);
                self.words.say("rule-deputy", &[("of", of)])
            }
            Rule::Returned { by: None } => self.words.say("rule-returned-outside", &[]),
            Rule::Returned { by: Some(by) } => {
                let by = self.name(by);
                self.words.say("rule-returned", &[("by", by)])
            }
        }
    }

    fn verdict(&self, entry: &Considered) -> String {
        match entry.verdict {
            Verdict::Candidate { place: 0 } => self.words.say("verdict-first", &[]),
            Verdict::Candidate { place } => self
                .words
                .say("verdict-candidate", &[("place", (place + 1).to_string())]),
            Verdict::PassedOver(PassedOver::NotAvailable { state }) => {
                let state = self.words.say(state_key(state), &[]);
                self.words.say("passed-not-available", &[("state", state)])
            }
            Verdict::PassedOver(PassedOver::Absent { until_us }) => {
                let until = self.time(until_us);
                self.words.say("passed-absent", &[("until", until)])
            }
            Verdict::PassedOver(PassedOver::AlreadyTried) => {
                self.words.say("passed-already-tried", &[])
            }
            Verdict::PassedOver(PassedOver::ReservedElsewhere) => {
                self.words.say("passed-reserved-elsewhere", &[])
            }
            Verdict::PassedOver(PassedOver::NotAnAgent) => {
                self.words.say("passed-not-an-agent", &[])
            }
        }
    }

    fn offer(&mut self, offer: &Offer) {
        let agent = offer
            .agent_name
            .clone()
            .unwrap_or_else(|| self.name(offer.agent));
        let mut parts = vec![self.words.say(
            "offer",
            &[("agent", agent), ("rule", self.rule(offer.rule))],
        )];
        if let Some(owner) = offer.owner {
            parts.push(
                self.words
                    .say("offer-colleague", &[("owner", self.name(owner))]),
            );
        }
        let lead = offer.lead_us.map(|us| self.words.length(us / 1_000));
        match lead {
            Some(lead) if offer.lead_confirmed => {
                parts.push(self.words.say("offer-lead", &[("lead", lead)]));
            }
            Some(lead) => parts.push(self.words.say("offer-lead-unconfirmed", &[("lead", lead)])),
            None if offer.ringing_at.is_some() => {
                parts.push(self.words.say("offer-lead-none", &[]));
            }
            None => {}
        }
        match &offer.end {
            Some(end) => parts.push(self.words.say(&format!("end-{end}"), &[])),
            None if offer.accepted_at.is_some() => parts.push(self.words.say("end-accepted", &[])),
            None => {}
        }
        self.line(2, &parts.join("; "));
    }

    fn outcome(&mut self, call: &Call) {
        let by = call
            .ended_by
            .as_ref()
            .map(|by| self.words.say(&format!("by-{by}"), &[]));
        if let Some(number) = &call.transferred_to {
            let number = ("number", number.clone());
            self.say(2, "call-transferred-out", &[number]);
        }
        match (&call.cause, call.missed) {
            (None, _) => self.say(2, "outcome-open", &[]),
            (Some(_), false) => {
                let facts = [
                    ("talk", self.words.length(call.talk_ms)),
                    ("by", by.unwrap_or_default()),
                ];
                self.say(2, "outcome-talked", &facts);
            }
            (Some(cause), true) => {
                let cause = self.words.say(&format!("cause-{cause}"), &[]);
                self.say(2, "outcome-missed", &[("cause", cause)]);
            }
        }
        if let Some(recording) = &call.recording {
            let facts = [
                ("file", recording.file.clone()),
                ("length", self.words.length(recording.length_ms)),
                ("gaps", self.words.length(recording.gaps_ms)),
                ("reason", recording.error.clone().unwrap_or_default()),
            ];
            let key = match (&recording.error, recording.gaps_ms) {
                (Some(_), _) if recording.length_ms == 0 => "recording-failed",
                (Some(_), _) => "recording-damaged",
                (None, 1..) => "recording-gaps",
                (None, 0) => "recording",
            };
            self.say(2, key, &facts);
        }
        for pause in &call.pauses {
            let mut facts = vec![
                ("by", self.name(pause.paused_by)),
                ("at", self.words.length(pause.at_ms)),
            ];
            let key = match pause.length_ms {
                Some(length) => {
                    facts.push(("length", self.words.length(length)));
                    "recording-pause"
                }
                None => "recording-paused",
            };
            self.say(2, key, &facts);
        }
    }
}

fn state_key(state: AgentState) -> &'static str {
    match state {
        AgentState::Available => "state-available",
        AgentState::Reserved { .. } => "state-reserved",
        AgentState::Ringing { .. } => "state-ringing",
        AgentState::Talking { .. } => "state-talking",
        AgentState::WrapUp { .. } => "state-wrap-up",
        AgentState::Away {
            reason: AwayReason::Absent,
        } => "state-away-absent",
        AgentState::Away {
            reason: AwayReason::Chosen,
        } => "state-away-chosen",
        AgentState::Away {
            reason: AwayReason::Unregistered,
        } => "state-away-unregistered",
    }
}
