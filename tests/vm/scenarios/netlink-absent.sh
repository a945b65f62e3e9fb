# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# Where the kernel tells nothing of processes: bailiff-netlink in another network namespace, in another user namespace, in another
# pid namespace, on a kernel that was built without, and a service that does not start. It is said once, in words, also when it is asked again; containers are found,
# counted, held and killed all the same, nobody invents how they ended, and nothing goes round in circles. (Without the capability:
# netlink-tasks.sh; without the service: netlink-events.sh.)
#
#   tenant.slice
#   └── tenant-a.slice/one-<case>.scope   one of each case: some CPU, until it is killed
#
# timeout: 420

DROPIN=/run/systemd/system/bailiff-netlink.service.d/50-test.conf
PROGRAM=$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/bailiff-netlink.service)

policy_set <<-'P'
	[Host]
	Mode=enforce

	[Tenant a]
	Match=slice=tenant-a.slice
	ContainerTasksMax=50
P
netlink() {  # FILTER: of status; prints it
	ctl status --json
	jq -r ".netlink | $1" <<<"$CTL_OUT"
}
without() {  # NAME EVENTS TASKS: the service runs as stdin has it; what is told of the two, as regular expressions, "" for nothing
	local name=$1 events=$2 tasks=$3 cpu start spent since
	guard_stop
	mkdir -p ${DROPIN%/*}
	cat >$DROPIN
	systemctl daemon-reload
	systemctl restart bailiff-netlink.service || :
	since=$EPOCHSECONDS
	guard_start
	scope one-$name tenant-a.slice -p CPUWeight=100 "$VICTIM" -p 50 -s 900 -o $LOADS/one-$name cpu
	load_ready one-$name
	wait_for 60 '[ "$(netlink .connected)" = true ]' "$name: the service is there"
	wait_for 60 '[ "$(netlink ".events_error // .tasks_error // \"\"")" != "" ]' "it says that the kernel does not tell"
	diag "$(netlink '"events: \(.events_error); records: \(.tasks_error)"')"
	like "$(netlink '.events_error // ""')" "^$events\$" "what is in the way of events"
	like "$(netlink '.tasks_error // ""')" "^$tasks\$" "and of records"
	ctl status
	like "$CTL_OUT" "Processes: +how they end and who forks is not known: $events|what short lives used is not known: $tasks" 'status has it' || diag "$CTL_OUT"
	# The guard goes on.
	wait_for 60 'ctl show one-$name.scope --json; [ "$(jq ".tenant // \"\"" -r <<<"$CTL_OUT")" = a ]' "a container is found"
	wait_for 60 '[ "$(cg "$CG" pids.max)" = 50 ]' "and held"
	wait_for 60 'ctl usage --json; [ "$(jq "[.tenants[] | select(.name == \"a\").book.cpu_usec] | add // 0" <<<"$CTL_OUT")" -gt 0 ]' "and counted"
	ctl throttle one-$name.scope cpu=50% --for 60s
	is "$CTL_STATUS" 0 "it can be held back" || diag "$CTL_OUT$CTL_ERR"
	like "$(cg "$CG" cpu.max)" '^[0-9]+ 100000' "and is"
	cpu=$(cg_key bailiff.slice cpu.stat usage_usec)
	start=$SECONDS
	nap "${4:-10}"
	spent=$((SECONDS - start))
	cpu=$(($(cg_key bailiff.slice cpu.stat usage_usec) - cpu))
	diag "guard and service used $((cpu / spent)) us a second"
	num $((cpu / spent)) '<=' 150000 "nothing goes round in circles"
	ctl kill one-$name.scope
	is "$CTL_STATUS" 0 "and it can be killed"
	wait_for 60 '! cg_exists "$CG"' "it is gone"
	ctl events --json
	is "$(jq -r --arg n one-$name.scope '[.events[] | select(.kind == "exit" and .container == $n and .cause != "bailiff" and .cause != "unknown")] | length' <<<"$CTL_OUT")" 0 \
		'nobody invents how it ended'
	is "$(guard_log --since=@$since | grep -Ec 'no (process events|records of tasks)' || :)" 1 "it was said once"
	like "$(guard_log --since=@$since)" "the kernel gives no (process events|records of tasks)[^(]*\((taskstats: )?($events|$tasks)\): .*everything else works" \
		'in words'
}

# What is refused is asked for again after a minute: that is no news.
without network "bailiff-netlink is not in the host's network namespace" '.*' 75 <<-'P'
	[Service]
	PrivateNetwork=yes
P
without users '(bailiff-netlink has no CAP_NET_ADMIN|no answer: .*user namespaces)' '.*' <<-'P'
	[Service]
	PrivateUsers=yes
P
without pids 'no answer: .*pid and user namespaces' '.*' <<-P
	[Service]
	DynamicUser=no
	User=root
	AmbientCapabilities=
	CapabilityBoundingSet=CAP_NET_ADMIN CAP_SYS_ADMIN
	RestrictNamespaces=no
	SystemCallFilter=
	ExecStart=
	ExecStart=/usr/bin/unshare --pid --fork --kill-child sh -c 'export LISTEN_PID=\$\$\$\$; exec $PROGRAM'
P
without kernel 'the kernel has no CONFIG_CONNECTOR.*' '.*' <<-'P'
	[Service]
	Environment=LD_PRELOAD=/usr/lib/bailiff/test/nonetlink.so
P

# ---- a service that fails at once: systemd takes the guard's connection, and starts it again and again

guard_stop
printf '[Service]\nExecStart=\nExecStart=/usr/bin/false\n' >$DROPIN
systemctl daemon-reload
systemctl stop bailiff-netlink.service
since=$EPOCHSECONDS
guard_start
scope waits tenant-a.slice sleep 900
wait_for 60 'guard_log --since=@$since | grep -q "bailiff-netlink is not there (it does not answer)"' 'the guard says that nobody answers'
is "$(netlink .connected)" false 'status has it'
nap 10
is "$(guard_log --since=@$since | grep -c 'bailiff-netlink is not there')" 1 'once'
failures=$(journalctl --quiet --no-pager --unit=bailiff-netlink.service --since="@$since" --output=cat | grep -c 'Main process exited' || :)
spent=$((EPOCHSECONDS - since))
diag "$failures starts in $spent s"
num "$failures" '<=' $((spent / 2 + 2)) 'PID 1 is not kept busy with it'

# ---- and with all of it again

guard_stop
rm $DROPIN
systemctl daemon-reload
systemctl stop bailiff-netlink.service
guard_start
scope last tenant-a.slice sleep 900
wait_for 60 '[ "$(netlink "\"\\(.connected) \\(.events_error) \\(.tasks_error)\"")" = "true null null" ]' 'in the host'\''s namespaces everything is told'
done_testing
