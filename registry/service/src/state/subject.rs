//! Names of subjects and the contexts they are in: `orders-value`, `:.staging:orders-value`.

/// The context of a subject that names none.
pub(crate) const DEFAULT_CONTEXT: &str = ".";
/// A context for configuration that holds wherever nothing nearer is set.
pub(crate) const GLOBAL_CONTEXT: &str = ":.__GLOBAL:";
/// A prefix that stands for all contexts.
pub(crate) const ALL_CONTEXTS: &str = ":*:";

/// The context and the name within it.
pub(crate) fn split(subject: &str) -> (&str, &str) {
    let Some(rest) = subject.strip_prefix(':').filter(|rest| rest.starts_with('.')) else {
        return (DEFAULT_CONTEXT, subject);
    };
    rest.split_once(':').unwrap_or((rest, ""))
}

/// The context of a subject, starting with a dot.
pub(crate) fn context_of(subject: &str) -> &str {
    split(subject).0
}

/// The same subject in its shortest spelling: the default context is not written.
pub(crate) fn normalize(subject: &str) -> String {
    let (context, name) = split(subject);
    qualify(context, name)
}

fn qualify(context: &str, name: &str) -> String {
    if context == DEFAULT_CONTEXT { name.to_owned() } else { format!(":{context}:{name}") }
}

/// The subject a reference means: one without context is in its parent's.
pub(crate) fn within(parent: &str, referenced: &str) -> String {
    if referenced.starts_with(":.") {
        return normalize(referenced);
    }
    qualify(context_of(parent), referenced)
}

/// The subject under which a context's own configuration is kept; none for the default context.
pub(crate) fn context_subject(subject: &str) -> Option<String> {
    let context = context_of(subject);
    (context != DEFAULT_CONTEXT).then(|| qualify(context, ""))
}

/// Whether a schema may be registered under this name.
pub(crate) fn is_valid(subject: &str) -> bool {
    let (_, name) = split(subject);
    is_valid_for_config(subject) && !name.is_empty()
}

/// Whether configuration may be kept under this name: contexts as well.
pub(crate) fn is_valid_for_config(subject: &str) -> bool {
    let (_, name) = split(subject);
    !subject.is_empty()
        && !subject.chars().any(char::is_control)
        && !matches!(name, "__GLOBAL" | "__EMPTY")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_split_into_context_and_name() {
        for (subject, expected) in [
            ("orders-value", (".", "orders-value")),
            (":.staging:orders", (".staging", "orders")),
            (":.staging:", (".staging", "")),
            (":.staging", (".staging", "")),
            (":orders", (".", ":orders")),
            (":.:orders", (".", "orders")),
            ("a:b", (".", "a:b")),
        ] {
            assert_eq!(split(subject), expected, "{subject}");
        }
        assert_eq!(normalize(":.:orders"), "orders");
        assert_eq!(within(":.staging:a", "b"), ":.staging:b");
        assert_eq!(within("a", ":.staging:b"), ":.staging:b");
        assert_eq!(context_subject(":.staging:a").as_deref(), Some(":.staging:"));
        assert_eq!(context_subject("a"), None);
    }
}
