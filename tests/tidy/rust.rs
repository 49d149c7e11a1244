//! Just enough of Rust's lexer to tell code from comments and strings, and what is built from what only tests build.
//!
//! Text that is taken out is replaced by spaces, so that lines keep their numbers.

/// A file taken apart. Both halves have the length of the file.
pub(crate) struct Parts {
    /// Code alone: comments, strings and characters are blank.
    pub(crate) code: String,
    /// Comments alone.
    pub(crate) comments: String,
}

/// Takes a file apart.
pub(crate) fn parts(text: &str) -> Parts {
    let bytes = text.as_bytes();
    let (mut code, mut comments) = (blank(bytes), blank(bytes));
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = at
            + match rest {
                [b'/', b'/', ..] => until(rest, b"\n"),
                [b'/', b'*', ..] => until(rest, b"*/"),
                [b'"', ..] => quoted(rest),
                [b'r', b'"' | b'#', ..] if !follows_word(bytes, at) => raw(rest),
                [b'\'', ..] => character(rest),
                _ => 0,
            };
        if end == at {
            code[at] = bytes[at];
            at += 1;
            continue;
        }
        if rest.starts_with(b"//") || rest.starts_with(b"/*") {
            comments[at..end].copy_from_slice(&bytes[at..end]);
        }
        at = end;
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Parts { code: text(code), comments: text(comments) }
}

/// Code without the inline modules that only tests build.
pub(crate) fn without_test_modules(code: &str) -> String {
    let mut bytes = code.as_bytes().to_vec();
    for (start, _) in code.match_indices("#[cfg(test)]") {
        let item = code[start + "#[cfg(test)]".len()..].trim_start();
        let is_module =
            ["mod ", "pub mod ", "pub(crate) mod "].iter().any(|head| item.starts_with(head));
        let open = start + code[start..].find('{').unwrap_or(code.len() - start);
        let semicolon = start + code[start..].find(';').unwrap_or(code.len() - start);
        if is_module && open < semicolon {
            let end = closing_brace(&bytes, open);
            bytes[start..end]
                .iter_mut()
                .filter(|byte| **byte != b'\n')
                .for_each(|byte| *byte = b' ');
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The modules that stand in files of their own and that only tests build.
pub(crate) fn test_module_files(code: &str) -> Vec<String> {
    let declared = |(start, head): (usize, &str)| {
        let item = code[start + head.len()..].trim_start();
        let item =
            item.strip_prefix("pub(crate) ").or_else(|| item.strip_prefix("pub ")).unwrap_or(item);
        let name =
            item.strip_prefix("mod ")?.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        item[4 + name.len()..].starts_with(';').then(|| name.to_owned())
    };
    code.match_indices("#[cfg(test)]").filter_map(declared).collect()
}

/// The lines, counted from 1, that hold a pattern as whole words.
pub(crate) fn lines_with(code: &str, pattern: &str) -> Vec<usize> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let ends_in_word = pattern.ends_with(word);
    let whole = |line: &str| {
        line.match_indices(pattern).any(|(at, _)| {
            let after = line[at + pattern.len()..].starts_with(word);
            !(line[..at].ends_with(word) || ends_in_word && after)
        })
    };
    code.lines().enumerate().filter(|(_, line)| whole(line)).map(|(index, _)| index + 1).collect()
}

fn blank(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }).collect()
}

fn until(rest: &[u8], end: &[u8]) -> usize {
    rest.windows(end.len()).position(|window| window == end).map_or(rest.len(), |at| at + end.len())
}

fn follows_word(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1)
        .is_some_and(|before| bytes[before].is_ascii_alphanumeric() || bytes[before] == b'_')
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`; a raw identifier is no string.
fn raw(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let end = [&b"\""[..], &b"#".repeat(hashes)].concat();
    let open = 2 + hashes;
    open + until(&rest[open..], &end)
}

/// `'x'`, `'\n'`; a lifetime is no character.
fn character(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        return 3 + until(&rest[3.min(rest.len())..], b"'");
    }
    let text = String::from_utf8_lossy(&rest[1..rest.len().min(6)]);
    let width = text.chars().next().map_or(0, char::len_utf8);
    if rest.get(1 + width) == Some(&b'\'') { width + 2 } else { 0 }
}

fn closing_brace(code: &[u8], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.iter().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn comments_strings_and_characters_are_no_code() {
    let text = "let a = \"x // y\\\"\"; // note\nlet b = r#\"raw \" todo\"#; /* c */ let c = '\"'; let d: &'a str = '\\'';\n";
    let parts = parts(text);
    assert_eq!(
        parts.code.split_whitespace().collect::<Vec<_>>().join(" "),
        "let a = ; let b = ; let c = ; let d: &'a str = ;"
    );
    assert_eq!(parts.comments.split_whitespace().collect::<Vec<_>>().join(" "), "// note /* c */");
    assert_eq!((parts.code.len(), parts.code.lines().count()), (text.len(), 2));
}

#[test]
fn modules_of_tests_are_told_from_the_rest() {
    let code = "use a;\n#[cfg(test)]\nmod tests {\n  fn b() { rand::x() }\n}\n#[cfg(test)]\npub(crate) mod fixtures;\nfn c() { tokio::d() }\n";
    let built = without_test_modules(code);
    assert_eq!((lines_with(&built, "rand"), lines_with(&built, "tokio")), (vec![], vec![8]));
    assert_eq!(test_module_files(code), ["fixtures"]);
    assert_eq!(lines_with("operand brand::a\n rand::b", "rand"), [2]);
}
