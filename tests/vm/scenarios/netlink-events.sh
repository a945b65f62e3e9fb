# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# What the kernel says of processes, through bailiff-netlink. Main processes end in six ways, each told apart; a container's
# processes are shown. A storm of forks with the smallest receive buffer there is: what is lost is counted and told, it costs what
# the service may cost, and the counts are right again afterwards. Then the service is killed, and its socket goes: the guard goes on.
#
#   tenant.slice
#   ├── tenant-a.slice/docker-<id>.scope   three, oom, killed, dumped, thrown, last: their main processes end
#   └── tenant-b.slice/docker-<id>.scope   storm: forks as fast as it can
#
# shape: docker
# kernels: 6.1 6.12
# timeout: 420

FORKS=/usr/lib/bailiff/test/forks

policy_set <<-'P'
	[Host]
	Mode=enforce

	[Tenant a]
	Match=slice=tenant-a.slice

	[Tenant b]
	Match=slice=tenant-b.slice
P
guard_start
netlink() {  # FILTER: of status; prints it
	ctl status --json
	jq -r ".netlink | $1" <<<"$CTL_OUT"
}
cause() {  # CONTAINER: of its event of kind exit; prints it
	ctl events --json
	jq -r --arg name "$1" '[.events[] | select(.kind == "exit" and .container == $name)][-1].cause // ""' <<<"$CTL_OUT"
}
text() {  # CONTAINER: likewise
	ctl events --json
	jq -r --arg name "$1" '[.events[] | select(.kind == "exit" and .container == $name)][-1].text // ""' <<<"$CTL_OUT"
}
ends() {  # CONTAINER CAUSE REGEX TEXT
	until_true 60 "[ -n \"\$(cause $1)\" ]" || :
	is "$(cause "$1")" "$2" "$4"
	like "$(text "$1")" "$3" "in words"
	diag "$(text "$1")"
}

# ---- how main processes end

# They end when they are told, however long it takes to start them all.
docker_run three tenant-a.slice -- busybox sh -c 'trap "exit 3" USR1; while :; do sleep 1; done'
THREE=$CG
docker_run oom tenant-a.slice --memory=16m --memory-swap=16m -- busybox sh -c 'trap "exec tail /dev/zero" USR1; while :; do sleep 1; done'
OOM=$CG
docker_run killed tenant-a.slice -- busybox sleep 1000
KILLED=$CG
docker_run thrown tenant-a.slice -- busybox sleep 1000
# In the host's pid namespace: the first process of one of its own takes no such signal.
core_pattern=$(sysctl --values kernel.core_pattern)
sysctl --quiet --write kernel.core_pattern=/core
docker_run dumped tenant-a.slice --pid=host --ulimit core=-1 -- busybox sleep 1000
DUMPED=$CG
wait_for 60 '[ "$(netlink .watched)" -ge 5 ]' "main processes are watched"
is "$(netlink '"\(.connected) \(.events_error) \(.tasks_error)"')" "true null null" "the service answers, and the kernel tells"
is "$(systemctl show --value --property=ActiveState bailiff-netlink.service)" active "it was started by its socket"
read -r pid <"$CGROOT/$KILLED/cgroup.procs"
ctl processes killed --json
is "$(jq -r '.processes[0] | "\(.pid) \(.comm)"' <<<"$CTL_OUT")" "$pid busybox" "its processes can be seen" || diag "$CTL_OUT$CTL_ERR"
ctl show killed
like "$CTL_OUT" "$pid +busybox" "and are in show"
like "$CTL_OUT" "Main: pid $pid, busybox" "which says which one is watched" || diag "$CTL_OUT"
ctl status
like "$CTL_OUT" "Processes: [0-9]+ main processes watched" "and status how many"
kill -KILL "$pid"
ends killed signal "SIGKILL, by somebody else than bailiff" "killed by hand"
head -n 1 "$CGROOT/$DUMPED/cgroup.procs" | xargs kill -ABRT
ends dumped core "SIGABRT, core dumped" "killed, and its memory dumped"
sysctl --quiet --write "kernel.core_pattern=$core_pattern"
head -n 1 "$CGROOT/$THREE/cgroup.procs" | xargs kill -USR1
ends three exit "exit status 3" "ended by itself"
executed() { ctl events --json; jq -r --arg name "$1" '[.events[] | select(.kind == "exec" and .container == $name)] | map(.program) | join(" ")' <<<"$CTL_OUT"; }
wait_for 60 '[[ " $(executed killed) " = *" busybox "* ]]' "what a new container runs was told"
head -n 1 "$CGROOT/$OOM/cgroup.procs" | xargs kill -USR1
ends oom oom "SIGKILL, by the kernel, for memory" "killed by the kernel"
ctl kill thrown
ends thrown bailiff "after bailiff had told it to" "killed by us"
like "$(guard_log -o json | jq -r 'select(.BAILIFF_ACTION == "exit") | .BAILIFF_CAUSE' | sort -u | tr '\n' ' ')" \
	"bailiff .*core .*exit .*oom .*signal" "the journal has the causes, too"

# ---- a storm of forks, with the smallest buffer

sysctl --quiet --write kernel.task_delayacct=1 || :
mkdir -p /run/systemd/system/bailiff-netlink.service.d
command=$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/bailiff-netlink.service)
printf '[Service]\nExecStart=\nExecStart=%s --buffer=1\n' "$command" >/run/systemd/system/bailiff-netlink.service.d/50-test.conf
systemctl daemon-reload
systemctl restart bailiff-netlink.service
docker_run storm tenant-b.slice "${WITH_TOOLS[@]}" -- "${TOOL[@]}" sh -c "$FORKS -s 60 & exec $FORKS -s 60"
STORM=$CG
wait_for 30 'netlink ".wants | tostring" | grep -q forks' "forks are wanted while there are many"
cpu=$(cg_key bailiff.slice/bailiff-netlink.service cpu.stat usage_usec)
guard=$(cg_key bailiff.slice/bailiffd.service cpu.stat usage_usec)
start=$SECONDS
nap 30
spent=$((SECONDS - start))
cpu=$(($(cg_key bailiff.slice/bailiff-netlink.service cpu.stat usage_usec) - cpu))
guard=$(($(cg_key bailiff.slice/bailiffd.service cpu.stat usage_usec) - guard))
diag "in $spent s the service used $((cpu / 1000)) ms, the guard $((guard / 1000)) ms; $(netlink tostring)"
num $((cpu / spent)) '<=' 220000 "the storm costs no more than the service may use"
num $((guard / spent)) '<=' 250000 "nor does the guard do much"
num "$(netlink .lost_events)" '>' 0 "events were lost, and counted: $(netlink .lost_events)"
like "$(guard_log)" "came faster than they are read" "and it was said"
ctl show storm --json
diag "forks a second: $(jq .forks_per_sec <<<"$CTL_OUT")"
wait_for 90 '! cg_exists "$STORM"' "the storm is over"
until_true 20 '[ -n "$(cause storm)" ]' || :
like "$(cause storm)" '^(exit|unknown)$' "its main process is told of, though events were lost"

# ---- afterwards, with the usual buffer: what is counted is what there was

rm /run/systemd/system/bailiff-netlink.service.d/50-test.conf
systemctl daemon-reload
systemctl restart bailiff-netlink.service
wait_for 30 '[ "$(netlink .connected)" = true ]' "a restarted service is found again"
lost=$(netlink .lost_events)
docker_run counted tenant-b.slice "${WITH_TOOLS[@]}" -- "${TOOL[@]}" sh -c "$FORKS -s 20; sleep 1000"
wait_for 60 'ctl show counted --json; [ "$(jq ".forks_per_sec // 0" <<<"$CTL_OUT")" -gt 40 ]' "its forks are counted"
wait_for 60 'docker logs counted 2>/dev/null | grep -q ^made' "it says how many there were"
nap 2
read -r _ made _ < <(docker logs counted)
ctl show counted --json
counted=$(jq .forks <<<"$CTL_OUT")
lost=$(($(netlink .lost_events) - lost))
diag "it made $made, $counted were counted, $lost were lost"
# It may take a second or two until they are wanted; some were made by what started it.
num $((counted + lost)) '>=' $((made * 80 / 100)) "as many as there were"
num "$counted" '<=' $((made * 102 / 100 + 20)) "and no more"

# ---- without the service

docker_run last tenant-a.slice -- busybox sleep 1000
LAST=$CG
wait_for 30 'ctl show last --json; [ "$(jq ".main_pid // 0" <<<"$CTL_OUT")" -gt 0 ]' "one more is watched"
main=$(jq .main_pid <<<"$CTL_OUT")
systemctl kill --kill-whom=all --signal=KILL bailiff-netlink.service
wait_for 30 '[ "$(netlink .connected)" = true ]' "a killed service is started again by its socket"
# Where it took long to start the guard has said so then, too.
said() { guard_log | grep -c 'bailiff-netlink is not there' || :; }
before=$(said)
systemctl stop bailiff-netlink.socket bailiff-netlink.service
wait_for 30 '[ "$(netlink .connected)" = false ]' "no service, no socket"
wait_for 40 '[ "$(said)" -gt $before ]' "the guard says so"
is "$(said)" $((before + 1)) "once"
ctl processes last --json
is "$(jq -r .error <<<"$CTL_OUT")" "bailiff-netlink is not there" "and to who asks"
ctl status
is "$CTL_STATUS" 0 "it goes on"
kill -KILL "$main"
wait_for 30 '! cg_exists "$LAST"' "a container that ends is gone all the same"
systemctl start bailiff-netlink.socket
wait_for 90 '[ "$(netlink .connected)" = true ]' "with the socket it is found again"
like "$(guard_log -o json | jq -r 'select(.BAILIFF_CONTAINER == "last" and .BAILIFF_ACTION == "exit") | .MESSAGE')" \
	"how is not known|^$" "nobody invents how it ended"
done_testing
