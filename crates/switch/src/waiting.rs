//! Callers in the queue: room, places, and who is asked for when an agent becomes free.

use std::time::Duration;

use call::{Origin, Turn};
use model::{CallId, LineId, Now, Queue};
use routing::Waiting;

use crate::switch::Switch;

impl Switch {
    /// The line whose queue a call may stand in, and that queue.
    fn queue_of(&self, call: CallId) -> Option<(LineId, Queue)> {
        match self.calls.origin(call)? {
            Origin::Inbound(inbound) => Some((inbound.service.line, inbound.service.queue?)),
            _ => None,
        }
    }

    /// Whether there is room, and where; the place is taken at once.
    pub(crate) fn enter_queue(&mut self, call: CallId, turn: Turn) -> call::Input {
        let room = self.queue_of(call).is_some_and(|(line, queue)| {
            let waiting = self.waiting.length(line);
            u32::try_from(waiting).is_ok_and(|it| it < queue.most_waiting)
        });
        if room {
            self.wait(call, turn);
            self.waiting.keep(call);
        }
        call::Input::MayEnter {
            place: self.waiting.place(call),
            snapshot: self.snapshot_of_answered(call),
        }
    }

    pub(crate) fn wait(&mut self, call: CallId, turn: Turn) {
        let Some((line, queue)) = self.queue_of(call) else {
            return;
        };
        let overflow = queue.overflow.map(|overflow| {
            let after = Duration::from_secs(overflow.after_secs.into());
            (overflow.line, turn.since + after)
        });
        let waiting = Waiting {
            line,
            overflow,
            managers: turn.managers,
            priority: turn.priority,
            since: turn.since,
            resting: turn.resting,
            not_before: turn.not_before,
        };
        self.waiting.enter(call, waiting);
    }

    /// The line whose agents help by now, if the call waits for so long.
    pub(crate) fn overflow(&self, now: Now, call: CallId) -> Option<LineId> {
        let (line, from) = self.waiting.get(call)?.overflow?;
        (from <= now.mono).then_some(line)
    }
}
