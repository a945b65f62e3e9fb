# shellcheck shell=bash disable=SC2016
# 180 compose projects, one tenant each by template; policy reloaded again and again meanwhile; then
# a policy that drops everything: all is given back. diff names what would change, and the danger; it never
# keeps a reload from being taken.
#
#   docker/<64 hex>  × 180      as the cgroupfs driver makes them, with state files of their own
#
# timeout: 420

# Containers as Docker's cgroupfs driver leaves them, without a Docker: 180 real ones take minutes here.
ROOT=/var/lib/docker/containers
mkdir -p $ROOT $CGROOT/docker
chmod 710 /var/lib/docker
echo "+memory +pids +cpu" >$CGROOT/cgroup.subtree_control
echo "+memory +pids +cpu" >$CGROOT/docker/cgroup.subtree_control
make() {  # N PROJECT: sets ID
	printf -v ID '%064x' "$1"
	mkdir -p $ROOT/$ID
	printf '{"ID":"%s","Name":"/%s-web-1","Config":{"Image":"web","Labels":{"com.docker.compose.project":"%s"}},"State":{"Pid":0}}' \
		$ID "$2" "$2" >$ROOT/$ID/config.v2.json
	echo '{"Memory":0,"NanoCpus":0,"PidsLimit":null}' >$ROOT/$ID/hostconfig.json
	mkdir $CGROOT/docker/$ID
}
policy() {  # TASKS
	policy_set <<P
[Host]
Mode=ceilings
[Plan small]
ContainerTasksMax=$1
ContainerMemoryMax=64M
[Template compose]
Match=label=com.docker.compose.project=*
Tenant=compose-%v
Plan=small
P
}
policy 40
guard_start
for i in {1..90}; do make "$i" "shop$i"; done
( for t in 41 42 43 44; do policy $t; bailiffctl reload >/dev/null || echo "reload failed"; done ) >/run/reloads 2>&1 &
for i in {91..180}; do make "$i" "shop$i"; done
wait $!
is "$(</run/reloads)" "" "reloads under load are all taken"
policy 45
ctl reload
held() {
	local i v m n=0
	for i in {1..180}; do
		printf -v ID '%064x' "$i"
		v=$(<$CGROOT/docker/$ID/pids.max) m=$(<$CGROOT/docker/$ID/memory.max)
		[ "$v $m" = "45 $((64 << 20))" ] && n=$((n + 1))
	done
	HELD=$n
	[ $n = 180 ]
}
wait_for 60 held "all 180 have their tenant's ceilings of the last policy"
diag "held: $HELD"
ctl tenants --json
is "$(jq '[.tenants[] | select(.name | startswith("compose-shop"))] | length' <<<"$CTL_OUT")" 180 "180 tenants by template"
ctl show container:shop7-web-1 --json
is "$(jq -r .tenant <<<"$CTL_OUT")" compose-shop7 "a container's tenant"
like "$(jq -r '.limits[] | select(.limit == "TasksMax") | .file + ":" + (.line | tostring)' <<<"$CTL_OUT")" "50-test.ini:4" \
	"each number says its file and line"
make 181 "no name"
wait_for 30 'ctl events --json; [ "$(jq "[.events[] | select(.text | contains(\"is no valid name: unassigned\"))] | length" <<<"$CTL_OUT")" = 1 ]' \
	"a project whose name makes no tenant's is told of, once"
rmdir "$CGROOT/docker/$ID"
ctl policy show compose-shop7
like "$CTL_OUT" "ContainerTasksMax.*45.*50-test.ini:4" "policy show: value, file and line"

# One uses 30M; a policy of 16M would be a danger.
printf -v ID '%064x' 7
in_cgroup docker/$ID python3 -c 'x = bytearray(30 << 20); import time; time.sleep(1000)' &
wait_for 20 "[ \$(cg docker/$ID memory.current) -gt $((28 << 20)) ]" "one container uses 30M"
sed -i 's/ContainerMemoryMax=64M/ContainerMemoryMax=16M/' /etc/bailiff/policy.d/50-test.ini
ctl policy diff --json
is "$(jq '[.changes[] | select(.limit == "MemoryMax")] | length' <<<"$CTL_OUT")" 180 "diff: 180 memory ceilings would change"
is "$(jq -r '[.changes[] | select(.danger) | .container] | join(" ")' <<<"$CTL_OUT")" shop7-web-1 "and names the one in danger"
ctl policy diff
like "$CTL_OUT" "would OOM" "the danger in words"
is "$(cg docker/$ID memory.max)" $((64 << 20)) "diff changes nothing"
ctl policy check
is "$CTL_STATUS" 0 "check: no mistake"
like "$CTL_OUT" "warning: shop7-web-1: MemoryMax: .*would OOM" "but a warning of what is in use"

# ---- what is on disk is compared with what is in force

changes() {  # FILTER: of policy diff; a line each kind of change, counted
	ctl policy diff --json
	jq -r ".changes[] | $1" <<<"$CTL_OUT" | sort | uniq -c | sed 's/^ *//'
}
row='"\(.limit) \(.from_text) \(.to_text) \(.mode) \(if .cgroup then "cgroup" else "sum" end)"'
policy 45
is "$(changes "$row")" "" "what is in force already is no change"
sed -i '/^Plan=small/i TasksMax=1000' /etc/bailiff/policy.d/50-test.ini
is "$(changes "$row")" "180 TasksMax null 1000 ceilings sum" "a sum that is new"
ctl policy diff
like "$CTL_OUT" '\(sum\) +compose-shop7 +TasksMax +not set +1000' "in words"
ctl reload
wait_for 60 held "and it is loaded"
is "$(changes "$row")" "" "a sum in force is no change, though each container has a share of it"
sed -i 's/^TasksMax=1000/TasksMax=500/' /etc/bailiff/policy.d/50-test.ini
is "$(changes "$row")" "180 TasksMax 1000 500 ceilings sum" "another sum is"
policy 45
sed -i 's/^Mode=ceilings/Mode=observe/' /etc/bailiff/policy.d/50-test.ini
is "$(changes "$row")" "180 TasksMax 1000 null observe sum" "what is dropped is told, with the mode that would not do it"
policy_set <<<$'[Host]\nMode=ceilings'
ctl reload
wait_for 60 '[ "$(<$CGROOT/docker/$ID/pids.max)" = max ]' "without ceilings all is given back"
policy 45
sed -i 's/^Mode=ceilings/Mode=observe/' /etc/bailiff/policy.d/50-test.ini
ctl reload
wanted=$'180 MemoryMax null 64M MODE cgroup\n180 TasksMax null 45 MODE cgroup'
is "$(changes "$row")" "${wanted//MODE/observe}" "where it only observes: what it would set"
sed -i 's/^Mode=observe/Mode=ceilings/' /etc/bailiff/policy.d/50-test.ini
is "$(changes "$row")" "${wanted//MODE/ceilings}" "and what Mode=ceilings will change"
ctl reload
wait_for 60 held "so it does"

# ---- diffs and reloads at once

# Diffs without a pause, reloads at once, and by signal: each reload is taken.
sed -i 's/ContainerMemoryMax=16M/ContainerMemoryMax=64M/' /etc/bailiff/policy.d/50-test.ini
touch /run/diffs
diffs=()
for n in 1 2; do
	(while [ -e /run/diffs ]; do bailiffctl policy diff --json >/dev/null 2>>/run/diffs-failed || :; done) &
	diffs+=($!)
done
( for n in {1..4}; do
	bailiffctl reload >/dev/null &
	first=$!
	bailiffctl reload >/dev/null || echo "second of $n: $?"
	wait $first || echo "first of $n: $?"
done ) >/run/reloads 2>&1
is "$(</run/reloads)" "" "eight reloads, two at a time, while others ask for diffs: all are taken"
sed -i 's/ContainerTasksMax=45/ContainerTasksMax=46/' /etc/bailiff/policy.d/50-test.ini
kill -HUP "$(guard_pid)"
wait_for 30 "[ \$(cg docker/$ID pids.max) = 46 ]" "one by SIGHUP, too"
rm /run/diffs
wait "${diffs[@]}"
unlike "$(</run/diffs-failed)" refused "a diff that made way is told to ask again"
diag "$(sort /run/diffs-failed | uniq -c)"

policy_set <<<$'[Host]\nMode=ceilings'
ctl reload
free() {
	local i n=0
	for i in {1..180}; do
		printf -v ID '%064x' "$i"
		[ "$(<$CGROOT/docker/$ID/pids.max) $(<$CGROOT/docker/$ID/memory.max)" = "max max" ] && n=$((n + 1))
	done
	[ $n = 180 ]
}
wait_for 60 free "the policy dropped: all 180 have back what they had"

# A hold on as many is one act, and all of it outlives the guard.
start=$EPOCHREALTIME
ctl hold tenant:unassigned --for 1h --reason 'all of them'
is "$CTL_STATUS" 0 "hold tenant:unassigned"
diag "after $(elapsed "$start") s"
num "$(grep -c . /run/bailiff/holds)" '>=' 180 "each of them is on file"
systemctl restart bailiffd.service
until_true 20 'ctl show container:shop7-web-1 --json; [ $CTL_STATUS = 0 ]' || :
is "$(jq -r .hold.reason <<<"$CTL_OUT")" "all of them" "a restarted guard knows the hold"
ctl status --json
num "$(jq .counts.holds <<<"$CTL_OUT")" '>=' 180 "all 180 of them"
ctl unhold tenant:unassigned
is "$CTL_STATUS $(ls /run/bailiff/holds 2>/dev/null || :)" "0 " "unhold tenant:unassigned: none is left on file"
done_testing
