//! The PBX's view of the settings, and its bindings.

use async_trait::async_trait;
use crm::{
    DeviceData, LineData, OfficeData, PageRequest, Record, Repository, Resource, Result, Settings,
    TrunkData, UserData,
};
use model::{
    Agent, Binding, Deputy, Device, DeviceId, Directory, Line, Office, OfficeId, Skill, Trunk,
};

use crate::{
    Store,
    database::args,
    failure::{Failure, Outcome},
    select,
    words::{from_json, json},
    work::Change,
    writer::Writing,
};

/// Most bindings kept of a device.
const MOST_BINDINGS: usize = 32;

struct SaveBindings {
    device: DeviceId,
    bindings: Vec<Binding>,
}

#[async_trait]
impl Change for SaveBindings {
    type Output = ();

    async fn apply(&self, writing: &mut Writing) -> Outcome<()> {
        let sql = "DELETE FROM bindings WHERE device_id = $1";
        writing.conn.execute(sql, &args![self.device.0]).await?;
        if self.bindings.is_empty() {
            return Ok(());
        }
        let sql = select::insert("bindings", "device_id, place, body", 3, self.bindings.len());
        let mut values = Vec::with_capacity(self.bindings.len() * 3);
        for (place, binding) in self.bindings.iter().enumerate() {
            values.extend(args![self.device.0, place as i64, json(binding)]);
        }
        writing.conn.execute(&sql, &values).await?;
        Ok(())
    }
}

#[async_trait]
impl Settings for Store {
    async fn directory(&self) -> Result<Directory> {
        let users = self.all::<UserData>().await?;
        let devices = self.all::<DeviceData>().await?;
        let lines = self.all::<LineData>().await?;
        let trunks = self.all::<TrunkData>().await?;
        let offices = self.all::<OfficeData>().await?;
        let deputies = users.iter().filter_map(|it| {
            let (user, deputy) = (it.id, it.data.deputy?);
            Some(Deputy { user, deputy })
        });
        let mut directory = Directory {
            deputies: deputies.collect(),
            absences: self.absences_ahead().await?,
            agents: users.into_iter().filter_map(agent).collect(),
            devices: devices.into_iter().map(device).collect(),
            trunks: trunks.into_iter().map(trunk).collect(),
            offices: offices.into_iter().map(office).collect(),
            ..Directory::default()
        };
        for Record { id, data, .. } in lines {
            let skill = |it: &crm::LineSkill| Skill {
                user: it.user,
                line: id,
                level: it.level,
            };
            directory.skills.extend(data.skills.iter().map(skill));
            directory.lines.push(Line {
                id,
                aliases: self.inner.shared.numbering().aliases(&data.number),
                number: data.normal,
                name: data.name,
                channel: data.channel,
                ring_timeout_secs: data.ring_timeout_secs,
                recorded: data.recorded,
                language: data.language,
                queue: data.queue,
                office: data.office,
                reception: data.reception,
            });
        }
        Ok(directory)
    }

    async fn save_bindings(&self, device: DeviceId, mut bindings: Vec<Binding>) -> Result<()> {
        bindings.truncate(MOST_BINDINGS);
        self.write(SaveBindings { device, bindings }).await
    }

    async fn bindings(&self) -> Result<Vec<Binding>> {
        let sql = "SELECT body FROM bindings ORDER BY device_id, place";
        let mut bindings = Vec::new();
        for mut row in self.rows(sql, &[]).await? {
            let body = row.text().map_err(Failure::Database)?;
            bindings.push(from_json(&body).map_err(Failure::Database)?);
        }
        Ok(bindings)
    }
}

impl Store {
    /// Every record of a kind that is set up by hand and therefore not numerous.
    async fn all<D: Resource>(&self) -> Result<Vec<Record<D::Id, D>>>
    where
        Self: Repository<D>,
    {
        let mut all = Vec::new();
        let mut request = PageRequest::first(PageRequest::MOST);
        loop {
            let page = Repository::<D>::list(self, &D::Filter::default(), &request).await?;
            all.extend(page.items);
            match page.next {
                Some(next) => request = PageRequest::after(next, PageRequest::MOST),
                None => return Ok(all),
            }
        }
    }
}

fn agent(user: Record<model::UserId, UserData>) -> Option<Agent> {
    let data = user.data;
    Some(Agent {
        user: user.id,
        name: data.name,
        short_number: data.short_number?,
        away: data.away,
        ring_timeout_secs: data.ring_timeout_secs,
        wrap_up_secs: data.wrap_up_secs,
        may_call: data.may_call,
        call_waiting: data.call_waiting,
    })
}

fn device(device: Record<DeviceId, DeviceData>) -> Device {
    let data = device.data;
    Device {
        id: device.id,
        user: data.user,
        name: data.name,
        auth_user: data.auth_user,
        ha1_md5: data.ha1_md5,
        ha1_sha256: data.ha1_sha256,
        digest: data.digest,
        media_source: data.media_source,
        number: data.number,
        ring_after_secs: data.ring_after_secs,
    }
}

fn office(office: Record<OfficeId, OfficeData>) -> Office {
    let OfficeData { name, hours } = office.data;
    Office {
        id: office.id,
        name,
        hours,
    }
}

fn trunk(trunk: Record<model::TrunkId, TrunkData>) -> Trunk {
    let data = trunk.data;
    Trunk {
        id: trunk.id,
        name: data.name,
        networks: data.networks,
        media_networks: data.media_networks,
        trusted_identity: data.trusted_identity,
        called_in: data.called_in,
        most_calls: data.most_calls,
        outbound: data.outbound,
    }
}
