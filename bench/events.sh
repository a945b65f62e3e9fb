#!/bin/bash
# What a process event costs who listens: bailiff-netlink, and libcgroup's cgrulesengd where it is installed, both hear the same
# processes begin and end, in the same run. CPU of each, per 1,000 events that there were (a fork and an exit each).
# Wants root, on the host itself: a container hears nothing. cgrulesengd gets one rule that is for nobody; who has rules of
# his own keeps them: it is not started where /etc/cgrules.conf has any.
#
# ./dev bench events prints Markdown rows, for the README's "Measured".
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

PROCESSES=20000
ROUNDS=3  # the cheapest counts: what else a host does only adds
SERVICE=build/src/netlinkd/bailiff-netlink
CLIENT=build/bench/events
FORKS=build/tests/vm/tools/forks
WORK=$(mktemp -d)
PIDS=()
finish() {
	local pid
	for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || :; done
	wait
	rm -rf "$WORK"
}
trap finish EXIT

cpu() {  # PID: CPU so far, in ms
	local stat
	read -r stat <"/proc/$1/stat"
	read -r -a stat <<<"${stat##*) }"
	echo $(((stat[11] + stat[12]) * 1000 / $(getconf CLK_TCK)))
}

[ "$(id -u)" = 0 ] || { echo "wants root" >&2 && exit 1; }
"$SERVICE" --socket="$WORK/sock" &
OURS=$!
PIDS+=("$OURS")
sleep 0.5
"$CLIENT" "$WORK/sock" >"$WORK/sums" &
LISTENER=$!
PIDS+=("$LISTENER")
THEIRS=''
if command -v cgrulesengd >/dev/null && ! grep -qs '^[^#]' /etc/cgrules.conf; then
	cgrulesengd --nodaemon --nolog &
	THEIRS=$!
	PIDS+=("$THEIRS")
fi
sleep 2
# It wants its configuration, /etc/cgconfig.conf and cgconfig.d, be it empty.
[ -z "$THEIRS" ] || [ -e "/proc/$THEIRS" ] || THEIRS=''

best_ours='' best_client='' best_theirs=''
for ((i = 0; i < ROUNDS; i++)); do
	ours=$(cpu $OURS) client=$(cpu $LISTENER) theirs=$([ -z "$THEIRS" ] || cpu "$THEIRS")
	"$FORKS" -n $PROCESSES >/dev/null
	sleep 1
	ours=$(($(cpu $OURS) - ours)) client=$(($(cpu $LISTENER) - client))
	[ -z "$THEIRS" ] || theirs=$(($(cpu "$THEIRS") - theirs))
	[ -n "$best_ours" ] && [ "$best_ours" -le $ours ] || best_ours=$ours
	[ -n "$best_client" ] && [ "$best_client" -le $client ] || best_client=$client
	[ -z "$THEIRS" ] || { [ -n "$best_theirs" ] && [ "$best_theirs" -le "$theirs" ]; } || best_theirs=$theirs
done
kill $LISTENER
wait $LISTENER
read -r _ heard _ lost _ packets <"$WORK/sums"
echo "# heard $heard events in $packets packets, lost $lost, of $((ROUNDS * PROCESSES * 2)) and what else the host did" >&2

per_thousand() { awk -v ms="$1" -v n=$((PROCESSES * 2)) 'BEGIN { printf "%.2f", ms * 1000 / n }'; }
echo "| CPU per 1,000 process events | ms |"
echo "|---|---|"
echo "| bailiff-netlink | $(per_thousand "$best_ours") |"
echo "| the guard's end of it | $(per_thousand "$best_client") |"
[ -z "$THEIRS" ] || echo "| cgrulesengd | $(per_thousand "$best_theirs") |"
