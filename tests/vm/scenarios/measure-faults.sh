# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# What breaks every day: cgroups removed under their pressure triggers, no file descriptors left, notifications
# dropped by the kernel, no memory for every 97th allocation. The guard goes on, says so, does not spin, and its books add up.
#
#   docker                    nobody's slice
#   └── <64 hex digits>       tenant f, by path: cgroups and state files as Docker leaves them
#
# shape: plain
# timeout: 300

state=/var/lib/docker/containers
N=60

policy_set <<-EOP
	[Host]
	Mode=ceilings

	[Tenant f]
	Match=path=/docker/*
	ContainerTasksMax=40
	PressureTrigger=cpu io memory
EOP
mkdir -p $CGROOT/docker
echo '+memory +pids +cpu +io' >$CGROOT/docker/cgroup.subtree_control
names=() dirs=()
for ((i = 0; i < N; i++)); do
	printf -v id '%064x' $((0xabcdef * (i + 1)))
	names+=("$id")
	dirs+=("$CGROOT/docker/$id")
	mkdir -p "$state/$id"
	printf '{"ID":"%s","Name":"/c%d","Config":{"Image":"bb","Labels":{}}}' "$id" $i >"$state/$id/config.v2.json"
	printf '{"Memory":0,"PidsLimit":null,"CgroupParent":""}' >"$state/$id/hostconfig.json"
done
status() {  # JQ-FILTER
	ctl status --json
	jq -r "$1" <<<"$CTL_OUT"
}
held() { { grep -lsx 40 "$CGROOT"/docker/*/pids.max || :; } | wc -l; }
guard_cpu() { cg_key bailiff.slice/bailiffd.service cpu.stat usage_usec; }
main_pid() { systemctl show --value --property=MainPID bailiffd.service; }
# Tenant f's starts, ends and running containers.
lives() {
	ctl usage --json
	jq -r '.tenants[] | select(.name == "f") | "\(.book.starts) \(.book.ends) \(.containers)"' <<<"$CTL_OUT"
}
limit() {  # [LINE...]: of a drop-in, and a new guard
	mkdir -p /run/systemd/system/bailiffd.service.d
	printf '[Service]\n' >/run/systemd/system/bailiffd.service.d/60-test.conf
	[ $# = 0 ] || printf '%s\n' "$@" >>/run/systemd/system/bailiffd.service.d/60-test.conf
	systemctl daemon-reload
	systemctl restart bailiffd.service
}

# ---- removed under a trigger

guard_start
mkdir "${dirs[@]}"
wait_for 30 '[ "$(status .sampling.triggers.containers)" = '$N' ]' "$N containers have triggers, as their policy asks"
ctl show "container:c7" --json
is "$(jq .measured.trigger <<<"$CTL_OUT")" true "show says so"
busybox sh -c 'while :; do :; done' &
spinner=$!
echo $spinner >"${dirs[3]}/cgroup.procs"
busybox sh -c 'while :; do :; done' &
other=$!
echo $other >"${dirs[3]}/cgroup.procs"
echo "20000 100000" >"${dirs[3]}/cpu.max"
wait_for 20 "[ \"\$(status .sampling.triggers.fired)\" -gt 0 ]" "a stall wakes the guard"
kill $spinner $other
wait $spinner $other || :
until_true 10 "rmdir '${dirs[3]}' 2>/dev/null" || not_ok "the container goes"
rmdir "${dirs[@]:4}"
wait_for 30 '[ "$(status .sampling.triggers.containers)" = 3 ]' "$((N - 3)) are removed: no trigger is left of them"
used=$(guard_cpu)
nap 5
used=$(($(guard_cpu) - used))
num $used '<' 2500000 "nothing spins: the guard used $((used / 1000)) ms in 5 s"
read -r starts ends now < <(lives)
is $((starts - ends)) "$now" "books: $starts started, $ends ended, $now run"

# ---- no file descriptors

limit LimitNOFILE=180
mkdir "${dirs[@]:3}"
wait_for 30 '[ "$(status .tree.fd_failures)" -gt 0 ]' "with 180 file descriptors it cannot hold all of them"
pid=$(main_pid)
ctl status --check
like "$CTL_OUT" "file descriptors" "status --check says so: ${CTL_OUT%%|*}"
wait_for 20 "guard_log | grep -q 'too few file descriptors'" "and the journal"
nap 3
is "$(main_pid)" "$pid" "it goes on"
ctl containers --json
num "$(jq '[.containers[] | select(.measured.time)] | length' <<<"$CTL_OUT")" '>' 5 "and measures those that it can"
limit
wait_for 30 "[ \$(held) = $N ]" "with enough of them all are found and held"

# ---- notifications dropped

sysctl --quiet --write fs.inotify.max_queued_events=16
limit
wait_for 20 '[ "$(status .counts.containers)" = '$N' ]' "all are found again"
read -r starts ends now < <(lives)
before=$((starts - ends - now)) # those that were there before a guard saw them have no start
for round in 1 2; do
	kill -STOP "$(main_pid)"
	rmdir "${dirs[@]}"
	mkdir "${dirs[@]:0:20}"
	kill -CONT "$(main_pid)"
	until_true 20 '[ "$(status .counts.containers)" = 20 ]' || not_ok "round $round: resynchronised"
	mkdir "${dirs[@]:20}"
	until_true 20 '[ "$(status .counts.containers)" = '$N' ]' || not_ok "round $round: and again"
done
num "$(status .tree.overflows)" '>' 0 "the kernel dropped notifications: $(status .tree.overflows) times"
wait_for 30 "[ \$(held) = $N ]" "every container is held"
wait_for 10 'read -r starts ends now < <(lives) && [ $((starts - ends - now)) = $before ]' "the books add up"
diag "$starts started, $ends ended, $now run"
sysctl --quiet --write fs.inotify.max_queued_events=16384

# ---- no memory, now and then

dd if=/dev/zero of=/run/bailiff/failalloc bs=4096 count=1 status=none
limit Environment=LD_PRELOAD=/usr/lib/bailiff/test/failalloc.so Environment=FAILALLOC=/run/bailiff/failalloc
every() { printf '%s\0' "$1" | dd of=/run/bailiff/failalloc conv=notrunc status=none; }
wait_for 20 '[ "$(status .counts.containers)" = '$N' ]' "the guard runs with an allocator that can be told to fail"
pid=$(main_pid)
for n in 1009 97; do
	every $n
	rmdir "${dirs[@]:0:30}"
	nap 2
	mkdir "${dirs[@]:0:30}"
	for verb in status containers "usage --json" status; do timeout 20 bailiffctl $verb >/dev/null 2>&1 || :; done
	every 0
	is "$(main_pid)" "$pid" "every ${n}th allocation failed: it is the same process"
	wait_for 70 "[ \$(held) = $N ]" "with memory again all are held"
done
read -r asked failed < <(od --address-radix=n --format=u8 --skip-bytes=64 --read-bytes=16 /run/bailiff/failalloc)
num "${failed:-0}" '>' 50 "$failed of $asked allocations failed"
wait_for 30 'ctl status --json && [ $CTL_STATUS = 0 ]' "it answers"
wait_for 70 '[ "$(status .counts.containers)" = '$N' ]' "and knows all of them"
done_testing
