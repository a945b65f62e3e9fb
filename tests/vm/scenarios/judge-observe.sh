# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# Mode=observe: noise that would be throttled in any other mode, of CPU, disk and memory, and not one limit file in the whole
# tree changes, nor is any written to with the value that it had. The events say what would have been done, and so does
# observe-report. Then one tenant only is observed, beside others for whom all is in earnest.
#
#   tenant.slice
#   ├── tenant-web.slice/web.scope      tenant web: 40 % of a CPU in requests; CPUGuarantee=60%
#   ├── tenant-spin.slice/spin.scope    tenant spin: weight 2000, 16 threads; a ceiling that would be set in another mode
#   ├── tenant-db.slice/db.scope        tenant db: fsync, on /srv/data (300 operations a second)
#   ├── tenant-flood.slice/flood.scope  tenant flood: 16 threads, O_DIRECT, on the same disk
#   ├── tenant-map.slice/map.scope      tenant map: pages at random of a file of 120M that it has mapped
#   └── tenant-grow.slice/grow.scope    tenant grow: 40M more each second
#
# memory: 1024
# disks: 1024 2048
# disk-opts: throttling.iops-total=300
# timeout: 300

others() {
	printf '%s\n' '[Tenant db]' Match=slice=tenant-db.slice '[Tenant flood]' Match=slice=tenant-flood.slice \
		'[Tenant map]' Match=slice=tenant-map.slice '[Tenant grow]' Match=slice=tenant-grow.slice Kill=last
}
{
	printf '%s\n' MemoryMax=500M Kill=last
	others
} | noise_policy Mode=observe
mkfs.ext4 -q /dev/vm/disk1
mkdir -p /srv/data
mount /dev/vm/disk1 /srv/data
noise_pair
scope db tenant-db.slice -p IOWeight=100 "$VICTIM" -s 600 -f /srv/data/db -m 16 -o $LOADS/db fsync
load_ready db
scope flood tenant-flood.slice -p IOWeight=100 "$HOG" -i -s 600 -n 16 -m 64 -f /srv/data/flood -o $LOADS/flood direct
load_ready flood
scope map tenant-map.slice -p MemoryAccounting=yes "$VICTIM" -s 600 -m 120 -t 64 -f /srv/data/map -o $LOADS/map memory
load_ready map
scope grow tenant-grow.slice -p MemoryAccounting=yes "$HOG" -i -s 600 -r 40 -m 520 -o $LOADS/grow memory
load_ready grow
guard_start
nap 3
limit_tree >/run/tree.before
mapfile -t files < <(find "$CGROOT/tenant.slice" \( -name cpu.max -o -name memory.high -o -name memory.max -o -name io.max \
	-o -name pids.max -o -name cgroup.freeze \))
"$REFLEX" -s 240 watch "${files[@]}" >$LOADS/watch &
watcher=$!
wait_for 10 "grep -q ready $LOADS/watch" "${#files[@]} limit files are watched"
diag "$(wc -l </run/tree.before) writable files in the tree"
go spin
wait_for_act 40 ' would:throttle spin' "CPU: spin would be throttled"
measure web 8 "beside noise that is only watched"
num $SERVED '<' 900 "the victim is hurt on: $SERVED per mille"
rest spin
go flood
wait_for_act 40 ' would:throttle flood' "the disk: flood would be throttled"
measure db 5 "beside writes that are only watched"
rest flood
go grow
wait_for_act 60 ' would:(throttle|kill) grow' "memory: grow would be held back"
measure map 5 "beside growth that is only watched"
rest grow
nap 2
limit_tree >/run/tree.after
is "$(diff /run/tree.before /run/tree.after)" "" "no limit file in the tree changed"
is "$(<$LOADS/watch)" ready "nor was one written"
is "$(acts ' (throttle|freeze|stop|kill) ')" "" "no event says that anything was done"
diag "$(acts)"
is "$(leases)" 0 "there is no lease"
ctl observe-report
for name in spin flood grow; do like "$CTL_OUT" "$name" "observe-report names $name"; done
diag "$CTL_OUT$CTL_ERR"
ctl observe-report --json
for name in spin flood; do
	num "$(jq "[.tenants[].containers[] | select(.name == \"$name.scope\") | .would.throttle] | add // 0" <<<"$CTL_OUT")" '>' 0 \
		"and counts what would have been done to $name"
done
why_says spin.scope 'Would have throttled spin.scope \(tenant spin\): CPUQuota from no limit to ' "why says what would have been done"
kill $watcher

# ---- one tenant is observed

{
	printf '%s\n' Mode=observe MemoryMax=500M
	others
} | noise_policy
limit_tree tenant.slice/tenant-spin.slice >/run/tree.before
ctl reload
nap 3
n=$(acts | wc -l)
new_acts() { acts | tail -n +$((n + 1)); }
go spin
# Where web has been hurt all the while, spin's episode goes on, and only its end is left to be told.
wait_for 60 'new_acts | grep -Eq " would:(throttle|alarm) spin"' "one tenant is observed: it would be held back"
nap 15
rest spin
is "$(diff /run/tree.before <(limit_tree tenant.slice/tenant-spin.slice))" "" "of the one who is observed no limit file changed"
is "$(acts ' (throttle|freeze|stop|kill) ')" "" "nothing was done to it, and nobody stood in for it"
go flood
wait_for_act 60 ' throttle flood' "another one is throttled"
like "$(cg "${LOAD_CG[flood]}" io.max)" 'wiops=[0-9]' "by io.max"
rest flood
diag "$(new_acts)"
wait_for 90 '[ "$(leases)" = 0 ]' "all is given back"
done_testing
