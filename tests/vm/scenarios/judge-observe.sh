# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# Mode=observe: noise that would be throttled in any other mode, and not one limit file in the whole tree changes, nor is
# any written to with the value that it had. The events say what would have been done, and so does observe-report.
#
#   tenant.slice
#   ├── tenant-web.slice/web.scope      tenant web: 40 % of a CPU in requests; CPUGuarantee=60%
#   └── tenant-spin.slice/spin.scope    tenant spin: weight 2000, 16 threads; a ceiling that would be set in another mode
#
# timeout: 150

noise_policy Mode=observe <<-'EOP'
	MemoryMax=500M
	Kill=last
EOP
noise_pair
guard_start
nap 3
limit_tree >/run/tree.before
mapfile -t files < <(find "$CGROOT/tenant.slice" \( -name cpu.max -o -name memory.high -o -name memory.max -o -name io.max \
	-o -name pids.max -o -name cgroup.freeze \))
"$REFLEX" -s 140 watch "${files[@]}" >$LOADS/watch &
watcher=$!
wait_for 10 "grep -q ready $LOADS/watch" "${#files[@]} limit files are watched"
diag "$(wc -l </run/tree.before) writable files in the tree"
go spin
wait_for_act 40 ' would:throttle spin' "spin would be throttled"
measure web 12 "beside noise that is only watched"
num $SERVED '<' 900 "the victim is hurt on: $SERVED per mille"
rest spin
nap 2
limit_tree >/run/tree.after
is "$(diff /run/tree.before /run/tree.after)" "" "no limit file in the tree changed"
is "$(<$LOADS/watch)" ready "nor was one written"
is "$(acts ' (throttle|freeze|stop|kill) ')" "" "no event says that anything was done"
diag "$(acts)"
is "$(leases)" 0 "there is no lease"
ctl observe-report
like "$CTL_OUT" 'spin' "observe-report names it"
diag "$CTL_OUT$CTL_ERR"
ctl observe-report --json
num "$(jq '[.tenants[].containers[] | select(.name == "spin.scope" or .name == "spin") | .would.throttle] | add // 0' <<<"$CTL_OUT")" '>' 0 \
	"and counts what would have been done"
why_says spin.scope 'would' "why says what would have been done"
kill $watcher
done_testing
