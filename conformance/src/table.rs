//! The table that a run prints, and its verdict.

use crossrealm_lab::Failure;

/// Longer cells are cut: the table is for eyes, the whole truth of a wrong row stands below it.
const WIDEST: usize = 64;
const HEADINGS: [&str; 4] = ["Case", "Sent by", "Expected", "Got"];

/// One case with its outcome.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was sent.
    pub case: String,
    /// Who sent it.
    pub by: String,
    /// What must come back.
    pub expected: String,
    /// What came back.
    pub got: String,
    /// What is wrong with that; empty when nothing is.
    pub wrong: Vec<String>,
    /// Why it is known to come out wrong; empty when it must not.
    pub gap: String,
}

impl Row {
    /// What a reader must know: wrong where nothing was known, or right where a gap was.
    pub fn complaints(&self) -> Vec<String> {
        if self.gap.is_empty() {
            self.wrong.clone()
        } else if self.wrong.is_empty() {
            vec![format!(
                "a known gap has closed, take its mark away: {}",
                self.gap
            )]
        } else {
            Vec::new()
        }
    }

    fn mark(&self) -> &'static str {
        match (self.complaints().is_empty(), self.gap.is_empty()) {
            (true, true) => "ok",
            (true, false) => "gap",
            (false, _) => "WRONG",
        }
    }

    fn cells(&self) -> [&str; 4] {
        [&self.case, &self.by, &self.expected, &self.got]
    }
}

/// Prints the rows and what is wrong with them.
///
/// # Errors
/// When a row is not as expected, or there is none.
pub(crate) fn print(rows: &[Row]) -> Result<(), Failure> {
    let widths: [usize; 4] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row.cells()[column].chars().count());
        cells
            .chain([HEADINGS[column].len()])
            .max()
            .unwrap_or(0)
            .min(WIDEST)
    });
    println!("{}", line("", HEADINGS, widths));
    for row in rows {
        println!("{}", line(row.mark(), row.cells(), widths));
        for complaint in row.complaints() {
            println!("        {complaint}");
        }
    }
    let wrong = rows
        .iter()
        .filter(|row| !row.complaints().is_empty())
        .count();
    let gaps = rows.iter().filter(|row| row.mark() == "gap").count();
    println!("\n{} cases, {wrong} wrong, {gaps} known gaps", rows.len());
    match (rows.len(), wrong) {
        (0, _) => Err(Failure::new("there is no case of that name")),
        (_, 0) => Ok(()),
        _ => Err(Failure::new(format!("{wrong} cases are not as expected"))),
    }
}

fn line(mark: &str, cells: [&str; 4], widths: [usize; 4]) -> String {
    let mut line = format!("{mark:5}");
    for (cell, width) in cells.iter().zip(widths) {
        let cut: String = match cell.chars().count() > width {
            true => cell.chars().take(width - 1).chain(['…']).collect(),
            false => (*cell).to_owned(),
        };
        line += &format!("  {cut:width$}");
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(wrong: &[&str], gap: &str) -> Row {
        let text = |text: &str| text.to_owned();
        let wrong = wrong.iter().map(|complaint| text(complaint)).collect();
        Row {
            case: text("c"),
            by: text("b"),
            expected: text("e"),
            got: text("g"),
            wrong,
            gap: text(gap),
        }
    }

    #[test]
    fn only_what_was_expected_passes() {
        assert!(print(&[row(&[], ""), row(&["not yet"], "why")]).is_ok());
        assert!(print(&[row(&["issued"], "")]).is_err());
        assert!(print(&[]).is_err());
    }

    #[test]
    fn a_gap_that_closed_fails_until_its_mark_is_gone() {
        assert!(print(&[row(&[], "why")]).is_err());
    }
}
