//! Pages of lists, by cursor.

use serde::{Deserialize, Serialize};

/// One page of a list in a stable order: rows added or removed meanwhile neither double nor hide
/// others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// At most as many as were asked for.
    pub items: Vec<T>,
    /// Where the next page begins; none on the last one. Opaque.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The same page with every item converted.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(convert).collect(),
            next: self.next,
        }
    }
}

/// Which page is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRequest {
    /// [`Page::next`] of the page before; none for the first page.
    pub cursor: Option<String>,
    /// How many rows; [`PageRequest::USUAL`] if none, held between 1 and [`PageRequest::MOST`].
    pub limit: Option<u32>,
}

impl PageRequest {
    /// Rows on a page when nobody says.
    pub const USUAL: u32 = 50;
    /// Most rows on a page.
    pub const MOST: u32 = 200;

    /// The first page with `limit` rows.
    pub fn first(limit: u32) -> Self {
        Self {
            cursor: None,
            limit: Some(limit),
        }
    }

    /// The page after one whose [`Page::next`] was `cursor`.
    pub fn after(cursor: impl Into<String>, limit: u32) -> Self {
        Self {
            cursor: Some(cursor.into()),
            limit: Some(limit),
        }
    }

    /// How many rows the page has at most: 1–200.
    pub fn rows(&self) -> u32 {
        self.limit.unwrap_or(Self::USUAL).clamp(1, Self::MOST)
    }
}
