//! The users' telephones. The secret is shown once; what is stored are the digest's HA1 values.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use crm::{Device, DeviceData, DeviceFilter, MOST_RING_AFTER_SECS};
use garde::Validate;
use md5::{Digest, Md5};
use model::{DeviceId, DigestOffer, MediaSource, UserId};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::{Body, MergePatch, Params, Path},
    etag::{IfMatch, tag_of},
    password,
    problem::Problem,
    resource::{self, Fields, Items, Stored},
};

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, change, remove))
        .routes(routes!(renew_secret))
}

/// A telephone.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceFields {
    /// Id of the user whose it is.
    #[garde(skip)]
    #[schema(value_type = String)]
    pub user: UserId,
    /// What the user calls it.
    #[garde(length(chars, min = 1, max = 100))]
    pub name: String,
    /// User name of the telephone's account; letters, digits, `.`, `_`, `-`. Made by us if absent;
    /// fixed once the device exists, since the secret belongs to it.
    #[serde(default)]
    #[garde(inner(custom(is_auth_user)))]
    pub auth_user: Option<String>,
    /// Which digest algorithms it is offered: `md5` (every phone), `sha256` or `both`.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = String, example = "md5")]
    pub digest: DigestOffer,
    /// Where its media may come from: `automatic`, `sdp` or `signalling_ip`.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = String, example = "automatic")]
    pub media_source: MediaSource,
    /// The number of a telephone elsewhere, such as `+7 916 123-45-67`: called by a trunk, and whoever answers presses 1
    /// to take the call. It has no account then; a telephone that registers with us has none.
    #[serde(default)]
    #[garde(length(chars, min = 1, max = 64))]
    pub number: Option<String>,
    /// How many seconds (0–60) after the others a telephone elsewhere rings; 0, unless said otherwise: together with
    /// them.
    #[serde(default)]
    #[garde(range(max = MOST_RING_AFTER_SECS))]
    pub ring_after_secs: u32,
}

fn is_auth_user(name: &str, _: &()) -> garde::Result {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err(garde::Error::new(
        "must be 1 to 64 letters, digits, dots, underscores or hyphens",
    ))
}

impl Fields for DeviceFields {
    type Data = DeviceData;

    fn of(data: DeviceData) -> Self {
        Self {
            user: data.user,
            name: data.name,
            auth_user: Some(data.auth_user).filter(|_| data.number.is_none()),
            digest: data.digest,
            media_source: data.media_source,
            number: data.number,
            ring_after_secs: data.ring_after_secs,
        }
    }
}

/// What the telephone logs in with.
#[derive(Debug, Serialize, ToSchema)]
struct WithSecret {
    #[serde(flatten)]
    device: Stored<DeviceFields>,
    /// The secret of the account. It is shown this once; a telephone elsewhere has none.
    secret: Option<String>,
    /// The realm of the digest, which some telephones want to be told.
    realm: String,
}

impl WithSecret {
    fn respond(state: &ApiState, status: StatusCode, device: Device, secret: String) -> Response {
        let secret = Some(secret).filter(|_| device.data.number.is_none());
        let device = Stored::of(device);
        let tag = tag_of(device.version);
        let body = Self {
            device,
            secret,
            realm: state.settings.realm.clone(),
        };
        (status, [(header::ETAG, tag)], Json(body)).into_response()
    }
}

/// RFC 7616 §3.4.2: A1 is user, realm and password; MD5 and SHA-256 of it in lower-case hex.
fn ha1(auth_user: &str, realm: &str, secret: &str) -> (String, String) {
    let a1 = format!("{auth_user}:{realm}:{secret}");
    (
        hex::encode(Md5::digest(a1.as_bytes())),
        hex::encode(Sha256::digest(a1.as_bytes())),
    )
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Only this user's.
    #[param(value_type = Option<String>)]
    user: Option<UserId>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1–200, usually 50.
    limit: Option<u32>,
}

/// List devices
#[utoipa::path(get, path = "/devices", tag = "devices", params(Query),
    responses((status = 200, body = Items<Stored<DeviceFields>>)))]
async fn list(
    State(state): State<ApiState>,
    Params(query): Params<Query>,
) -> Result<Items<Stored<DeviceFields>>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let filter = DeviceFilter { user: query.user };
    Ok(resource::items(
        state.base.devices().list(&filter, &page).await?,
    ))
}

/// Create a device; the answer has its secret
#[utoipa::path(post, path = "/devices", tag = "devices", request_body = DeviceFields,
    responses((status = 201, body = WithSecret), (status = 409), (status = 422)))]
async fn create(
    State(state): State<ApiState>,
    Body(fields): Body<DeviceFields>,
) -> Result<Response, Problem> {
    if fields.number.is_none() && fields.ring_after_secs > 0 {
        return Err(Problem::field(
            "ring_after_secs",
            "is for a telephone elsewhere: give its number, or 0",
        ));
    }
    if fields.number.is_some() && fields.auth_user.is_some() {
        return Err(Problem::field(
            "auth_user",
            "must be absent: a telephone with a number elsewhere has no account",
        ));
    }
    // Also one elsewhere: nobody may ever log in as it.
    let secret = password::make();
    let auth_user = fields
        .auth_user
        .unwrap_or_else(|| format!("d{:010}", rand::random::<u32>()));
    let (ha1_md5, ha1_sha256) = ha1(&auth_user, &state.settings.realm, &secret);
    let data = DeviceData {
        user: fields.user,
        name: fields.name,
        auth_user,
        ha1_md5,
        ha1_sha256,
        digest: fields.digest,
        media_source: fields.media_source,
        number: fields.number,
        ring_after_secs: fields.ring_after_secs,
    };
    let device = state.base.devices().create(data).await?;
    state.directory.announce().await;
    Ok(WithSecret::respond(
        &state,
        StatusCode::CREATED,
        device,
        secret,
    ))
}

/// Read a device
#[utoipa::path(get, path = "/devices/{id}", tag = "devices", params(("id" = String, Path)),
    responses((status = 200, body = Stored<DeviceFields>), (status = 404)))]
async fn read(
    State(state): State<ApiState>,
    Path(id): Path<DeviceId>,
) -> Result<Stored<DeviceFields>, Problem> {
    Ok(Stored::of(state.base.devices().read(id).await?))
}

/// Change a device
#[utoipa::path(patch, path = "/devices/{id}", tag = "devices", params(("id" = String, Path)),
    request_body(content = DeviceFields, content_type = "application/merge-patch+json"),
    responses((status = 200, body = Stored<DeviceFields>), (status = 404), (status = 412)))]
async fn change(
    State(state): State<ApiState>,
    if_match: IfMatch,
    Path(id): Path<DeviceId>,
    patch: MergePatch,
) -> Result<Stored<DeviceFields>, Problem> {
    let record = state.base.devices().read(id).await?;
    let fields: DeviceFields = resource::patched(&record, &if_match, patch)?;
    if fields.number.is_some() != record.data.number.is_some() {
        return Err(Problem::field(
            "number",
            "cannot come or go, since the account goes with it; create another device",
        ));
    }
    let account = Some(&record.data.auth_user).filter(|_| record.data.number.is_none());
    if fields.auth_user.as_ref() != account {
        return Err(Problem::field(
            "auth_user",
            "cannot change, since the secret belongs to it; create another device",
        ));
    }
    let data = DeviceData {
        user: fields.user,
        name: fields.name,
        digest: fields.digest,
        media_source: fields.media_source,
        number: fields.number,
        ring_after_secs: fields.ring_after_secs,
        ..record.data.clone()
    };
    let changed = resource::replace(state.base.devices(), &record, data).await?;
    state.directory.announce().await;
    Ok(Stored::of(changed))
}

/// Give a device a new secret; the old one is void
#[utoipa::path(post, path = "/devices/{id}/secret", tag = "devices",
    params(("id" = String, Path)),
    responses((status = 200, body = WithSecret), (status = 404), (status = 412)))]
async fn renew_secret(
    State(state): State<ApiState>,
    if_match: IfMatch,
    Path(id): Path<DeviceId>,
) -> Result<Response, Problem> {
    let record = state.base.devices().read(id).await?;
    if_match.check(record.version)?;
    if record.data.number.is_some() {
        return Err(Problem::field(
            "number",
            "belongs to a telephone elsewhere, which has no secret",
        ));
    }
    let secret = password::make();
    let (ha1_md5, ha1_sha256) = ha1(&record.data.auth_user, &state.settings.realm, &secret);
    let data = DeviceData {
        ha1_md5,
        ha1_sha256,
        ..record.data.clone()
    };
    let device = resource::replace(state.base.devices(), &record, data).await?;
    state.directory.announce().await;
    Ok(WithSecret::respond(&state, StatusCode::OK, device, secret))
}

/// Remove a device
#[utoipa::path(delete, path = "/devices/{id}", tag = "devices", params(("id" = String, Path)),
    responses((status = 204), (status = 404), (status = 412)))]
async fn remove(
    State(state): State<ApiState>,
    if_match: IfMatch,
    Path(id): Path<DeviceId>,
) -> Result<StatusCode, Problem> {
    let record = state.base.devices().read(id).await?;
    let status = resource::remove(state.base.devices(), &record, &if_match).await?;
    state.directory.announce().await;
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ha1_is_that_of_rfc_7616() {
        // RFC 7616 §3.9.1: user Mufasa, realm http-auth@example.org, password Circle of Life; the
        // values are those from which the RFC's responses come.
        let (md5, sha256) = ha1("Mufasa", "http-auth@example.org", "Circle of Life");
        assert_eq!(md5, "3d78807defe7de2157e2b0b6573a855f");
        assert_eq!(
            sha256,
            "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232"
        );
    }
}
