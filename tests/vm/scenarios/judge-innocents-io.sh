# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# The same with a disk: a database that fsyncs, alone on its disk; and then, one after the other, who uses everything and is out of
# reach: a backup of the host's, a virtual machine, somebody who is in no cgroup at all. Somebody suffers, and it is told, but nobody
# stands in for them, however busy.
#
#   tenant.slice
#   ├── tenant-db.slice/db.scope        tenant db: 16 fsyncs at a time, flat out
#   ├── tenant-web.slice/web.scope      tenant web: an fsync ten times a second
#   └── tenant-idle.slice/idle.scope    tenant idle: writes a little, now and then
#   system.slice
#   └── backup.service                  the host's own: 16 threads, O_DIRECT
#
# memory: 1024
# disks: 1024 2048
# disk-opts: throttling.iops-total=300
# timeout: 300

policy_set <<-'EOP'
	[Host]
	Mode=enforce
	StartupGraceSec=0
	MaxThrottled=100%

	[Defaults]
	PressureWindowSec=2s
	Kill=prefer

	[Tenant db]
	Match=slice=tenant-db.slice
	[Tenant web]
	Match=slice=tenant-web.slice
	[Tenant idle]
	Match=slice=tenant-idle.slice
	[Tenant busy]
	Match=slice=tenant-busy.slice
EOP
mkfs.ext4 -q /dev/vm/disk1
mkdir -p /srv/data
mount /dev/vm/disk1 /srv/data
scope idle tenant-idle.slice -p IOWeight=100 "$VICTIM" -s 600 -e 1000 -f /srv/data/idle -m 16 -o $LOADS/idle fsync
load_ready idle
scope db tenant-db.slice -p IOWeight=100 "$VICTIM" -s 600 -e 1 -f /srv/data/db -m 16 -o $LOADS/db fsync
load_ready db
sync
guard_start
nap 12
no_acts "a database alone on its disk" db.scope \
	'db.scope (waits for IO [0-9.]+ % of the time by its own doing: it is itself the main user of the busy disk|is not hurt: it waits for IO [0-9.]+ % of the time; it waits no longer than its target allows) '
diag "io.pressure $(head -n 1 "$CGROOT/${LOAD_CG[db]}/io.pressure")"
kill "${LOAD_PID[db]}"
scope web tenant-web.slice -p IOWeight=100 "$VICTIM" -s 600 -f /srv/data/web -m 16 -o $LOADS/web fsync
load_ready web
nap 4
measure web 4 "alone"
for name in one two; do
	scope $name tenant-busy.slice -p IOWeight=100 "$HOG" -s 600 -n 1 -r 30 -m 16 -f /srv/data/$name -o $LOADS/$name direct
	load_ready $name
done
measure web 4 "beside two who are busy"
WRITES_ALL="-s 100 -n 16 -m 64 -f /srv/data/all -o $LOADS/all direct"

out_of_reach() {  # TEXT WHY: it is ready
	nap 15
	measure web 5 "beside $1"
	no_acts "$1 uses everything" web.scope \
		"web.scope waits for IO [0-9.]+ % of the time because of others: others take what it is entitled to, but nobody is held back; of the one with the highest score: $2 "
	diag "io.pressure $(head -n 1 "$CGROOT/${LOAD_CG[web]}/io.pressure")"
	diag "$(acts)"
	kill -0 "${LOAD_PID[all]}" || not_ok "$1 runs"
	kill "${LOAD_PID[all]}"
	until_true 20 "! kill -0 ${LOAD_PID[all]} 2>/dev/null" || not_ok "$1 has ended"
	rm "$LOADS/all"
	nap 12
}
service backup system.slice "$HOG" $WRITES_ALL
load_ready all
is "$(cat "$CGROOT/system.slice/backup.service/io.max" 2>/dev/null)" "" "the backup has no limit"
out_of_reach "the host's backup" "it is the host's own work and out of reach"
scope 'machine-qemu\x2d1\x2dvm' machine.slice "$HOG" $WRITES_ALL
load_ready all
out_of_reach "a virtual machine" "it is the host's own work and out of reach"
in_cgroup / sh -c 'echo $$ >/run/all.pid; exec "$@"' - "$HOG" $WRITES_ALL &
until_true 60 "grep -qs '^ready' '$LOADS/all'" || not_ok "who is in no cgroup is ready"
LOAD_PID[all]=$(</run/all.pid)
out_of_reach "who is in no cgroup" "it is use that no cgroup explains, and out of reach"
is "$(leases)" 0 "there was never a lease"
done_testing
