//! Which agents a call is offered to, in which order, and why (R2, R3, R8).

use model::{
    AgentState, CallerIdentity, Considered, Explanation, LineId, Now, PassedOver, Rule, UserId,
    Verdict,
};

use crate::{Agents, absence::MOST_DEPUTIES, index::Skilled};

/// Most candidates of one decision; whoever offers the call asks again after each attempt.
pub const MOST_CANDIDATES: usize = 8;

/// What a decision is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The line called.
    pub line: LineId,
    /// Who calls; none if not identified (yet).
    pub caller: Option<&'a CallerIdentity>,
    /// Who was offered this call already.
    pub tried: &'a [UserId],
}

/// Whom to offer the call to, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Best first; at most [`MOST_CANDIDATES`]. All of them are listed in the explanation.
    pub candidates: Vec<Candidate>,
    /// Everybody who was considered.
    pub explanation: Explanation,
    /// Somebody is assigned or skilled at all, tried and busy ones included.
    pub qualified: bool,
}

/// One agent who may be offered the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The agent.
    pub agent: UserId,
    /// What put the agent there.
    pub rule: Rule,
}

impl Agents {
    /// Decides who is offered a call: the available assigned managers in the order of the matches,
    /// each followed by whoever stands in for them, regardless of skill; then the available agents skilled for the line by level, the longest
    /// idle first. Nobody is offered a call twice.
    pub fn decide(&self, now: Now, question: &Question<'_>) -> Decision {
        let mut draft = Draft {
            agents: self,
            now,
            tried: question.tried,
            candidates: Vec::with_capacity(MOST_CANDIDATES),
            considered: Vec::with_capacity(Explanation::MOST),
            places: 0,
            deputies: 0,
        };
        draft.assigned(question.caller);
        let assigned = draft.considered.len();
        let more = draft.skilled(question.line);
        let qualified = draft.considered.iter().enumerate().any(|(n, entry)| {
            n >= assigned || entry.verdict != Verdict::PassedOver(PassedOver::NotAnAgent)
        });
        Decision {
            candidates: draft.candidates,
            explanation: Explanation {
                considered: draft.considered,
                more,
            },
            qualified,
        }
    }
}

struct Draft<'a> {
    agents: &'a Agents,
    now: Now,
    tried: &'a [UserId],
    candidates: Vec<Candidate>,
    considered: Vec<Considered>,
    places: u16,
    deputies: usize,
}

impl Draft<'_> {
    fn assigned(&mut self, caller: Option<&CallerIdentity>) {
        let matches = caller.map_or(&[][..], |caller| &caller.matches);
        // The limit leaves room for the skilled candidates that follow.
        for (n, matched) in matches.iter().enumerate().take(16) {
            let Some(agent) = matched.manager else {
                continue;
            };
            if self.considered.iter().any(|entry| entry.agent == agent) {
                continue;
            }
            let match_index = u8::try_from(n).unwrap_or(u8::MAX);
            let verdict = self.verdict(agent);
            self.list(agent, Rule::Assigned { match_index }, verdict);
            self.deputies(agent, match_index);
        }
    }

    /// Adds those who stand in for a manager, one after another, until one of them may be offered the call.
    fn deputies(&mut self, manager: UserId, match_index: u8) {
        let agents = self.agents;
        for (of, deputy) in agents.absences.deputies_of(manager) {
            // Whoever was considered has brought their own deputies.
            let known = self.considered.iter().any(|entry| entry.agent == deputy);
            if known || self.deputies == MOST_DEPUTIES {
                return;
            }
            self.deputies += 1;
            let verdict = self.verdict(deputy);
            self.list(deputy, Rule::Deputy { of, match_index }, verdict);
            if let Verdict::Candidate { .. } = verdict {
                return;
            }
        }
    }

    /// Adds the skilled agents; returns how many are not listed.
    fn skilled(&mut self, line: LineId) -> u32 {
        let Some(index) = self.agents.line(line) else {
            return 0;
        };
        let managers: Vec<UserId> = self.considered.iter().map(|entry| entry.agent).collect();
        let (tried, room) = (self.tried, MOST_CANDIDATES - self.candidates.len());
        let chosen: Vec<Skilled> = index
            .free()
            .filter(|free| !managers.contains(&free.agent) && !tried.contains(&free.agent))
            .take(room)
            .collect();

        // Whoever may be offered the call is listed, however many busy agents stand above.
        let mut pending = &chosen[..];
        let mut others = index.all();
        while self.considered.len() + pending.len() < Explanation::MOST {
            let Some(skilled) = others.next() else {
                break;
            };
            if managers.contains(&skilled.agent) {
                continue;
            }
            if pending
                .first()
                .is_some_and(|next| next.agent == skilled.agent)
            {
                pending = &pending[1..];
            }
            self.list_skilled(skilled);
        }
        for skilled in pending {
            self.list_skilled(*skilled);
        }
        let listed = self.considered.len() - managers.len();
        let above = managers
            .iter()
            .filter_map(|manager| self.agents.entry(*manager))
            .filter(|entry| entry.serves(line))
            .count();
        u32::try_from(index.len() - listed - above).unwrap_or(u32::MAX)
    }

    fn list_skilled(&mut self, skilled: Skilled) {
        let rule = Rule::Skilled {
            level: skilled.level,
            idle_ms: skilled.free_since.map(|since| {
                let idle = self.now.mono.saturating_sub(since);
                u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)
            }),
        };
        let verdict = self.verdict(skilled.agent);
        self.list(skilled.agent, rule, verdict);
    }

    fn verdict(&self, agent: UserId) -> Verdict {
        let entry = self.agents.entry(agent).filter(|entry| !entry.leaving);
        match entry.map(|entry| entry.state) {
            None => Verdict::PassedOver(PassedOver::NotAnAgent),
            Some(_) if self.tried.contains(&agent) => Verdict::PassedOver(PassedOver::AlreadyTried),
            Some(state) if state != AgentState::Available => {
                match self.agents.absences.until(agent) {
                    Some(until_us) => Verdict::PassedOver(PassedOver::Absent { until_us }),
                    None => Verdict::PassedOver(PassedOver::NotAvailable { state }),
                }
            }
            Some(_) => Verdict::Candidate { place: self.places },
        }
    }

    fn list(&mut self, agent: UserId, rule: Rule, verdict: Verdict) {
        if matches!(verdict, Verdict::Candidate { .. }) {
            self.places += 1;
            if self.candidates.len() < MOST_CANDIDATES {
                self.candidates.push(Candidate { agent, rule });
            }
        }
        self.considered.push(Considered {
            agent,
            rule,
            verdict,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{Agent, AwayReason, CallId, CallerMatch, ClientRef, Skill, Utc};

    use super::*;

    const LINE: LineId = LineId(7);

    fn at(ms: u64) -> Now {
        Now {
            mono: Duration::from_millis(ms),
            utc: Utc::from_secs(1) + Duration::from_millis(ms),
        }
    }

    /// Agents 1…n with the levels given; each became available at its own id in milliseconds.
    fn centre(levels: &[u8]) -> Agents {
        let users = || (1..).map(UserId).zip(levels);
        let records: Vec<Agent> = users()
            .map(|(user, _)| Agent {
                user,
                name: format!("Agent {user}"),
                short_number: user.to_string(),
                away: false,
                ring_timeout_secs: 20,
                wrap_up_secs: 0,
                may_call: model::Reach::National,
                call_waiting: false,
            })
            .collect();
        let skills: Vec<Skill> = users()
            .map(|(user, level)| Skill {
                user,
                line: LINE,
                level: *level,
            })
            .collect();
        let mut agents = Agents::new();
        agents.update(at(0), &records, &skills);
        for (user, _) in users() {
            agents.set_registered(at(user.0.unsigned_abs()), user, true);
        }
        agents
    }

    fn caller(managers: &[Option<i64>]) -> CallerIdentity {
        CallerIdentity {
            matches: managers
                .iter()
                .map(|manager| CallerMatch {
                    client: ClientRef::default(),
                    name: String::new(),
                    organisation_name: None,
                    manager: manager.map(UserId),
                    flags: Vec::new(),
                })
                .collect(),
            in_time: true,
            ..CallerIdentity::default()
        }
    }

    fn decide(agents: &Agents, caller: Option<&CallerIdentity>, tried: &[UserId]) -> Decision {
        agents.decide(
            at(10_000),
            &Question {
                line: LINE,
                caller,
                tried,
            },
        )
    }

    fn order(decision: &Decision) -> Vec<i64> {
        decision.candidates.iter().map(|c| c.agent.0).collect()
    }

    fn verdict(decision: &Decision, agent: i64) -> Verdict {
        let mut of_agent = decision
            .explanation
            .considered
            .iter()
            .filter(|entry| entry.agent == UserId(agent));
        let verdict = of_agent.next().unwrap().verdict;
        assert!(of_agent.next().is_none(), "listed once");
        verdict
    }

    #[test]
    fn managers_come_first_then_level_then_idle_time() {
        let mut agents = centre(&[5, 10, 0, 5, 10]);
        // Agent 2 had a call, so agent 5 is idle for longer.
        assert!(agents.reserve(at(100), UserId(2), CallId(1)));
        agents.release(at(200), UserId(2), CallId(1), false);
        let caller = caller(&[None, Some(3), Some(4), Some(3)]);
        let decision = decide(&agents, Some(&caller), &[]);
        assert_eq!(order(&decision), [3, 4, 5, 2, 1]);
        assert_eq!(
            decision.candidates[0].rule,
            Rule::Assigned { match_index: 1 },
            "regardless of skill"
        );
        assert_eq!(
            decision.candidates[3].rule,
            Rule::Skilled {
                level: 10,
                idle_ms: Some(9_800)
            }
        );
        for (place, agent) in [(0, 3), (1, 4), (2, 5), (3, 2), (4, 1)] {
            assert_eq!(verdict(&decision, agent), Verdict::Candidate { place });
        }
        assert_eq!(decision.explanation.more, 0);
    }

    #[test]
    fn whoever_is_passed_over_is_listed_with_the_reason() {
        let mut agents = centre(&[9, 8, 7, 6]);
        agents.reserve(at(50), UserId(1), CallId(4));
        agents.set_away(at(50), UserId(2), true);
        agents.set_registered(at(50), UserId(4), false);
        let caller = caller(&[Some(77), Some(1)]);
        let decision = decide(&agents, Some(&caller), &[UserId(3)]);
        assert_eq!(order(&decision), [0; 0]);
        assert!(decision.qualified);
        let passed = |agent| match verdict(&decision, agent) {
            Verdict::PassedOver(reason) => reason,
            Verdict::Candidate { .. } => panic!("{agent} is a candidate"),
        };
        let call = CallId(4);
        let away = |reason| PassedOver::NotAvailable {
            state: AgentState::Away { reason },
        };
        assert_eq!(passed(77), PassedOver::NotAnAgent);
        assert_eq!(
            passed(1),
            PassedOver::NotAvailable {
                state: AgentState::Reserved { call }
            }
        );
        assert_eq!(passed(2), away(AwayReason::Chosen));
        assert_eq!(passed(3), PassedOver::AlreadyTried);
        assert_eq!(passed(4), away(AwayReason::Unregistered));
    }

    /// Agent 1 is absent until then; 2 stands in for 1, and 3 for 2.
    fn with_deputies(agents: &mut Agents, absent: &[i64]) -> Utc {
        let until = at(50_000).utc;
        let absences: Vec<_> = absent
            .iter()
            .map(|user| model::Absence {
                user: UserId(*user),
                from: at(0).utc,
                until,
                deputy: None,
            })
            .collect();
        let deputies = [(1, 2), (2, 3)].map(|(user, deputy)| model::Deputy {
            user: UserId(user),
            deputy: UserId(deputy),
        });
        agents.set_absences(at(60), &deputies, &absences);
        until
    }

    #[test]
    fn a_deputy_comes_after_the_manager_and_before_the_best_qualified() {
        let mut agents = centre(&[0, 0, 0, 9]);
        with_deputies(&mut agents, &[]);
        let caller = caller(&[Some(1)]);
        assert_eq!(order(&decide(&agents, Some(&caller), &[])), [1, 2, 4]);
        let unanswered = decide(&agents, Some(&caller), &[UserId(1)]);
        assert_eq!(order(&unanswered), [2, 4]);
        let of = UserId(1);
        let match_index = 0;
        assert_eq!(
            unanswered.candidates[0].rule,
            Rule::Deputy { of, match_index }
        );
        assert_eq!(
            order(&decide(&agents, Some(&caller), &[UserId(1), UserId(2)])),
            [3, 4]
        );
    }

    #[test]
    fn an_absent_deputy_is_passed_over_with_the_time_for_their_own() {
        let mut agents = centre(&[9, 9, 0]);
        let until_us = with_deputies(&mut agents, &[1, 2]);
        let decision = decide(&agents, Some(&caller(&[Some(1)])), &[]);
        assert_eq!(
            order(&decision),
            [3],
            "absent agents are not offered their lines either"
        );
        let absent = Verdict::PassedOver(PassedOver::Absent { until_us });
        assert_eq!(
            (verdict(&decision, 1), verdict(&decision, 2)),
            (absent, absent)
        );
        let (of, match_index) = (UserId(2), 0);
        assert_eq!(
            decision.candidates[0].rule,
            Rule::Deputy { of, match_index }
        );
    }

    #[test]
    fn whoever_is_manager_and_deputy_at_once_is_considered_once() {
        let mut agents = centre(&[0, 0, 0]);
        with_deputies(&mut agents, &[1]);
        let decision = decide(&agents, Some(&caller(&[Some(2), Some(1)])), &[]);
        assert_eq!(order(&decision), [2, 3]);
        let of_nobody = decide(&agents, Some(&caller(&[Some(77)])), &[]);
        assert!(!of_nobody.qualified);
    }

    #[test]
    fn nobody_is_qualified_without_skill_or_a_manager_who_is_an_agent() {
        let agents = centre(&[0, 0]);
        assert!(!decide(&agents, None, &[]).qualified);
        assert!(!decide(&agents, Some(&caller(&[Some(9)])), &[]).qualified);
        let of_manager = decide(&agents, Some(&caller(&[Some(2)])), &[UserId(2)]);
        assert!(of_manager.qualified, "tried ones included");
    }

    #[test]
    fn candidates_are_listed_below_however_many_busy_agents() {
        let mut levels = vec![9; 200];
        levels.extend([1; 50]);
        let mut agents = centre(&levels);
        for user in 1..=200 {
            assert!(agents.reserve(at(1_000), UserId(user), CallId(user)));
        }
        let decision = decide(&agents, Some(&caller(&[Some(7), Some(201)])), &[]);
        assert_eq!(order(&decision), [201, 202, 203, 204, 205, 206, 207, 208]);
        assert_eq!(decision.explanation.considered.len(), Explanation::MOST);
        assert_eq!(decision.explanation.more, 250 - 32);
        for (place, candidate) in (0..).zip(&decision.candidates) {
            let agent = candidate.agent.0;
            assert_eq!(verdict(&decision, agent), Verdict::Candidate { place });
        }
    }

    #[test]
    fn among_two_thousand_the_list_is_bounded_and_the_rest_counted() {
        let agents = centre(&[5; 2_000]);
        let tried: Vec<UserId> = (1..=3).map(UserId).collect();
        let decision = decide(&agents, None, &tried);
        assert_eq!(order(&decision), [4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(decision.explanation.more, 2_000 - 32);
    }
}
