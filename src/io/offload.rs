//! Whether trains of datagrams cross the boundary to the kernel in one piece.

/// What became of segmentation (GSO, sending) or coalescing (GRO, receiving).
///
/// `On` is what the kernel agreed to; the network card may still cut what the kernel would have passed whole, and nothing
/// comes joined that never was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Offload {
    /// Many datagrams of equal size cross as one.
    #[default]
    On,
    /// Each crosses alone: it was switched off with `segmentation(false)`.
    Off,
    /// Each crosses alone: the system has no such thing (Linux: GSO from 4.18 on, GRO from 5.0 on).
    Unsupported,
    /// Each crosses alone since the kernel, or the network card, refused a send of several.
    Refused,
}

impl Offload {
    /// What comes of a wish and of what the system can do.
    pub(super) const fn new(is_wanted: bool, is_supported: bool) -> Self {
        match (is_wanted, is_supported) {
            (true, true) => Self::On,
            (true, false) => Self::Unsupported,
            (false, _) => Self::Off,
        }
    }
}

impl core::fmt::Display for Offload {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Unsupported => "unsupported",
            Self::Refused => "refused",
        })
    }
}
