//! The rule for names of systems, services and databases: they become host names, role names and folders.

/// # Errors
/// What is wrong with it, and what it could be instead.
pub fn check(name: &str) -> Result<(), String> {
    let right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(right) {
        return Ok(());
    }
    let mut suggestion: String = name.to_lowercase().chars().map(|c| if right(c) { c } else { '-' }).collect();
    suggestion = suggestion.trim_start_matches(|c: char| !c.is_ascii_lowercase()).chars().take(63).collect();
    let rule = "names are up to 63 lower-case letters, digits and `-`, a letter first";
    match suggestion.is_empty() {
        true => Err(format!("`{name}` cannot be a name; {rule}")),
        false => Err(format!("`{name}` cannot be a name, write `{suggestion}`; {rule}")),
    }
}
