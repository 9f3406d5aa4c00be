//! Bytes read as a script: what is missing at the end is 0.

/// What is left of an input.
#[derive(Debug)]
pub struct Script<'a> {
    bytes: &'a [u8],
}

impl<'a> Script<'a> {
    /// A script from its beginning.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether all was read.
    pub const fn is_done(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        first
    }

    /// The next two bytes as a number.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// The next four bytes as a number.
    pub fn word(&mut self) -> u32 {
        u32::from(self.short()) | u32::from(self.short()) << 16
    }

    /// The next `len` bytes, or what is left.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(len.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }

    /// One of `choices`, by the next byte.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// An offset near `around`, or far from everything.
    pub fn offset(&mut self, around: u64) -> u64 {
        let (how, by) = (self.byte(), u64::from(self.byte()));
        match how % 8 {
            0 | 1 => around.saturating_add(by),
            2 | 3 => around.saturating_sub(by),
            4 => by,
            5 => around.saturating_add(by << 8 | u64::from(how)),
            6 => around.saturating_add(1 << (by % 64)),
            _ => u64::MAX - by,
        }
    }
}
