//! Everybody on the stage: the managers' telephones and workspaces, the callers, and what a scene may ask of them.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::future::try_join_all;
use jiff::tz::TimeZone;

use super::{
    company::{Company, Manager, TRUNK},
    desk::{Card, Desk},
    folder::Folder,
    registration::Account,
    speech::Speeches,
    user_agent::{CallFacts, Ended, Facts, Manner, Order, Part, UserAgent},
};
use crate::{
    watch::{self, line, lines::Lines, rest::Rest},
    words::Words,
};

/// How long anything may take that should happen at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

tokio::task_local! {
    /// The lines of scenes that nobody watches yet.
    static KEPT: RefCell<Vec<String>>;
}

/// Prints a line, or keeps it if the scene is played behind the curtain.
pub(super) fn print(text: &str) -> Result<()> {
    match KEPT.try_with(|kept| kept.borrow_mut().push(text.to_owned())) {
        Ok(()) => Ok(()),
        Err(_) => line(text),
    }
}

/// Plays scenes whose lines are to be printed later, so that they do not mingle with those of others; what came of them, and
/// the lines.
pub(super) async fn behind_the_curtain<T>(scenes: impl Future<Output = T>) -> (T, Vec<String>) {
    let played = async { (scenes.await, KEPT.with(RefCell::take)) };
    KEPT.scope(RefCell::default(), played).await
}

/// The stage.
pub(super) struct Theatre<'a> {
    pub(super) folder: &'a Folder,
    pub(super) words: &'a Words,
    pub(super) zone: &'a TimeZone,
    pub(super) rest: &'a Rest,
    pub(super) company: &'a Company,
    pub(super) speeches: &'a Speeches,
    /// In the order of the managers.
    pub(super) desks: Vec<Desk>,
    pub(super) telephones: Vec<UserAgent>,
    names: BTreeMap<String, String>,
}

impl<'a> Theatre<'a> {
    /// Opens a workspace and registers a telephone for every manager.
    pub(super) async fn open(
        folder: &'a Folder,
        words: &'a Words,
        zone: &'a TimeZone,
        rest: &'a Rest,
        company: &'a Company,
        speeches: &'a Speeches,
    ) -> Result<Self> {
        let anonymous = Rest::new(rest.base())?;
        let managers = &company.managers;
        let desks = try_join_all(managers.iter().map(|manager| desk(&anonymous, manager))).await?;
        let telephones = try_join_all(
            managers
                .iter()
                .map(|manager| telephone(folder.sip, manager)),
        )
        .await?;
        let names = watch::names(rest).await?;
        let theatre = Self {
            folder,
            words,
            zone,
            rest,
            company,
            speeches,
            desks,
            telephones,
            names,
        };
        theatre.everybody_is_free().await?;
        line(&words.say("demo-registered", &[("count", managers.len().to_string())]))?;
        Ok(theatre)
    }

    /// Takes the telephones off, so that another one rings alone.
    pub(super) async fn close(self) -> Result<()> {
        for telephone in &self.telephones {
            telephone.order(Order::Unregister).await?;
        }
        for (manager, desk) in self.company.managers.iter().zip(&self.desks) {
            let away = desk
                .state(&manager.id, PATIENCE, |_, reason| {
                    reason == Some("unregistered")
                })
                .await;
            away.with_context(|| {
                format!(
                    "{}: the telephone was taken off, the workspace was not told",
                    manager.name
                )
            })?;
        }
        Ok(())
    }

    /// Prints a sentence.
    pub(super) fn say(&self, key: &str, facts: &[(&str, String)]) -> Result<()> {
        print(&self.words.say(key, facts))
    }

    /// Prints a sentence below a heading.
    pub(super) fn tell(&self, key: &str, facts: &[(&str, String)]) -> Result<()> {
        print(&format!("  {}", self.words.say(key, facts)))
    }

    /// Prints a card as it came.
    pub(super) fn show(&self, card: &Card) -> Result<()> {
        let name = |id: &str| self.name(id);
        self.lines(&name)
            .offered(&card.offered)
            .iter()
            .try_for_each(|text| print(&format!("  {text}")))
    }

    /// A time of the API on the reader's clock.
    pub(super) fn time(&self, at: &str) -> String {
        self.lines(&|id| self.name(id)).time(at)
    }

    fn lines<'n>(&'n self, name: &'n dyn Fn(&str) -> String) -> Lines<'n> {
        Lines {
            words: self.words,
            zone: self.zone,
            name,
        }
    }

    /// The name of a manager.
    pub(super) fn name(&self, id: &str) -> String {
        self.names.get(id).cloned().unwrap_or_else(|| id.to_owned())
    }

    /// The place of a manager.
    pub(super) fn place(&self, id: &str) -> Result<usize> {
        let place = self
            .company
            .managers
            .iter()
            .position(|manager| manager.id == id);
        place.with_context(|| format!("{id} is no manager of the company"))
    }

    /// Lets a manager's telephone behave in a way.
    pub(super) async fn behave(&self, manager: usize, manner: Manner, part: Part) -> Result<()> {
        self.telephones[manager]
            .order(Order::Behave(manner, part))
            .await
    }

    /// Lets somebody out in the world call a line: `from` as the trunk writes it.
    pub(super) async fn call(&self, from: &str, to: &str, part: Part) -> Result<UserAgent> {
        let caller = UserAgent::start(SocketAddr::from((TRUNK, 0)), self.folder.sip).await?;
        let (from, to) = (format!("+{from}"), format!("+{to}"));
        caller.order(Order::Call { from, to, part }).await?;
        Ok(caller)
    }

    /// Waits for the card of a call from `number` at one of the desks; `marks` say where to begin at each.
    pub(super) async fn card(&self, marks: &[usize], number: &str) -> Result<Card> {
        let number = format!("+{number}");
        let wanted = self
            .desks
            .iter()
            .zip(marks)
            .map(|(desk, &mark)| Box::pin(desk.card(mark, &number, PATIENCE)));
        let mut wanted: Vec<_> = wanted.collect();
        while !wanted.is_empty() {
            let (card, _, others) = futures_util::future::select_all(wanted).await;
            if let Some(card) = card {
                return Ok(card);
            }
            wanted = others;
        }
        bail!("no workspace got a card for the call from {number} within {PATIENCE:?}")
    }

    /// Where the frames to come begin at each desk.
    pub(super) fn marks(&self) -> Vec<usize> {
        self.desks.iter().map(Desk::mark).collect()
    }

    /// Waits until every manager is free, as the workspaces are told.
    pub(super) async fn everybody_is_free(&self) -> Result<()> {
        for (manager, desk) in self.company.managers.iter().zip(&self.desks) {
            let free = desk
                .state(&manager.id, PATIENCE, |state, _| state == "available")
                .await;
            free.with_context(|| format!("{} is not free within {PATIENCE:?}", manager.name))?;
        }
        Ok(())
    }
}

async fn desk(anonymous: &Rest, manager: &Manager) -> Result<Desk> {
    let (session, _) = anonymous.log_in(manager.login, &manager.password).await?;
    Desk::open(&session, &manager.id)
        .await
        .with_context(|| format!("the workspace of {}", manager.name))
}

async fn telephone(server: SocketAddr, manager: &Manager) -> Result<UserAgent> {
    let local = SocketAddr::new(server.ip(), 0);
    let telephone = UserAgent::start(local, server).await?;
    let (user, secret) = manager.device.clone();
    telephone
        .order(Order::Register(Account { user, secret }))
        .await?;
    let facts = telephone
        .until(PATIENCE, |facts| facts.registered.is_some())
        .await;
    let status = facts.and_then(|facts| facts.registered);
    let name = manager.name;
    let status =
        status.with_context(|| format!("the telephone of {name} got no answer to REGISTER"))?;
    ensure!(
        status == 200,
        "the telephone of {name} was refused with {status}"
    );
    Ok(telephone)
}

/// Waits until the last call of a user agent is over.
pub(super) async fn end_of(
    agent: &UserAgent,
    who: &str,
    patience: Duration,
) -> Result<(CallFacts, Ended)> {
    let last = |facts: &Facts| facts.calls.last().cloned();
    end_of_one(agent, who, patience, last).await
}

/// Waits until the first call of a telephone after this moment is over.
pub(super) async fn end_after(
    agent: &UserAgent,
    since: Instant,
    patience: Duration,
) -> Result<(CallFacts, Ended)> {
    let first = |facts: &Facts| facts.calls.iter().find(|it| it.begun >= since).cloned();
    end_of_one(agent, "the telephone", patience, first).await
}

async fn end_of_one(
    agent: &UserAgent,
    who: &str,
    patience: Duration,
    one: impl Fn(&Facts) -> Option<CallFacts>,
) -> Result<(CallFacts, Ended)> {
    let is_over = |facts: &Facts| one(facts).is_some_and(|call| call.ended.is_some());
    let facts = agent.until(patience, is_over).await;
    let call = facts.and_then(|facts| one(&facts));
    let call = call.with_context(|| format!("{who}: the call is not over within {patience:?}"))?;
    let ended = call
        .ended
        .clone()
        .with_context(|| format!("{who}: no end"))?;
    Ok((call, ended))
}
