# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# Who looks guilty and is not, or suffers and nobody else did it: no act, not one, and `why` says why not.
#
#   tenant.slice
#   ├── tenant-batch.slice/batch.scope    tenant batch: 8 threads; with nobody else, then beside the others
#   ├── tenant-slow.slice/slow.scope      tenant slow: needs half a second for everything, and waits for nobody
#   ├── tenant-quota.slice/quota.scope    tenant quota: its own CPUQuota=20%, and works for more
#   ├── tenant-above.slice/above.scope    tenant above: its slice has CPUQuota=20%
#   ├── tenant-build.slice/build.scope    tenant build: 16 threads, one CPU by its weight: waits for itself
#   ├── tenant-vip.slice/vip.scope        tenant vip: Priority=900, weight 2000, 16 threads
#   ├── tenant-low.slice/low.scope        tenant low: 40 % of a CPU in requests; CPUGuarantee=60%
#   └── tenant-rush.slice/rush.scope      tenant rush: as low, but StartupGraceSec=10min
#
# timeout: 300

policy_set <<-'EOP'
	[Host]
	Mode=enforce
	StartupGraceSec=0
	MaxThrottled=100%

	[Defaults]
	PressureWindowSec=2s
	Kill=prefer

	[Tenant batch]
	Match=slice=tenant-batch.slice
	[Tenant slow]
	Match=slice=tenant-slow.slice
	[Tenant quota]
	Match=slice=tenant-quota.slice
	[Tenant above]
	Match=slice=tenant-above.slice
	[Tenant build]
	Match=slice=tenant-build.slice
	[Tenant vip]
	Match=slice=tenant-vip.slice
	Priority=900
	[Tenant low]
	Match=slice=tenant-low.slice
	CPUGuarantee=60%
	[Tenant rush]
	Match=slice=tenant-rush.slice
	CPUGuarantee=60%
	StartupGraceSec=10min
EOP
hog() {  # NAME THREADS [-p PROPERTY]...
	local name=$1 threads=$2
	shift 2
	scope "$name" "tenant-$name.slice" -p CPUWeight=100 "$@" "$HOG" -i -n "$threads" -s 600 -o "$LOADS/$name" cpu
	load_ready "$name"
}
served() {  # NAME
	scope "$1" "tenant-$1.slice" -p CPUWeight=100 "$VICTIM" -p 40 -s 600 -o "$LOADS/$1" cpu
	load_ready "$1"
}
# Who asks all these questions is a service of the host, and would itself suffer where CPUs are emulated on a busy host.
systemctl set-property --runtime system.slice CPUWeight=10000
systemctl set-property --runtime tenant-above.slice CPUQuota=20%
systemctl set-property --runtime tenant-vip.slice CPUWeight=2000
hog batch 8
scope slow tenant-slow.slice -p CPUWeight=100 perl -e 'select(undef, undef, undef, 0.5) while 1'
hog quota 2 -p CPUQuota=20%
hog above 2
hog build 16
hog vip 16
guard_start
nap 4

# What `why` says of the one that waits for CPUs.
own() { echo "$1.scope waits for CPUs [0-9.]+ % of the time by its own doing: $2 "; }
others() { echo "$1.scope waits for CPUs [0-9.]+ % of the time because of others: $2 "; }
pressure() { diag "$1: $(head -n 1 "$CGROOT/${LOAD_CG[$1]}/cpu.pressure")"; }

go batch
nap 10
no_acts "batch uses the whole host, and nobody wants it" batch.scope \
	"$(own batch 'it gets the share it is entitled to, and wants more')"
pressure batch
why_says slow.scope 'slow.scope is not hurt: it (waits for CPUs [0-9]([.][0-9])? % of the time; it waits no longer than its target allows |is quiet; )' \
	"who is merely slow beside it: nobody makes it wait"
rest batch

go quota
nap 8
no_acts "held back by its own quota" quota.scope "$(own quota 'it is held back by its own CPU quota')"
pressure quota
go batch
nap 8
no_acts "the same beside somebody busy" quota.scope "$(own quota 'it is held back by its own CPU quota')"
rest quota

go above
nap 8
no_acts "held back by its slice's quota, beside somebody busy" above.scope \
	"$(own above 'it is held back by the CPU quota of a group above it')"
pressure above
rest above batch

go build
nap 8
no_acts "a build waits for itself" build.scope "$(own build 'it gets the share it is entitled to, and wants more')"
pressure build
rest build

served rush
nap 2
go vip
nap 12
no_acts "a start-up rush: nobody is a victim in his grace" rush.scope \
	'rush.scope is not hurt: it waits for CPUs (100|[3-9][0-9])[.][0-9] % of the time; it has only just started '
pressure rush
kill "${LOAD_PID[rush]}"
rest vip
served low
nap 4
go vip
nap 12
no_acts "who has priority hurts who has less" low.scope "$(others low \
	'others take what it is entitled to, but nobody is held back; of the one with the highest score: its priority is above that of everybody it hurts')"
measure low 4 "beside somebody of higher priority"
pressure low
rest vip
diag "$(acts)"
is "$(leases)" 0 "there was never a lease"
done_testing
