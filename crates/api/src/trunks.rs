//! Connections to telephone companies.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use crm::{Record, TrunkData, TrunkFilter};
use garde::Validate;
use ipnet::IpNet;
use model::{
    CalledIn, CallerId, Credentials, NumberFormat, Proxy, TrunkId, TrunkOutbound, TrunkTerms,
    VoiceCodec,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::{Body, MergePatch, Params, Path},
    etag::{IfMatch, tag_of},
    problem::Problem,
    resource::{self, Fields, Items, Stored},
    trunk_states::ShownState,
};

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, change, remove))
}

/// A trunk.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrunkFields {
    /// What the administrator calls it; unique.
    #[garde(length(chars, min = 1, max = 100))]
    pub name: String,
    /// Where its signalling comes from: addresses or networks such as `203.0.113.0/24`.
    ///
    /// A trunk that registers, or whose proxy has a name, may leave it out: calls from its proxy's addresses are its own.
    #[serde(default)]
    #[garde(length(max = 64), custom(named_somewhere(&self.outbound)))]
    #[schema(value_type = Vec<String>)]
    pub networks: Vec<Network>,
    /// Where its media may come from, besides the address in its SDP.
    #[serde(default)]
    #[garde(length(max = 64))]
    #[schema(value_type = Vec<String>)]
    pub media_networks: Vec<Network>,
    /// P-Asserted-Identity from it is believed (RFC 3325).
    #[serde(default)]
    #[garde(skip)]
    pub trusted_identity: bool,
    /// Where it says which of our numbers is called: `automatic` (the request URI; where we register, To first),
    /// `request_uri`, `to`, or a field as in `header:P-Called-Party-ID`.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = String, example = "automatic")]
    pub called_number: CalledIn,
    /// Most simultaneous calls; none for no limit of its own.
    #[serde(default)]
    #[garde(range(min = 1))]
    pub most_calls: Option<u32>,
    /// How calls leave by it; none if it only brings calls.
    #[serde(default)]
    #[garde(dive)]
    pub outbound: Option<OutboundFields>,
}

/// How calls leave by a trunk.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutboundFields {
    /// Where its INVITEs go: an address with or without port, such as `203.0.113.7:5060`, or a name that is looked up in
    /// the DNS (RFC 3263), such as `sip.provider.example`; with `;transport=tcp` or `tls` behind it if need be. Calls from
    /// where the name leads are the trunk's own.
    #[garde(skip)]
    #[schema(value_type = String, example = "sip.provider.example")]
    pub proxy: Proxy,
    /// Of several trunks the lowest is tried first, the next one when it fails.
    #[serde(default)]
    #[garde(skip)]
    pub priority: u8,
    /// Our number, as the called party is to see it.
    #[garde(length(chars, min = 1, max = 32))]
    pub caller_number: String,
    /// Host of From and of the request URI; none for the proxy's address.
    #[serde(default)]
    #[garde(length(chars, min = 1, max = 253), inner(custom(is_host)))]
    pub domain: Option<String>,
    /// Where our number stands: `from` or `asserted_identity` (P-Asserted-Identity, RFC 3325).
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = String, example = "from")]
    pub caller_id: CallerId,
    /// How the called number is written: `e164` (+74951234567), `e164_digits` (74951234567) or `national` (84951234567).
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = String, example = "e164")]
    pub number_format: NumberFormat,
    /// User name for its challenges; none if it knows us by our address.
    #[serde(default)]
    #[garde(length(chars, min = 1, max = 100), inner(custom(is_plain)))]
    pub user: Option<String>,
    /// Password for its challenges; never shown. A change that leaves it out keeps the one that is stored.
    #[serde(default, skip_serializing)]
    #[garde(length(chars, min = 1, max = 200))]
    #[schema(write_only)]
    pub password: Option<String>,
    /// We register with it as `user` at `domain`, and its calls come in by that; needs `user` and `password`.
    #[serde(default)]
    #[garde(custom(has_user(&self.user)))]
    pub register: bool,
    /// For how long we ask to be registered, in seconds; the provider may grant less.
    #[serde(default = "model::records::default_register_secs")]
    #[garde(range(min = 60, max = 3600))]
    pub register_secs: u32,
    /// User name in answers to challenges, if it is not `user`.
    #[serde(default)]
    #[garde(length(chars, min = 1, max = 100), inner(custom(is_plain)))]
    pub auth_user: Option<String>,
    /// User of From; none for our number, or for `user` where the number stands elsewhere.
    #[serde(default)]
    #[garde(length(chars, min = 1, max = 100), inner(custom(is_plain)))]
    pub from_user: Option<String>,
    /// Host of From; none for `domain`.
    #[serde(default)]
    #[garde(length(chars, min = 1, max = 253), inner(custom(is_host)))]
    pub from_domain: Option<String>,
    /// Whether the agent hears what comes before the answer, such as announcements; otherwise our own ringing.
    #[serde(default = "yes")]
    #[garde(skip)]
    pub early_media: bool,
    /// Codecs that may be used, the preferred one first: `pcma`, `pcmu`; none for all.
    #[serde(default)]
    #[garde(length(max = 2))]
    #[schema(value_type = Vec<String>, example = json!(["pcma", "pcmu"]))]
    pub codecs: Vec<VoiceCodec>,
}

fn yes() -> bool {
    true
}

fn named_somewhere<'a>(
    outbound: &'a Option<OutboundFields>,
) -> impl FnOnce(&[Network], &()) -> garde::Result + 'a {
    move |networks, _| {
        let named = |it: &OutboundFields| it.register || it.proxy.ip().is_none();
        if !networks.is_empty() || outbound.as_ref().is_some_and(named) {
            return Ok(());
        }
        Err(garde::Error::new(
            "must name at least one network, or the trunk must register or have a proxy with a name",
        ))
    }
}

fn has_user(user: &Option<String>) -> impl FnOnce(&bool, &()) -> garde::Result + '_ {
    move |register, _| match (register, user) {
        (true, None) => Err(garde::Error::new("needs user and password")),
        _ => Ok(()),
    }
}

fn is_host(host: &str, _: &()) -> garde::Result {
    let allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    if host.bytes().all(allowed) {
        return Ok(());
    }
    Err(garde::Error::new("must be a host name or an address"))
}

fn is_plain(text: &str, _: &()) -> garde::Result {
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(garde::Error::new(
        "must be visible ASCII characters without spaces",
    ))
}

impl From<TrunkOutbound> for OutboundFields {
    fn from(outbound: TrunkOutbound) -> Self {
        Self {
            proxy: outbound.proxy,
            priority: outbound.priority,
            caller_number: outbound.caller_number,
            domain: outbound.domain,
            caller_id: outbound.caller_id,
            number_format: outbound.number_format,
            user: outbound.credentials.map(|it| it.user),
            password: None,
            register: outbound.register,
            register_secs: outbound.register_secs,
            auth_user: outbound.terms.auth_user,
            from_user: outbound.terms.from_user,
            from_domain: outbound.terms.from_domain,
            early_media: outbound.terms.early_media,
            codecs: outbound.terms.codecs,
        }
    }
}

impl From<OutboundFields> for TrunkOutbound {
    fn from(fields: OutboundFields) -> Self {
        let password = fields.password.unwrap_or_default();
        Self {
            proxy: fields.proxy,
            priority: fields.priority,
            caller_number: fields.caller_number,
            domain: fields.domain,
            caller_id: fields.caller_id,
            number_format: fields.number_format,
            credentials: fields.user.map(|user| Credentials { user, password }),
            register: fields.register,
            register_secs: fields.register_secs,
            terms: TrunkTerms {
                auth_user: fields.auth_user,
                from_user: fields.from_user,
                from_domain: fields.from_domain,
                early_media: fields.early_media,
                codecs: fields.codecs,
            },
        }
    }
}

/// The stored password stays if a change does not name one.
fn keep_password(new: &mut TrunkData, old: &TrunkData) {
    let stored = old.outbound.as_ref().and_then(|it| it.credentials.as_ref());
    let wanted = new.outbound.as_mut().and_then(|it| it.credentials.as_mut());
    if let (Some(wanted), Some(stored)) = (wanted, stored) {
        if wanted.password.is_empty() && wanted.user == stored.user {
            wanted.password.clone_from(&stored.password);
        }
    }
}

/// An address or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Network(pub IpNet);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let network = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| {
            serde::de::Error::custom(
                "not a network: expected an address such as 203.0.113.7 or a network such as \
                 203.0.113.0/24",
            )
        })
    }
}

impl Fields for TrunkFields {
    type Data = TrunkData;

    fn of(data: TrunkData) -> Self {
        Self {
            name: data.name,
            networks: data.networks.into_iter().map(Network).collect(),
            media_networks: data.media_networks.into_iter().map(Network).collect(),
            trusted_identity: data.trusted_identity,
            called_number: data.called_in,
            most_calls: data.most_calls,
            outbound: data.outbound.map(Into::into),
        }
    }
}

impl From<TrunkFields> for TrunkData {
    fn from(fields: TrunkFields) -> Self {
        let plain = |networks: Vec<Network>| networks.into_iter().map(|one| one.0).collect();
        Self {
            name: fields.name,
            networks: plain(fields.networks),
            media_networks: plain(fields.media_networks),
            trusted_identity: fields.trusted_identity,
            called_in: fields.called_number,
            most_calls: fields.most_calls,
            outbound: fields.outbound.map(Into::into),
        }
    }
}

/// A stored trunk and how it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShownTrunk {
    /// What is stored.
    #[serde(flatten)]
    pub stored: Stored<TrunkFields>,
    /// How it stands; read only.
    #[schema(read_only)]
    pub state: ShownState,
}

impl ShownTrunk {
    fn of(state: &ApiState, record: Record<TrunkId, TrunkData>) -> Self {
        Self {
            state: state.trunk_states.shown(record.id),
            stored: Stored::of(record),
        }
    }
}

impl IntoResponse for ShownTrunk {
    fn into_response(self) -> Response {
        let tag = tag_of(self.stored.version);
        ([(header::ETAG, tag)], Json(self)).into_response()
    }
}

/// Where we register, a password has to be known: given now, or stored before.
fn check_password(trunk: &TrunkData) -> Result<(), Problem> {
    let registers = trunk.outbound.as_ref().filter(|it| it.register);
    let credentials = registers.and_then(|it| it.credentials.as_ref());
    if credentials.is_some_and(|it| it.password.is_empty()) {
        return Err(Problem::field("outbound.password", "is needed to register"));
    }
    Ok(())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, usually 50.
    limit: Option<u32>,
}

/// List trunks
#[utoipa::path(get, path = "/trunks", tag = "trunks", params(Query),
    responses((status = 200, body = Items<ShownTrunk>)))]
async fn list(
    State(state): State<ApiState>,
    Params(query): Params<Query>,
) -> Result<Items<ShownTrunk>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let trunks = state.base.trunks().list(&TrunkFilter {}, &page).await?;
    Ok(trunks.map(|trunk| ShownTrunk::of(&state, trunk)).into())
}

/// Create a trunk
#[utoipa::path(post, path = "/trunks", tag = "trunks", request_body = TrunkFields,
    responses((status = 201, body = ShownTrunk), (status = 409), (status = 422)))]
async fn create(
    State(state): State<ApiState>,
    Body(fields): Body<TrunkFields>,
) -> Result<Response, Problem> {
    let trunk = state.base.trunks().create(fields.into()).await?;
    state.directory.announce().await;
    Ok(Stored::<TrunkFields>::of(trunk).created())
}

/// Read a trunk
#[utoipa::path(get, path = "/trunks/{id}", tag = "trunks", params(("id" = String, Path)),
    responses((status = 200, body = ShownTrunk), (status = 404)))]
async fn read(
    State(state): State<ApiState>,
    Path(id): Path<TrunkId>,
) -> Result<ShownTrunk, Problem> {
    let trunk = state.base.trunks().read(id).await?;
    Ok(ShownTrunk::of(&state, trunk))
}

/// Change a trunk
#[utoipa::path(patch, path = "/trunks/{id}", tag = "trunks", params(("id" = String, Path)),
    request_body(content = TrunkFields, content_type = "application/merge-patch+json"),
    responses((status = 200, body = ShownTrunk), (status = 404), (status = 412)))]
async fn change(
    State(state): State<ApiState>,
    if_match: IfMatch,
    Path(id): Path<TrunkId>,
    patch: MergePatch,
) -> Result<ShownTrunk, Problem> {
    let record = state.base.trunks().read(id).await?;
    let fields: TrunkFields = resource::patched(&record, &if_match, patch)?;
    let mut data: TrunkData = fields.into();
    keep_password(&mut data, &record.data);
    check_password(&data)?;
    let changed = resource::replace(state.base.trunks(), &record, data).await?;
    state.directory.announce().await;
    Ok(ShownTrunk::of(&state, changed))
}

/// Remove a trunk
#[utoipa::path(delete, path = "/trunks/{id}", tag = "trunks", params(("id" = String, Path)),
    responses((status = 204), (status = 404), (status = 412)))]
async fn remove(
    State(state): State<ApiState>,
    if_match: IfMatch,
    Path(id): Path<TrunkId>,
) -> Result<StatusCode, Problem> {
    let record = state.base.trunks().read(id).await?;
    let status = resource::remove(state.base.trunks(), &record, &if_match).await?;
    state.directory.announce().await;
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> TrunkFields {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn each_providers_template_is_accepted_once_its_words_are_filled_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/trunks");
        let files = std::fs::read_dir(folder).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let templates: Vec<_> = paths
            .filter(|path| path.extension().is_some_and(|it| it == "json"))
            .collect();
        assert_eq!(templates.len(), 6);
        for path in templates {
            let text = std::fs::read_to_string(&path).unwrap();
            let filled = text
                .replace("{PROXY}", "203.0.113.7")
                .replace("{DOMAIN}", "sip.provider.example")
                .replace("{NUMBER}", "+7 495 123-45-01")
                .replace("{USER}", "office")
                .replace("{PASSWORD}", "secret");
            assert!(!filled.contains("{N") && !filled.contains("{P"), "{path:?}");
            let trunk = read(&filled);
            trunk.validate().unwrap();
            assert!(trunk.outbound.is_some_and(|it| it.register), "{path:?}");
        }
    }

    #[test]
    fn names_are_accepted_and_rubbish_is_refused() {
        let trunk = |proxy: &str, more: &str| {
            let outbound = format!(r#""proxy":"{proxy}","caller_number":"1""#);
            let text = format!(r#"{{"name":"x","outbound":{{{outbound}}}{more}}}"#);
            serde_json::from_str::<TrunkFields>(&text).map_err(|error| error.to_string())
        };
        for proxy in [
            "sip.provider.example",
            "provider.example:5080;transport=tcp",
        ] {
            let fields = trunk(proxy, "").unwrap();
            fields.validate().unwrap();
            assert_eq!(fields.outbound.unwrap().proxy.to_string(), proxy);
        }
        for proxy in [
            "",
            "sip:provider.example",
            "203.0.113.256",
            "a b",
            "x;transport=ws",
        ] {
            let error = trunk(proxy, "").unwrap_err();
            assert!(error.contains("expected an address or a name"), "{error}");
        }
        let place = trunk(
            "x.example",
            r#","called_number":"header:P-Called-Party-ID""#,
        );
        assert_eq!(
            place.unwrap().called_number.to_string(),
            "header:P-Called-Party-ID"
        );
        let error = trunk("x.example", r#","called_number":"from""#).unwrap_err();
        assert!(error.contains("expected automatic"), "{error}");
        // An address alone says nothing of who may call.
        assert!(trunk("203.0.113.7", "").unwrap().validate().is_err());
    }

    #[test]
    fn registering_needs_a_user_and_stands_for_a_network() {
        let trunk = |more: &str| {
            let outbound = r#""proxy":"203.0.113.7:5060","caller_number":"1""#;
            read(&format!(
                r#"{{"name":"x","networks":[],"outbound":{{{outbound}{more}}}}}"#
            ))
        };
        let refused = |more: &str| trunk(more).validate().unwrap_err().to_string();
        assert!(refused(r#","register":true"#).contains("outbound.register"));
        assert!(refused("").contains("networks"));
        let short = r#","register":true,"user":"a","register_secs":59"#;
        assert!(refused(short).contains("outbound.register_secs"));
        let good = r#","register":true,"user":"a""#;
        trunk(good).validate().unwrap();
    }
}
