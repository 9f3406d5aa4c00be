//! What a subscriber wants: topics that begin with one of some prefixes.

/// Prefixes of topics; none of them stands for every topic, as the empty one does.
///
/// Ascending, and none begins with another: then the last one that is not after a topic is the only one that it can begin
/// with, and a topic has one of them at most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prefixes {
    prefixes: Box<[Box<[u8]>]>,
}

impl Prefixes {
    /// These prefixes, in any order, without those that say nothing beside a shorter one.
    pub fn new<T: AsRef<[u8]>>(prefixes: impl IntoIterator<Item = T>) -> Self {
        let mut prefixes: Vec<Box<[u8]>> =
            prefixes.into_iter().map(|prefix| prefix.as_ref().into()).collect();
        prefixes.sort_unstable();
        prefixes.dedup_by(|later, earlier| later.starts_with(earlier));
        if prefixes.first().is_some_and(|prefix| prefix.is_empty()) {
            prefixes.clear();
        }
        Self { prefixes: prefixes.into_boxed_slice() }
    }

    /// Whether every topic is wanted.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// Whether `topic` is wanted.
    #[must_use]
    pub fn admits(&self, topic: &[u8]) -> bool {
        let after = self.prefixes.partition_point(|prefix| **prefix <= *topic);
        let candidate = after.checked_sub(1).and_then(|index| self.prefixes.get(index));
        self.is_everything() || candidate.is_some_and(|prefix| topic.starts_with(prefix))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.prefixes.iter().map(|prefix| &**prefix)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::proptest;

    use super::*;

    #[test]
    fn no_prefix_and_the_empty_one_stand_for_everything() {
        assert!(Prefixes::default().is_everything() && Prefixes::new(["a", ""]).is_everything());
        assert!(Prefixes::new(["a", ""]).admits(b"b"));
        let prefixes = Prefixes::new(["b", "ab", "abc", "b"]);
        assert_eq!(prefixes.iter().collect::<Vec<_>>(), [b"ab", &b"b"[..]]);
        assert!(!prefixes.admits(b"a") && !prefixes.admits(b""));
    }

    proptest! {
        #[test]
        fn as_one_by_one(wanted in vec(vec(0..3_u8, 0..4), 0..8), topic in vec(any::<u8>(), 0..6)) {
            let topic: Vec<u8> = topic.iter().map(|byte| byte % 3).collect();
            let is_wanted = wanted.is_empty() || wanted.iter().any(|prefix| topic.starts_with(prefix));
            assert_eq!(Prefixes::new(&wanted).admits(&topic), is_wanted);
        }
    }
}
