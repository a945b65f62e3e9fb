#!/bin/bash
# bailiff at work: ./dev demo runs this in a virtual machine with containers. Two tenants' real Docker
# containers under policy; one runs wild in every direction; a neighbour's steady work is timed meanwhile.
# All numbers on the last screen are from this run: bailiffctl's, and the kernel's own counters.
#
#   tenant.slice
#   └── tenant-acme.slice         tenant acme, by slice: 192 MB for all of it
#       ├── docker-<id>.scope     wild: 64 MB, half a CPU, 32 tasks, 2 MB/s of writes
#       └── docker-<id>.scope     site: the same ceilings, keeps still
#   system.slice
#   └── docker-<id>.scope         api: tenant zeta, by label; one unit of work after another
#
# shape: docker
# disks: 512
# timeout: 300
set -euo pipefail
# shellcheck source=/dev/null
. /mnt/share/vm/lib.sh
trap - EXIT  # this is for people: no points, no plan

DATA=/srv/data   # a file system on a disk of its own, where wild has its volume
RUN=/run/demo    # how containers are told to start something, and tell how far they are
WINDOW=10        # seconds that a ceiling is measured for

step() { printf '%3d s  %s\n' $SECONDS "$*"; }

# ---- what runs in the containers (a shell and busybox is all they have)

# Each file that appears in /demo starts its mischief. The main shell itself never forks while the tasks are
# used up: it would die of it, and the container with it.
cat >/run/wild.sh <<'EOF'
busybox mkfifo /tmp/nap
exec 9<>/tmp/nap
on() { [ -e /demo/$1 ] && [ ! -e /demo/$1.begun ] && : >/demo/$1.begun; }
while :; do
	if on memory; then
		dd if=/dev/zero of=/dev/null bs=256M count=1 2>/dev/null
		echo $? >/demo/memory.status
	fi
	if on forks; then
		(
			for i in $(seq 60); do
				echo $i >/demo/forks.asked
				(sleep 1000 &) 2>/dev/null
			done
		)
		: >/demo/forks.done
	fi
	if on forks.end; then
		busybox killall sleep
	fi
	if on io; then
		(while [ ! -e /demo/io.stop ]; do dd if=/dev/zero of=/data/f bs=64k count=64 oflag=direct 2>/dev/null; done) &
	fi
	if on cpu; then
		(while [ ! -e /demo/cpu.stop ]; do :; done) &
		(while [ ! -e /demo/cpu.stop ]; do :; done) &
	fi
	read -t 1 nothing <&9
done
EOF

# One unit of work: some arithmetic, a file written. A line for each.
cat >/run/api.sh <<'EOF'
busybox mkfifo /tmp/nap
exec 9<>/tmp/nap
while :; do
	i=0
	while [ $i -lt 400 ]; do i=$((i + 1)); done
	echo $i >/tmp/unit
	echo $i >>/demo/units
	read -t 0.05 nothing <&9
done
EOF

# ---- measuring

units() { wc -l <$RUN/api/units; }

# The neighbour over a stretch: units of work a second, and the share of time that it was kept waiting for
# memory, disk or CPU as the kernel's pressure accounting has it; both in tenths.
stalled() {  # prints microseconds
	local resource line sum=0
	for resource in cpu memory io; do
		read -r line <"$CGROOT/$API/$resource.pressure"
		sum=$((sum + ${line##*total=}))
	done
	echo $sum
}
stretch_begin() { STRETCH_START=$EPOCHREALTIME STRETCH_UNITS=$(units) STRETCH_STALLED=$(stalled); }
stretch_end() {  # VARIABLE
	local us=$((${EPOCHREALTIME/./} - ${STRETCH_START/./}))
	printf -v "$1" '%s units/s, kept waiting %s %% of the time' \
		"$(tenths $((($(units) - STRETCH_UNITS) * 10000000 / us)))" \
		"$(tenths $((($(stalled) - STRETCH_STALLED) * 1000 / us)))"
}
tenths() { printf '%d.%d' $(($1 / 10)) $(($1 % 10)); }

written_bytes() {  # CGROUP: wbytes of the data disk in io.stat
	local line=''
	line=$(grep "^$DISK " "$CGROOT/$1/io.stat" || :)
	line=${line#*wbytes=}
	echo "${line%% *}"
}

# ---- the cast

step "two tenants, three containers, no ceilings yet"
mkdir -p $RUN/wild $RUN/api $DATA
disk=$(readlink -f /dev/vm/disk1)
DISK=$(lsblk --nodeps --noheadings --output MAJ:MIN "$disk" | tr -d ' ')
mkfs.ext4 -q "$disk"
mount "$disk" $DATA
docker rm --force warm >/dev/null &
docker run --detach --name wild --network=none --cgroup-parent=tenant-acme.slice -v $RUN/wild:/demo -v $DATA:/data \
	-v /run/wild.sh:/wild.sh:ro bb sh /wild.sh >$RUN/wild.id &
docker run --detach --name site --network=none --cgroup-parent=tenant-acme.slice bb sleep 100000 >/dev/null &
docker run --detach --name api --network=none --label com.example.tenant=zeta -v $RUN/api:/demo \
	-v /run/api.sh:/api.sh:ro bb sh /api.sh >$RUN/api.id &
wait
API=system.slice/docker-$(<$RUN/api.id).scope
WILD=$(slice_path tenant-acme.slice)/docker-$(<$RUN/wild.id).scope

step "the policy: two tenants, their ceilings"
mkdir -p /etc/bailiff/policy.d
cat >/etc/bailiff/policy.d/10-demo.ini <<EOF
[Host]
Mode=ceilings

[Tenant acme]
Match=slice=tenant-acme.slice
MemoryMax=192M
ContainerMemoryMax=64M
ContainerCPUQuota=50%
ContainerTasksMax=32
ContainerIOWriteBandwidthMax=$DATA 2M

[Tenant zeta]
Match=label=com.example.tenant=zeta
ContainerMemoryMax=128M
EOF
systemctl start bailiffd.service
until_true 30 "[ \"\$(cg $WILD pids.max)\" = 32 ]"

step "api, the neighbour, works alone"
until_true 20 "[ -s $RUN/api/units ]"
nap 2  # what starting them all has stirred up settles
stretch_begin
nap $WINDOW
stretch_end before

# ---- wild runs wild

stretch_begin
step "wild allocates 256 MB (MemoryMax 64M)"
: >$RUN/wild/memory
until_true 30 "[ -e $RUN/wild/memory.status ]"
step "wild starts 60 processes (TasksMax 32)"
: >$RUN/wild/forks
until_true 40 "[ -e $RUN/wild/forks.done ]"
tasks_refused=$(cg_key "$WILD" pids.events max)
: >$RUN/wild/forks.end
until_true 20 "(( \$(cg $WILD pids.current) < 4 ))"
step "wild writes to its volume as fast as it can, for $WINDOW s (IOWriteBandwidthMax 2M)"
: >$RUN/wild/io
nap 1
written=$(written_bytes "$WILD") start=$EPOCHREALTIME
nap $WINDOW
written=$((($(written_bytes "$WILD") - ${written:-0}) * 1000 / ((${EPOCHREALTIME/./} - ${start/./}) / 1000)))
: >$RUN/wild/io.stop
step "wild spins on two CPUs, for $WINDOW s (CPUQuota 50%)"
: >$RUN/wild/cpu
nap 1
used=$(cg_key "$WILD" cpu.stat usage_usec) start=$EPOCHREALTIME
bailiffctl top --batch >$RUN/top &
nap $WINDOW
used=$((($(cg_key "$WILD" cpu.stat usage_usec) - used) * 1000 / (${EPOCHREALTIME/./} - ${start/./})))
stretch_end during
: >$RUN/wild/cpu.stop

step "somebody writes max into wild's memory.max"
start=$EPOCHREALTIME
echo max >"$CGROOT/$WILD/memory.max"
until_true 20 "[ \"\$(cg $WILD memory.max)\" = $((64 << 20)) ]"
repaired=$(elapsed "$start")
until_true 20 "bailiffctl events -n 5 | grep -q repaired"

# ---- one screen

say() { printf '$ bailiffctl %s\n' "$*"; }
verdict() { printf '  %-8s%s\n' "$1" "$2"; }

{
	say status --check
	bailiffctl status --check | sed 's/ |.*//'  # the numbers for Nagios' graphs
	say tenants
	bailiffctl tenants
	say containers
	bailiffctl containers
	echo "$ bailiffctl top --batch          (while wild spun)"
	cat $RUN/top
	say usage
	bailiffctl usage
	say show wild
	# the table of limits, without its last column (which line of which file says so), for the width's sake
	bailiffctl show wild | sed -n '/^Limits/,/^Last events/{/^L/!p}' | sed 's/ *ORIGIN$//; s/ *policy \/.*//'
	say events -n 3
	bailiffctl events -n 3
	echo "What the kernel did to wild, and what its neighbour felt:"
	verdict memory "asked for 256 MB: $(cg_key "$WILD" memory.events oom_kill) process killed, in its own cgroup, at 64 MB"
	verdict tasks "asked for $(<$RUN/wild/forks.asked) processes: $tasks_refused forks refused, at 32 tasks"
	verdict cpu "two spinning loops: $(tenths "$used") % of a CPU over $WINDOW s (ceiling 50 %)"
	verdict io "direct writes without end: $((written / 1000)) kB/s over $WINDOW s (ceiling 2000 kB/s)"
	verdict drift "max written raw into memory.max: 64 MB again $repaired s later"
	verdict api "alone:      $before"
	verdict '' "beside wild: $during"
} >$RUN/screen
echo
cat $RUN/screen
