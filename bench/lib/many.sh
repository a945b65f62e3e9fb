# shellcheck shell=bash
# For benches on the shape "many", inside the guest: its containers, who is busy, and ratios of integers.
# shellcheck source=/dev/null
. /mnt/share/vm/lib.sh
trap - EXIT  # a bench has no points and no plan

BIN=/usr/lib/bailiff/bench
MANY=$CGROOT/many.slice
# What a busy container does each second (bench/many.c): twice what makes one active for bailiff (src/core/tier.h).
BUSY_DISK=/dev/vda
BUSY_KIB=512
BUSY_MSEC=3

need_programs() {
	[ -x $BIN/many ] || { echo "${0##*/}: ./dev bench brings $BIN" >&2; exit 1; }
}

kernel_version() {
	read -r _ _ REPLY _ </proc/version
	echo "$REPLY"
}

cpu_usec() { cg_key "$1" cpu.stat usage_usec; }

busy_pid=''

busy_start() {  # N EVERY
	local line
	exec {busy_out}< <(exec $BIN/many busy $MANY "$1" "$2" $BUSY_DISK $BUSY_KIB $BUSY_MSEC)
	busy_pid=$!
	read -r -u "$busy_out" line
	[ "$line" = ready ]
}

busy_stop() {
	kill "$busy_pid"
	exec {busy_out}<&-
	wait "$busy_pid" || :
}

# Starts the guard, and waits until it has found all that is there: only then it uses less than half a CPU.
guard_start_settled() {
	local before=0 now
	systemctl start bailiffd.service
	for _ in {1..60}; do
		nap 5
		now=$(cpu_usec bailiff.slice/bailiffd.service)
		((now - before >= 2500000)) || return 0
		before=$now
	done
	echo "the guard has not settled within 5 minutes" >&2
	return 1
}

ratio() {  # A B DECIMALS: prints A / B; "-" where there is no B
	local scale=$((10 ** $3)) value
	if [ "$2" -le 0 ]; then
		echo -
		return
	fi
	value=$((($1 * scale + $2 / 2) / $2))
	if [ "$3" = 0 ]; then echo $value; else printf '%d.%0*d\n' $((value / scale)) "$3" $((value % scale)); fi
}

mib() { ratio "$1" $((1 << 20)) 1; }
