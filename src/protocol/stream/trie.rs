//! All prefixes of all connections, found in one walk along a topic.

/// Which connections, by number, want the topics that begin with a prefix.
///
/// Each edge bears as many bytes as there is no choice in. So there are at most twice as many nodes as prefixes, however
/// long those are.
#[derive(Debug)]
pub(super) struct Trie {
    /// The root is the first.
    nodes: Vec<Node>,
    free: Vec<u32>,
}

const ROOT: u32 = 0;

#[derive(Debug, Default)]
struct Node {
    /// What leads here from the node above.
    label: Box<[u8]>,
    /// In the order of the first bytes of their labels, which all differ.
    children: Vec<u32>,
    /// Who wants everything that comes by here.
    numbers: Vec<u32>,
}

impl Trie {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()], free: Vec::new() }
    }

    /// Adds to `found` who wants `topic`.
    pub(super) fn find(&self, topic: &[u8], found: &mut Vec<u32>) {
        let (mut at, mut rest) = (ROOT, topic);
        loop {
            let node = self.node(at);
            found.extend_from_slice(&node.numbers);
            let Some(Ok(index)) = rest.first().map(|&byte| self.child(at, byte)) else { return };
            at = node.children[index];
            let Some(after) = rest.strip_prefix(&*self.node(at).label) else { return };
            rest = after;
        }
    }

    /// From now on `number` wants what begins with `prefix`.
    pub(super) fn insert(&mut self, prefix: &[u8], number: u32) {
        let (mut at, mut rest) = (ROOT, prefix);
        while let Some(&byte) = rest.first() {
            match self.child(at, byte) {
                Ok(index) => {
                    let below = self.node(at).children[index];
                    let common = common(&self.node(below).label, rest);
                    rest = &rest[common..];
                    at = self.split(at, index, common);
                }
                Err(index) => {
                    let leaf = self.add(Node { label: rest.into(), ..Node::default() });
                    self.node_mut(at).children.insert(index, leaf);
                    (at, rest) = (leaf, &[]);
                }
            }
        }
        self.node_mut(at).numbers.push(number);
    }

    /// Takes back one [`insert`](Self::insert).
    pub(super) fn remove(&mut self, prefix: &[u8], number: u32) {
        let (mut at, mut above, mut rest) = (ROOT, Vec::new(), prefix);
        while let Some(&byte) = rest.first() {
            let Ok(index) = self.child(at, byte) else { return };
            above.push((at, index));
            at = self.node(at).children[index];
            let Some(after) = rest.strip_prefix(&*self.node(at).label) else { return };
            rest = after;
        }
        let numbers = &mut self.node_mut(at).numbers;
        let Some(index) = numbers.iter().position(|&one| one == number) else { return };
        numbers.swap_remove(index);
        if let Some((parent, index)) = above.pop() {
            self.tidy(parent, index);
            if let Some((grandparent, index)) = above.pop() {
                self.tidy(grandparent, index);
            }
        }
    }

    /// Takes out a child that nobody wants and that leads nowhere, or only to one place.
    fn tidy(&mut self, parent: u32, index: usize) {
        let at = self.node(parent).children[index];
        let node = self.node(at);
        if !node.numbers.is_empty() || node.children.len() > 1 {
            return;
        }
        let node = core::mem::take(self.node_mut(at));
        self.free.push(at);
        match node.children.first() {
            None => {
                self.node_mut(parent).children.remove(index);
            }
            Some(&below) => {
                let label = [&*node.label, &*self.node(below).label].concat();
                self.node_mut(below).label = label.into();
                self.node_mut(parent).children[index] = below;
            }
        }
    }

    /// The child of `parent` at `index`, made to end after `common` bytes of its label.
    fn split(&mut self, parent: u32, index: usize, common: usize) -> u32 {
        let below = self.node(parent).children[index];
        let (head, tail) = self.node(below).label.split_at(common);
        if tail.is_empty() {
            return below;
        }
        let (head, tail) = (head.into(), tail.into());
        self.node_mut(below).label = tail;
        let middle = self.add(Node { label: head, children: vec![below], numbers: Vec::new() });
        self.node_mut(parent).children[index] = middle;
        middle
    }

    fn add(&mut self, node: Node) -> u32 {
        if let Some(at) = self.free.pop() {
            *self.node_mut(at) = node;
            return at;
        }
        self.nodes.push(node);
        (self.nodes.len() - 1) as u32
    }

    /// Where among the children the one is whose label begins with `byte`, or would be.
    fn child(&self, at: u32, byte: u8) -> Result<usize, usize> {
        let first = |&below: &u32| self.node(below).label.first().copied();
        self.node(at).children.binary_search_by_key(&Some(byte), first)
    }

    fn node(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }
}

/// How many bytes both begin with.
fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::proptest;

    use super::*;

    proptest! {
        /// Each step puts a prefix in or takes one out, by turns of chance; the twin is a list.
        #[test]
        fn as_a_list_does(
            steps in vec((vec(0..3_u8, 0..6), 0..5_u32, 0..3_u8), 0..60),
            topics in vec(vec(0..3_u8, 0..8), 8),
        ) {
            let (mut trie, mut twin) = (Trie::new(), Vec::new());
            for (prefix, number, kind) in steps {
                if kind > 0 {
                    trie.insert(&prefix, number);
                    twin.push((prefix, number));
                } else if !twin.is_empty() {
                    let (prefix, number) = twin.swap_remove(prefix.len() % twin.len());
                    trie.remove(&prefix, number);
                }
                trie.remove(&[9], number);
                for topic in &topics {
                    let mut found = Vec::new();
                    trie.find(topic, &mut found);
                    found.sort_unstable();
                    let wants = |(prefix, _): &&(Vec<u8>, u32)| topic.starts_with(prefix);
                    let mut wanted: Vec<_> = twin.iter().filter(wants).map(|(_, number)| *number).collect();
                    wanted.sort_unstable();
                    assert_eq!(found, wanted);
                }
                assert!(trie.nodes.len() - trie.free.len() <= 2 * twin.len() + 1);
            }
        }
    }
}
