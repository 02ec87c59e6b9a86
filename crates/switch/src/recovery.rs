//! After a crash: what was stored with a call is enough to end it properly on the wire.

use call::{Call, Context, LegNo};
use model::{CallId, DialogSnapshot, Now, OpenCall};
use serde::{Deserialize, Serialize};
use sip::{
    Method,
    dialog::{Dialog, PendingInvite, Snapshot},
};

use crate::{leg::Phase, switch::Switch};

/// Version of the stored form; another one is not touched.
const VERSION: u8 = 1;

/// The dialogs of a call as they are stored with `offered` and `conversation.started`.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u8,
    legs: Vec<StoredLeg>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredLeg {
    /// The caller without a final answer: gets 503, or again what a call that has ended was refused with.
    Received(PendingInvite),
    /// A device that may ring: gets CANCEL with the stored branch.
    Sent(PendingInvite),
    /// A confirmed dialog, or one that is about to be: gets BYE.
    Dialog(Snapshot),
}

impl Switch {
    /// The dialogs of the call as they are now.
    pub(crate) fn snapshot(&self, call: CallId) -> DialogSnapshot {
        let answered = self
            .legs
            .of_call(call)
            .any(|leg| leg.no != LegNo::CALLER && leg.phase == Phase::Confirmed);
        self.stored(call, answered)
    }

    /// The same, when the caller is answered next.
    pub(crate) fn snapshot_of_answered(&self, call: CallId) -> DialogSnapshot {
        self.stored(call, true)
    }

    fn stored(&self, call: CallId, answered: bool) -> DialogSnapshot {
        let legs = self
            .legs
            .of_call(call)
            .filter_map(|leg| match (leg.phase, &leg.dialog) {
                // The 200 to the caller follows the commit: a crash in between leaves an unanswered INVITE
                // or a dialog, and BYE with both being tried ends either.
                (Phase::Incoming(_), Some(_)) if !answered => Some(StoredLeg::Received(
                    PendingInvite::received(&leg.invite, leg.path, &leg.local_tag),
                )),
                // Also those that are being withdrawn: the CANCEL may be lost with the process.
                (Phase::Prepared | Phase::Calling(_) | Phase::Cancelling(_), _) => {
                    Some(StoredLeg::Sent(PendingInvite::sent(&leg.invite, leg.path)))
                }
                (_, dialog) => dialog
                    .as_ref()
                    .map(|dialog| StoredLeg::Dialog(dialog.snapshot())),
            });
        let mut legs: Vec<StoredLeg> = legs.collect();
        if answered {
            let unanswered = self
                .legs
                .of_call(call)
                .filter(|leg| matches!(leg.phase, Phase::Incoming(_)));
            legs.extend(unanswered.map(|leg| {
                StoredLeg::Received(PendingInvite::received(
                    &leg.invite,
                    leg.path,
                    &leg.local_tag,
                ))
            }));
        }
        DialogSnapshot(
            serde_json::to_string(&Stored {
                version: VERSION,
                legs,
            })
            .unwrap_or_default(),
        )
    }

    /// Ends the calls that the journal shows as open: on the wire, and in the journal exactly once. Of one that had
    /// ended already the parties are told again, for the first message may have been lost with the process.
    pub(crate) fn recover(&mut self, now: Now, open: &[OpenCall]) {
        for call in open {
            self.end_stored(now, call);
            let recovered = Call::recovered(
                call,
                &mut Context {
                    now,
                    ids: &mut self.ids,
                },
            );
            self.begin_call(now, recovered);
        }
    }

    fn end_stored(&mut self, now: Now, call: &OpenCall) {
        let stored = call.snapshot.as_ref();
        let stored: Option<Stored> = stored.and_then(|it| serde_json::from_str(&it.0).ok());
        let refusal = match call.ended {
            true => call.refused,
            false => Some(503),
        };
        let legs = stored
            .filter(|stored| stored.version == VERSION)
            .map(|stored| stored.legs);
        for leg in legs.unwrap_or_default() {
            match leg {
                StoredLeg::Received(pending) => {
                    if let Some(status) = refusal {
                        self.refuse_stored(now, &pending, status);
                    }
                }
                StoredLeg::Sent(pending) => self.cancel_stored(now, &pending),
                StoredLeg::Dialog(snapshot) => {
                    if let Ok(mut dialog) = Dialog::restore(&snapshot) {
                        let bye = dialog.create_request(Method::Bye);
                        self.transactions
                            .request(now.mono, dialog.target_path(), bye);
                    }
                }
            }
        }
    }

    fn refuse_stored(&mut self, now: Now, pending: &PendingInvite, status: u16) {
        let (Ok(invite), Ok(refusal)) = (pending.request(), pending.refusal(status)) else {
            return;
        };
        if let Some(server) = self
            .transactions
            .resume_server(now.mono, pending.path(), &invite)
        {
            self.respond(now.mono, server, refusal);
        }
    }

    fn cancel_stored(&mut self, now: Now, pending: &PendingInvite) {
        let Ok(invite) = pending.request() else {
            return;
        };
        if let Some(client) = self
            .transactions
            .resume_invite(now.mono, pending.path(), invite)
        {
            self.transactions.cancel(now.mono, client);
        }
    }
}
