//! The lines of a publisher: sockets that each carry the whole session.

/// Who hears what is sent along a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LineKind {
    /// All who hear it hear the same: a group, or the one address that there is. What one of them asks for goes to all.
    #[default]
    Shared,
    /// Each hears a copy of its own. What one asks for goes to it alone, once it has proved its address.
    Apart,
    /// As [`LineKind::Apart`], and nobody is known beforehand: who hears is whoever asks to, by STATUS.
    Joined,
}
