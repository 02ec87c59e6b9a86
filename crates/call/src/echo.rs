//! The echo test (T3): whoever dials its code is answered, told what it is, and hears itself. It has no client, no history and
//! no recording, and leaves no wrap-up behind.

use std::time::Duration;

use model::{CallId, DialogSnapshot};

use crate::{
    AgentStep, Echo, EventKind, Origin, Output, Words,
    call::{Call, Context, State},
};

/// Nobody tries a telephone for longer.
const MOST: Duration = Duration::from_secs(120);

impl Call {
    /// A telephone that wants to hear itself: it is answered at once.
    pub fn echo(id: CallId, echo: Echo, context: &mut Context<'_>) -> Self {
        let mut call = Self::new(id, Origin::Echo(echo), context.now.utc);
        call.attempts = 1;
        call.begin_own();
        call.state = State::Admitting { effect: None };
        call.outputs.push_back(Output::AnswerLine);
        call
    }

    pub(crate) fn echo_admitted(&mut self, context: &mut Context<'_>, snapshot: DialogSnapshot) {
        let Origin::Echo(echo) = &self.origin else {
            return;
        };
        let started = EventKind::ConversationStarted {
            agent: echo.agent,
            device: echo.device,
            recording: None,
            snapshot,
        };
        self.started_at = Some(context.now.utc);
        let effect = self.commit(context, vec![EventKind::LineAnswered, started]);
        self.state = State::Admitting {
            effect: Some(effect),
        };
    }

    /// The journal knows.
    pub(crate) fn echo_begins(&mut self, context: &Context<'_>) {
        self.outputs.push_back(Output::AnswerCaller);
        self.outputs
            .extend(self.own_agent().map(|agent| Output::Agent {
                agent,
                step: AgentStep::Talking,
            }));
        self.say(Words::Echo);
        self.state = State::Echoing {
            until: context.now.mono + MOST,
        };
    }
}
