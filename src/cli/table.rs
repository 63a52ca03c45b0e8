//! Columns that line up.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::report;

/// Rows of cells. Whatever a cell holds, it stays within its line.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    indent: &'static str,
}

impl Table {
    /// A table with these words above its columns.
    pub(super) fn with_header(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|word| (*word).to_owned()).collect()], indent: "" }
    }

    /// A table below something, without a header.
    pub(super) fn indented() -> Self {
        Self { rows: Vec::new(), indent: "  " }
    }

    pub(super) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let plain = |cell: T| match cell.as_ref() {
            cell if cell.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') => cell.into(),
            cell => report::escape(cell.replace(['\n', '\t'], " ").as_bytes()),
        };
        self.rows.push(cells.into_iter().map(plain).collect());
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut line = String::new();
        for row in &self.rows {
            line.clear();
            line.push_str(self.indent);
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, "{cell:<width$}  ");
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_do_not_end_in_blanks() {
        let mut table = Table::with_header(&["ID", "USER", "TAGS"]);
        table.row(["vm01", "ö", ""]);
        table.row(["a\nb", "\x1b[2J", "x, y"]);
        let mut shown = Vec::new();
        table.write(&mut shown).unwrap();
        let expected = "ID    USER     TAGS\nvm01  ö\na b   \\x1b[2J  x, y\n";
        assert_eq!(String::from_utf8(shown).unwrap(), expected);
    }
}
