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
#   points      ok not_ok is isnt like unlike num check wait_for wait_rest skip diag done_testing
#   time        nap until_true elapsed
#   cgroups     cg cg_read cg_key cg_limit cg_exists slice_path cg_kill
#   loads       scope service in_cgroup load_ready go rest noise_pair noise_policy
#   engines     docker_run docker_rm podman_run rootless
#   bailiff     guard_start guard_stop guard_pid guard_cpu guard_log policy_set ctl have_bailiff
#   judging     acts wait_for_act no_acts why_says leases
#   measuring   kernel_values sample_values totals totals_shrunk parts_differ mark measure limit_tree

CGROOT=/sys/fs/cgroup

# ---- points ---------------------------------------------------------------------------------------

tap_points=0
tap_failed=0
tap_done=''
tap_since=${EPOCHREALTIME/[.,]/}
tap_took=''

# Every point has been prepared for some time; where a scenario's time goes is told at its end.
tap_count() {
	local now=${EPOCHREALTIME/[.,]/}
	tap_points=$((tap_points + 1))
	tap_took+="$((now - tap_since)) $tap_points"$'\n'
	tap_since=$now
}

tap_longest() {  # N: the N points that took longest
	local us point text=''
	while read -r us point; do
		text+="${text:+, }$((us / 1000000)).$((us / 100000 % 10)) s to $point"
	done < <(sort -rn <<<"${tap_took%$'\n'}" | head -n "$1")
	echo "$text"
}

ok() {  # TEXT: a point that passed
	tap_count
	echo "ok $tap_points - $1"
}

not_ok() {  # TEXT [DIAGNOSTIC...]: a point that failed
	tap_count
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_points - $1"
	shift
	[ $# = 0 ] || diag "$@"
}

diag() {  # LINE...: a comment in the output; lines may hold newlines
	local line text
	printf -v text '%s\n' "$@"
	while IFS= read -r line; do echo "# $line"; done <<<"${text%$'\n'}"
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
	tap_count
	echo "ok $tap_points - $1 # SKIP $2"
}

done_testing() {  # closes the scenario: nothing after it
	diag "longest: $(tap_longest 6)"
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

# A share follows use, and nobody is at rest who was throttled in the last 20 s or whose use has not faded yet
# (src/core/demand.h). How long they work before that depends on the machine, so what is allowed counts from when
# the last of them used CPU time: those 20 s, a cold one's turn to be looked at, and some for shares to settle.
REST_SECONDS=45 REST_WORK_SECONDS=120
wait_rest() {  # CONDITION TEXT PATH...: a point, for what holds when these cgroups are at rest
	local condition=$1 text=$2 start=$EPOCHREALTIME since=$EPOCHREALTIME why='' used before='' path stat
	shift 2
	until eval "$condition"; do
		used=''
		for path; do
			cg_read stat "$path" cpu.stat
			used+=${stat%%$'\n'*}/
		done
		[ "$used" = "$before" ] || since=$EPOCHREALTIME before=$used
		if ((${EPOCHREALTIME/[.,]/} - ${since/[.,]/} > REST_SECONDS * 1000000)); then
			why="not within $REST_SECONDS s of rest: $condition"
		elif ((${since/[.,]/} - ${start/[.,]/} > REST_WORK_SECONDS * 1000000)); then
			why="they still work after $REST_WORK_SECONDS s"
		fi
		[ -z "$why" ] || break
		nap 0.2
	done
	if [ -z "$why" ]; then
		ok "$text"
		diag "after $(elapsed "$start") s, $(elapsed "$since") s of rest"
		return
	fi
	not_ok "$text" "$why"
	for path; do
		diag "$path: memory $(cg "$path" memory.high) $(cg "$path" memory.max) use $(cg "$path" memory.current)" \
			"cpu $(cg "$path" cpu.max) tasks $(cg "$path" pids.max)" "$(cg "$path" cpu.stat)"
	done
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

# PID 1 enables and disables controllers as its units want them, so files of limits come and go with no
# limit being changed: what compares limits takes a missing file for what the kernel does without it.
declare -A LIMIT_DEFAULTS=([memory.min]=0 [memory.low]=0 [memory.high]=max [memory.max]=max [memory.swap.max]=max
	[memory.oom.group]=0 [cpu.max]='max 100000' [cpu.max.burst]=0 [cpu.weight]=100 [pids.max]=max
	[io.max]='' [io.weight]='default 100' [io.latency]='')
cg_limit() {  # VARIABLE PATH FILE: what the file of a limit says, or its default; or "gone", as the cgroup is
	printf -v "$1" gone
	[ ! -e "$CGROOT/${2#/}/$3" ] || cg_read "$@"
	[ "${!1}" != gone ] || ! cg_exists "$2" || printf -v "$1" '%s' "${LIMIT_DEFAULTS[$3]}"
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

# ---- loads that measure, and loads that hurt --------------------------------------------------------

# tools/*.c, staged. They write to files of these names in LOADS, which containers started WITH_TOOLS reach, too:
#   scope web tenant-web.slice "$VICTIM" -o "$LOADS/web" cpu
#   load_ready web
# shellcheck disable=SC2034
VICTIM=/usr/lib/bailiff/test/victim
# shellcheck disable=SC2034
HOG=/usr/lib/bailiff/test/hog
# shellcheck disable=SC2034
REFLEX=/usr/lib/bailiff/test/reflex
LOADS=/run/loads
mkdir -p $LOADS
declare -A LOAD_PID=() LOAD_CG=()

load_ready() {  # NAME: waits until the victim or hog that was just started (in CG) is ready; it can be told then
	LOAD_CG[$1]=$CG
	until_true 60 "grep -qs '^ready' '$LOADS/$1'" || not_ok "$1 is ready"
	read -r "LOAD_PID[$1]" <"$CGROOT/${CG#/}/cgroup.procs"
}

go() {  # NAME...: hogs begin
	local name
	for name; do kill -USR1 "${LOAD_PID[$name]}"; done
}

rest() {  # NAME...: hogs rest, and give their memory back
	local name
	for name; do kill -USR2 "${LOAD_PID[$name]}" || :; done
}

# Notes how a victim has been served since its mark before; sets ASKED, DONE, P50, P99, MAX (µs), and SERVED, the
# per mille of requests that were. A victim that is stuck in a request answers when that is over. No fork in it (nor in measure
# and diag): it works where nobody can.
mark() {  # VICTIM
	local before
	last_mark "$1"
	before=$MARK
	kill -USR1 "${LOAD_PID[$1]}"
	until_true 30 "last_mark '$1'; [ '$before' != \"\$MARK\" ]" || not_ok "$1 answers a mark"
	# shellcheck disable=SC2034
	read -r _ _ _ ASKED _ DONE _ P50 _ P99 _ MAX _ <<<"${MARK:-mark 0 asked 0 done 0 p50 0 p99 0 max 0}"
	SERVED=$((DONE * 1000 / (ASKED > 0 ? ASKED : 1)))
}

last_mark() {  # VICTIM: its last line of a mark, in MARK
	local line
	MARK=''
	while read -r line; do [[ $line != mark* ]] || MARK=$line; done <"$LOADS/$1"
}

measure() {  # VICTIM SECONDS TEXT: how it is served in the next so many seconds, as mark; prints it
	mark "$1"
	nap "$2"
	mark "$1"
	diag "$1 $3: served $DONE of $ASKED, p50 $((P50 / 1000)) ms, p99 $((P99 / 1000)) ms, max $((MAX / 1000)) ms"
}

# The usual trouble, in scopes: web serves requests that need 40 % of a CPU, in tenant-web.slice; spin has 16 threads and
# twenty times the weight, in tenant-spin.slice, and is idle until `go spin`. Sets SPIN and WEB, their cgroups.
noise_pair() {  # [OPTION-OF-HOG...]
	systemctl set-property --runtime tenant-spin.slice CPUWeight=2000
	scope web tenant-web.slice -p CPUWeight=100 "$VICTIM" -p 40 -s 600 -o $LOADS/web cpu
	load_ready web
	# shellcheck disable=SC2034
	WEB=$CG
	scope spin tenant-spin.slice -p CPUWeight=100 "$HOG" -i -n 16 -s 600 "$@" -o $LOADS/spin cpu
	load_ready spin
	# shellcheck disable=SC2034
	SPIN=$CG
}

# A policy for it: web is guaranteed 60 % of a CPU, nothing waits longer than it must. More lines of [Host]; of the others on stdin.
noise_policy() {  # [LINE-OF-HOST...] <<EOF
	{
		printf '%s\n' '[Host]' Mode=enforce StartupGraceSec=0 MaxThrottled=100% "$@" '' \
			'[Defaults]' PressureWindowSec=2s '' \
			'[Tenant web]' Match=slice=tenant-web.slice CPUGuarantee=60% '' \
			'[Tenant spin]' Match=slice=tenant-spin.slice
		cat
	} | policy_set
}

# Every file of a subtree that can be read and written and is no count or action: what anybody has set there.
# Compare two of them: nothing was left behind.
limit_tree() {  # [PATH...]: "path/file:value" lines, sorted; of the whole tree if none is given
	local path dirs=()
	for path in "${@:-/}"; do dirs+=("$CGROOT/${path#/}"); done
	{
		find "${dirs[@]}" -type f -perm -u=rw ! -name cgroup.procs ! -name cgroup.threads ! -name '*.pressure' \
			! -name '*.peak' -exec grep -sH '' {} + || :
	} | sed "s,^$CGROOT/*,/," | sort
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

# PARENT is a slice (systemd driver), a path (cgroupfs driver) or "" for the engine's default. ENGINE_NETWORK: what it
# gets instead of no network.
docker_run() {  # NAME PARENT [DOCKER-OPTION...] [-- COMMAND...]: detached; sets CID and CG
	local name=$1 parent=$2
	shift 2
	split_engine_arguments "$@"
	CID=$(docker run --detach --name "$name" --network="${ENGINE_NETWORK:-none}" ${parent:+--cgroup-parent="$parent"} \
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
	CID=$(podman run --detach --name "$name" --network="${ENGINE_NETWORK:-none}" ${slice:+--cgroup-parent="$slice"} \
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

# ---- what the guard judged ----------------------------------------------------------------------------

# The guard's acts so far, oldest first: "ID KIND CONTAINER WHY LIMIT=TO,...", "would:KIND" for what was only noted.
# With a regular expression only lines that match it.
acts() {  # [REGEX]
	ctl events --json
	jq -r '.events[] | select(.judged) | "\(.id) \(if .judged.would then "would:" else "" end)\(.kind) \(.container // "-") "
		+ "\(.judged.why) \([.judged.values[]? | "\(.limit)=\(.to_text)"] | join(","))"' <<<"$CTL_OUT" |
		grep -E -e "${1:-.}" || :
}

# Waits until there is an act that matches; a point. SINCE (an $EPOCHREALTIME): says how long after that the first one was,
# by its own time: asking takes seconds where others take the CPU.
wait_for_act() {  # SECONDS REGEX TEXT [SINCE]
	local id time end=$((SECONDS + $1))
	until [ -n "$(acts "$2")" ]; do
		if [ $SECONDS -ge $end ]; then
			not_ok "$3" "not within $1 s: $2" "$(acts)"
			return 0
		fi
		nap 1 # asking more often is a load of its own
	done
	ok "$3"
	[ $# -ge 4 ] || return 0
	acts "$2" >/run/acts
	read -r id _ </run/acts
	time=$(jq ".events[] | select(.id == $id) | .time" <<<"$CTL_OUT")
	diag "after $(((time - ${4/[.,]/}) / 1000)) ms, event $id"
}

# Nobody was held back, stopped or killed, not even in thought; a point. NAME: `why` of it is printed, and says REGEX.
# What it says is of the last look, and a single look may be one of a moment's calm: so it is asked for a while.
no_acts() {  # TEXT [NAME REGEX]
	is "$(acts ' (would:)?(throttle|freeze|stop|kill) ')" "" "$1: nobody is held back"
	[ $# = 1 ] || why_says "$2" "$3" "$1: why says so"
}

why_says() {  # NAME REGEX TEXT
	local whom=$1 regex=$2
	until_true 15 'ctl why "$whom"; [[ $CTL_OUT =~ $regex ]]' || :
	like "$CTL_OUT" "$regex" "$3"
	diag "$CTL_OUT$CTL_ERR"
}

leases() {  # prints how many throttles and freezes stand
	ctl status --json
	jq '.leases.limits + .leases.frozen' <<<"$CTL_OUT"
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
	network_values "$dir_"
}

# To values_, where somebody in there is in a network other than the host's.
network_values() {  # DIRECTORY
	local pid='' in out n
	local -a columns=(bytes packets errors packets_dropped) line
	read -r pid < <(find "$1" -name cgroup.procs -exec cat {} + 2>/dev/null) || :
	[ -n "$pid" ] && [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/1/ns/net)" ] || return 0
	while IFS=': ' read -ra line; do
		# heads have no numbers
		[[ ${line[1]:-} =~ ^[0-9]+$ ]] || continue
		for n in 0 1 2 3; do
			in=network_receive_${columns[n]} out=network_transmit_${columns[n]}
			[ "${line[0]}" != lo ] || line[n + 1]=0 line[n + 9]=0
			values_[$in]=$((${values_[$in]:-0} + ${line[n + 1]}))
			values_[$out]=$((${values_[$out]:-0} + ${line[n + 9]}))
		done
	done <"/proc/$pid/net/dev"
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
