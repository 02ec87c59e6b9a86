//! Numbers of persons and organisations, as rows of their own.

use crm::{Error, NormalNumber, Number, Result};
use model::NumberId;

use crate::{
    check,
    database::{Value, args},
    failure::Outcome,
    memory::Shared,
    repository::Reader,
    select,
    words::{from_word, word},
    writer::Writing,
};

/// Whose numbers: the column that says so.
#[derive(Clone, Copy)]
pub(crate) enum Owner {
    Person,
    Organisation,
}

impl Owner {
    pub(crate) fn column(self) -> &'static str {
        match self {
            Self::Person => "person_id",
            Self::Organisation => "organisation_id",
        }
    }
}

/// Computes the normal forms and refuses what is no number.
pub(crate) fn prepare(numbers: &mut [Number], shared: &Shared) -> Result<()> {
    check::count("numbers", numbers.len(), crm::number::MOST_PER_CLIENT)?;
    for number in numbers {
        check::text("numbers", &number.typed, crm::number::MOST_TYPED)?;
        let normal = shared.normal(&number.typed);
        if !normal.normal.bytes().any(|b| b.is_ascii_digit()) {
            return Err(Error::invalid("numbers", "must have digits"));
        }
        number.id = None;
        number.normal = normal.normal.clone();
        number.extension = normal.extension.clone();
    }
    Ok(())
}

/// The form that the index takes.
pub(crate) fn normal(number: &Number) -> NormalNumber {
    NormalNumber {
        normal: number.normal.clone(),
        extension: number.extension.clone(),
        region: None,
        public: number.normal.starts_with('+'),
    }
}

/// The numbers of all these owners, each with its owner's id.
pub(crate) async fn load(
    reader: &mut Reader<'_>,
    condition: &str,
    ids: &[Value],
    owner: Owner,
) -> Outcome<Vec<(i64, Number)>> {
    let column = owner.column();
    let sql = format!(
        "SELECT {column}, id, typed, normal, extension, kind FROM numbers WHERE {condition} ORDER BY {column}, place"
    );
    let rows = reader.rows(&sql, ids).await?;
    let mut numbers = Vec::with_capacity(rows.len());
    for mut row in rows {
        let owner = row.int()?;
        numbers.push((
            owner,
            Number {
                id: Some(NumberId(row.int()?)),
                typed: row.text()?,
                normal: row.text()?,
                extension: row.opt_text()?,
                kind: from_word(&row.text()?)?,
            },
        ));
    }
    Ok(numbers)
}

/// Replaces the numbers of one owner. A number typed as before keeps its id.
pub(crate) async fn save(
    writing: &mut Writing,
    owner: Owner,
    id: i64,
    old: &[Number],
    new: &mut [Number],
) -> Outcome<()> {
    for number in new.iter_mut() {
        let same = old
            .iter()
            .find(|it| it.typed == number.typed)
            .and_then(|it| it.id);
        number.id = same.or_else(|| Some(NumberId(writing.make_id())));
    }
    // Typed twice, a number would have the same id twice.
    for at in 1..new.len() {
        if new[..at].iter().any(|it| it.id == new[at].id) {
            new[at].id = Some(NumberId(writing.make_id()));
        }
    }
    if old == new {
        return Ok(());
    }
    if !old.is_empty() {
        let sql = format!("DELETE FROM numbers WHERE {} = $1", owner.column());
        writing.conn.execute(&sql, &args![id]).await?;
    }
    if new.is_empty() {
        return Ok(());
    }
    let columns = format!(
        "id, place, typed, normal, extension, kind, {}",
        owner.column()
    );
    let sql = select::insert("numbers", &columns, 7, new.len());
    let mut values = Vec::with_capacity(new.len() * 7);
    for (place, number) in new.iter().enumerate() {
        values.extend(args![
            number.id.map(|it| it.0),
            place as i64,
            number.typed.as_str(),
            number.normal.as_str(),
            number.extension.as_deref(),
            word(&number.kind),
            id,
        ]);
    }
    writing.conn.execute(&sql, &values).await?;
    Ok(())
}
