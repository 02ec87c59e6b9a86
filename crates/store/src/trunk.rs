//! Connections to telephone companies.

use async_trait::async_trait;
use crm::{Result, TrunkData, TrunkFilter, fold};
use model::TrunkId;

use crate::{
    check,
    database::{Row, Value, args},
    failure::Outcome,
    memory::Shared,
    repository::Table,
    select::{Order, Select},
    words::{from_json, json},
    writer::Writing,
};

/// Most networks of a trunk.
const MOST_NETWORKS: usize = 100;

#[async_trait]
impl Table for TrunkData {
    const TABLE: &'static str = "trunks";
    const COLUMNS: &'static [&'static str] = &[
        "name",
        "name_fold",
        "networks",
        "media_networks",
        "trusted_identity",
        "called_in",
        "most_calls",
        "outbound",
    ];
    const ORDER: Order = Order::Name("name_fold");

    fn id(raw: i64) -> TrunkId {
        TrunkId(raw)
    }

    fn raw(id: TrunkId) -> i64 {
        id.0
    }

    fn prepare(&mut self, _shared: &Shared) -> Result<()> {
        check::text("name", &self.name, check::NAME)?;
        check::count("networks", self.networks.len(), MOST_NETWORKS)?;
        check::count("media_networks", self.media_networks.len(), MOST_NETWORKS)
    }

    fn values(&self) -> Vec<Value> {
        args![
            self.name.as_str(),
            fold(&self.name),
            json(&self.networks),
            json(&self.media_networks),
            self.trusted_identity,
            json(&self.called_in),
            self.most_calls,
            self.outbound.as_ref().map(json),
        ]
    }

    fn decode(row: &mut Row) -> std::result::Result<Self, sqlx::Error> {
        let name = row.text()?;
        row.skip(1);
        Ok(Self {
            name,
            networks: from_json(&row.text()?)?,
            media_networks: from_json(&row.text()?)?,
            trusted_identity: row.flag()?,
            called_in: from_json(&row.text()?)?,
            most_calls: row.opt_int()?.map(|it| it as u32),
            outbound: row.opt_text()?.map(|it| from_json(&it)).transpose()?,
        })
    }

    fn narrow(_filter: &TrunkFilter, _shared: &Shared, _select: &mut Select) {}

    fn sort_key(&self) -> String {
        fold(&self.name)
    }

    async fn save_rest(
        writing: &mut Writing,
        _id: i64,
        _old: Option<&Self>,
        _new: Option<&mut Self>,
    ) -> Outcome<()> {
        writing.directory_changed = true;
        Ok(())
    }
}
