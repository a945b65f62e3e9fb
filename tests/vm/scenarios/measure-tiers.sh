# shellcheck shell=bash disable=SC2154,SC2016,SC2034,SC2086
# Cost follows activity: of a thousand containers the 25 busy ones are hot and stay so, the rest are cold;
# one that wakes is hot within a cold period, and at once where its policy asks the kernel to wake the guard.
#
#   busy
#   └── <64 hex>     25 of them, tenant many, by path; each burns 60 ms of CPU every three seconds: twice what active means,
#   │                for where this machine's host makes looks late, they see it over a longer span
#   idle
#   └── <64 hex>     975 of them, tenant many; 8 % of a CPU when told to
#   wake
#   └── <64 hex>     tenant wake, by path: PressureTrigger=cpu; the directory has 20 % of a CPU
#
# kernels: 6.1
# memory: 3072
# timeout: 300

STORM=/usr/lib/bailiff/test/storm
# TIER_QUIET_USEC, TIER_COLD_USEC of src/core/tier.h; seconds
QUIET=5
COLD=10
BUSY=25 IDLE=975

policy_set <<'P'
[Host]
Mode=ceilings

[Tenant many]
Match=path=/busy/*
Match=path=/idle/*

[Tenant wake]
Match=path=/wake/*
PressureTrigger=cpu
P
for dir in busy idle wake; do
	mkdir $CGROOT/$dir
	echo '+cpu +memory +io +pids' >$CGROOT/$dir/cgroup.subtree_control
done

FOREVER='-l 1000000:1000000 -c'
start=$EPOCHREALTIME
$STORM -n $BUSY -k $BUSY $FOREVER -b 2 -t 3000 -s 1 busy >/run/storm.busy &
$STORM -n $IDLE -k $IDLE $FOREVER -b 8 -i -s 2 idle >/run/storm.idle &
$STORM -n 1 -k 1 $FOREVER -b 100 -i -s 3 wake >/run/storm.wake &
echo '20000 100000' >$CGROOT/wake/cpu.max
populated() { { grep -lx 'populated 1' $CGROOT/{busy,idle,wake}/*/cgroup.events || :; } | wc -l; }
nap 1
wait_for 60 '[ $(populated) = 1001 ]' "a thousand containers, and one"
diag "made in $(elapsed "$start") s"
mapfile -t idle < <(cat $CGROOT/idle/*/cgroup.procs)
wake=$(cat $CGROOT/wake/*/cgroup.procs)

sampling() { # MEMBER of status .sampling
	ctl status --json
	jq ".sampling.$1" <<<"$CTL_OUT"
}
# ---- 25 are busy

guard_start
wait_for 60 '[ "$(ctl status --json; jq .counts.containers <<<"$CTL_OUT")" = 1001 ]' "the guard has found all"
wait_for 60 '[ "$(sampling cold)" -ge $((IDLE - 10)) ]' "the idle ones become cold"
nap $QUIET
least=9999 most=0
before=$(guard_cpu) files=$(sampling files) start=${EPOCHREALTIME/./}
for _ in {1..10}; do
	nap 1
	hot=$(sampling hot)
	((hot >= least)) || least=$hot
	((hot <= most)) || most=$hot
done
us=$((${EPOCHREALTIME/./} - start))
files=$((($(sampling files) - files) * 1000000 / us))
diag "1,000 containers, $BUSY busy: $((($(guard_cpu) - before) * 1000 / us)) per mille of an (emulated) CPU, $files files a second"
num $least '>=' $((BUSY - 5)) "for ten seconds most of them are hot: no fewer than $least"
num $most '<=' $((BUSY + 10)) "and hardly more: $most"
# By the second: 25 hot with some 14 files, 98 cold ones probed with 3, 17 in full. All of all would be 15,000; what
# the kernel's own triggers have looked at besides is in between.
num $files '<=' 3000 "it reads a fifth of what is there, or less"
start=$EPOCHREALTIME
ctl containers --json
diag "asking for all takes $(elapsed "$start") s, $(wc -c </run/ctl.out) bytes"
num "$(jq '[.containers[] | select(.measured.tier == "hot" and (.cgroup | startswith("/busy/")))] | length' /run/ctl.out)" '>=' $((BUSY - 5)) \
	"it is the busy ones"

# ---- five that were idle wake

kill -USR1 "${idle[@]:500:5}"
# One that wakes right before its probe has not used 1 % of the time since the one before, and waits for the
# next. Where this machine's host is busy, asking alone takes seconds.
wait_for $((COLD * 3)) '[ "$(sampling hot)" -ge $((BUSY + 5)) ]' "five that wake are hot within a cold period (on a machine of one's own)"
kill -USR2 "${idle[@]:500:5}"
for path in $CGROOT/busy/*/; do echo 1 >$path/cgroup.freeze; done

# ---- one whose policy has the kernel wake us

is "$(sampling triggers.containers)" 1 "there is a trigger on one"
wait_for 40 '[ "$(sampling hot)" = 0 ]' "all are idle: all are cold"
fired=$(sampling triggers.fired)
kill -USR1 $wake
wait_for 9 '[ "$(sampling hot)" -gt 0 ]' "it wakes, and is hot before most would have had their turn"
num "$(($(sampling triggers.fired) - fired))" '>' 0 "the kernel woke the guard"
done_testing
