# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# The guard is killed, restarted with another policy, stopped dead: no ceiling flaps. Every write to
# the limit files is watched from before the first kill to the end; a looser value than the policy in
# force is never seen, and an unchanged limit is not written at all.
#
#   tenant.slice
#   └── tenant-a.slice     tenant a: MemoryMax=256M
#       ├── one.scope      64 MB, 50 tasks, 30 % CPU
#       ├── two.scope      the same
#       └── web.service    the same; 40 MB in the end
#   batch.slice            nobody's
#   ├── p1.scope           tenant batch, by path: MemoryMax=100M apportioned, a lease
#   └── p2.scope           the same
#
# kernels: 6.1 6.12
# timeout: 240

MB=$((1 << 20))
a=tenant.slice/tenant-a.slice
all=("$a/one.scope" "$a/two.scope" "$a/web.service")

holds() {  # PATH FILE VALUE
	cg_read REPLY "$1" "$2"
	[ "$REPLY" = "$3" ]
}
main_pid() { systemctl show --value --property=MainPID bailiffd.service; }

# A line for each write to a limit file, by whomever: the file and what it held right after.
# shellcheck disable=SC2016  # perl's own variables
watch_files() {
	local path files=("$CGROOT/$a/memory.max" "$CGROOT"/batch.slice/p{1,2}.scope/memory.{high,max})
	for path in "${all[@]}"; do files+=("$CGROOT/$path"/{memory.max,pids.max,cpu.max}); done
	exec perl -e '$| = 1; my ($fd, %name) = syscall(294, 0); # inotify_init1, inotify_add_watch(IN_MODIFY)
		$name{syscall(254, $fd, $_, 2)} = $_ for @ARGV;
		open my $in, "<&=", $fd or die; print "watching ", scalar(keys %name), "\n";
		while (sysread $in, my $events, 65536) {
			while (length $events) {
				my ($watch, undef, undef, $len) = unpack "iIII", $events;
				substr($events, 0, 16 + $len) = "";
				open my $file, "<", $name{$watch} or next;
				chomp(my $value = <$file>); print "$name{$watch} $value\n";
			}
		}' "${files[@]}"
}
writes() {  # prints what was written since `watched`
	tail -n +$((watched + 1)) /run/watch.out
}

policy() {  # MEGABYTES of web
	policy_set <<-EOP
		[Host]
		Mode=ceilings

		[Tenant a]
		Match=slice=tenant-a.slice
		MemoryMax=256M
		ContainerMemoryMax=64M
		ContainerTasksMax=50
		ContainerCPUQuota=30%

		[Container a/web.service]
		ContainerMemoryMax=${1}M

		[Tenant batch]
		Match=path=/batch.slice/*.scope
		MemoryMax=100M
	EOP
}
policy 64
scope one tenant-a.slice sleep 1000
scope two tenant-a.slice sleep 1000
service web tenant-a.slice -p CPUWeight=90 sleep 1000 # so that there is a cpu controller
scope p1 batch.slice sleep 1000
scope p2 batch.slice sleep 1000
guard_start
for path in "${all[@]}"; do
	wait_for 30 "holds $path memory.max $((64 * MB)) && holds $path pids.max 50 && holds $path cpu.max '30000 100000'" "$path is held"
	wait_for 30 "[ \"\$(systemctl show --value --property=TasksMax ${path##*/})\" = 50 ]" "systemd is told"
done
wait_for 20 "holds $a memory.max $((256 * MB)) && [ \"\$(systemctl show --value --property=MemoryMax tenant-a.slice)\" = $((256 * MB)) ]" \
	"the slice is held"
wait_for 20 "holds batch.slice/p1.scope memory.high $((50 * MB)) && holds batch.slice/p2.scope memory.high $((50 * MB))" \
	"each part of batch has its half"

# ---- kill -9

ctl status --json
records=$(jq .ledger.records <<<"$CTL_OUT")
watch_files >/run/watch.out &
watcher=$!
wait_for 10 '[ "$(</run/watch.out)" = "watching 14" ]' "every limit file is watched"
watched=1
pid=$(main_pid)
kill -9 "$pid"
wait_for 30 '[ "$(main_pid)" != 0 ] && [ "$(main_pid)" != '"$pid"' ] && systemctl --quiet is-active bailiffd.service' \
	"kill -9: systemd starts another guard"
nap 4 # it settles within two seconds
ctl status --json
is "$(jq .ledger.records <<<"$CTL_OUT")" "$records" "it has as many records in its ledger"
is "$(jq -c '[.drift.found, .counts.drifted]' <<<"$CTL_OUT")" "[0,0]" "it saw no drift"
ctl events --json
is "$(jq '[.events[] | select(.kind == "set" or .kind == "repaired" or .kind == "given-back")] | length' <<<"$CTL_OUT")" 0 \
	"and wrote nothing"
is "$(pgrep --cgroup /bailiff.slice/bailiffd.service -c .)" 4 "its cgroup has four processes: the guard and its three helpers"

# ---- three times in a row, hard on its heels

for _ in 1 2 3; do
	pid=$(main_pid)
	[ "$pid" = 0 ] || kill -9 "$pid"
	until_true 30 '[ "$(main_pid)" != 0 ] && [ "$(main_pid)" != '"$pid"' ]'
done
wait_for 30 'ctl status --json; [ $CTL_STATUS = 0 ]' "killed three more times: it answers again"
nap 3
is "$(writes)" "" "over four deaths nobody wrote a limit file, the leases neither: no ceiling flapped"

# ---- a restart with a changed policy

watched=$(wc -l </run/watch.out)
pid=$(main_pid)
kill -STOP "$pid" # so that it is dead before the policy changes
policy 40
kill -9 "$pid"
wait_for 30 "holds $a/web.service memory.max $((40 * MB))" "killed, and restarted with another policy: the new limit is in force"
is "$(writes | grep -v "/web.service/" || :)" "" "no other limit file was written"
is "$(writes | grep "/web.service/" | grep -Ev "memory.max ($((40 * MB))|$((64 * MB)))$|pids.max 50$|cpu.max 30000 100000$" || :)" "" \
	"nor any of its own with a looser value"
is "$(cg $a/one.scope memory.max) $(cg $a/two.scope memory.max)" "$((64 * MB)) $((64 * MB))" "the others stand"
ctl show web.service --json
is "$(jq '.limits[] | select(.limit == "MemoryMax") | .want' <<<"$CTL_OUT")" null "what was there before the first guard is not forgotten: nothing"

# ---- the watchdog

wait_for 20 "[ \"\$(systemctl show --value --property=MemoryMax web.service)\" = $((40 * MB)) ]" "systemd is told of the new limit"
nap 1
watched=$(wc -l </run/watch.out)
pid=$(main_pid)
kill -STOP "$pid"
start=$EPOCHREALTIME
wait_for 60 '[ "$(main_pid)" != 0 ] && [ "$(main_pid)" != '"$pid"' ] && systemctl --quiet is-active bailiffd.service' \
	"a guard that hangs (SIGSTOP) is killed by the watchdog and started anew"
diag "$(elapsed "$start") s after it stopped"
wait_for 30 'ctl status --json; [ $CTL_STATUS = 0 ]' "which answers"
is "$(writes)" "" "nothing was written meanwhile"
like "$(journalctl --quiet --boot --unit=bailiffd.service --output=cat --grep='[Ww]atchdog')" 'Watchdog timeout' "the journal says why"

# ---- and it works

echo max >$CGROOT/$a/one.scope/pids.max
wait_for 10 "holds $a/one.scope pids.max 50" "a drift is repaired by the last guard"
like "$(writes)" '/one.scope/pids.max max.*/one.scope/pids.max 50' "(and the watcher saw that)"
kill $watcher
done_testing
