//! Frames in readable lines, Russian or English.

use jiff::{Timestamp, tz::TimeZone};
use model::Rule;

use super::frame::{Card, Client, Due, Fact, Interaction, Lead, Named, Offered, Updated, Why};
use crate::words::Words;

/// Makes lines of frames.
pub(crate) struct Lines<'a> {
    /// The language.
    pub(crate) words: &'a Words,
    /// Where the reader's clock stands.
    pub(crate) zone: &'a TimeZone,
    /// Names of agents by id; the id is shown where one is missing.
    pub(crate) name: &'a dyn Fn(&str) -> String,
}

impl Lines<'_> {
    /// The lines of a frame; none for one that says nothing to a person.
    pub(crate) fn of(&self, fact: &Fact) -> Vec<String> {
        let line = |key: &str, facts: &[(&str, String)]| vec![self.words.say(key, facts)];
        let agent = |id: &str| ("agent", (self.name)(id));
        let by = |id: &str| ("by", (self.name)(id));
        match fact {
            Fact::Offered(offered) => self.offered(offered),
            Fact::Updated(updated) => self.updated(updated),
            Fact::Ringing { agent: id, lead } => line(
                "screen-ringing",
                &[agent(id), ("lead", self.lead(lead.as_ref()))],
            ),
            Fact::OfferEnded { agent: id, end } => line(
                "screen-offer-ended",
                &[agent(id), ("end", self.plain(&format!("end-{end}")))],
            ),
            Fact::Accepted { agent: id } => line("screen-accepted", &[agent(id)]),
            Fact::Started {
                agent: id,
                recorded: true,
            } => line("screen-started-recorded", &[agent(id)]),
            Fact::Started {
                agent: id,
                recorded: false,
            } => line("screen-started", &[agent(id)]),
            Fact::Ended(ended) if ended.missed => line(
                "screen-missed",
                &[("cause", self.plain(&format!("cause-{}", ended.cause)))],
            ),
            Fact::Ended(ended) => {
                let by = self.plain(&format!("by-{}", ended.by));
                line(
                    "screen-ended",
                    &[("talk", self.words.length(ended.talk_ms)), ("by", by)],
                )
            }
            Fact::Paused { by: id } => line("screen-recording-paused", &[by(id)]),
            Fact::Resumed { by: id, length_ms } => {
                let length = ("length", self.words.length(*length_ms));
                line("screen-recording-resumed", &[by(id), length])
            }
            Fact::RecordingReady(ready) => match &ready.error {
                Some(reason) => line("recording-failed", &[("reason", reason.clone())]),
                None => {
                    let length = self.words.length(ready.length_ms);
                    let gaps = self.words.length(ready.gaps_ms);
                    line("screen-recording", &[("length", length), ("gaps", gaps)])
                }
            },
            Fact::Owed(owed) => {
                let client = client_or_number(owed.client_name.as_deref(), &owed.number);
                let due = self.time(&owed.due);
                let facts = [
                    ("client", client),
                    ("due", due),
                    ("agent", self.responsible(owed.responsible.as_ref())),
                ];
                line("screen-owed", &facts)
            }
            Fact::Settled(settled) => {
                let client = client_or_number(settled.client_name.as_deref(), &settled.number);
                match &settled.reason {
                    Some(reason) => line(
                        "screen-waived",
                        &[("client", client), ("reason", reason.clone())],
                    ),
                    None => line("screen-settled", &[("client", client)]),
                }
            }
            Fact::AgentChanged { agents } => {
                let lines = agents.iter().flat_map(|now| {
                    let key = match &now.reason {
                        Some(reason) => format!("state-{}-{reason}", now.state),
                        None => format!("state-{}", now.state.replace('_', "-")),
                    };
                    let state = ("state", self.plain(&key));
                    line("screen-agent", &[agent(&now.agent), state])
                });
                lines.collect()
            }
            Fact::Resync => line("screen-resync", &[]),
            Fact::Ready | Fact::Other => Vec::new(),
        }
    }

    /// The lines of a card.
    pub(crate) fn offered(&self, offered: &Offered) -> Vec<String> {
        let head = [
            ("agent", (self.name)(&offered.agent)),
            ("attempt", (offered.attempt + 1).to_string()),
        ];
        let mut lines = vec![self.words.say("screen-card", &head)];
        lines.extend(self.card(&offered.card).into_iter().map(indented));
        lines.push(indented(self.why(&offered.why)));
        lines
    }

    fn updated(&self, updated: &Updated) -> Vec<String> {
        if let Some(card) = &updated.card {
            let head = self.plain("screen-identified-late");
            return std::iter::once(head)
                .chain(self.card(card).into_iter().map(indented))
                .collect();
        }
        let by = updated.by.as_deref().unwrap_or("system");
        let key = if updated.held == Some(true) {
            "screen-held"
        } else {
            "screen-resumed"
        };
        vec![
            self.words
                .say(key, &[("by", self.plain(&format!("by-{by}")))]),
        ]
    }

    fn card(&self, card: &Card) -> Vec<String> {
        let mut lines = vec![self.caller(card)];
        let clients = card.clients.iter().map(|client| self.client(client));
        lines.extend(clients);
        if let Some(line) = &card.line {
            let facts = [("number", line.number.clone()), ("name", line.name.clone())];
            lines.push(match &line.channel {
                Some(channel) => {
                    let [number, name] = facts;
                    self.words.say(
                        "screen-line-channel",
                        &[number, name, ("channel", channel.clone())],
                    )
                }
                None => self.words.say("screen-line", &facts),
            });
        }
        if let Some(draft) = &card.draft {
            let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "—".to_owned());
            let facts = [
                ("number", or_dash(&draft.number)),
                ("region", or_dash(&draft.region)),
                ("channel", or_dash(&draft.channel)),
            ];
            lines.push(self.words.say("screen-draft", &facts));
        }
        for deal in &card.deals {
            let facts = [("title", deal.title.clone()), ("stage", deal.stage.clone())];
            let line = self.words.say("screen-deal", &facts);
            let worth = deal.amount_minor.map(|minor| money(minor, &deal.currency));
            lines.push(worth.map_or(line.clone(), |worth| format!("{line}, {worth}")));
        }
        lines.extend(card.tasks.iter().map(|task| self.due("screen-task", task)));
        lines.extend(card.obligations.iter().map(|promise| {
            let facts = [
                ("number", promise.number.clone()),
                ("due", self.time(&promise.due)),
                ("count", promise.missed_calls.to_string()),
                ("agent", self.responsible(promise.responsible.as_ref())),
            ];
            self.words.say("screen-obligation", &facts)
        }));
        for note in &card.notes {
            let more = if note.clipped { "…" } else { "" };
            let text = format!("{}{more}", note.text);
            lines.push(self.words.say(
                "screen-note",
                &[("at", self.time(&note.at)), ("text", text)],
            ));
        }
        lines.extend(
            card.interactions
                .iter()
                .map(|entry| self.interaction(entry)),
        );
        if card.interactions.is_empty() && card.caller.known {
            lines.push(self.plain("screen-no-history"));
        }
        if card.partial {
            lines.push(self.plain("screen-partial"));
        }
        lines
    }

    fn caller(&self, card: &Card) -> String {
        let mut number = card
            .caller
            .number
            .clone()
            .unwrap_or_else(|| self.plain("number-withheld"));
        if let Some(extension) = &card.caller.extension {
            number = self.words.say(
                "screen-extension",
                &[("number", number), ("extension", extension.clone())],
            );
        }
        if let Some(region) = &card.caller.region {
            number = format!("{number} ({region})");
        }
        let key = if card.caller.known {
            "screen-caller"
        } else {
            "screen-caller-unknown"
        };
        self.words.say(key, &[("number", number)])
    }

    fn client(&self, client: &Client) -> String {
        let mut parts = vec![client.name.clone()];
        for member in client
            .organisations
            .iter()
            .filter(|member| member.name != client.name)
        {
            parts.push(match &member.position {
                Some(position) => format!("{} ({position})", member.name),
                None => member.name.clone(),
            });
        }
        let manager = client.manager.as_ref().map(named);
        parts.push(match manager {
            Some(name) => self.words.say("screen-manager", &[("name", name)]),
            None => self.plain("screen-no-manager"),
        });
        parts.extend(
            client
                .flags
                .iter()
                .map(|flag| self.plain(&format!("flag-{flag}"))),
        );
        self.words
            .say("screen-client", &[("client", parts.join(" · "))])
    }

    /// Who is to call back.
    fn responsible(&self, agent: Option<&Named>) -> String {
        agent.map_or_else(|| self.plain("screen-everybody"), named)
    }

    fn due(&self, key: &str, task: &Due) -> String {
        let due = task
            .due
            .as_deref()
            .map_or_else(|| "—".to_owned(), |due| self.time(due));
        self.words
            .say(key, &[("title", task.title.clone()), ("due", due)])
    }

    fn interaction(&self, entry: &Interaction) -> String {
        let at = ("at", self.time(&entry.at));
        let agent = entry.agent_name.clone().unwrap_or_else(|| "—".to_owned());
        if entry.missed {
            return self
                .words
                .say("screen-history-missed", &[at, ("agent", agent)]);
        }
        let key = if entry.recorded {
            "screen-history-recorded"
        } else {
            "screen-history"
        };
        self.words.say(
            key,
            &[
                at,
                ("agent", agent),
                ("talk", self.words.length(entry.talk_ms)),
            ],
        )
    }

    /// Whose client it is and by which rule the call came, in one line (S2).
    pub(crate) fn why(&self, why: &Why) -> String {
        let owner = why.owner.as_ref().map(named).unwrap_or_default();
        let mut line = self.words.say(
            &format!("screen-why-{}", why.ownership),
            &[("owner", owner)],
        );
        let by = why.colleague.as_ref().map(named).unwrap_or_default();
        line = format!("{line}; {}", self.rule(why.rule, by));
        for past in &why.previous {
            let end = self.plain(&format!("end-{}", past.end));
            let facts = [("agent", named(&past.agent)), ("end", end)];
            line = format!("{line}; {}", self.words.say("screen-why-before", &facts));
        }
        line
    }

    /// `by` is the colleague whom some rules speak of.
    fn rule(&self, rule: Rule, by: String) -> String {
        match rule {
            Rule::Assigned { match_index: 0 } => self.plain("rule-assigned"),
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
            Rule::Dialled => self.plain("rule-dialled"),
            Rule::Caller => self.plain("rule-caller"),
            Rule::Transferred { .. } => self.words.say("rule-transferred", &[("by", by)]),
            Rule::Conference { .. } => self.words.say("rule-conference", &[("by", by)]),
            Rule::PickedUp { .. } => self.words.say("rule-picked-up", &[("by", by)]),
            Rule::Retrieved { .. } => self.words.say("rule-retrieved", &[("by", by)]),
            Rule::NotRetrieved => self.plain("rule-not-retrieved"),
            Rule::Deputy { .. } => self.words.say("rule-deputy", &[("of", by)]),
            Rule::Returned { by: None } => self.plain("rule-returned-outside"),
            Rule::Returned { .. } => self.words.say("rule-returned", &[("by", by)]),
        }
    }

    fn lead(&self, lead: Option<&Lead>) -> String {
        match lead {
            None => self.plain("offer-lead-none"),
            Some(lead) => {
                let key = if lead.confirmed {
                    "offer-lead"
                } else {
                    "offer-lead-unconfirmed"
                };
                self.words
                    .say(key, &[("lead", self.words.length(lead.micros / 1_000))])
            }
        }
    }

    fn plain(&self, key: &str) -> String {
        self.words.say(key, &[])
    }

    /// A time of the API on the reader's clock.
    pub(crate) fn time(&self, at: &str) -> String {
        at.parse::<Timestamp>().map_or_else(
            |_| at.to_owned(),
            |at| {
                at.to_zoned(self.zone.clone())
                    .strftime("%d.%m.%Y %H:%M")
                    .to_string()
            },
        )
    }
}

fn client_or_number(name: Option<&str>, number: &str) -> String {
    name.map_or_else(|| number.to_owned(), |name| format!("{name}, {number}"))
}

fn named(who: &Named) -> String {
    who.name.clone().unwrap_or_else(|| who.id.clone())
}

fn indented(mut line: String) -> String {
    line.insert_str(0, "  ");
    line
}

fn money(minor: i64, currency: &str) -> String {
    let (whole, rest) = (minor / 100, minor % 100);
    let digits = whole.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            grouped.push('\u{a0}');
        }
        grouped.push(digit);
    }
    if rest == 0 {
        format!("{grouped} {currency}")
    } else {
        format!("{grouped}.{rest:02} {currency}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::frame::Frame;
    use crm::Language;
    use serde_json::json;

    fn lines(frame: &serde_json::Value) -> Vec<String> {
        let words = Words::new(Language::English).unwrap();
        let name = |id: &str| {
            if id == "7" {
                "Anna".to_owned()
            } else {
                id.to_owned()
            }
        };
        let frame: Frame = serde_json::from_value(frame.clone()).unwrap();
        Lines {
            words: &words,
            zone: &TimeZone::UTC,
            name: &name,
        }
        .of(&frame.fact)
    }

    #[test]
    fn a_card_says_who_calls_whose_client_it_is_and_why_it_came() {
        let card = json!({
            "id": "1", "cursor": "c", "at": "2026-03-01T09:30:00Z", "type": "call.offered", "call": "5",
            "agent": "7", "attempt": 1,
            "why": {"ownership": "colleague", "rule": "skilled", "level": 9, "idle_ms": 4200,
                "owner": {"id": "8", "name": "Boris"},
                "previous": [{"agent": {"id": "8", "name": "Boris"}, "end": "no_answer"}]},
            "caller": {"number": "+79161234567", "extension": null, "region": "RU", "known": true, "in_time": true},
            "line": {"id": "3", "number": "+74951234501", "name": "Sales", "channel": "Radio"},
            "clients": [{"client": {"person": "1", "organisation": "2"}, "name": "Ivan Orlov",
                "organisations": [{"organisation": "2", "name": "North Cable", "position": "buyer"}],
                "manager": {"id": "8", "name": "Boris"}, "flags": ["vip"]}],
            "interactions": [{"id": "1", "call": "4", "at": "2026-02-27T09:30:00Z", "direction": "inbound",
                "line": null, "agent": "8", "agent_name": "Boris", "missed": false, "talk_ms": 61000,
                "recorded": true}],
            "deals": [{"id": "1", "title": "Cable", "stage": "Offer sent", "amount_minor": 125_000_000,
                "currency": "RUB", "manager": "8"}],
            "tasks": [{"id": "1", "title": "Call back", "assignee": "8", "due": "2026-03-02T09:00:00Z"}],
            "obligations": [{"id": "6", "number": "+79161234567", "opened_at": "2026-03-01T08:00:00Z",
                "due": "2026-03-01T08:30:00Z", "missed_calls": 3, "last_call": "4",
                "responsible": {"id": "8", "name": "Boris"}}], "notes": [{"id": "1", "author": "8", "at": "2026-02-27T10:00:00Z",
                "text": "Wants a discount", "clipped": false}],
            "draft": null, "partial": false
        });
        let text = lines(&card).join("\n");
        for wanted in [
            "Anna",
            "+79161234567 (RU)",
            "Ivan Orlov · North Cable (buyer)",
            "Boris",
            "VIP",
            "Radio",
            "Offer sent",
            "1\u{a0}250\u{a0}000 RUB",
            "Call back",
            "02.03.2026 09:00",
            "call back to +79161234567 by 01.03.2026 08:30, missed calls: 3, responsible: Boris",
            "Wants a discount",
            "27.02.2026 09:30",
            "skill 9 for the line, idle for 4.2 s",
            "did not answer",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
        }
    }

    #[test]
    fn other_frames_are_one_line_and_unknown_ones_none() {
        let frame = |kind: &str, more: serde_json::Value| {
            let mut frame = json!({"id": "1", "cursor": "c", "at": "2026-03-01T09:30:00Z", "type": kind, "call": "5"});
            frame
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            lines(&frame)
        };
        let ringing = frame(
            "call.ringing",
            json!({"agent": "7", "lead": {"micros": 12_000, "confirmed": true, "clients": 1}}),
        );
        assert!(
            ringing[0].contains("Anna") && ringing[0].contains("12 ms before"),
            "{ringing:?}"
        );
        let held = frame("call.updated", json!({"by": "agent", "held": true}));
        assert_eq!(held.len(), 1);
        assert_ne!(
            held,
            frame("call.updated", json!({"by": "agent", "held": false}))
        );
        let missed = json!({"cause": "caller_cancelled", "by": "client", "agent": "7", "talk_ms": 0, "wait_ms": 9, "missed": true});
        assert!(frame("call.ended", missed)[0].contains("the caller gave up"));
        let mut owed = json!({"obligation": "6", "client": {"person": "1", "organisation": null},
            "client_name": "Ivan Orlov", "number": "+79161234567", "line": "3", "responsible": null,
            "due": "2026-03-01T10:00:00Z"});
        let opened = frame("obligation.opened", owed.clone());
        assert!(
            opened[0].contains("Ivan Orlov, +79161234567 by 01.03.2026 10:00"),
            "{opened:?}"
        );
        owed["closed_by"] = json!("conversation");
        owed["closed_call"] = json!("5");
        let closed = frame("obligation.closed", owed.clone());
        assert_eq!(closed.len(), 1, "{closed:?}");
        owed["closed_by"] = json!("waived");
        owed["reason"] = json!("wrong number");
        let waived = frame("obligation.closed", owed);
        assert!(waived[0].contains("wrong number"), "{waived:?}");
        let away = frame(
            "agent.changed",
            json!({"agents": [{"agent": "7", "state": "away", "reason": "unregistered"}]}),
        );
        assert!(away[0].contains("no telephone registered"), "{away:?}");
        let wrap_up = frame(
            "agent.changed",
            json!({"agents": [{"agent": "7", "state": "wrap_up", "call": "5"}]}),
        );
        assert!(wrap_up[0].contains("in wrap-up"), "{wrap_up:?}");
        assert!(frame("campaign.moved", json!({})).is_empty());
    }
}
