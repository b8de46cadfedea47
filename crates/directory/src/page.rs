//! Pages of long lists.

/// A page of a list: at most `limit` records (1 to 1000) after the record named `after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The `next` of the previous page; `None` starts at the beginning.
    pub after: Option<String>,
    /// The most records to return; clamped to 1 to [`Page::MAX_LIMIT`].
    pub limit: u32,
}

impl Page {
    /// The most records in one page.
    pub const MAX_LIMIT: u32 = 1000;

    /// The first page, of the largest size.
    pub fn first() -> Self {
        Self {
            after: None,
            limit: Self::MAX_LIMIT,
        }
    }

    pub(crate) fn limit(&self) -> i64 {
        i64::from(self.limit.clamp(1, Self::MAX_LIMIT))
    }

    /// The text after which the page starts; empty for the beginning.
    pub(crate) fn after(&self) -> String {
        self.after.clone().unwrap_or_default()
    }

    /// The page of these items. Only a full page may have a next one.
    pub(crate) fn paged<T>(&self, items: Vec<T>, name: impl Fn(&T) -> String) -> Paged<T> {
        let full = i64::try_from(items.len()).is_ok_and(|len| len >= self.limit());
        let next = items.last().filter(|_| full).map(name);
        Paged { items, next }
    }
}

/// The records of one [`Page`], and where the next one starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged<T> {
    /// The records, in the order of the list.
    pub items: Vec<T>,
    /// The `after` of the next page; `None` at the end.
    pub next: Option<String>,
}
