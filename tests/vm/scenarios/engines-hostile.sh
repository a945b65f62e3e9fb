# shellcheck shell=bash disable=SC2154,SC2016,SC2034
# State files that nobody should have written cost a container its name and nothing else: the guard
# lives, names everybody else, and holds that container by the strictest candidate, or by what needs no
# name. So does a helper that hangs or is killed, until another has read the files.
#
#   system.slice
#   ├── docker-<id>.scope           good: tenant loose, by label
#   ├── docker-<id>.scope ...       one for each kind of bad state: loose, strict or nobody's?
#   └── docker-<id>.scope           hung, killed: good files, but a helper that does not answer
#   tenant.slice
#   └── tenant-c.slice              tenant c, by slice
#       └── docker-<id>.scope       the same bad state as another; its tenant needs no name
#
# shape: plain
# timeout: 180

STATE=/var/lib/docker/containers

policy_set <<EOP
[Host]
Mode=ceilings

[Defaults]
ContainerTasksMax=77

[Tenant strict]
Match=label=com.example.tenant=strict
ContainerTasksMax=20

[Tenant loose]
Match=label=com.example.tenant=loose
ContainerTasksMax=60
ContainerMemoryMax=64M

[Tenant c]
Match=slice=tenant-c.slice
ContainerTasksMax=40
EOP

# Held by the strictest of all who may own it, limit by limit; by loose, once it is known to be his.
STRICTEST="20 $((64 << 20))"
LOOSE="60 $((64 << 20))"

declare -A ID
last_id=0
new_id() {  # CASE: sets ID[CASE]
	last_id=$((last_id + 1))
	printf -v "ID[$1]" '%064x' $((0xbad00000000 + last_id))
}

config() {  # NAME: a good config.v2.json
	printf '{"Name":"/%s","Config":{"Image":"img:%s","Labels":{"com.example.tenant":"loose"}},"State":{"Pid":1}}' "$1" "$1"
}

good_state() {  # CASE
	mkdir -p "$STATE/${ID[$1]}"
	config "$1" >"$STATE/${ID[$1]}/config.v2.json"
	echo '{"Memory":0}' >"$STATE/${ID[$1]}/hostconfig.json"
}

start() {  # CASE [SLICE]
	scope "docker-${ID[$1]}" "${2:-system.slice}" sleep 100000
}

held() {  # CASE: prints what holds its container in system.slice
	echo "$(cg "system.slice/docker-${ID[$1]}.scope" pids.max) $(cg "system.slice/docker-${ID[$1]}.scope" memory.max)"
}

about() {  # CASE FILTER
	ctl containers --json
	jq -r --arg id "${ID[$1]}" ".containers[] | select(.id == \$id) | $2" <<<"$CTL_OUT"
}

# ---- bad state of every kind

make_bad() {  # CASE: changes good state
	local dir=$STATE/${ID[$1]}
	local file=$dir/config.v2.json
	case $1 in
	huge) truncate --size=5M "$file" ;;                        # beyond what is read
	truncated) config truncated | head --bytes=70 >"$file" ;;
	nested) head --bytes=1000000 /dev/zero | tr '\0' '[' >"$file" ;;
	types) echo '{"Name":7,"Config":["a"],"State":{"Pid":"x"}}' >"$file" ;;
	array) echo '[1,2,3]' >"$file" ;;
	long) printf '{"Name":"/%03000d","Config":{"Labels":{"com.example.tenant":["loose"]}}}' 0 >"$file" ;;
	control) echo '{"Name":"/a\u001b[31m\u000ab","Config":{"Image":"\u0007"}}' >"$file" ;;
	fifo) rm "$file" && mkfifo "$file" ;;
	symlink) rm "$file" && ln -s "$STATE/${ID[good]}/config.v2.json" "$file" ;;
	directory) rm "$file" && mkdir "$file" ;;
	nodir) rm -r "$dir" && : >"$dir" ;;                        # a file where the directory should be
	loop) rm -r "$dir" && ln -s "$dir" "$dir" ;;
	missing) rm -r "$dir" ;;
	esac
}
BAD=(huge truncated nested types array long control fifo symlink directory nodir loop missing)

mkdir -p "$STATE"
for case in good "${BAD[@]}" slice flicker hung killed; do new_id "$case"; done
for case in good "${BAD[@]}" slice; do good_state "$case"; done
for case in "${BAD[@]}"; do make_bad "$case"; done
rm "$STATE/${ID[slice]}/config.v2.json"
mkfifo "$STATE/${ID[slice]}/config.v2.json"

# Half of them before the guard starts, half after; good in the middle of the second half.
for case in "${BAD[@]:0:6}"; do start "$case"; done
guard_start
pid=$(systemctl show --value -p MainPID bailiffd.service)
for case in "${BAD[@]:6}"; do start "$case"; done
start good
start slice tenant-c.slice
slice=$CG

wait_for 30 '[ "$(held good)" = "$LOOSE" ]' "among all these, good is held as tenant loose's"
is "$(about good '[.name, .image, .tenant, .pending] | map(tostring) | join(" ")')" "good img:good loose false" \
	"and is known by name"
wait_for 30 "[ \"\$(cg $slice pids.max)\" = 40 ]" "bad state in tenant c's slice: held by the slice, which needs no name"
is "$(about slice '[.tenant, .tenant_by.class, .name] | map(tostring) | join(" ")')" "c slice null" "and known to be c's"
for case in "${BAD[@]}"; do
	wait_for 30 "[ \"\$(held $case)\" = \"\$STRICTEST\" ]" "$case: held by the strictest candidate"
done
all_read() { ctl containers --json && [ "$(jq '[.containers[] | select(.problem)] | length' <<<"$CTL_OUT")" = $((${#BAD[@]} + 1)) ]; }
until_true 30 all_read || diag "not every problem is told"
ctl containers --json
for case in "${BAD[@]}"; do
	like "$(jq -r --arg id "${ID[$case]}" '.containers[] | select(.id == $id) |
		[.name, .labels, .pending, .problem] | map(tostring) | join(" ")' <<<"$CTL_OUT")" '^null \{\} true .{10}' \
		"$case: only the name is lost, and why is told"
done
diag "$(jq -r '.containers[] | select(.problem) | .problem' <<<"$CTL_OUT" | sort)"

# ---- put right, and flickering

config truncated >"$STATE/${ID[truncated]}/config.v2.json"
good_state flicker
(
	for _ in {1..30}; do
		mv "$STATE/${ID[flicker]}" /run/flicker
		mv /run/flicker "$STATE/${ID[flicker]}"
	done
) &
start flicker

# ---- a helper that hangs, a helper that dies

names_pid() {
	ctl status --json
	jq -r .names.pid <<<"$CTL_OUT"
}

helper=$(names_pid)
check "the names helper is a process of its own" test "$helper" -gt 1 -a "$helper" != "$pid"
good_state hung
kill -STOP "$helper"
start hung
wait_for 30 '[ "$(held hung)" = "$STRICTEST" ]' "the helper hangs: a new container is held by the strictest candidate meanwhile"
wait_for 60 '[ "$(held hung)" = "$LOOSE" ]' "another helper has read its files: held as tenant loose's"
isnt "$(names_pid)" "$helper" "the one that hung is gone"
check "and dead" test ! -d "/proc/$helper"

helper=$(names_pid)
good_state killed
kill -STOP "$helper"
start killed
kill -KILL "$helper"
wait_for 60 '[ "$(held killed)" = "$LOOSE" ]' "the helper is killed over a container: another reads its files"
is "$(about killed '[.name, .tenant] | join(" ")')" "killed loose" "and it is known by name"

# ---- all's well

wait_for 60 '[ "$(held flicker)" = "$LOOSE" ]' "state that came and went while it was read: in the end its container is known"
wait_for 60 '[ "$(held truncated)" = "$LOOSE" ]' "state that was put right is read again"
is "$(about truncated '[.name, .tenant] | join(" ")')" "truncated loose" "and gives the container its name"
is "$(systemctl show --value -p MainPID -p NRestarts bailiffd.service)" "$pid"$'\n'0 "the guard is the same process as at the start"
done_testing
