//! Real networks that break: publisher and subscribers as real processes in network namespaces of their own, joined by
//! a switch that loses, delays, damages and repeats datagrams, while links go down and processes are stopped or killed.
//!
//! Every case ends with the SHA-256 of what each subscriber wrote and with the account that both commands print:
//! `published = delivered + filtered + conflated + lost`.
//!
//! They need root and `ip`, `nft`, `ethtool`, `tc` and `strace`; where something is missing they say loudly that they
//! skip, and why. A fault that meets nothing fails its case.
//! `NAKCAST_BIN` names another binary of the command than the one cargo has built for these tests, such as a release
//! build; `NAKCAST_FLOOD_SECONDS` makes the floods longer than their one second. Nothing leaves the namespaces.
#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a test that finds something missing has failed")]

mod network {
    mod account;
    mod case;
    mod forge;
    mod net;
    mod part;
    mod process;
    mod relay;

    mod addresses;
    mod doctor;
    mod flood;
    mod hosts;
    mod impostor;
    mod lines;
    mod links;
    mod losses;
}
