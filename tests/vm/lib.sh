# shellcheck shell=bash
# What a scenario has at hand, inside the guest. guest/scenario sources this and then the scenario.
#
# Points are TAP lines: ok/not_ok and everything built on them (is, like, check, wait_for ...) report
# and go on; they never end the scenario. Anything else that fails does (errexit), and says where:
# a broken bed must not look like a passed test.
#
# A fork costs 10-30 ms here and `docker run` five seconds. So: files are read with $(<file) or
# cg_read, time passes in `nap` (a read that times out), and conditions are bash, not pipelines.
#
#   points      ok not_ok is isnt like unlike num check wait_for skip diag done_testing
#   time        nap until_true elapsed
#   cgroups     cg cg_read cg_key cg_exists slice_path cg_kill
#   loads       scope service in_cgroup
#   engines     docker_run docker_rm podman_run rootless
#   bailiff     guard_start guard_stop guard_pid guard_cpu guard_log policy_set ctl have_bailiff
#   measuring   kernel_values sample_values totals totals_shrunk parts_differ

CGROOT=/sys/fs/cgroup

# ---- points ---------------------------------------------------------------------------------------

tap_points=0
tap_failed=0
tap_done=''

ok() {  # TEXT: a point that passed
	tap_points=$((tap_points + 1))
	echo "ok $tap_points - $1"
}

not_ok() {  # TEXT [DIAGNOSTIC...]: a point that failed
	tap_points=$((tap_points + 1))
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_points - $1"
	shift
	[ $# = 0 ] || diag "$@"
}

diag() {  # LINE...: a comment in the output; lines may hold newlines
	local line
	while IFS= read -r line; do echo "# $line"; done < <(printf '%s\n' "$@")
}

is() {  # GOT WANTED TEXT: equal strings
	if [ "$1" = "$2" ]; then ok "$3"; else not_ok "$3" "got:    $1" "wanted: $2"; fi
}

isnt() {  # GOT UNWANTED TEXT
	if [ "$1" != "$2" ]; then ok "$3"; else not_ok "$3" "got: $1"; fi
}

like() {  # GOT REGEX TEXT: extended regular expression, anywhere
	if [[ $1 =~ $2 ]]; then ok "$3"; else not_ok "$3" "got:  $1" "like: $2"; fi
}

unlike() {  # GOT REGEX TEXT
	if [[ ! $1 =~ $2 ]]; then ok "$3"; else not_ok "$3" "got:    $1" "unlike: $2"; fi
}

num() {  # GOT OPERATOR WANTED TEXT: integers; operator as in bash's (( )): == != < <= > >=
	# shellcheck disable=SC2086
	if [[ $1 =~ ^-?[0-9]+$ && $3 =~ ^-?[0-9]+$ ]] && eval "(( $1 $2 $3 ))"; then
		ok "$4"
	else
		not_ok "$4" "got: $1, wanted: $2 $3"
	fi
}

check() {  # TEXT COMMAND...: the command succeeds; its output becomes the diagnostics
	local text=$1 output status=0
	shift
	output=$("$@" 2>&1) || status=$?
	if [ $status = 0 ]; then ok "$text"; else not_ok "$text" "status $status: $*" "$output"; fi
}

# Reasons start with a key, "key: why". With CI=true only the keys on the scenario's
# `# may-skip:` line pass.
skip() {  # TEXT REASON
	tap_points=$((tap_points + 1))
	echo "ok $tap_points - $1 # SKIP $2"
}

done_testing() {  # closes the scenario: nothing after it
	echo "1..$tap_points"
	tap_done=1
}

# ---- time -----------------------------------------------------------------------------------------

# A fifo that nobody writes: reading it with a timeout is a sleep without a fork.
nap_open() {
	local fifo
	fifo=$(mktemp -u /run/nap.XXXXXX)
	mkfifo "$fifo"
	exec {nap_fd}<>"$fifo"
	rm "$fifo"
}
nap_open

nap() {  # SECONDS, fractions allowed
	read -r -t "$1" -u "$nap_fd" _ || :
}

elapsed() {  # SINCE (an $EPOCHREALTIME): prints seconds with two decimals
	local us=$((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}))
	printf '%d.%02d' $((us / 1000000)) $((us / 10000 % 100))
}

until_true() {  # SECONDS CONDITION: polls bash code; 0 when it came true in time, else 1
	local deadline=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
	until eval "$2"; do
		((${EPOCHREALTIME/[.,]/} < deadline)) || return 1
		nap 0.1
	done
}

# Time limits are for an emulated machine on a busy host: be generous, they cost nothing when met.
wait_for() {  # SECONDS CONDITION TEXT: a point; says how long it took
	local start=$EPOCHREALTIME
	if until_true "$1" "$2"; then
		ok "$3"
		diag "after $(elapsed "$start") s"
	else
		not_ok "$3" "not within $1 s: $2"
	fi
}

# ---- cgroups: PATH is relative to the root, as in /proc/PID/cgroup; a leading slash does not matter

cg() {  # PATH FILE: prints the file, or "gone"
	cg_read REPLY "$1" "$2"
	printf '%s\n' "$REPLY"
}

cg_read() {  # VARIABLE PATH FILE: the same without a subshell
	# the braces catch the shell's own message when the file is gone
	{ printf -v "$1" '%s' "$(<"$CGROOT/${2#/}/$3")"; } 2>/dev/null || :
	[ -e "$CGROOT/${2#/}/$3" ] || printf -v "$1" gone
}

cg_key() {  # PATH FILE KEY: the number after KEY in a file of "key value" lines; 0 if there is none
	local key value
	while read -r key value; do
		[ "$key" != "$3" ] || break
		value=0
	done 2>/dev/null <"$CGROOT/${1#/}/$2" || :
	printf '%s\n' "${value:-0}"
}

cg_exists() { [ -d "$CGROOT/${1#/}" ]; }

slice_path() {  # tenant-a.slice: prints tenant.slice/tenant-a.slice
	local name=${1%.slice} prefix='' path='' part
	local -a parts
	IFS=- read -ra parts <<<"$name"
	for part in "${parts[@]}"; do
		prefix+=${prefix:+-}$part
		path+=${path:+/}$prefix.slice
	done
	printf '%s\n' "$path"
}

cg_kill() {  # PATH: kills what runs there, waits until it is empty, removes what systemd did not make
	local dir=$CGROOT/${1#/}
	[ -d "$dir" ] || return 0
	echo 1 >"$dir/cgroup.kill"
	until_true 20 "[ ! -d '$dir' ] || [[ \$(<'$dir/cgroup.events') = *'populated 0'* ]]" 2>/dev/null
	find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null || :
}

# ---- loads ----------------------------------------------------------------------------------------

scope() {  # NAME SLICE COMMAND...: runs in the background in NAME.scope; sets PID and CG
	local name=$1 slice=$2
	shift 2
	systemd-run --quiet --scope --collect --unit="$name" --slice="$slice" "$@" &
	PID=$!
	CG=$(slice_path "$slice")/$name.scope
	# systemd-run becomes the command when the scope is ready
	until_true 20 "grep -qsx $PID '$CGROOT/$CG/cgroup.procs'" || not_ok "scope $name started"
}

service() {  # NAME SLICE [-p PROPERTY=VALUE...] COMMAND...: NAME.service; sets CG
	local name=$1 slice=$2
	shift 2
	systemd-run --quiet --collect --unit="$name" --slice="$slice" "$@"
	CG=$(slice_path "$slice")/$name.service
}

in_cgroup() {  # PATH COMMAND...: runs in an existing cgroup, in the foreground; & is yours
	local path=$1
	shift
	(
		echo $BASHPID >"$CGROOT/${path#/}/cgroup.procs"
		exec "$@"
	)
}

# ---- engines --------------------------------------------------------------------------------------

# The whole guest below /host, so that a container can run what its image lacks:
#   docker_run hog tenant-a.slice "${WITH_TOOLS[@]}" -- "${TOOL[@]}" stress-ng --vm 1
# shellcheck disable=SC2034
WITH_TOOLS=(-v /:/host:ro)
# shellcheck disable=SC2034
TOOL=(busybox chroot /host)

# Splits "[ENGINE-OPTION...] -- COMMAND..." into ENGINE_OPTIONS and ENGINE_COMMAND.
split_engine_arguments() {
	ENGINE_OPTIONS=()
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		ENGINE_OPTIONS+=("$1")
		shift
	done
	[ $# = 0 ] || shift
	ENGINE_COMMAND=("$@")
	[ $# -gt 0 ] || ENGINE_COMMAND=(sleep 100000)
}

# PARENT is a slice (systemd driver), a path (cgroupfs driver) or "" for the engine's default.
docker_run() {  # NAME PARENT [DOCKER-OPTION...] [-- COMMAND...]: detached; sets CID and CG
	local name=$1 parent=$2
	shift 2
	split_engine_arguments "$@"
	CID=$(docker run --detach --name "$name" --network=none ${parent:+--cgroup-parent="$parent"} \
		"${ENGINE_OPTIONS[@]}" bb "${ENGINE_COMMAND[@]}")
	case $parent in
	*.slice) CG=$(slice_path "$parent")/docker-$CID.scope ;;
	/*) CG=${parent#/}/$CID ;;
	*) CG=$(docker_default_parent "$CID") ;;
	esac
}

docker_default_parent() {  # CID
	if cg_exists "system.slice/docker-$1.scope"; then
		echo "system.slice/docker-$1.scope"
	else
		echo "docker/$1"
	fi
}

docker_rm() { docker rm --force "$@" >/dev/null; }

podman_run() {  # NAME SLICE [PODMAN-OPTION...] [-- COMMAND...]: detached; sets CID and CG
	local name=$1 slice=$2
	shift 2
	split_engine_arguments "$@"
	CID=$(podman run --detach --name "$name" --network=none ${slice:+--cgroup-parent="$slice"} \
		"${ENGINE_OPTIONS[@]}" bb "${ENGINE_COMMAND[@]}")
	CG=$(slice_path "${slice:-machine.slice}")/libpod-$CID.scope
}

# As user tenant (uid 1000) with a running user manager (shape podman): rootless podman ps
rootless() {
	runuser -u tenant -- env --chdir=/home/tenant HOME=/home/tenant XDG_RUNTIME_DIR=/run/user/1000 \
		DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus "$@"
}

# ---- bailiff --------------------------------------------------------------------------------------

have_bailiff() { [ -e /usr/lib/systemd/system/bailiffd.service ] || [ -e /lib/systemd/system/bailiffd.service ]; }

policy_set() {  # <<EOF: the text of /etc/bailiff/policy.d/50-test.ini. A running guard wants `ctl reload`.
	mkdir -p /etc/bailiff/policy.d
	cat >/etc/bailiff/policy.d/50-test.ini
}

# With arguments the unit's own command line gets them appended, through a drop-in.
guard_start() {  # [ARGUMENT...]: the real unit; a point; on failure its log is the diagnostics
	local dropin=/run/systemd/system/bailiffd.service.d/50-test.conf command
	if [ $# -gt 0 ]; then
		rm -f "$dropin"
		command=$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/bailiffd.service | head -n 1)
		mkdir -p "${dropin%/*}"
		printf '[Service]\nExecStart=\nExecStart=%s\n' "$command $*" >"$dropin"
		systemctl daemon-reload
	elif [ -e "$dropin" ]; then
		rm "$dropin"
		systemctl daemon-reload
	fi
	if systemctl start bailiffd.service; then
		ok "the guard starts${*:+ with $*}"
	else
		not_ok "the guard starts${*:+ with $*}" "$(guard_log)"
	fi
}

guard_stop() { systemctl stop bailiffd.service; }

guard_pid() { systemctl show --value --property=MainPID bailiffd.service; }

guard_cpu() { cg_key bailiff.slice cpu.stat usage_usec; }  # µs so far, its helpers' too

guard_log() {  # [JOURNALCTL-OPTION...]: the guard's journal of this boot; default one message a line
	journalctl --sync
	journalctl --quiet --no-pager --boot --unit=bailiffd.service --output=cat "$@"
}

ctl() {  # VERB...: bailiffctl; sets CTL_OUT, CTL_ERR, CTL_STATUS; never ends the scenario
	CTL_STATUS=0
	bailiffctl "$@" >/run/ctl.out 2>/run/ctl.err </dev/null || CTL_STATUS=$?
	CTL_OUT=$(</run/ctl.out)
	# shellcheck disable=SC2034
	CTL_ERR=$(</run/ctl.err)
}

# ---- what the guard measured ------------------------------------------------------------------------

# The files of a cgroup, by the names that the guard's JSON has for what they say, into an associative
# array. Peaks are not among them: theirs are of an interval.
kernel_values() {  # ARRAY PATH
	local -n values_=$1
	local dir_=$CGROOT/${2#/} key value rest pair resource
	declare -A names_=([usage_usec]=cpu_usage_usec [user_usec]=cpu_user_usec [system_usec]=cpu_system_usec
		[nr_periods]=cpu_periods [nr_throttled]=cpu_throttled_periods [throttled_usec]=cpu_throttled_usec
		[burst_usec]=cpu_burst_usec
		[anon]=anon_bytes [file]=file_bytes [kernel]=kernel_bytes [shmem]=shmem_bytes
		[file_dirty]=file_dirty_bytes [file_writeback]=file_writeback_bytes [inactive_file]=inactive_file_bytes
		[workingset_refault_anon]=refault_anon [workingset_refault_file]=refault_file
		[pgscan]=pgscan [pgsteal]=pgsteal [pgfault]=pgfault [pgmajfault]=pgmajfault
		[low]=memory_events_low [high]=memory_events_high [max]=memory_events_max
		[oom]=memory_events_oom [oom_kill]=memory_events_oom_kill
		[populated]=populated [frozen]=frozen
		[rbytes]=io_read_bytes [wbytes]=io_write_bytes [rios]=io_read_ops [wios]=io_write_ops
		[dbytes]=io_discard_bytes [dios]=io_discard_ops
		[cost.usage]=io_cost_usage_usec [cost.wait]=io_cost_wait_usec)
	values_=()
	while read -r key value; do
		[ -z "${names_[$key]:-}" ] || values_[${names_[$key]}]=$value
	done < <(cat "$dir_"/{cpu.stat,memory.stat,memory.events,cgroup.events} 2>/dev/null || :)
	for pair in io_read_bytes io_write_bytes io_read_ops io_write_ops io_discard_bytes io_discard_ops; do
		[ ! -e "$dir_/io.stat" ] || values_[$pair]=0
	done
	while read -r _ rest; do
		for pair in $rest; do
			key=${names_[${pair%%=*}]:-}
			[ -z "$key" ] || values_[$key]=$((${values_[$key]:-0} + ${pair#*=}))
		done
	done < <(cat "$dir_/io.stat" 2>/dev/null || :)
	while read -r key value; do
		[ "$key" != max ] || values_[tasks_events_max]=$value
	done < <(cat "$dir_/pids.events" 2>/dev/null || :)
	for pair in memory_bytes=memory.current swap_bytes=memory.swap.current tasks=pids.current tasks_peak=pids.peak; do
		[ ! -e "$dir_/${pair#*=}" ] || values_[${pair%=*}]=$(<"$dir_/${pair#*=}")
	done
	for resource in cpu memory io irq; do
		while read -r key rest; do
			values_[${resource}_${key}_usec]=${rest##*total=}
		done < <(cat "$dir_/$resource.pressure" 2>/dev/null || :)
	done
}

# What `show --json` in CTL_OUT has measured, likewise.
sample_values() {  # ARRAY
	local -n sample_=$1
	local key value
	sample_=()
	while read -r key value; do sample_[$key]=$value; done \
		< <(jq -r '.measured.sample // {} | to_entries[] | "\(.key) \(.value)"' <<<"$CTL_OUT")
}

# A tenant's books as a line of JSON, {"book": {}, "live": {}, "ended": {}, "unseen": {}}; nothing while the
# guard does not answer.
totals() {  # TENANT
	ctl usage --json
	[ $CTL_STATUS != 0 ] || jq -c --arg name "$1" '.tenants[] | select(.name == $name)' <<<"$CTL_OUT"
}

# The counters of a total that went back between two of these lines, "name: before > after"; nothing is right.
totals_shrunk() {  # BEFORE AFTER
	jq -r -n --argjson before "$1" --argjson after "$2" '$before.book | to_entries[]
		| select((.value | type) == "number" and .value > $after.book[.key])
		| "\(.key): \(.value) > \($after.book[.key])"'
}

# The counters of which live + ended + unseen is not the total; nothing is right.
parts_differ() {  # TOTALS
	jq -r '. as $b | .book | to_entries[] | select(.key | startswith("peak_") | not)
		| ($b.live[.key] + $b.ended[.key] + $b.unseen[.key]) as $sum
		| select($sum != .value) | "\(.key): parts \($sum), total \(.value)"' <<<"$1"
}

# ---- the end --------------------------------------------------------------------------------------

# A failing command outside of a point ends the scenario (errexit): say which.
report_error() {  # STATUS COMMAND
	local i where=''
	for ((i = 1; i < ${#BASH_SOURCE[@]}; i++)); do
		where+="${where:+, called from }${BASH_SOURCE[i]##*/}:${BASH_LINENO[i - 1]}"
	done
	echo "# status $1 at $where: $2"
}

report_exit() {  # STATUS
	[ -n "$tap_done" ] || not_ok "the scenario reaches done_testing" "it ended with status $1"
	# guest/scenario saves evidence when the status is not 0
	[ $tap_failed = 0 ] || exit 1
}

set -Eeuo pipefail
trap 'report_error $? "$BASH_COMMAND"' ERR
trap 'report_exit $?' EXIT
