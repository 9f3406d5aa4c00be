//! What the commands say at their end, read back into numbers.

use sha2::Digest;
use sha2::Sha256;

use crate::network::process::Ended;

/// A subscriber's account of one publisher, in offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) published: u64,
    /// The first offset it was entitled to.
    pub(crate) start: u64,
    pub(crate) delivered: u64,
    pub(crate) filtered: u64,
    pub(crate) conflated: u64,
    pub(crate) lost: u64,
    pub(crate) pending: u64,
    pub(crate) repaired: u64,
    pub(crate) naks: u64,
    pub(crate) duplicates: u64,
}

impl Account {
    fn read(text: &str) -> Self {
        let number = |words| number_after(text, words).unwrap_or(0);
        Self {
            published: number("published "),
            start: number("from offset "),
            delivered: number("delivered "),
            filtered: number("filtered "),
            conflated: number("conflated "),
            lost: number("lost "),
            pending: number("pending "),
            repaired: number("repaired "),
            naks: number("NAKs "),
            duplicates: number("duplicates "),
        }
    }

    /// `published = delivered + filtered + conflated + lost`, with nothing left over.
    pub(crate) fn is_exact(&self) -> bool {
        self.pending == 0 && self.published == self.delivered + self.filtered + self.conflated + self.lost
    }
}

impl Ended {
    /// A subscriber's accounts, one for each publisher it heard.
    pub(crate) fn accounts(&self) -> Vec<Account> {
        let text = format!("\n{}", self.stderr);
        text.split("\npublisher ").skip(1).map(Account::read).collect()
    }

    /// The account of the publisher whose description holds `text`.
    pub(crate) fn account_where(&self, text: &str) -> Option<Account> {
        let all = format!("\n{}", self.stderr);
        all.split("\npublisher ").skip(1).find(|account| account.contains(text)).map(Account::read)
    }

    /// The number that follows `words` on standard error.
    pub(crate) fn number_after(&self, words: &str) -> Option<u64> {
        number_after(&self.stderr, words)
    }

    /// The SHA-256 of what it wrote: of standard output, or as it says itself.
    pub(crate) fn sha256(&self) -> String {
        let said = self.stderr.split("\nsha256 ").nth(1).and_then(|rest| rest.split_whitespace().next());
        said.map_or_else(|| sha256(&self.stdout), str::to_owned)
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number_after(text: &str, words: &str) -> Option<u64> {
    let rest = text.split(words).nth(1)?;
    let digits = rest.chars().take_while(|c| c.is_ascii_digit() || *c == ',').filter(char::is_ascii_digit);
    digits.collect::<String>().parse().ok()
}
