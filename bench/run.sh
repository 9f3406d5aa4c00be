#!/usr/bin/env bash
# Nakcast, raw UDP and peers side by side, in network namespaces of their own; as root, on Debian.
#
#   bench/run.sh                            everything: a quarter of an hour and more; prints Markdown
#   bench/run.sh --out bench                the same, into bench/RESULTS.md and bench/results.svg
#   bench/run.sh throughput recovery        some of throughput, tcp, verify, late, recovery, paced, roundtrip, cpu, fanout, memory, slow
#   bench/run.sh --no-peers ...             without the other systems, which take minutes to build
#   bench/run.sh --quick                    half a minute: whether everything works; figures mean nothing
#   bench/run.sh memory --memory-minutes 10
#   bench/run.sh --help                     the other options
#
# Paths are relative to the root of the checkout. Programs are built in target/bench, or CARGO_TARGET_DIR.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:$HOME/.cargo/bin:/usr/sbin:/sbin"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target/bench}"

has() {
    local word
    for word in "${options[@]}"; do
        if [ "$word" = "$1" ]; then return 0; fi
    done
    return 1
}

# Nothing is wrong with a change because the machine it is tried on does not let us measure.
cannot() {
    echo "!!!! NOTHING WAS RUN: $*" >&2
    if has --quick; then exit 0; fi
    exit 1
}

install_tools() {
    local missing=()
    command -v ip >/dev/null || missing+=(iproute2)
    command -v nft >/dev/null || missing+=(nftables)
    command -v ethtool >/dev/null || missing+=(ethtool)
    if [ "${#missing[@]}" -eq 0 ]; then return; fi
    { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends \
        "${missing[@]}"; } >&2 || cannot "could not install: ${missing[*]}"
}

options=("$@")
if ! has --help && ! has -h; then
    [ "$(id -u)" -eq 0 ] || cannot "it takes root to make network namespaces"
    install_tools
fi
cargo build --release --locked --manifest-path bench/Cargo.toml --package harness --package driver
if ! has --no-peers && ! has --quick && ! has --help && ! has -h; then
    # The last line names the folder of a cmake that is new enough for Aeron.
    cmake="$(bench/peers/prepare | tail -n 1)"
    PATH="$cmake:$PATH" cargo build --release --locked --manifest-path bench/peers/Cargo.toml
fi
exec "$CARGO_TARGET_DIR/release/bench" "$@"
