#!/usr/bin/env bash
# Millions of small messages through networks that lose: every byte must come, whatever the loss.
#
#   cargo build --release && sudo tests/network/soak.sh [MESSAGES] [SUBSCRIBERS]
#
# A publisher and SUBSCRIBERS (default 1) `nakcast` processes in network namespaces on one switch; each subscriber's
# datagrams are lost by nft as they arrive: 1 %, 5 % and 20 % at random, then 100 of every 2,000 in a row. MESSAGES
# (default 10,000,000) of 32 bytes each. For each loss it prints the time, the SHA-256 of what was sent and of what each
# subscriber wrote, and the account of each; it ends with 1 if anything is missing. NAKCAST_BIN names another binary.
# Needs root, ip, nft, ethtool. Nothing leaves the namespaces.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
messages=${1:-10000000}
subscribers=${2:-1}
binary=${NAKCAST_BIN:-${CARGO_TARGET_DIR:-target}/release/nakcast}
name=nakcast-$$-soak
folder=$(mktemp -d)
uri='udp://239.192.1.1:4000?interface=eth0'
failed=0

listeners() { seq -f 's%.0f' 1 "$subscribers"; }
clean() {
    for host in sw pub $(listeners); do ip netns del "$name-$host" 2>/dev/null || true; done
    rm -rf "$folder"
}
trap clean EXIT

on() {
    local host=$1
    shift
    ip netns exec "$name-$host" "$@"
}

make_network() {
    local number=1 host
    for host in sw pub $(listeners); do ip netns add "$name-$host"; done
    ip -n "$name-sw" link add br0 type bridge mcast_snooping 0
    ip -n "$name-sw" link set br0 up
    for host in pub $(listeners); do
        ip -n "$name-sw" link add "v$host" type veth peer name eth0 netns "$name-$host"
        ip -n "$name-sw" link set "v$host" master br0 up
        ip -n "$name-$host" addr add "10.99.0.$number/24" dev eth0
        ip -n "$name-$host" link set eth0 up
        # Otherwise a rule would lose whole trains of datagrams at once.
        on "$host" ethtool -K eth0 tx-udp-segmentation off
        number=$((number + 1))
    done
}

lose() {
    local host
    for host in $(listeners); do
        on "$host" nft flush ruleset
        on "$host" nft add table netdev faults
        on "$host" nft add chain netdev faults eth0 '{ type filter hook ingress device eth0 priority 0 ; }'
        # shellcheck disable=SC2086
        on "$host" nft add rule netdev faults eth0 udp dport 4000 $1 counter drop
    done
}

run() {
    local what=$1 rule=$2 host digest began=$EPOCHREALTIME jobs=()
    lose "$rule"
    for host in $(listeners); do
        { on "$host" "$binary" sub "$uri" --raw --fail-on-loss 2>"$folder/$host.told" | sha256sum >"$folder/$host.sum"; } &
        jobs+=($!)
    done
    on pub "$binary" pub "$uri" --file "$folder/input" --chunk 32 --policy block --wait "$subscribers" 2>"$folder/pub.told" || failed=1
    for job in "${jobs[@]}"; do wait "$job" || failed=1; done
    echo
    if ! grep -q '^published' "$folder/pub.told"; then cat "$folder"/*.told; exit 1; fi
    echo "== $what: $(echo "$EPOCHREALTIME - $began" | bc | cut -c1-6) s in all"
    grep -E '^(published|repaired|the system)' "$folder/pub.told"
    for host in $(listeners); do
        digest=$(cut -d' ' -f1 "$folder/$host.sum")
        echo "$host: $(on "$host" nft list ruleset | grep -o 'counter packets [0-9]*') lost by the network"
        grep -E '^  ' "$folder/$host.told"
        if [ "$digest" = "$sent" ] && grep -q '+ lost 0$' "$folder/$host.told"; then
            echo "  SHA-256 equal: $digest"
        else
            echo "  FAILED: SHA-256 $digest"
            failed=1
        fi
    done
}

make_network
seq -f '%031.0f' 0 $((messages - 1)) >"$folder/input"
sent=$(sha256sum <"$folder/input" | cut -d' ' -f1)
echo "$messages messages of 32 bytes to $subscribers subscriber(s), SHA-256 $sent"
run 'no loss' 'udp sport 1'
run '1 % at random' 'numgen random mod 1000 < 10'
run '5 % at random' 'numgen random mod 1000 < 50'
run '20 % at random' 'numgen random mod 1000 < 200'
run '100 of every 2,000 in a row' 'numgen inc mod 2000 >= 1900'
exit "$failed"
