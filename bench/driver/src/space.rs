//! Two network namespaces with a cable between them, and what the cable does to packets.

use std::io::Write;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use crate::plan::Trains;

/// A side of the cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Publisher,
    Subscriber,
}

pub(crate) const INTERFACE: &str = "eth0";
const SIDES: [Side; 2] = [Side::Publisher, Side::Subscriber];

/// The namespaces, gone when dropped.
#[derive(Debug)]
pub(crate) struct Spaces(String);

impl Side {
    pub(crate) fn address(self) -> &'static str {
        match self {
            Self::Publisher => "10.99.0.1",
            Self::Subscriber => "10.99.0.2",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Publisher => Self::Subscriber,
            Self::Subscriber => Self::Publisher,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Publisher => "pub",
            Self::Subscriber => "sub",
        }
    }
}

impl Spaces {
    /// Both, and the cable: a veth pair, `eth0` on both sides, MTU 1500.
    ///
    /// # Errors
    /// Where this machine does not allow it.
    pub(crate) fn new() -> Result<Self, String> {
        let spaces = Self(format!("nakcast-bench-{}", std::process::id()));
        for side in SIDES {
            checked(Command::new("ip").args(["netns", "add", &spaces.name(side)]), "")?;
        }
        let far = spaces.name(Side::Subscriber);
        let link = format!("link add eth0 mtu 1500 type veth peer name eth0 mtu 1500 netns {far}\n");
        spaces.ip(Side::Publisher, &link)?;
        for side in SIDES {
            let address = side.address();
            let up = format!(
                "link set lo up\naddr add {address}/24 dev eth0\nlink set eth0 up\nroute add 224.0.0.0/4 dev eth0\n"
            );
            spaces.ip(side, &up)?;
        }
        Ok(spaces)
    }

    /// A program on one side. It becomes the program itself, so that to kill it is to kill the program.
    pub(crate) fn command(&self, side: Side, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(side), program]);
        command
    }

    /// Makes the cable cut trains of datagrams and of TCP segments, or take them whole.
    pub(crate) fn set_trains(&self, trains: Trains) -> Result<(), String> {
        let offload = if trains == Trains::Cut { "off" } else { "on" };
        for side in SIDES {
            let mut ethtool = self.command(side, "ethtool");
            ethtool.args(["-K", INTERFACE, "tx-udp-segmentation", offload, "tso", offload]);
            checked(&mut ethtool, "")?;
        }
        Ok(())
    }

    /// Loses so many of ten thousand packets that come to the subscribers, drawn anew for each.
    pub(crate) fn set_loss(&self, per_ten_thousand: u32) -> Result<(), String> {
        let mut rules = "table netdev loss\ndelete table netdev loss\n".to_owned();
        if per_ten_thousand > 0 {
            rules.push_str(&format!(
                "table netdev loss {{\n\
                 chain incoming {{\n\
                 type filter hook ingress device \"{INTERFACE}\" priority 0; policy accept;\n\
                 ip protocol {{ udp, tcp }} numgen random mod 10000 < {per_ten_thousand} counter drop\n\
                 }}\n}}\n"
            ));
        }
        checked(self.command(Side::Subscriber, "nft").args(["-f", "-"]), &rules).map(drop)
    }

    /// The packets lost since [`Spaces::set_loss`].
    pub(crate) fn dropped(&self) -> Result<u64, String> {
        let mut nft = self.command(Side::Subscriber, "nft");
        let output = checked(nft.args(["list", "ruleset"]), "")?;
        Ok(counted(&String::from_utf8_lossy(&output.stdout)))
    }

    fn name(&self, side: Side) -> String {
        format!("{}-{}", self.0, side.suffix())
    }

    /// Commands of `ip`, one a line, on one side.
    fn ip(&self, side: Side, commands: &str) -> Result<(), String> {
        checked(Command::new("ip").args(["-n", &self.name(side), "-batch", "-"]), commands).map(drop)
    }
}

impl Drop for Spaces {
    fn drop(&mut self) {
        for side in SIDES {
            let mut ip = Command::new("ip");
            ip.args(["netns", "del", &self.name(side)]).stderr(Stdio::null());
            // One that was never made is none to delete.
            ip.status().map(drop).unwrap_or_default();
        }
    }
}

/// Packets of all counters in a listing of `nft`.
fn counted(listing: &str) -> u64 {
    let counters = listing.split("counter packets ").skip(1);
    counters.filter_map(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).sum()
}

/// Runs a command that must succeed, with `input` on its standard input.
fn checked(command: &mut Command, input: &str) -> Result<Output, String> {
    let failed = |command: &Command, why: &str| format!("{command:?}: {why}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(command, &error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(|error| failed(command, &error.to_string()))?;
    }
    let output = child.wait_with_output().map_err(|error| failed(command, &error.to_string()))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(failed(command, String::from_utf8_lossy(&output.stderr).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_a_listing() {
        let rule =
            "ip protocol { tcp, udp } numgen random mod 10000 < 100 counter packets 123 bytes 9 drop\n";
        assert_eq!(counted(rule), 123);
        assert_eq!(counted(&rule.repeat(2)), 246);
        assert_eq!(counted("table netdev loss {\n}\n"), 0);
    }

    #[test]
    fn a_command_that_fails_is_told_with_its_words() {
        let told = checked(Command::new("sh").args(["-c", "cat >&2; exit 3"]), "because");
        assert!(told.is_err_and(|error| error.ends_with(": because")));
    }
}
