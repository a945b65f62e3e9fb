# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# The same with a disk: a database that fsyncs, alone on its disk; and a backup of the host's that uses everything, beside it.
# Somebody suffers of the latter, and it is told, but nobody stands in for what is out of reach.
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
# timeout: 200

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
service backup system.slice "$HOG" -s 100 -n 16 -m 64 -f /srv/data/backup -o $LOADS/backup direct
load_ready backup
nap 15
measure web 5 "beside the host's backup"
no_acts "a backup of the host's uses everything" web.scope \
	"web.scope waits for IO [0-9.]+ % of the time because of others: others take what it is entitled to, but nobody is held back; of the one with the highest score: it is the host's own work and out of reach "
diag "io.pressure $(head -n 1 "$CGROOT/${LOAD_CG[web]}/io.pressure")"
diag "$(acts)"
check "the backup runs" systemctl --quiet is-active backup.service
is "$(cat "$CGROOT/system.slice/backup.service/io.max" 2>/dev/null)" "" "with no limit"
is "$(leases)" 0 "there was never a lease"
done_testing
