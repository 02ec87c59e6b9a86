//! Our offices and when they work.

use axum::{extract::State, http::StatusCode, response::Response};
use crm::{OfficeData, OfficeFilter};
use garde::Validate;
use model::{Date, Holiday, Hours, OfficeId, Opening, TimeOfDay, Weekday};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    body::{Body, MergePatch, Params, Path},
    etag::IfMatch,
    problem::Problem,
    resource::{self, Fields, Items, Stored},
};

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, change, remove))
}

/// An office.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfficeFields {
    /// What it is called; unique.
    #[garde(length(chars, min = 1, max = 200))]
    pub name: String,
    /// Name in the time-zone database.
    #[garde(custom(is_zone))]
    #[schema(example = "Europe/Moscow")]
    pub time_zone: String,
    /// The usual week: several openings of a day are allowed, a day without one is a day off.
    #[serde(default)]
    #[garde(length(max = 50), dive)]
    pub week: Vec<OpeningFields>,
    /// Days that differ from the usual week.
    #[serde(default)]
    #[garde(length(max = 500), dive)]
    pub holidays: Vec<HolidayFields>,
}

/// Hours of some days of the week.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpeningFields {
    /// `monday` to `sunday`.
    #[garde(length(min = 1, max = 7))]
    #[schema(value_type = Vec<String>)]
    pub days: Vec<Weekday>,
    /// From when.
    #[garde(skip)]
    #[schema(value_type = String, example = "09:00")]
    pub from: TimeOfDay,
    /// Till when, at most `24:00`; a night is written as two openings.
    #[garde(custom(is_after(&self.from)))]
    #[schema(value_type = String, example = "18:00")]
    pub to: TimeOfDay,
}

/// A day that differs: closed, unless hours are given.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HolidayFields {
    /// The day.
    #[garde(custom(is_day))]
    #[schema(value_type = String, example = "2026-12-31")]
    pub date: Date,
    /// What it is called.
    #[serde(default)]
    #[garde(length(chars, max = 200))]
    pub name: String,
    /// From when it is worked all the same.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pub from: Option<TimeOfDay>,
    /// Till when; given together with `from`.
    #[serde(default)]
    #[garde(custom(is_whole(&self.from)))]
    #[schema(value_type = Option<String>)]
    pub to: Option<TimeOfDay>,
}

fn is_zone(name: &str, _: &()) -> garde::Result {
    match routing::hours::zone(name) {
        Some(_) => Ok(()),
        None => Err(garde::Error::new(
            "is no time zone; expected a name such as Europe/Moscow",
        )),
    }
}

fn is_after(from: &TimeOfDay) -> impl FnOnce(&TimeOfDay, &()) -> garde::Result + '_ {
    move |to, ()| match from < to {
        true => Ok(()),
        false => Err(garde::Error::new(
            "must be later than from; write a night as two openings, till 24:00 and from 00:00",
        )),
    }
}

fn is_day(date: &Date, _: &()) -> garde::Result {
    match routing::hours::is_day(*date) {
        true => Ok(()),
        false => Err(garde::Error::new("is no day of the calendar")),
    }
}

fn is_whole(
    from: &Option<TimeOfDay>,
) -> impl FnOnce(&Option<TimeOfDay>, &()) -> garde::Result + '_ {
    move |to, ()| match (from, to) {
        (None, None) => Ok(()),
        (Some(from), Some(to)) if from < to => Ok(()),
        _ => Err(garde::Error::new(
            "must be later than from, or both must be left out",
        )),
    }
}

impl Fields for OfficeFields {
    type Data = OfficeData;

    fn of(data: OfficeData) -> Self {
        let Hours {
            time_zone,
            week,
            holidays,
        } = data.hours;
        let opening = |it: Opening| OpeningFields {
            days: it.days,
            from: it.from,
            to: it.to,
        };
        let holiday = |it: Holiday| HolidayFields {
            date: it.date,
            name: it.name,
            from: it.from,
            to: it.to,
        };
        Self {
            name: data.name,
            time_zone,
            week: week.into_iter().map(opening).collect(),
            holidays: holidays.into_iter().map(holiday).collect(),
        }
    }
}

impl From<OfficeFields> for OfficeData {
    fn from(fields: OfficeFields) -> Self {
        let opening = |it: OpeningFields| Opening {
            days: it.days,
            from: it.from,
            to: it.to,
        };
        let holiday = |it: HolidayFields| Holiday {
            date: it.date,
            name: it.name,
            from: it.from,
            to: it.to,
        };
        Self {
            name: fields.name,
            hours: Hours {
                time_zone: fields.time_zone,
                week: fields.week.into_iter().map(opening).collect(),
                holidays: fields.holidays.into_iter().map(holiday).collect(),
            },
        }
    }
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

/// List offices
#[utoipa::path(get, path = "/offices", tag = "offices", params(Query),
    responses((status = 200, body = Items<Stored<OfficeFields>>)))]
async fn list(
    State(state): State<ApiState>,
    Params(query): Params<Query>,
) -> Result<Items<Stored<OfficeFields>>, Problem> {
    let page = resource::page(query.cursor, query.limit)?;
    let offices = state.base.offices();
    Ok(resource::items(
        offices.list(&OfficeFilter {}, &page).await?,
    ))
}

/// Create an office
#[utoipa::path(post, path = "/offices", tag = "offices", request_body = OfficeFields,
    responses((status = 201, body = Stored<OfficeFields>), (status = 409), (status = 422)))]
async fn create(
    State(state): State<ApiState>,
    Body(fields): Body<OfficeFields>,
) -> Result<Response, Problem> {
    let office = state.base.offices().create(fields.into()).await?;
    state.directory.announce().await;
    Ok(Stored::<OfficeFields>::of(office).created())
}

/// Read an office
#[utoipa::path(get, path = "/offices/{id}", tag = "offices", params(("id" = String, Path)),
    responses((status = 200, body = Stored<OfficeFields>), (status = 404)))]
async fn read(
    State(state): State<ApiState>,
    Path(id): Path<OfficeId>,
) -> Result<Stored<OfficeFields>, Problem> {
    Ok(Stored::of(state.base.offices().read(id).await?))
}

/// Change an office
#[utoipa::path(patch, path = "/offices/{id}", tag = "offices", params(("id" = String, Path)),
    request_body(content = OfficeFields, content_type = "application/merge-patch+json"),
    responses((status = 200, body = Stored<OfficeFields>), (status = 404), (status = 412)))]
async fn change(
    State(state): State<ApiState>,
    if_match: IfMatch,
    Path(id): Path<OfficeId>,
    patch: MergePatch,
) -> Result<Stored<OfficeFields>, Problem> {
    let record = state.base.offices().read(id).await?;
    let fields: OfficeFields = resource::patched(&record, &if_match, patch)?;
    let changed = resource::replace(state.base.offices(), &record, fields.into()).await?;
    state.directory.announce().await;
    Ok(Stored::of(changed))
}

/// Remove an office that no line keeps the hours of
#[utoipa::path(delete, path = "/offices/{id}", tag = "offices", params(("id" = String, Path)),
    responses((status = 204), (status = 404), (status = 412), (status = 422)))]
async fn remove(
    State(state): State<ApiState>,
    if_match: IfMatch,
    Path(id): Path<OfficeId>,
) -> Result<StatusCode, Problem> {
    let record = state.base.offices().read(id).await?;
    let status = resource::remove(state.base.offices(), &record, &if_match).await?;
    state.directory.announce().await;
    Ok(status)
}
