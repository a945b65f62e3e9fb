# shellcheck shell=bash disable=SC2154,SC2016
# `bailiffctl top` on a real terminal (a pty of script(1)) beside a real guard: 80×24, smaller, resized, without the guard
# and with it again; a container's processes below. And the history it reads, by memfd and by pages; and `usage`, which reads the books.
#
#   tenant.slice
#   └── tenant-a.slice            tenant a, by slice
#       ├── spin.scope            half a CPU
#       └── idle.scope
#   batch.slice
#   └── other.scope               tenant b, by path
#
# shape: plain
# timeout: 240

policy_set <<-EOP
	[Host]
	Mode=ceilings

	[Tenant a]
	Match=slice=tenant-a.slice
	MemoryMax=200M
	CPUQuota=50%

	[Tenant b]
	Match=path=/batch.slice/*.scope
	ContainerMemoryMax=100M
EOP
guard_start
scope spin tenant-a.slice busybox sh -c 'while :; do :; done'
spin=$PID
scope idle tenant-a.slice sleep 10000
scope other batch.slice sleep 10000
wait_for 20 "ctl containers --json && [ \"\$(jq '[.containers[] | select(.measured.time)] | length' <<<\"\$CTL_OUT\")\" = 3 ]" "three containers are measured"

# ---- a pty of its own; what top draws is read from the file that script(1) writes

mkfifo /run/keys
exec {keys}<>/run/keys
top_start() {  # COLUMNS LINES
	rm -f /run/screen
	TERM=xterm LC_ALL=C script --quiet --flush --return --command \
		"stty cols $1 rows $2; tty >/run/top.tty; exec bailiffctl top --delay 1" /run/screen <&$keys >/dev/null 2>&1 &
	top=$!
}
# What was drawn since MARK, as text: escape sequences become blanks.
mark() { MARK=$(stat --format=%s /run/screen); }
drawn() { tail -c +$((MARK + 1)) /run/screen | sed 's/\x1b[()][A-Z0-9]/ /g; s/\x1b\[[0-9;?]*[a-zA-Z]/ /g; s/\x1b[=>78M]/ /g' | tr -d '\017\016\r'; }
draws() { drawn | grep -q -- "$1"; }
press() { printf '%b' "$1" >&$keys; }

MARK=0
top_start 80 24
wait_for 30 "draws spin.scope && draws idle.scope && draws other.scope" "80x24: the containers are there"
check "tenants, too" draws ' a '
check "and what the most important keys do" draws quit
check "what it says of the CPU" draws CPU
mark
press h
wait_for 10 "draws memory" "h explains the keys"
mark
press ' '
wait_for 10 "draws spin.scope" "any other key leaves the help"

# ---- the processes of a container

wait_for 20 "draws '[3-5][0-9]\.[0-9]%'" "who spins is above who is idle"
mark
press '\033OH\033OB\r' # Home, down, enter
wait_for 20 "draws 'Processes of spin.scope'" "enter on the container opens its processes"
wait_for 20 "draws '$spin  *busybox'" "there are its pid and name: $spin"
mark
press '\033OB'
wait_for 15 "draws idle.scope" "the cursor moves meanwhile"
mark
systemctl stop bailiff-netlink.socket bailiff-netlink.service
wait_for 30 "draws 'is not there'" "without the service it says so"
mark
systemctl start bailiff-netlink.socket
wait_for 60 "draws '$spin  *busybox'" "with it they are there again"
diag "$(drawn | tr -s ' \n' ' ' | tail -c 200)"
press '\033OA\r'
nap 2

mark
stty --file="$(</run/top.tty)" cols 40 rows 10
wait_for 15 "draws spin" "resized to 40x10 it draws anew"
mark
stty --file="$(</run/top.tty)" cols 20 rows 5
wait_for 15 "draws spin || draws ' a ' || draws CPU" "and to 20x5"
mark
stty --file="$(</run/top.tty)" cols 80 rows 24
wait_for 15 "draws spin.scope" "and back"
is "$(drawn | grep -c 'Processes of' || :)" 0 "enter closed the processes"
mark
guard_stop
wait_for 20 "drawn | grep -qiE 'gone|not running|reach|lost|away'" "without a guard it says so"
diag "$(drawn | tr -s ' \n' ' ' | tail -c 200)"
mark
guard_start
wait_for 30 "draws 'tenants'" "the guard is back, and so is its line"
check "all that time it was one process" kill -0 $top
press q
wait_for 10 "! kill -0 $top 2>/dev/null" "q ends it"

# ---- the history behind it

wait_for 30 "ctl usage --since 5s --json; [ \$CTL_STATUS = 0 ]" "usage --since 5s has an answer"
nap 12
ctl usage --by container --since 10s --json
spun=$(jq '[.containers[] | select(.name == "spin.scope")][0].book.cpu_usec' <<<"$CTL_OUT")
num "${spun:-0}" '>=' 3500000 "spin.scope used half a CPU for ten seconds: $spun us"
num "${spun:-0}" '<=' 7500000 "and no more"
ctl usage --since 3h
is $CTL_STATUS 1 "three hours back it cannot tell"
like "$CTL_ERR" "history reaches back" "and says how far it can"
history() { busctl --system call org.bailiff.Guard1 /org/bailiff/Guard1 org.bailiff.Guard1 "$@"; }
like "$(history GetHistory ttt 0 0 0 2>&1)" "^h " "GetHistory hands out a file descriptor"
read -r _ _ size < <(history OpenPaged ss GetHistory "0 0 0")
num "$size" '>' 1000 "in pages: $size bytes"
like "$(history OpenPaged ss GetHistory "x" 2>&1 || :)" "INSTANCE CURSOR SINCE" "nonsense is refused"
for format in table csv json openmetrics; do
	ctl usage --format $format
	is $CTL_STATUS 0 "usage --format $format: $(wc -c <<<"$CTL_OUT") bytes"
done
is "$(tail -n 1 <<<"$CTL_OUT")" "# EOF" "OpenMetrics ends with its EOF"
like "$CTL_OUT" 'bailiff_tenant_cpu_seconds_total\{tenant="a"\} [0-9]' "tenants' CPU seconds"
like "$CTL_OUT" 'bailiff_guard_[a-z_]*late' "and how the guard itself does"
done_testing
