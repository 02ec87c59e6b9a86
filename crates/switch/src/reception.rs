//! How lines receive their callers: hours of the office, and what the keys of a menu mean (T7).

use call::{Choice, Closed, MenuFor, Service};
use model::{CallId, Destination, Line, LineId, Now};

use crate::switch::Switch;

impl Switch {
    /// How a line receives a caller at this moment.
    pub(crate) fn service(&self, now: Now, line: &Line) -> Service {
        let office = line.office.and_then(|office| self.directory.hours(office));
        let closed = office.filter(|office| !office.is_open(now.utc));
        let reception = &line.reception;
        Service {
            line: line.id,
            recorded: line.recorded,
            queue: line.queue,
            closed: closed.map(|office| Closed {
                opens_at: office.opens_at(now.utc),
                instead: reception.closed_line,
            }),
            announces: reception.announcement.is_some(),
            notice: reception.recording_notice,
            menu: reception.menu.as_ref().map(|menu| match menu.known_pass {
                true => MenuFor::Unassigned,
                false => MenuFor::Everybody,
            }),
            voicemail: reception.voicemail,
        }
    }

    /// How another line receives the caller who is sent there.
    pub(crate) fn turn(&self, now: Now, line: LineId) -> call::Input {
        let line = self.directory.line(line);
        call::Input::Turned(line.map(|line| self.service(now, line)))
    }

    /// What keys mean in the menu that the caller hears.
    pub(crate) fn choose(&self, now: Now, call: CallId, keys: &str) -> call::Input {
        let menu = self.served_line(call);
        let Some(menu) = menu.and_then(|line| line.reception.menu.as_ref()) else {
            return call::Input::Understood {
                choice: None,
                more: false,
            };
        };
        let mut choices = menu.choices.iter();
        let by_key = choices.find(|choice| keys.chars().eq([choice.key]));
        let by_key = by_key.and_then(|choice| self.choice(now, choice.to));
        let colleague = self.directory.colleague(keys).filter(|_| menu.extensions);
        let agent = colleague.map(|agent| Choice {
            to: Destination::Agent(agent.user),
            service: None,
        });
        let more = menu.extensions && self.directory.begins_short_number(keys);
        call::Input::Understood {
            choice: by_key.or(agent),
            more,
        }
    }

    /// Nothing if the line or the colleague is not there any more.
    fn choice(&self, now: Now, to: Destination) -> Option<Choice> {
        let service = match to {
            Destination::Line(line) => Some(self.service(now, self.directory.line(line)?)),
            Destination::Agent(agent) => {
                self.agents.state(agent)?;
                None
            }
            Destination::Voicemail => None,
        };
        Some(Choice { to, service })
    }
}
