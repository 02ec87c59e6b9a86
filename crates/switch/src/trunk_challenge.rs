//! A telephone company asks who we are whenever we send something, also to end a call.

use media::LegKey;
use model::{Credentials, Now, TrunkOutbound};
use sip::{Method, Response};

use crate::{
    leg::{Leg, Purpose, Side},
    switch::Switch,
    trunk_leg::answer_to_challenge,
};

/// What the trunk's challenges are answered with.
pub(crate) fn login(outbound: &TrunkOutbound) -> Option<Credentials> {
    let mut credentials = outbound.credentials.clone()?;
    if let Some(user) = &outbound.terms.auth_user {
        credentials.user.clone_from(user);
    }
    Some(credentials)
}

impl Switch {
    /// The credentials for the trunk of a leg.
    pub(crate) fn credentials_for(&self, leg: &Leg) -> Option<Credentials> {
        let Side::Trunk(trunk) = leg.side else {
            return None;
        };
        login(self.directory.trunk(trunk)?.outbound.as_ref()?)
    }

    /// The final answer to our BYE: the leg is gone, unless the trunk wants to know who says so (RFC 3261 §22.2).
    pub(crate) fn bye_answered(&mut self, now: Now, key: LegKey, response: &Response) {
        let again = matches!(response.status, 401 | 407) && self.bye_again(now, key, response);
        if !again {
            self.forget_leg(key);
        }
    }

    /// Says goodbye once more, with credentials; false if there are none, or they were refused.
    fn bye_again(&mut self, now: Now, key: LegKey, response: &Response) -> bool {
        let cnonce = self.tokens.tag();
        let leg = self.legs.find(key).filter(|leg| !leg.session.challenged);
        let Some(credentials) = leg.and_then(|leg| self.credentials_for(leg)) else {
            return false;
        };
        let Some(leg) = self.legs.find_mut(key) else {
            return false;
        };
        let Some(dialog) = &mut leg.dialog else {
            return false;
        };
        let mut bye = dialog.create_request(Method::Bye);
        let uri = bye.uri.to_string();
        let asked = (Method::Bye, uri.as_str());
        let Some((name, value)) = answer_to_challenge(response, &credentials, asked, &cnonce)
        else {
            return false;
        };
        leg.session.challenged = true;
        bye.headers.push(name, &value);
        let path = dialog.target_path();
        let client = self.transactions.request(now.mono, path, bye);
        self.legs.name_client(client, key, Purpose::Bye);
        true
    }
}
