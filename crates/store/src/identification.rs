//! Who calls: answered from the number index.

use async_trait::async_trait;
use crm::{Identification, Result};
use model::{CallerIdentity, ClientRef, LineId, UserId};

use crate::Store;

#[async_trait]
impl Identification for Store {
    async fn identify(&self, number: &str, line: Option<LineId>) -> Result<CallerIdentity> {
        if number.trim().is_empty() {
            return Ok(CallerIdentity {
                in_time: true,
                ..CallerIdentity::default()
            });
        }
        let normal = self.inner.shared.normal(number);
        let matches = self.inner.shared.memory().index.find(&normal, line);
        Ok(CallerIdentity {
            number: normal.normal.clone(),
            extension: normal.extension.clone(),
            region: normal.region.clone(),
            matches,
            in_time: true,
        })
    }

    async fn owner(&self, client: ClientRef) -> Result<Option<UserId>> {
        Ok(self.inner.shared.memory().index.owner(client))
    }
}
