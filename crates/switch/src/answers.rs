//! Answers to requests of ours: to INVITEs of devices, to BYE and to questions on hold.

use call::{Cause, OfferEnd};
use media::LegKey;
use model::Now;
use sip::{
    Method, Response,
    dialog::Dialog,
    transaction::{ClientKey, Path},
};

use crate::{
    device_leg::{has_media, offer_end},
    leg::{Phase, Purpose, Side},
    mutant::mutant,
    switch::Switch,
};

impl Switch {
    pub(crate) fn answered(
        &mut self,
        now: Now,
        client: ClientKey,
        response: &Response,
        path: Path,
    ) {
        let Some((key, purpose)) = self.legs.by_client(client) else {
            if self.trunk_answered(now, client, response) {
                return;
            }
            return self.end_unclaimed(now, client, response, path);
        };
        match purpose {
            Purpose::Invite if response.is_success() => {
                self.leg_answered(now, key, client, response);
            }
            Purpose::Invite
                if !response.is_final() && !self.acknowledge_provisional(now, key, response) => {}
            Purpose::Invite => match (self.is_trunk(key), response.is_final()) {
                (false, false) => self.device_progress(now, key, response),
                (false, true) if response.status == 422 && self.ring_again(now, key, response) => {}
                (false, true) => self.device_refused(now, key, offer_end(response.status)),
                (true, false) => self.trunk_progress(now, key, response),
                (true, true) => self.trunk_refused(now, key, response),
            },
            Purpose::Bye if response.is_final() => {
                self.legs.forget_client(client);
                self.bye_answered(now, key, response);
            }
            Purpose::Probe if response.is_final() => {
                self.legs.forget_client(client);
                // RFC 3261 §12.2.1.2: 481 and 408 say that the dialog is gone.
                if !matches!(response.status, 408 | 481) {
                    self.party_is_there(now, key);
                }
            }
            Purpose::Notify | Purpose::Prack if response.is_final() => {
                self.legs.forget_client(client);
            }
            Purpose::Refresh => self.refreshed(now, key, client, response),
            Purpose::Bye | Purpose::Probe | Purpose::Notify | Purpose::Prack => {}
        }
    }

    /// No final answer came.
    pub(crate) fn unanswered(&mut self, now: Now, client: ClientKey) {
        match self.legs.by_client(client) {
            Some((key, Purpose::Invite)) if self.invite_elsewhere(now, key, None) => {}
            Some((key, Purpose::Invite)) if self.is_trunk(key) => {
                self.trunk_failed(now, key, Cause::Unreachable, true);
            }
            Some((key, Purpose::Invite)) => self.device_refused(now, key, OfferEnd::Unreachable),
            Some((key, Purpose::Bye)) => self.forget_leg(key),
            Some((_, Purpose::Probe | Purpose::Notify | Purpose::Prack)) => {
                self.legs.forget_client(client);
            }
            Some((key, Purpose::Refresh)) => self.refresh_unanswered(now, key, client),
            None => self.trunk_unanswered(now, client),
        }
    }

    fn is_trunk(&self, key: LegKey) -> bool {
        let leg = self.legs.find(key);
        leg.is_some_and(|leg| matches!(leg.side, Side::Trunk(_)))
    }

    fn party_is_there(&mut self, now: Now, key: LegKey) {
        if let Some((call, no)) = self.legs.find(key).map(|leg| (leg.call, leg.no)) {
            self.tell_call(now, call, call::Input::ProbeAnswered(no));
        }
    }

    fn device_progress(&mut self, now: Now, key: LegKey, response: &Response) {
        let Some(leg) = self.legs.find(key) else {
            return;
        };
        // 180 is relayed, never invented: a device's early media (183) is discarded.
        if let (Phase::Calling(_), 180) = (leg.phase, response.status) {
            let (call, no) = (leg.call, leg.no);
            self.tell_call(now, call, call::Input::LegRinging(no));
        }
    }

    /// 200 of a device or a client: ACK at once, whatever becomes of the leg (RFC 3261 §13.2.2.4).
    fn leg_answered(&mut self, now: Now, key: LegKey, client: ClientKey, response: &Response) {
        let Some(path) = self.legs.find(key).map(|leg| leg.path) else {
            return;
        };
        let contact = self.our_contact(path);
        let Some(leg) = self.legs.find_mut(key) else {
            return;
        };
        let Ok(begun) = Dialog::uac(&leg.invite, response, leg.path, contact) else {
            return;
        };
        let early = leg.reliable.confirm(response);
        let dialog = early.unwrap_or(begun);
        let number = leg.invite.cseq().map_or(1, |cseq| cseq.number);
        let ack = dialog.create_ack(number);
        self.transactions
            .ack(now.mono, client, dialog.target_path(), ack);
        let (call, no, phase) = (leg.call, leg.no, leg.phase);
        if leg.dialog.is_some() {
            return self.end_fork(now, dialog);
        }
        self.legs.set_dialog(key, dialog);
        self.legs.set_phase(key, Phase::Confirmed);
        self.take_timer(now, key, response);
        if let Phase::Cancelling(_) = phase {
            // The 200 crossed our CANCEL.
            if !mutant!("crossing_answer") {
                self.drop_leg(now, key);
            }
            return;
        }
        let accepted = self
            .legs
            .find_mut(key)
            .map(|leg| has_media(leg) && leg.media.is_agreed(&response.body));
        if accepted != Some(true) {
            let failed = match self.is_trunk(key) {
                true => call::Input::LegLost(no, Cause::MediaFailed),
                false => call::Input::LegFailed(no, OfferEnd::MediaFailed),
            };
            self.drop_leg(now, key);
            return self.tell_call(now, call, failed);
        }
        self.settle_source(key);
        self.set_remote(key);
        let snapshot = self.snapshot(call);
        self.tell_call(now, call, call::Input::LegAnswered { leg: no, snapshot });
    }

    /// An answer from before the crash. A 200 to the INVITE crossed our CANCEL: it gets ACK and BYE. The answer to the
    /// CANCEL tells the tag of a telephone that has its ACK already, its dialog not stored in time: BYE ends that, and is
    /// allowed in a dialog that only rings (RFC 3261 §15).
    fn end_unclaimed(&mut self, now: Now, client: ClientKey, response: &Response, path: Path) {
        if !response.is_success() {
            return;
        }
        let Some(request) = self.transactions.request_of(client) else {
            return;
        };
        let method = request.method.clone();
        let number = request.cseq().map_or(1, |cseq| cseq.number);
        let contact = self.our_contact(path);
        let Ok(dialog) = Dialog::uac(request, response, path, contact) else {
            return;
        };
        match method {
            Method::Invite => {
                let ack = dialog.create_ack(number);
                self.transactions
                    .ack(now.mono, client, dialog.target_path(), ack);
            }
            Method::Cancel => {}
            _ => return,
        }
        if self.ended_unclaimed.insert(dialog.key().clone()) {
            self.end_fork(now, dialog);
        }
    }

    /// A fork behind the device answered too: it has its ACK, and gets BYE.
    fn end_fork(&mut self, now: Now, mut dialog: Dialog) {
        let bye = dialog.create_request(Method::Bye);
        self.transactions
            .request(now.mono, dialog.target_path(), bye);
    }

    fn device_refused(&mut self, now: Now, key: LegKey, end: OfferEnd) {
        let Some(leg) = self.legs.find(key) else {
            return;
        };
        let (call, no, phase) = (leg.call, leg.no, leg.phase);
        self.forget_leg(key);
        if let Phase::Calling(_) = phase {
            self.tell_call(now, call, call::Input::LegFailed(no, end));
        }
    }
}
