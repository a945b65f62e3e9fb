# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# A thousand processes of 20 ms, in fifty containers that no slice counts and that have come and gone before the guard looks:
# what no look saw of them comes from the kernel's records of tasks, and the tenant's books have it. Then what the service costs where
# it may do nothing: without the capability the guard says so, once, and goes on. A culprit's processes are in the evidence.
#
#   docker
#   └── <64 hex>                             tenant a, by path: fifty of them, each runs forks -n 20 -b 20
#   tenant.slice
#   ├── tenant-web.slice/web.scope           suffers
#   └── tenant-spin.slice/spin.scope         is to blame
#
# kernels: 6.1 6.12
# timeout: 420

FORKS=/usr/lib/bailiff/test/forks

noise_policy <<-'P'

	[Tenant a]
	Match=path=/docker/*
P
mkdir -p $CGROOT/docker
echo '+cpu +memory +io +pids' >$CGROOT/docker/cgroup.subtree_control
guard_start
wait_for 30 'ctl status --json; [ "$(jq ".netlink.connected and (.netlink.wants | index(\"tasks\")) != null" <<<"$CTL_OUT")" = true ]' \
	"records of tasks are wanted"
nap 3 # all processes have been met

truth=0 did=0
guard=$(guard_pid)
for ((i = 0; i < 50; i++)); do
	# Five at a time while the guard stands still: no look sees any of them. (Its watchdog waits 15 s.)
	[ $((i % 5)) != 0 ] || kill -STOP "$(guard_pid)"
	id=$(printf '%064x' $((i + 4096)))
	mkdir $CGROOT/docker/$id
	in_cgroup docker/$id $FORKS -n 20 -b 20 >/run/forks.out
	read -r _ _ _ _ _ _ _ own </run/forks.out
	used=$(cg_key docker/$id cpu.stat usage_usec)
	rmdir $CGROOT/docker/$id
	truth=$((truth + used))
	did=$((did + own))
	if [ $((i % 5)) = 4 ]; then
		kill -CONT "$(guard_pid)"
		nap 2
	fi
done
is "$(guard_pid)" "$guard" "the guard is the same as before"
diag "the processes used $did us by their own clocks, with all that the kernel did for them the cgroups $truth"
wait_for 30 'TOTALS=$(totals a); [ "$(jq .book.ends <<<"${TOTALS:-null}")" = 50 ]' "all of them are counted"
nap 6 # what is owed is settled some seconds after the end
TOTALS=$(totals a)
book=$(jq .book.cpu_usec <<<"$TOTALS")
ctl status --json
diag "CPU in us: the containers' own $truth, book $book; $(jq -c .netlink <<<"$CTL_OUT")"
diag "unread ends $(jq .book.ends_unread <<<"$TOTALS"), unseen for $(jq .book.unseen_usec <<<"$TOTALS") us"
# To end a process costs some 30 us where a CPU is not emulated, and is in no record; here that is a millisecond or two.
num $book '>=' $((did * 95 / 100)) "what the processes did is booked, within 5 %"
num $book '<=' $((truth * 105 / 100)) "and no more than was used"
num $book '>=' $((truth * 85 / 100)) "of all that was used, most"
num "$(jq .netlink.late_cpu_usec <<<"$CTL_OUT")" '>=' $((truth * 80 / 100)) "most of it only the records of tasks told"
is "$(parts_differ "$TOTALS")" "" "and the parts are the total"

# ---- who it was

sysctl --quiet --write kernel.task_delayacct=1
noise_pair
wait_for 30 'ctl show spin.scope --json; [ "$(jq ".main_pid // 0" <<<"$CTL_OUT")" -gt 0 ]' "the pair is known"
go spin
wait_for_act 60 ' throttle spin.scope ' "spin is held back"
wait_for 20 'ctl why spin.scope; grep -q "Processes:.*hog (pid ${LOAD_PID[spin]}) used" <<<"$CTL_OUT"' "why names the process"
diag "$CTL_OUT"
ctl processes spin.scope --json
is "$(jq -r '.processes[0].comm' <<<"$CTL_OUT")" hog "it is the first of its container"
num "$(jq '.processes[0].delays.cpu_usec' <<<"$CTL_OUT")" '>' 0 "and what it waits for is known"
rest spin

# ---- without the capability

mkdir -p /run/systemd/system/bailiff-netlink.service.d
printf '[Service]\nAmbientCapabilities=\n' >/run/systemd/system/bailiff-netlink.service.d/50-test.conf
systemctl daemon-reload
systemctl restart bailiff-netlink.service
# Since 6.6 the kernel tells everybody of events, but of records only who may.
wait_for 30 'guard_log | grep -Eq "no (process events|records of tasks)"' "without the capability the guard says so"
nap 12
is "$(guard_log | grep -Ec 'no (process events|records of tasks)' || :)" 1 "once"
ctl status --json
like "$(jq -r '.netlink | .events_error // .tasks_error' <<<"$CTL_OUT")" "has no CAP_NET_ADMIN" "and why"
rm /run/systemd/system/bailiff-netlink.service.d/50-test.conf
systemctl daemon-reload
systemctl restart bailiff-netlink.service
wait_for 40 'ctl status --json; [ "$(jq -r ".netlink | .events_error // .tasks_error" <<<"$CTL_OUT")" = null ]' "with it, it is well again"
like "$(systemd-analyze security --no-pager bailiff-netlink.service | tail -n 1)" "level for bailiff-netlink.service: [01]\.[0-9]|: 2\.0" \
	"the service is shut in as far as it goes"
like "$(systemd-analyze security --no-pager bailiffd.service | tail -n 1)" "level for bailiffd.service: [01]\.|: 2\.[0-5]" "and so is the guard"
done_testing
