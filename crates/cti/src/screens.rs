//! Cards on their way to a screen: who was shown which offer, and what waits for `shown`.

use std::collections::HashMap;

use call::{EffectEnd, EffectId, ShownBy};
use model::{CallId, UserId, Utc};

/// The card of a call's present offer.
#[derive(Debug)]
struct Showing {
    agent: UserId,
    attempt: u16,
    /// The agent's clients that the frame was sent to.
    clients: u32,
    sent_at: Utc,
    shown_at: Option<Utc>,
    effect: Option<EffectId>,
}

/// The cards of all calls that are being offered.
#[derive(Debug, Default)]
pub(crate) struct Screens(HashMap<CallId, Showing>);

impl Screens {
    /// The frame of a card was sent.
    pub(crate) fn sent(
        &mut self,
        call: CallId,
        (agent, attempt): (UserId, u16),
        clients: u32,
        at: Utc,
    ) {
        let showing = Showing {
            agent,
            attempt,
            clients,
            sent_at: at,
            shown_at: None,
            effect: None,
        };
        self.0.insert(call, showing);
    }

    /// The call asks to be told when the card is seen. None as long as it must wait; the end at
    /// once if a client has said so already, no client is connected, or the offer is over.
    pub(crate) fn announce(
        &mut self,
        effect: EffectId,
        agent: UserId,
        attempt: u16,
        now: Utc,
    ) -> Option<EffectEnd> {
        let nobody = EffectEnd::Announced {
            shown: ShownBy::Nobody,
            clients: 0,
            at: now,
        };
        let showing = self.0.get_mut(&effect.call);
        let Some(showing) =
            showing.filter(|showing| (showing.agent, showing.attempt) == (agent, attempt))
        else {
            return Some(nobody);
        };
        match showing.shown_at {
            Some(at) => Some(showing.seen(at)),
            None if showing.clients == 0 => Some(nobody),
            None => {
                showing.effect = Some(effect);
                None
            }
        }
    }

    /// A client of `user` painted the card; the effect that ends by it, if one waits.
    pub(crate) fn shown(
        &mut self,
        user: UserId,
        call: CallId,
        attempt: u16,
        now: Utc,
    ) -> Option<(EffectId, EffectEnd)> {
        let showing = self.0.get_mut(&call)?;
        if (showing.agent, showing.attempt) != (user, attempt) || showing.shown_at.is_some() {
            return None;
        }
        let at = now.max(showing.sent_at);
        showing.shown_at = Some(at);
        let effect = showing.effect.take()?;
        Some((effect, showing.seen(at)))
    }

    /// The agent's devices ring, or the offer is over.
    pub(crate) fn close(&mut self, call: CallId) {
        self.0.remove(&call);
    }
}

impl Showing {
    fn seen(&self, at: Utc) -> EffectEnd {
        EffectEnd::Announced {
            shown: ShownBy::Client,
            clients: self.clients,
            at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: CallId = CallId(5);
    const AGENT: UserId = UserId(1);
    const EFFECT: EffectId = EffectId {
        call: CALL,
        number: 3,
    };

    fn at(micros: i64) -> Utc {
        Utc::from_micros(micros)
    }

    fn seen(at: Utc) -> EffectEnd {
        EffectEnd::Announced {
            shown: ShownBy::Client,
            clients: 2,
            at,
        }
    }

    #[test]
    fn shown_ends_the_effect_once_whichever_comes_first() {
        let mut screens = Screens::default();
        screens.sent(CALL, (AGENT, 0), 2, at(10));
        assert_eq!(screens.announce(EFFECT, AGENT, 0, at(11)), None);
        let end = screens.shown(AGENT, CALL, 0, at(20));
        assert_eq!(end, Some((EFFECT, seen(at(20)))));
        assert_eq!(screens.shown(AGENT, CALL, 0, at(21)), None);

        screens.sent(CALL, (AGENT, 1), 2, at(30));
        assert_eq!(screens.shown(AGENT, CALL, 1, at(31)), None);
        let end = screens.announce(EFFECT, AGENT, 1, at(32));
        assert_eq!(end, Some(seen(at(31))));
    }

    #[test]
    fn another_agent_another_attempt_and_a_closed_offer_confirm_nothing() {
        let mut screens = Screens::default();
        screens.sent(CALL, (AGENT, 1), 2, at(10));
        assert_eq!(screens.announce(EFFECT, AGENT, 1, at(11)), None);
        assert_eq!(screens.shown(UserId(2), CALL, 1, at(12)), None);
        assert_eq!(screens.shown(AGENT, CALL, 0, at(12)), None);
        screens.close(CALL);
        assert_eq!(screens.shown(AGENT, CALL, 1, at(13)), None);
    }

    #[test]
    fn without_a_client_the_effect_ends_at_once() {
        let mut screens = Screens::default();
        screens.sent(CALL, (AGENT, 0), 0, at(10));
        let end = screens.announce(EFFECT, AGENT, 0, at(11));
        let nobody = EffectEnd::Announced {
            shown: ShownBy::Nobody,
            clients: 0,
            at: at(11),
        };
        assert_eq!(end, Some(nobody));
    }
}
