//! What the demo prints.

/// What follows, in a line of its own.
pub(crate) fn heading(text: &str) {
    println!("\n── {text}");
}

/// A command as a user would type it.
pub(crate) fn command(text: &str) {
    println!("$ {text}");
}

/// What came of it.
pub(crate) fn say(text: &str) {
    println!("  {text}");
}

/// The beginning of a long text.
pub(crate) fn short(text: &str) -> String {
    const CHARACTERS: usize = 400;
    let start: String = text.chars().take(CHARACTERS).collect();
    if start.len() < text.len() { format!("{start}…") } else { start }
}
