# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# No room left for the books: it is said, and counting goes on in memory. Room again: they are written by themselves, and a
# guard that is killed then has lost nothing.
#
#   docker
#   └── <64 hex>     tenant b, by path: 25 before there is no room, five of which end then; 60 that come then
#
# shape: plain
# timeout: 240

STORM=/usr/lib/bailiff/test/storm

policy_set <<'P'
[Host]
Mode=ceilings

[Tenant b]
Match=path=/docker/*
P
mkdir -p /run/bailiff $CGROOT/docker
mount -t tmpfs -o size=2m tmpfs /run/bailiff
echo '+cpu +memory +io +pids' >$CGROOT/docker/cgroup.subtree_control
books() {  # MEMBER
	ctl status --json
	jq -r ".sampling.books.$1" <<<"$CTL_OUT"
}
guard_start
FOREVER='-l 1000000:1000000 -b 1 -c'
$STORM -n 20 -k 20 $FOREVER -s 1 docker >/run/storm.one &
$STORM -n 5 -k 5 $FOREVER -s 2 docker >/run/storm.two &
short=$!
wait_for 20 '[ "$(books used)" = 25 ]' "25 containers have records; their tenant has none yet"
is "$(books error)" null "there is room"
dd if=/dev/zero of=/run/bailiff/fill bs=4k status=none 2>/dev/null || :
$STORM -n 60 -k 60 $FOREVER -s 3 docker >/run/storm.three &
wait_for 20 '[ "$(books error)" != null ]' "no room for 60 more: status says so"
diag "$(books error), $(books used) records"
wait_for 10 "guard_log | grep -q 'books in /run/bailiff cannot be written'" "and the journal"
kill -KILL $short # its children with it
wait $short 2>/dev/null || :
until_true 20 'find $CGROOT/docker -mindepth 1 -type d -exec grep -lqx "populated 0" {}/cgroup.events \; -exec rmdir {} + 2>/dev/null
	[ "$(echo $CGROOT/docker/*/ | wc -w)" = 80 ]' || not_ok "five end"
wait_for 20 '[ "$(jq .containers <<<"$(totals b)")" = 80 ]' "five have ended, 80 run"
before=$(totals b)
is "$(jq .book.ends <<<"$before")" 5 "five ends are counted"
nap 3
now=$(totals b)
num "$(jq .book.cpu_usec <<<"$now")" '>' "$(jq .book.cpu_usec <<<"$before")" "counting goes on"
is "$(totals_shrunk "$before" "$now")$(parts_differ "$now")" "" "nothing went back, and the parts are the total"
is "$(guard_log | grep -c 'books in /run/bailiff cannot be written')" 1 "it was said once"

# ---- room again

rm /run/bailiff/fill
# whose record could not be written is cold perhaps, and its turn comes late
wait_for 80 '[ "$(books error)" = null ] && [ "$(books used)" -ge 81 ]' "room again: 80 containers and the tenant are on file"
before=$(totals b)
kill -9 "$(guard_pid)"
wait_for 30 'now=$(totals b); [ -n "$now" ] && [ "$(jq .containers <<<"$now")" = 80 ]' "killed: the next guard has all 80"
is "$(totals_shrunk "$before" "$now")" "" "and nothing of what was counted is lost"
is "$(jq .book.ends <<<"$now")" 5 "nothing is counted twice"
is "$(books damaged)" 0 "no record is damaged"
done_testing
