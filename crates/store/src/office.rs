//! Offices and their hours.

use async_trait::async_trait;
use crm::{Error, OfficeData, OfficeFilter, Result, fold};
use model::{Hours, OfficeId};

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

/// Most openings of a week.
const MOST_OPENINGS: usize = 50;
/// Most days that differ.
const MOST_HOLIDAYS: usize = 500;

#[async_trait]
impl Table for OfficeData {
    const TABLE: &'static str = "offices";
    const COLUMNS: &'static [&'static str] = &["name", "name_fold", "hours"];
    const ORDER: Order = Order::Name("name_fold");

    fn id(raw: i64) -> OfficeId {
        OfficeId(raw)
    }

    fn raw(id: OfficeId) -> i64 {
        id.0
    }

    fn prepare(&mut self, _shared: &Shared) -> Result<()> {
        check::text("name", &self.name, check::NAME)?;
        check::text("time_zone", &self.hours.time_zone, 100)?;
        check_hours(&self.hours)
    }

    fn values(&self) -> Vec<Value> {
        args![self.name.as_str(), fold(&self.name), json(&self.hours)]
    }

    fn decode(row: &mut Row) -> std::result::Result<Self, sqlx::Error> {
        let name = row.text()?;
        row.skip(1);
        Ok(Self {
            name,
            hours: from_json(&row.text()?)?,
        })
    }

    fn narrow(_filter: &OfficeFilter, _shared: &Shared, _select: &mut Select) {}

    fn sort_key(&self) -> String {
        fold(&self.name)
    }

    async fn save_rest(
        writing: &mut Writing,
        id: i64,
        _old: Option<&Self>,
        new: Option<&mut Self>,
    ) -> Outcome<()> {
        writing.directory_changed = true;
        if new.is_none() {
            let sql = "SELECT name FROM lines WHERE office_id = $1 AND removed_at IS NULL ORDER BY id LIMIT 1";
            if let Some(mut line) = writing.conn.rows(sql, &args![id]).await?.into_iter().next() {
                let line = line.text()?;
                let why = format!(
                    "keeps the hours of the line \"{line}\"; give that line another office first"
                );
                return Err(Error::invalid("office", why).into());
            }
        }
        Ok(())
    }
}

fn check_hours(hours: &Hours) -> Result<()> {
    check::count("week", hours.week.len(), MOST_OPENINGS)?;
    check::count("holidays", hours.holidays.len(), MOST_HOLIDAYS)?;
    if hours
        .week
        .iter()
        .any(|it| it.days.is_empty() || it.days.len() > 7)
    {
        return Err(Error::invalid(
            "week",
            "must name one to seven days for each opening",
        ));
    }
    if hours.week.iter().any(|it| it.from >= it.to) {
        let why = "has an opening that ends before it begins; write a night as two, till 24:00 and from 00:00";
        return Err(Error::invalid("week", why));
    }
    for holiday in &hours.holidays {
        check::optional("holidays", Some(&holiday.name), check::NAME)?;
        let whole = match (holiday.from, holiday.to) {
            (None, None) => true,
            (Some(from), Some(to)) => from < to,
            _ => false,
        };
        if !whole {
            let why = format!(
                "must give {} both a beginning and a later end, or neither",
                holiday.date
            );
            return Err(Error::invalid("holidays", why));
        }
    }
    let mut dates: Vec<_> = hours.holidays.iter().map(|it| it.date).collect();
    dates.sort_unstable();
    match dates.windows(2).find(|two| two[0] == two[1]) {
        Some(twice) => Err(Error::invalid(
            "holidays",
            format!("must name {} once", twice[0]),
        )),
        None => Ok(()),
    }
}
