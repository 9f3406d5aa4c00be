//! Hosts on one switch, each in a network namespace of its own, and what can be done to them.

use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::Command;
use std::process::Stdio;
use std::thread;

/// A machine: its namespace is its name, its interface is `eth0`, its address `10.99.0.N` and `fd99::N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    Switch,
    Publisher,
    Subscriber(u8),
}

pub(crate) const SWITCH: Host = Host::Switch;
pub(crate) const PUBLISHER: Host = Host::Publisher;
pub(crate) const S1: Host = Host::Subscriber(1);
pub(crate) const S2: Host = Host::Subscriber(2);
pub(crate) const S3: Host = Host::Subscriber(3);
/// Those on the switch.
pub(crate) const ALL: [Host; 4] = [PUBLISHER, S1, S2, S3];
pub(crate) const SUBSCRIBERS: [Host; 3] = [S1, S2, S3];

impl Host {
    /// Its number in its address.
    fn number(self) -> u8 {
        match self {
            Self::Switch => 254,
            Self::Publisher => 100,
            Self::Subscriber(number) => number,
        }
    }

    pub(crate) fn v4(self) -> String {
        format!("10.99.0.{}", self.number())
    }

    pub(crate) fn v6(self) -> String {
        format!("fd99::{}", self.number())
    }

    /// The switch's port for it.
    pub(crate) fn port(self) -> String {
        format!("v{self}")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch => f.write_str("sw"),
            Self::Publisher => f.write_str("pub"),
            Self::Subscriber(number) => write!(f, "s{number}"),
        }
    }
}

/// A switch with a publisher and three subscribers, gone when dropped. Each of its rules must have met something by
/// then: a fault that never came proves nothing.
pub(crate) struct Net {
    spaces: Spaces,
    rules: RefCell<Vec<Rule>>,
}

/// The namespaces of the hosts, by what their names begin with.
struct Spaces(String);

/// A rule at an interface of a host.
#[derive(Debug)]
struct Rule {
    host: Host,
    device: String,
    text: String,
    /// Whether it must meet something.
    is_fault: bool,
}

impl Net {
    /// One switch; `None`, and a loud word, where this machine does not allow it.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let net = Self::without_switch(name)?;
        net.batch(SWITCH, "link add br0 type bridge mcast_snooping 0\nlink set br0 up");
        ALL.iter().for_each(|host| net.plug(*host, "br0"));
        Some(net)
    }

    /// The publisher on a switch of its own, and a pair of TAP devices, `tapa` and `tapb`, between it and the others:
    /// nothing passes but what a process carries over.
    pub(crate) fn parted(name: &str) -> Option<Self> {
        let net = Self::without_switch(name)?;
        for (bridge, tap) in [("br0", "tapa"), ("br1", "tapb")] {
            net.batch(
                SWITCH,
                &format!(
                    "link add {bridge} type bridge mcast_snooping 0\nlink set {bridge} up\n\
                     tuntap add dev {tap} mode tap\nlink set {tap} master {bridge} up"
                ),
            );
        }
        net.plug(PUBLISHER, "br0");
        SUBSCRIBERS.iter().for_each(|host| net.plug(*host, "br1"));
        Some(net)
    }

    fn without_switch(name: &str) -> Option<Self> {
        if !["ip", "nft", "ethtool", "tc"].into_iter().all(|tool| is_here(name, tool)) {
            return None;
        }
        let spaces = Spaces(format!("nakcast-{}-{name}", std::process::id()));
        let net = Self { spaces, rules: RefCell::default() };
        let add = |host| quiet(Command::new("ip").args(["netns", "add", &net.space(host)])).status();
        if !add(SWITCH).is_ok_and(|status| status.success()) {
            skipped(name, "this machine does not let us make network namespaces (it takes root)");
            return None;
        }
        for host in ALL {
            assert!(add(host).unwrap().success(), "making {host} of {name}");
        }
        Some(net)
    }

    /// Plugs a host into a bridge of the switch.
    fn plug(&self, host: Host, bridge: &str) {
        let (port, space) = (host.port(), self.space(host));
        self.batch(
            SWITCH,
            &format!(
                "link add {port} type veth peer name eth0 netns {space}\nlink set {port} master {bridge} up"
            ),
        );
        let (v4, v6) = (host.v4(), host.v6());
        self.batch(
            host,
            &format!(
                "link set lo up\naddr add {v4}/24 dev eth0\naddr add {v6}/64 dev eth0 nodad\nlink set eth0 up"
            ),
        );
        // Otherwise a rule would hit whole trains of datagrams at once.
        self.run(host, "ethtool -K eth0 tx-udp-segmentation off");
    }

    /// Whether this machine has a tool that only this case needs; if not, that is said loudly.
    pub(crate) fn has(&self, tool: &str) -> bool {
        is_here(&self.spaces.0, tool)
    }

    fn space(&self, host: Host) -> String {
        self.spaces.space(host)
    }

    /// Commands of `ip`, one a line, in a host's namespace.
    pub(crate) fn batch(&self, host: Host, commands: &str) {
        let mut ip = Command::new("ip");
        ip.args(["-n", &self.space(host), "-batch", "-"]).stdin(Stdio::piped());
        let mut child = ip.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "on {host}:\n{commands}\n{told}");
    }

    /// A program in a host's namespace.
    pub(crate) fn command(&self, host: Host, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.space(host), program]);
        command
    }

    /// Runs a command line, which must succeed, and gives what it printed.
    pub(crate) fn run(&self, host: Host, line: &str) -> String {
        let (program, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let output = self.command(host, program).args(arguments.split_whitespace()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "on {host}: {line}\n{told}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A rule of `nft` for what comes in at an interface of a host; it counts, and must meet something.
    pub(crate) fn rule(&self, host: Host, device: &str, rule: &str) {
        self.add(Rule { host, device: device.to_owned(), text: rule.to_owned(), is_fault: true });
    }

    /// Only counts what comes in, if anything does.
    pub(crate) fn count(&self, host: Host, device: &str, rule: &str) {
        self.add(Rule { host, device: device.to_owned(), text: rule.to_owned(), is_fault: false });
    }

    fn add(&self, rule: Rule) {
        let (host, device) = (rule.host, &rule.device);
        let counting = match rule.text.strip_suffix(" drop") {
            Some(matches) => format!("{matches} counter drop"),
            None => format!("{} counter", rule.text),
        };
        self.run(host, "nft add table netdev faults");
        let chain = format!("netdev faults {device}");
        let place = format!("{{ type filter hook ingress device {device} priority 0 ; }}");
        self.run(host, &format!("nft add chain {chain} {place}"));
        self.run(host, &format!("nft add rule {chain} {counting}"));
        self.rules.borrow_mut().push(rule);
    }

    /// The packets that each rule at an interface of a host has met, in the order of the rules.
    pub(crate) fn counted(&self, host: Host, device: &str) -> Vec<u64> {
        let chain = self.run(host, &format!("nft list chain netdev faults {device}"));
        let counts = chain.split("counter packets ").skip(1).map(|rest| rest.split(' ').next().unwrap());
        counts.map(|count| count.parse().unwrap()).collect()
    }

    /// The rules that have met nothing, one a line.
    fn idle_rules(&self) -> String {
        let rules = self.rules.borrow();
        let mut idle = String::new();
        for place in &*rules {
            let here = |rule: &&Rule| (rule.host, &rule.device) == (place.host, &place.device);
            let position = rules.iter().filter(here).position(|rule| std::ptr::eq(rule, place)).unwrap();
            if place.is_fault && self.counted(place.host, &place.device)[position] == 0 {
                idle.push_str(&format!("{place:?}\n"));
            }
        }
        idle
    }

    /// A rule for the datagrams on port 4000 that come in at a host.
    pub(crate) fn on_arrival(&self, host: Host, rule: &str) {
        self.rule(host, "eth0", &format!("udp dport 4000 {rule}"));
    }

    /// The same for every subscriber at once: what the switch gets from the publisher.
    pub(crate) fn on_departure(&self, rule: &str) {
        self.rule(SWITCH, "vpub", &format!("udp dport 4000 {rule}"));
    }

    /// The port of the only socket that is bound to a host's own address.
    pub(crate) fn control_port(&self, host: Host) -> u16 {
        let address: Ipv4Addr = host.v4().parse().unwrap();
        let wanted = format!("{:08X}:", u32::from_ne_bytes(address.octets()));
        let table = self.run(host, "cat /proc/net/udp");
        let mut words = table.split_whitespace();
        let port = words.find_map(|word| word.strip_prefix(&wanted)).unwrap();
        u16::from_str_radix(port, 16).unwrap()
    }

    /// Makes an interface of a host as narrow as a bucket of `tbf` lets it be.
    pub(crate) fn narrow(&self, host: Host, device: &str, bucket: &str) {
        self.run(host, &format!("tc qdisc add dev {device} root tbf {bucket}"));
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if !thread::panicking() {
            let idle = self.idle_rules();
            assert!(idle.is_empty(), "rules that met nothing:\n{idle}");
        }
    }
}

impl Spaces {
    fn space(&self, host: Host) -> String {
        format!("{}-{host}", self.0)
    }
}

impl Drop for Spaces {
    fn drop(&mut self) {
        for host in ALL.into_iter().chain([SWITCH]) {
            // A space that was never made is none to delete.
            drop(quiet(Command::new("ip").args(["netns", "del", &self.space(host)])).status());
        }
    }
}

fn is_here(name: &str, tool: &str) -> bool {
    let is_here = quiet(Command::new(tool).arg("--version")).status().is_ok();
    if !is_here {
        skipped(name, &format!("{tool} is not here"));
    }
    is_here
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

/// Says that a case was not run, past the capturing of the test's output.
fn skipped(name: &str, why: &str) {
    writeln!(std::io::stderr(), "SKIPPED {name}: {why}").unwrap_or_default();
}
