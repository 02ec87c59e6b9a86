//! Lists: conditions that come and go, and pages by the last row's place.

use crm::{Error, Page, PageRequest};

use crate::database::Value;

/// A `SELECT` under construction. `?` in conditions becomes the next placeholder.
pub(crate) struct Select {
    sql: String,
    args: Vec<Value>,
}

/// Where a list continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// By a text column, then by id.
    Name(&'static str),
    /// By descending id: the newest first.
    Newest,
}

impl Select {
    /// Begins with everything up to and including a first condition.
    pub(crate) fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            args: Vec::new(),
        }
    }

    pub(crate) fn and(&mut self, condition: &str, values: Vec<Value>) {
        self.sql.push_str(" AND (");
        self.push(condition, values);
        self.sql.push(')');
    }

    fn push(&mut self, text: &str, values: Vec<Value>) {
        let mut parts = text.split('?');
        self.sql.extend(parts.next());
        for (part, value) in parts.zip(values) {
            self.args.push(value);
            self.sql.push('$');
            self.sql.push_str(&self.args.len().to_string());
            self.sql.push_str(part);
        }
    }

    /// Text in a folded column.
    pub(crate) fn and_contains(&mut self, column: &str, text: Option<&str>) {
        let folded = text.map(crm::fold).unwrap_or_default();
        if !folded.is_empty() {
            let condition = format!("{column} LIKE ? ESCAPE '\\'");
            self.and(&condition, vec![Value::Text(Some(pattern(&folded)))]);
        }
    }

    /// A number column that must have this value, if one is given.
    pub(crate) fn and_int(&mut self, column: &str, value: Option<i64>) {
        if value.is_some() {
            self.and(&format!("{column} = ?"), vec![Value::Int(value)]);
        }
    }

    /// Narrows to the page after the cursor and ends the statement. `alias` is the table's, with a
    /// dot. One row more than the page has is asked for: it tells whether there is a next page.
    pub(crate) fn paged(
        mut self,
        alias: &str,
        order: Order,
        page: &PageRequest,
    ) -> crm::Result<(String, Vec<Value>)> {
        if let Some(cursor) = &page.cursor {
            let (name, id) = read_cursor(cursor)?;
            match order {
                Order::Name(column) => {
                    let column = format!("{alias}{column}");
                    self.and(
                        &format!("{column} > ? OR ({column} = ? AND {alias}id > ?)"),
                        vec![
                            Value::Text(Some(name.clone())),
                            Value::Text(Some(name)),
                            Value::Int(Some(id)),
                        ],
                    );
                }
                Order::Newest => self.and(&format!("{alias}id < ?"), vec![Value::Int(Some(id))]),
            }
        }
        match order {
            Order::Name(column) => {
                self.sql
                    .push_str(&format!(" ORDER BY {alias}{column}, {alias}id"));
            }
            Order::Newest => self.sql.push_str(&format!(" ORDER BY {alias}id DESC")),
        }
        self.sql.push_str(&format!(" LIMIT {}", page.rows() + 1));
        Ok((self.sql, self.args))
    }
}

/// `LIKE` pattern for text that contains `folded`.
fn pattern(folded: &str) -> String {
    let mut pattern = String::with_capacity(folded.len() + 2);
    pattern.push('%');
    for c in folded.chars().take(100) {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// Cuts the row that was read too many and makes the cursor of the next page.
pub(crate) fn page<T>(
    mut items: Vec<T>,
    request: &PageRequest,
    place: impl Fn(&T) -> (String, i64),
) -> Page<T> {
    let rows = request.rows() as usize;
    let more = items.len() > rows;
    items.truncate(rows);
    let next = items.last().filter(|_| more).map(|last| {
        let (name, id) = place(last);
        write_cursor(&name, id)
    });
    Page { items, next }
}

/// Placeholders `$first, …` for `count` values.
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    let mut list = String::with_capacity(count * 5);
    for n in first..first + count {
        if n > first {
            list.push_str(", ");
        }
        list.push('$');
        list.push_str(&n.to_string());
    }
    list
}

/// A multi-row `INSERT INTO table (columns) VALUES …` for `rows` rows of `width` values.
pub(crate) fn insert(table: &str, columns: &str, width: usize, rows: usize) -> String {
    let mut sql = format!("INSERT INTO {table} ({columns}) VALUES ");
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        sql.push_str(&placeholders(row * width + 1, width));
        sql.push(')');
    }
    sql
}

// Hexadecimal, so that nobody is tempted to read or build one.
fn write_cursor(name: &str, id: i64) -> String {
    format!("{id:016x}")
        .into_bytes()
        .iter()
        .chain(name.as_bytes())
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn read_cursor(cursor: &str) -> crm::Result<(String, i64)> {
    let wrong = || Error::invalid("cursor", "is not one of ours: take the page's next");
    let bytes: Option<Vec<u8>> = (0..cursor.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(cursor.get(at..at + 2)?, 16).ok())
        .collect();
    let text = String::from_utf8(bytes.ok_or_else(wrong)?).map_err(|_| wrong())?;
    let (id, name) = text.split_at_checked(16).ok_or_else(wrong)?;
    let id = i64::from_str_radix(id, 16).map_err(|_| wrong())?;
    Ok((name.to_owned(), id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_and_nonsense_is_refused() {
        let cursor = write_cursor("ежов", 77);
        assert_eq!(read_cursor(&cursor).unwrap(), ("ежов".to_owned(), 77));
        for bad in ["", "7", "zz", "é", &cursor[..20]] {
            assert!(
                matches!(read_cursor(bad), Err(Error::Invalid { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn conditions_number_their_placeholders_and_patterns_are_escaped() {
        let mut select = Select::new("SELECT id FROM t WHERE 1 = 1");
        select.and_contains("name_fold", Some("50%_"));
        select.and_int("manager", Some(4));
        select.and_int("skipped", None);
        let (sql, args) = select
            .paged("", Order::Newest, &PageRequest::first(2))
            .unwrap();
        assert_eq!(
            sql,
            "SELECT id FROM t WHERE 1 = 1 AND (name_fold LIKE $1 ESCAPE '\\') AND (manager = $2) \
             ORDER BY id DESC LIMIT 3"
        );
        assert_eq!(args[0], Value::Text(Some("%50\\%\\_%".to_owned())));
    }

    #[test]
    fn insert_numbers_every_row() {
        assert_eq!(
            insert("t", "a, b", 2, 2),
            "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4)"
        );
    }
}
