//! The card as a frame shows it (S1–S3): codes and facts, never sentences.

use std::borrow::Cow;

use call::OfferEnd;
use crm::{Card, CardClient, CardMember, CardName, CardObligation, Direction};
use model::{
    CallId, CallerIdentity, DealId, InteractionId, LineId, NoteId, ObligationId, Rule, TaskId,
    UserId,
};
use serde::Serialize;

use crate::{
    clock::Moment,
    roster::{LineOnCard, Named, Roster},
};

/// Most characters of a note on a card; the rest is read through the API.
const MOST_NOTE: usize = 500;

/// Everything known about the caller.
#[derive(Debug, Serialize)]
pub(crate) struct CardView<'a> {
    caller: Caller<'a>,
    line: Option<&'a LineOnCard>,
    clients: Cow<'a, [CardClient]>,
    interactions: Vec<InteractionView<'a>>,
    deals: Vec<DealView<'a>>,
    tasks: Vec<TaskView<'a>>,
    obligations: Vec<ObligationView<'a>>,
    notes: Vec<NoteView<'a>>,
    /// In a call between colleagues: who calls whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    colleagues: Option<Colleagues<'a>>,
    /// For an unknown caller: what the new client's form begins with (S3).
    draft: Option<Draft<'a>>,
    /// The database was too slow: only what identification knew is shown.
    partial: bool,
}

#[derive(Debug, Serialize)]
struct Caller<'a> {
    /// None if withheld.
    number: Option<&'a str>,
    extension: Option<&'a str>,
    region: Option<&'a str>,
    known: bool,
    in_time: bool,
}

#[derive(Debug, Serialize)]
struct Colleagues<'a> {
    caller: Named<'a>,
    callee: Named<'a>,
}

#[derive(Debug, Serialize)]
struct Draft<'a> {
    number: Option<&'a str>,
    region: Option<&'a str>,
    channel: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct InteractionView<'a> {
    id: InteractionId,
    call: CallId,
    at: Moment,
    direction: Direction,
    line: Option<LineId>,
    agent: Option<UserId>,
    agent_name: Option<&'a str>,
    missed: bool,
    talk_ms: u64,
    recorded: bool,
}

#[derive(Debug, Serialize)]
struct DealView<'a> {
    id: DealId,
    title: &'a str,
    stage: &'a str,
    amount_minor: Option<i64>,
    currency: &'a str,
    manager: Option<UserId>,
}

#[derive(Debug, Serialize)]
struct TaskView<'a> {
    id: TaskId,
    title: &'a str,
    assignee: UserId,
    due: Option<Moment>,
}

#[derive(Debug, Serialize)]
struct ObligationView<'a> {
    id: ObligationId,
    number: &'a str,
    opened_at: Moment,
    due: Moment,
    missed_calls: u32,
    last_call: CallId,
    responsible: Option<Named<'a>>,
}

#[derive(Debug, Serialize)]
struct NoteView<'a> {
    id: NoteId,
    author: UserId,
    at: Moment,
    text: &'a str,
    clipped: bool,
}

impl<'a> CardView<'a> {
    /// The card of `caller`; `card` is what the database knows, none if it did not say in time.
    pub(crate) fn new(
        caller: &'a CallerIdentity,
        line: Option<&'a LineOnCard>,
        card: Option<&'a Card>,
        roster: &'a Roster,
    ) -> Self {
        let number = Some(caller.number.as_str()).filter(|number| !number.is_empty());
        let region = caller.region.as_deref();
        let known = !caller.matches.is_empty();
        let channel = line.and_then(|line| line.channel.as_deref());
        Self {
            caller: Caller {
                number,
                extension: caller.extension.as_deref(),
                region,
                known,
                in_time: caller.in_time,
            },
            line,
            clients: match card {
                Some(card) => Cow::Borrowed(&card.clients),
                None => Cow::Owned(identified_only(caller, roster)),
            },
            interactions: each(card, |card| &card.interactions, interaction),
            deals: each(card, |card| &card.deals, deal),
            tasks: each(card, |card| &card.tasks, task),
            obligations: each(card, |card| &card.obligations, |it| obligation(it, roster)),
            notes: each(card, |card| &card.notes, note),
            colleagues: None,
            draft: (!known).then_some(Draft {
                number,
                region,
                channel,
            }),
            partial: card.is_none() && (known || number.is_some()),
        }
    }

    /// The same for a call between colleagues, who are no clients.
    pub(crate) fn between(mut self, colleagues: Option<[UserId; 2]>, roster: &'a Roster) -> Self {
        if let Some([caller, callee]) = colleagues {
            self.draft = None;
            self.colleagues = Some(Colleagues {
                caller: roster.named(caller),
                callee: roster.named(callee),
            });
        }
        self
    }
}

fn each<'a, T: 'a, V>(
    card: Option<&'a Card>,
    list: impl Fn(&'a Card) -> &'a Vec<T>,
    view: impl Fn(&'a T) -> V,
) -> Vec<V> {
    card.map_or_else(Vec::new, |card| list(card).iter().map(view).collect())
}

fn interaction(entry: &crm::Interaction) -> InteractionView<'_> {
    InteractionView {
        id: entry.id,
        call: entry.call,
        at: Moment(entry.at),
        direction: entry.direction,
        line: entry.line,
        agent: entry.agent,
        agent_name: entry.agent_name.as_deref(),
        missed: entry.missed,
        talk_ms: entry.talk_ms,
        recorded: entry.recording.is_some(),
    }
}

fn deal(deal: &crm::Deal) -> DealView<'_> {
    DealView {
        id: deal.id,
        title: &deal.data.title,
        stage: &deal.data.stage,
        amount_minor: deal.data.amount_minor,
        currency: &deal.data.currency,
        manager: deal.data.manager,
    }
}

fn task(task: &crm::Task) -> TaskView<'_> {
    TaskView {
        id: task.id,
        title: &task.data.title,
        assignee: task.data.assignee,
        due: task.data.due.map(Moment),
    }
}

fn obligation<'a>(owed: &'a CardObligation, roster: &'a Roster) -> ObligationView<'a> {
    ObligationView {
        id: owed.id,
        number: &owed.number,
        opened_at: Moment(owed.opened_at),
        due: Moment(owed.due),
        missed_calls: owed.missed_calls,
        last_call: owed.last_call,
        responsible: owed.responsible.map(|agent| roster.named(agent)),
    }
}

fn note(note: &crm::Note) -> NoteView<'_> {
    let text = note.data.text.as_str();
    let end = text.char_indices().nth(MOST_NOTE).map(|(end, _)| end);
    NoteView {
        id: note.id,
        author: note.data.author,
        at: Moment(note.created_at),
        text: &text[..end.unwrap_or(text.len())],
        clipped: end.is_some(),
    }
}

fn identified_only(caller: &CallerIdentity, roster: &Roster) -> Vec<CardClient> {
    let clients = caller.matches.iter().map(|matched| {
        let organisation = matched.client.organisation;
        let member = organisation.zip(matched.organisation_name.clone());
        CardClient {
            client: matched.client,
            name: matched.name.clone(),
            organisations: member
                .map(|(organisation, name)| CardMember {
                    organisation,
                    name,
                    position: None,
                })
                .into_iter()
                .collect(),
            manager: matched.manager.map(|id| CardName {
                id,
                name: roster.named(id).name.unwrap_or_default().to_owned(),
            }),
            flags: matched.flags.clone(),
        }
    });
    clients.collect()
}

/// Whose client it is, seen from the agent who is offered the call (S2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ownership {
    /// The agent's own client.
    Own,
    /// The client of a colleague.
    Colleague,
    /// A client whom nobody is assigned to.
    Unassigned,
    /// Nobody in the contact base has the number.
    Unknown,
}

/// An earlier offer of the same call and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PastOffer {
    pub(crate) agent: UserId,
    pub(crate) end: OfferEnd,
}

/// Why the call came to this agent (S2).
#[derive(Debug, Serialize)]
pub(crate) struct Why<'a> {
    ownership: Ownership,
    #[serde(flatten)]
    rule: Rule,
    owner: Option<Named<'a>>,
    /// The colleague who hands the conversation over, did not take it, or cannot take it now and has a deputy.
    #[serde(skip_serializing_if = "Option::is_none")]
    colleague: Option<Named<'a>>,
    previous: Vec<Previous<'a>>,
}

#[derive(Debug, Serialize)]
struct Previous<'a> {
    agent: Named<'a>,
    end: OfferEnd,
}

impl<'a> Why<'a> {
    pub(crate) fn new(
        rule: Rule,
        owner: Option<UserId>,
        caller: &CallerIdentity,
        previous: &[PastOffer],
        roster: &'a Roster,
    ) -> Self {
        let first = caller.matches.first();
        let ownership = match (rule, owner, first.map(|first| first.manager)) {
            (Rule::Assigned { .. }, ..) => Ownership::Own,
            (_, Some(_), _) => Ownership::Colleague,
            (_, None, None) => Ownership::Unknown,
            // The manager of the best match is named as owner unless it is this agent.
            (_, None, Some(Some(_))) => Ownership::Own,
            (_, None, Some(None)) => Ownership::Unassigned,
        };
        let previous = previous.iter().map(|past| Previous {
            agent: roster.named(past.agent),
            end: past.end,
        });
        Self {
            ownership,
            rule,
            owner: owner.map(|owner| roster.named(owner)),
            colleague: match rule {
                Rule::Returned { by } => by.map(|by| roster.named(by)),
                Rule::Transferred { by }
                | Rule::PickedUp { by }
                | Rule::Conference { by }
                | Rule::Retrieved { by }
                | Rule::Deputy { of: by, .. } => Some(roster.named(by)),
                _ => None,
            },
            previous: previous.collect(),
        }
    }
}
