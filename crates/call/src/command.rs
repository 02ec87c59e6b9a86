//! What people order, and what the switch tells besides the facts of a call.

use std::net::SocketAddr;

use model::{AgentChanged, Binding, CallId, DeviceId, TrunkId, TrunkState, UserId};

use crate::{Control, ControlRefused};

/// Names an order until it is answered; chosen by whoever gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderId(pub u64);

/// Why an ordered call is not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderRefused {
    /// The user has no short number.
    NotAnAgent,
    /// None of the agent's telephones is registered.
    NoTelephone,
    /// The agent is in a call, or is being offered one.
    InCall,
    /// The number is none.
    NoSuchNumber,
    /// It is a colleague's: those are dialled from the telephone.
    Colleague,
    /// The agent may not call this far.
    NotAllowed,
    /// No trunk takes calls out.
    NoTrunk,
    /// The limit of calls is reached, or the process is stopping.
    NoRoom,
}

/// An order to the switch from the API, the workspace or a signal handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The agent goes away or comes back.
    SetAway {
        /// Who.
        agent: UserId,
        /// Away, or back.
        away: bool,
    },
    /// The agent ends the wrap-up time early.
    EndWrapUp {
        /// Who.
        agent: UserId,
    },
    /// Call a client (O1): the agent's telephones ring first. Answered by [`Notice::Ordered`].
    Call {
        /// To be named with the answer.
        order: OrderId,
        /// Who calls.
        agent: UserId,
        /// Whom, as typed.
        number: String,
    },
    /// Do something with a running call (S6). Answered by [`Notice::Controlled`].
    Control(Control),
    /// Refuse new calls with 503; running ones go on.
    Drain,
    /// End every call now: the process is about to stop.
    Shutdown,
}

/// What the switch tells the rooms around it; nobody waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An agent's state changed.
    Agent(AgentChanged),
    /// The bindings of a device are now these: to be stored.
    Bindings {
        /// The device.
        device: DeviceId,
        /// All of its bindings.
        bindings: Vec<Binding>,
    },
    /// A request was refused: one log line.
    Refused(Refusal),
    /// A call that was ordered has begun, or why not.
    Ordered {
        /// Which order.
        order: OrderId,
        /// The call.
        outcome: Result<CallId, OrderRefused>,
    },
    /// Something was done with a running call and stands in the journal, or why it is not done.
    Controlled {
        /// Which order.
        order: OrderId,
        /// Whether it was done.
        outcome: Result<(), ControlRefused>,
    },
    /// The state of a trunk changed.
    Trunk {
        /// The trunk.
        trunk: TrunkId,
        /// What the administrator calls it.
        name: String,
        /// Its state; none once it is not watched any more.
        state: Option<TrunkState>,
    },
    /// The process was told to stop and the last call is gone.
    Drained,
}

/// A refused REGISTER or INVITE, with reason and remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The request's method.
    pub method: String,
    /// Where it came from.
    pub source: SocketAddr,
    /// Which account or number, as the request says.
    pub account: String,
    /// The status we answered.
    pub status: u16,
    /// Why.
    pub reason: &'static str,
    /// What the administrator can do.
    pub remedy: &'static str,
}
