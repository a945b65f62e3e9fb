# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# How fast: from the first spin of a hog to the first write that holds it back. First by the least that a guard can be, a
# program that waits for the kernel's trigger and writes one file; then by the guard, whose policy asks for triggers. The ratio
# is what judging costs.
#
#   tenant.slice
#   ├── tenant-web.slice/web.scope      tenant web: 40 % of a CPU in requests; CPUGuarantee=60%, PressureTrigger=cpu
#   └── tenant-spin.slice/spin.scope    tenant spin: weight 2000, 16 threads
#   reflex.slice                        the bare program and the watcher; weight 1000, as the guard's own
#
# timeout: 200

ROUNDS=5
{
	noise_policy <<<'PressureTrigger=cpu'
	cat >>/etc/bailiff/policy.d/50-test.ini <<-'EOP'

		[Container web/*]
		PressureTrigger=cpu
		PressureWindowSec=1s
	EOP
}
noise_pair
systemctl set-property --runtime reflex.slice CPUWeight=1000
onset() { grep '^begin' $LOADS/spin | tail -n 1 | cut -d' ' -f2; }
median() { printf '%s\n' "$@" | sort -n | sed -n "$(($# / 2 + 1))p"; }
# Waits for a line of the file that is younger than the onset; sets TOOK, in µs.
took() {  # FILE
	local when='' line
	until_true 30 "[ -n \"\$(grep '/cpu.max' '$1')\" ]" || :
	read -r when line < <(grep '/cpu.max' "$1" || echo "")
	TOOK=$((${when:-0} - $(onset)))
	[ -n "$when" ] || TOOK=30000000
}
start_reflex() {  # NAME ARGUMENT...
	local name=$1
	shift
	rm -f "$LOADS/$name"
	systemd-run --quiet --scope --collect --unit="$name" --slice=reflex.slice "$REFLEX" -s 60 "$@" >"$LOADS/$name" 2>&1 &
	REFLEX_PID=$!
	until_true 30 "grep -qs ready '$LOADS/$name'" || not_ok "$name is ready" "$(<"$LOADS/$name")"
}

bare=() guard=()
nap 2
for ((i = 0; i < ROUNDS; i++)); do
	start_reflex bare$i act "$CGROOT/$WEB/cpu.pressure" 150000 500000 "$CGROOT/$SPIN/cpu.max" '50000 100000'
	go spin
	took $LOADS/bare$i
	rest spin
	bare+=("$TOOK")
	wait $REFLEX_PID || :
	echo 'max 100000' >"$CGROOT/$SPIN/cpu.max"
	nap 3
done
diag "bare: ${bare[*]} µs"
guard_start
nap 3
for ((i = 0; i < ROUNDS; i++)); do
	start_reflex guard$i watch "$CGROOT/$SPIN/cpu.max"
	go spin
	took $LOADS/guard$i
	rest spin
	guard+=("$TOOK")
	kill $REFLEX_PID
	wait $REFLEX_PID || :
	ctl release spin.scope
	until_true 60 '[ "$(leases)" = 0 ]' || not_ok "released"
	nap 3
done
diag "guard: ${guard[*]} µs"
ctl status --json
diag "of which from the look to the write: $(jq -c .judge.reaction_usec <<<"$CTL_OUT"), triggers $(jq -c .sampling.triggers <<<"$CTL_OUT")"
least=$(median "${bare[@]}") took=$(median "${guard[@]}")
percent=$((took * 100 / (least > 0 ? least : 1)))
diag "median: bare $((least / 1000)) ms, guard $((took / 1000)) ms: $((percent / 100)).$(printf %02d $((percent % 100))) times; wanted: 3"
num "$least" '<' 10000000 "the bare program reacts"
# The host of this machine has other work: what is measured is seen in the log, what is refused here is another kind of thing.
num $percent '<=' 2000 "the guard is not of another kind: $((took / 1000)) ms"
done_testing
