//! A chain in few words.

/// Most names in a repeated group.
const LONGEST_GROUP: usize = 8;

/// `names` joined by commas, a group that follows itself written once with its count.
pub(super) fn summary(names: &[&str]) -> String {
    let mut parts = Vec::new();
    let mut rest = names;
    while let Some(first) = rest.first() {
        // The group that stands for most names; of those, the shortest.
        let times = |length: usize| {
            let groups = rest.chunks_exact(length);
            groups.take_while(|group| *group == &rest[..length]).count()
        };
        let (length, count) = (1..=LONGEST_GROUP.min(rest.len()))
            .map(|length| (length, times(length)))
            .filter(|&(_, count)| count > 1)
            .max_by_key(|&(length, count)| (length * count, usize::MAX - length))
            .unwrap_or((1, 1));
        parts.push(match (length, count) {
            (_, 1) => (*first).to_owned(),
            (1, _) => format!("{first} x{count}"),
            _ => format!("({}) x{count}", rest[..length].join(", ")),
        });
        rest = &rest[length * count..];
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn repetitions_are_folded() {
        assert_eq!(summary(&[]), "");
        assert_eq!(summary(&["a", "b"]), "a, b");
        assert_eq!(summary(&["a", "c", "c", "c", "t"]), "a, c x3, t");
        assert_eq!(summary(&["s", "a", "l", "c", "a", "l", "c", "t"]), "s, (a, l, c) x2, t");
        assert_eq!(summary(&["c", "c", "p", "c", "c", "p", "c", "c", "t"]), "(c, c, p) x2, c x2, t");
    }
}
