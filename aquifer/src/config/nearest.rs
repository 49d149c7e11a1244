//! "Did you mean": the known name nearest to one that nobody knows.

/// `; did you mean X?`, or nothing where no name is near.
pub(super) fn hint<'a>(
    name: &str,
    known: impl IntoIterator<Item = impl AsRef<str> + 'a>,
) -> String {
    let nearest = known
        .into_iter()
        .map(|known| (distance(name, known.as_ref()), known.as_ref().to_owned()))
        .min();
    match nearest {
        Some((distance, known)) if distance <= name.len() / 3 + 1 => {
            format!("; did you mean {known}?")
        }
        _ => String::new(),
    }
}

/// Levenshtein's distance, in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_named_and_a_far_one_is_not() {
        assert_eq!(
            hint("num.partition", ["num.partitions", "log.dirs"]),
            "; did you mean num.partitions?"
        );
        assert_eq!(hint("zebra", ["num.partitions", "log.dirs"]), "");
        assert_eq!((distance("kitten", "sitting"), distance("", "ab")), (3, 2));
    }
}
