//! Whether trunks outside can reach us at all: a configuration that can be used and is most likely not meant so.

use std::net::SocketAddr;

use crm::Base;
use model::Trunk;

use crate::{
    config::{Checked, is_public},
    store_open,
};

/// What `check-config` warns of. A database that cannot be opened has no trunks to warn of.
pub(crate) async fn warnings(checked: &Checked) -> Vec<String> {
    let private = |address: &SocketAddr| !is_public(address.ip());
    let hidden = checked.config.network.public_address.is_none();
    if !hidden || !checked.sip_listen.iter().all(private) {
        return Vec::new();
    }
    let Ok(store) = store_open::open(checked, false).await else {
        return Vec::new();
    };
    let directory = store.settings().directory().await;
    store.close().await;
    let trunks = directory.map(|directory| directory.trunks);
    let outside = trunks.unwrap_or_default().into_iter().filter(is_outside);
    outside.map(|trunk| warning(&trunk)).collect()
}

/// A name is taken for one of the internet: nobody is asked for it here.
fn is_outside(trunk: &Trunk) -> bool {
    let networks = trunk
        .networks
        .iter()
        .any(|network| is_public(network.addr()));
    let proxy = trunk
        .outbound
        .as_ref()
        .is_some_and(|it| it.proxy.ip().is_none_or(is_public));
    networks || proxy
}

fn warning(trunk: &Trunk) -> String {
    format!(
        "warning: the trunk \"{}\" is on the internet, [sip] listen is private and [network] public_address is not set; \
         set it to the address by which the trunk reaches you",
        trunk.name
    )
}
