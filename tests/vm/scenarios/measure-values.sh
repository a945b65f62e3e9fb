# shellcheck shell=bash disable=SC2154,SC2016,SC2034,SC2086
# What the guard says that a cgroup did is what the kernel's files say: to the byte and the microsecond
# while it stands still, between a reading before and one after while it runs, and as Docker and
# systemd-cgtop have it. A peak shorter than the interval is seen, in its interval only.
#
#   tenant.slice
#   └── tenant-a.slice             tenant a, by slice
#       ├── docker-<id>.scope      mix: CPU, anonymous memory, swap, direct and buffered IO, forks;
#       │                          0.5 CPU, 32 MB and swap, 60 tasks
#       ├── job.scope              CPU, forks and IO, 20 % of a CPU
#       └── peak.scope             allocates for a moment when it is told to
#
# shape: docker
# kernels: 6.1 6.12
# timeout: 300

A=tenant.slice/tenant-a.slice

policy_set <<'P'
[Host]
Mode=ceilings

[Tenant a]
Match=slice=tenant-a.slice
P
fallocate -l 128M /swap
chmod 600 /swap
mkswap /swap >/dev/null
swapon /swap
mkfs.ext4 -q "$(readlink -f /dev/vm/disk1)"
mkdir /data
mount /dev/vm/disk1 /data
guard_start

load='while :; do
	busybox dd if=/dev/zero of=$1 bs=16k count=20 oflag=direct
	busybox dd if=/dev/zero of=$1.b bs=64k count=20
	busybox dd if=$1 of=/dev/null bs=64k
	for i in 1 2 3 4 5; do busybox true; done
done 2>/dev/null'
docker_run mix tenant-a.slice "${WITH_TOOLS[@]}" -v /data:/data --memory 32m --memory-swap 96m --cpus 0.5 --pids-limit 60 -- \
	sh -c 'chroot /host stress-ng --quiet --temp-path /data --vm 1 --vm-bytes 40m & '"$load" sh /data/mix
mix=$CG mix_id=$CID
scope job tenant-a.slice -p CPUQuota=20% -p IOWeight=100 busybox sh -c "$load" sh /data/job
job=$CG
mkfifo /run/burst /run/hold
exec {burst}<>/run/burst {hold}<>/run/hold
# So that it is hot it works a little each tenth of a second: for a twentieth of the time that passed, by its own CPU
# clock. A number of turns of a loop would be next to nothing on a fast machine, and all the CPU of a slow one.
scope peak tenant-a.slice -p MemoryMax=200M perl -MPOSIX=clock -e '
	open my $in, "<", "/run/burst"; open my $out, ">", "/run/hold";
	my $bits = ""; vec($bits, fileno $in, 1) = 1;
	my ($before) = POSIX::times();
	while () {
		my ($ticks) = POSIX::times();
		my $worked = clock() + ($ticks - $before) * 500; # of 10,000 us
		1 while clock() < $worked;
		$before = $ticks;
		next unless select(my $ready = $bits, undef, undef, 0.1) > 0;
		sysread $in, my $mb, 16;
		{ my $memory = "x" x ($mb << 20); undef $memory; }
		syswrite $out, "done\n";
	}'
peak=$CG
wait_for 30 "ctl show mix --json; [ \$CTL_STATUS = 0 ] && ctl show peak.scope --json && [ \$CTL_STATUS = 0 ]" "the guard knows them"

# ---- while they run

# COMPARED counters, and those of them that are not between what the kernel said before and after: WRONG.
GAUGES=' memory_bytes swap_bytes tasks populated frozen '
compare_running() {  # NAME PATH
	local key
	declare -A before after sample
	kernel_values before "$2"
	ctl show "$1" --json
	kernel_values after "$2"
	sample_values sample
	WRONG='' COMPARED=0
	for key in "${!after[@]}"; do
		[[ $GAUGES != *" $key "* && ! $key =~ ^(anon|file|kernel|shmem|inactive)_ ]] || continue
		COMPARED=$((COMPARED + 1))
		((${sample[$key]:--1} >= ${before[$key]:-0} && ${sample[$key]:--1} <= ${after[$key]})) ||
			WRONG+="$key: ${before[$key]:-none} <= ${sample[$key]:-none} <= ${after[$key]}"$'\n'
	done
}
until_true 20 "[ \$(cg_key $mix memory.events max) -gt 0 ] && [ \$(cg $mix memory.swap.current) -gt 0 ]" || :
for pair in "mix $mix" "job.scope $job"; do
	compare_running $pair
	is "$WRONG" "" "${pair%% *} runs: $COMPARED counters are between a reading before and one after"
	num $COMPARED '>=' 30 "those are all of them"
done
ctl show mix --json
num "$(jq '.measured.sample.cpu_throttled_usec' <<<"$CTL_OUT")" '>' 0 "mix was throttled"
num "$(jq '.measured.sample.swap_bytes' <<<"$CTL_OUT")" '>' 0 "and swapped out"
num "$(jq '.measured.sample.io_write_bytes' <<<"$CTL_OUT")" '>' 1000000 "and wrote"
# `containers` looks at nothing anew: the rates of the guard's own looks. Each is over its own span, and a quota's periods of
# 100 ms make them wobble, so it is the mean over time that is compared.
rates=() start=${EPOCHREALTIME/./} used=$(cg_key $job cpu.stat usage_usec)
for _ in {1..12}; do
	ctl containers --json
	rates+=("$(jq -r '.containers[] | select(.cgroup | endswith("/job.scope")) | .measured | "\(.time) \(.rates.span_usec) \(.rates.cpu_permyriad)"' <<<"$CTL_OUT")")
	nap 0.3
done
rate=$(printf '%s\n' "${rates[@]}" | sort -u | awk '{ span += $2; sum += $2 * $3 } END { printf "%d", sum / span }')
used=$((($(cg_key $job cpu.stat usage_usec) - used) * 10000 / (${EPOCHREALTIME/./} - start)))
diag "job.scope, permyriad of a CPU: $rate, by its cpu.stat meanwhile: $used; looks (time, span, rate):" "${rates[@]}"
num $rate '>=' $((used * 7 / 10 - 200)) "the rates are those of the kernel's counters"
num $rate '<=' $((used * 13 / 10 + 200)) "either way"
num "$(printf '%s\n' "${rates[@]}" | sort -n -k 3 | tail -n 1 | cut -d ' ' -f 3)" '<=' 20000 "none is more than the machine has"

# ---- standing still

# The same reading of the kernel before and after, and one of the guard in between: WRONG is what differs.
compare_frozen() {  # NAME PATH
	local key try
	declare -A before after sample
	for try in {1..8}; do
		kernel_values before "$2"
		ctl show "$1" --json
		kernel_values after "$2"
		[ "${before[*]@K}" != "${after[*]@K}" ] || break
		nap 1
	done
	sample_values sample
	WRONG='' COMPARED=0
	for key in "${!after[@]}"; do
		COMPARED=$((COMPARED + 1))
		[ "${sample[$key]:-none}" = "${after[$key]}" ] || WRONG+="$key: guard ${sample[$key]:-none}, kernel ${after[$key]}"$'\n'
	done
	for key in "${!sample[@]}"; do
		[[ -n ${after[$key]:-} || $key = *_peak_bytes ]] || WRONG+="$key: guard ${sample[$key]}, not in the kernel's files"$'\n'
	done
}
check "docker pause" docker pause mix
sync
echo 1 >"$CGROOT/$A/cgroup.freeze"
wait_for 10 "[ \$(cg_key $A cgroup.events frozen) = 1 ]" "the slice stands still"
nap 2.5 # the kernel sums up what its CPUs counted each every two seconds
for pair in "mix $mix" "job.scope $job"; do
	compare_frozen $pair
	is "$WRONG" "" "${pair%% *} stands still: $COMPARED values are the kernel's, no more and no less"
	num $COMPARED '>=' 42 "those are all that the files have"
done
ctl show tenant:a --json
declare -A slice
kernel_values slice $A
is "$(jq -c '.usage | [.memory_bytes, .swap_bytes, .tasks, .cpu_usec, .io_read_bytes, .io_write_bytes]' <<<"$CTL_OUT")" \
	"[${slice[memory_bytes]},${slice[swap_bytes]},${slice[tasks]},${slice[cpu_usage_usec]},${slice[io_read_bytes]},${slice[io_write_bytes]}]" \
	"the tenant uses what its slice says: memory, swap, tasks, CPU time, bytes read and written"
ctl show mix --json
diag "$(jq -c '.measured.sample' <<<"$CTL_OUT")"
num "$(jq '.measured.sample | [.cpu_user_usec, .cpu_system_usec, .anon_bytes, .file_bytes, .pgfault, .pgscan, .memory_events_max,
	.io_read_bytes, .io_write_bytes, .tasks, .cpu_some_usec, .memory_some_usec, .io_some_usec, .cpu_throttled_usec] | min' <<<"$CTL_OUT")" \
	'>' 0 "none of what was provoked is zero"

# ---- as others have it

# The kernel may take pages from who stands still: they are asked until the guard says the same before and after.
USES='[.memory_bytes, .tasks, .inactive_file_bytes, .cpu_usage_usec, .cpu_throttled_usec]'
MOVED='[.io_read_bytes, .io_write_bytes]'
docker_stats() { docker stats --no-stream --format "$1" mix; }
ask_docker() {
	local before
	ctl show mix --json
	before=$(jq -c ".measured.sample | $USES + $MOVED" <<<"$CTL_OUT")
	api=$(curl --silent --unix-socket /run/docker.sock "http://docker/containers/$mix_id/stats?stream=false&one-shot=true")
	stats=$(docker_stats '{{.MemUsage}} {{.PIDs}}')
	ctl show mix --json
	[ "$(jq -c ".measured.sample | $USES + $MOVED" <<<"$CTL_OUT")" = "$before" ] || ! diag "meanwhile it was $before"
}
until_true 60 ask_docker || not_ok "mix stands still"
is "$(jq -c ".measured.sample | $USES" <<<"$CTL_OUT")" \
	"$(jq -c '[.memory_stats.usage, .pids_stats.current, .memory_stats.stats.inactive_file, (.cpu_stats.cpu_usage.total_usage / 1000 | floor),
		(.cpu_stats.throttling_data.throttled_time / 1000 | floor)]' <<<"$api")" "Docker's API: memory, tasks, inactive file, CPU time, throttled"
is "$(jq -c ".measured.sample | $MOVED" <<<"$CTL_OUT")" \
	"$(jq -c '[.blkio_stats.io_service_bytes_recursive | group_by(.op | ascii_downcase)[] | map(.value) | add]' <<<"$api")" \
	"and bytes read and written"
working=$(jq .measured.working_set_bytes <<<"$CTL_OUT")
is "$stats" "$(awk -v b="$working" 'BEGIN { printf "%.4g", b / 1048576 }')MiB / 32MiB $(jq .measured.sample.tasks <<<"$CTL_OUT")" \
	"docker stats shows the working set, and as many tasks"
[ $tap_failed = 0 ] || diag "Docker's API: $api"
diag "docker stats says $(docker_stats '{{.CPUPerc}}') of a CPU"
cgtop=$(systemd-cgtop --batch --raw --iterations=2 --delay=1 --depth=4 | grep -E "/(docker-$mix_id|job)\.scope" | tail -n 2)
diag "$cgtop"
for pair in "mix $mix" "job.scope $job"; do
	ctl show "${pair%% *}" --json
	read -r _ tasks _ memory _ < <(grep -F "${pair##* }" <<<"$cgtop")
	is "$tasks $memory" "$(jq -r '.measured.sample | "\(.tasks) \(.memory_bytes)"' <<<"$CTL_OUT")" \
		"systemd-cgtop: ${pair%% *} has as many tasks and as much memory"
done

# ---- a peak shorter than the interval

# PEAK and KIND are of the interval since the look before.
look() {
	ctl show peak.scope --json
	PEAK=$(jq '.measured.sample.memory_peak_bytes' <<<"$CTL_OUT")
	KIND=$(jq -r '.measured.peak_kind' <<<"$CTL_OUT")
}
# One burst of so many MB, then at once a look. The guard looks once a second by itself and may have come
# first: then there is another burst, a little larger.
catch_burst() {  # MB
	local mb=$1 try
	for try in {1..30}; do
		echo $mb >&$burst
		read -r -t 20 -u $hold _
		look
		((PEAK < mb << 20)) || break
		mb=$((mb + 1))
	done
	diag "caught at burst $try: $PEAK bytes, $KIND, $(jq -r .measured.tier <<<"$CTL_OUT")"
}
# Only of a hot one the guard keeps the open file whose peak it resets.
wait_hot() {  # TEXT
	wait_for 30 'ctl containers --json; [ "$(jq -r ".containers[] | select(.cgroup | endswith(\"/peak.scope\")) | .measured.tier" <<<"$CTL_OUT")" = hot ]' "$1"
}
cg_kill $job
echo 0 >"$CGROOT/$A/cgroup.freeze" # mix is paused still: nobody stalls, so the guard looks once a second
case $(uname -r) in
6.1.*) exact=raised later=sampled ;;
*) exact=reset later=reset ;;
esac
ctl status --json
is "$(jq -r .sampling.peaks <<<"$CTL_OUT")" $exact "status says what this kernel can: $exact"
wait_hot "it works again, and is hot"
look
nap 1.5
catch_burst 40
ever=$(cg $peak memory.peak)
is "$PEAK $KIND" "$ever $exact" "a burst that was over before anybody looked: the kernel's own peak"
look
num "$PEAK" '<' $((20 << 20)) "the next interval is without it"
is "$KIND" $later "and says how that was found: $later"
is "$(jq '.book.peak_memory_bytes' <<<"$CTL_OUT")" "$ever" "the book keeps the highest"
is "$(jq -r '.book.peak_memory_kind' <<<"$CTL_OUT")" $exact "and how it was found"
if [ $exact = reset ]; then
	wait_hot "it is hot still"
	catch_burst 20
	num "$PEAK" '>=' $((20 << 20)) "a lower one is seen all the same"
	num "$PEAK" '<' "$ever" "as what it was"
	look
	num "$PEAK" '<' $((20 << 20)) "and the interval behind is without it"
fi
done_testing
