//! Rows as aligned columns, within the width of a terminal.

use std::io;

/// Between two columns.
const GAP: usize = 2;
/// A column that is made narrower keeps this much.
const COLUMN_MIN: usize = 12;

/// How wide the terminal is; none where it does not say.
pub(super) fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Rows as aligned columns, each as wide as its widest cell.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    within(rows, None)
}

/// The same within `width`: the widest columns are made narrower, and their cells go over several lines.
pub(super) fn within(rows: &[Vec<String>], width: Option<usize>) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let natural =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| length(cell)).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..columns).map(natural).collect();
    if let Some(width) = width {
        narrow(&mut widths, width);
    }
    rows.iter().map(|row| lines(row, &widths)).collect()
}

/// Rounded up: what is used is never shown as nothing.
pub(super) fn mebibytes(bytes: &serde_json::Value) -> String {
    format!("{} MiB", bytes.as_u64().unwrap_or(0).div_ceil(1 << 20))
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Takes from the widest column, then from the next, until all fit or none can be narrower.
fn narrow(widths: &mut [usize], width: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    loop {
        let excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(width);
        let Some(widest) = widths.iter_mut().max().filter(|widest| excess > 0 && **widest > COLUMN_MIN) else { return };
        *widest = widest.saturating_sub(excess).max(COLUMN_MIN);
    }
}

/// One row, as many lines as its longest cell takes.
fn lines(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<Vec<String>> = row.iter().zip(widths).map(|(cell, width)| wrapped(cell, *width)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    for line in 0..height {
        let parts = cells.iter().zip(widths).map(|(cell, width)| {
            let part = cell.get(line).map_or("", String::as_str);
            format!("{part:<width$}")
        });
        text.push_str(parts.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Broken between words; a word that is too long is cut.
fn wrapped(cell: &str, width: usize) -> Vec<String> {
    if length(cell) <= width {
        return vec![cell.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in cell.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        let line = lines.last_mut().expect("there is one");
        if length(line) + 1 + word.len() <= width || line.is_empty() && word.len() <= width {
            if !line.is_empty() {
                line.push(' ');
            }
            line.extend(word);
            continue;
        }
        while word.len() > width {
            lines.push(word.drain(..width.max(1)).collect());
        }
        lines.push(word.into_iter().collect());
    }
    lines.retain(|line| !line.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        vec![
            row(["SERVICE", "PERMISSIONS", "P50"]),
            row(["orders", "call users, postgres orders (read-write)", "1 ms"]),
        ]
    }

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let expected = "SERVICE  PERMISSIONS                               P50\n\
                        orders   call users, postgres orders (read-write)  1 ms\n";
        assert_eq!(table(&rows()), expected);
        assert_eq!(within(&rows(), Some(200)), expected);
    }

    #[test]
    fn a_narrow_terminal_gets_more_lines_and_loses_nothing() {
        let text = within(&rows(), Some(40));
        assert!(text.lines().all(|line| length(line) <= 40), "{text}");
        let expected = "SERVICE  PERMISSIONS                P50\n\
                        orders   call users, postgres       1 ms\n         orders (read-write)\n";
        assert_eq!(text, expected);
        let words = |text: &str| text.split_whitespace().count();
        assert_eq!(words(&within(&rows(), Some(10))), words(&table(&rows())), "not even where it cannot fit");
    }

    #[test]
    fn a_word_that_is_too_long_is_cut() {
        assert_eq!(wrapped("a sha256:0123456789 b", 8), ["a", "sha256:0", "12345678", "9 b"]);
    }
}
