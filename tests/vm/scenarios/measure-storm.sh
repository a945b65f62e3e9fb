# shellcheck shell=bash disable=SC2154,SC2016,SC2034,SC2086
# A thousand containers that live 50 ms to 5 s: a tenant's books agree with what its slice's own counter says,
# though the guard is killed among them; a total never goes back and nothing counts twice. Without a slice
# what was missed is counted, and shown. Then the books' file is damaged: a record, then its header.
#
#   tenant.slice
#   └── tenant-a.slice              tenant a, by slice
#       ├── stay.scope              idle, from before the guard to the end
#       └── docker-<64 hex>.scope   a thousand of them, 60 at once, each 1 % of a CPU
#   docker
#   └── <64 hex>                    tenant b, by path: 200 of them; nobody's slice counts them
#
# timeout: 240

STORM=/usr/lib/bailiff/test/storm
A=tenant.slice/tenant-a.slice

policy_set <<'P'
[Host]
Mode=ceilings

[Tenant a]
Match=slice=tenant-a.slice

[Tenant b]
Match=path=/docker/*
P
mkdir -p $CGROOT/docker /var/lib/docker/containers
echo '+cpu +memory +io +pids' >$CGROOT/docker/cgroup.subtree_control
scope stay tenant-a.slice -p CPUWeight=100 -p IOWeight=100 sleep 1000
guard_start
wait_for 20 '[ -n "$(totals a)" ] && [ "$(jq .live.life_usec <<<"$(totals a)")" -gt 0 ]' "tenant a has a book"

usage() { cg_key $A cpu.stat usage_usec; }
field() { jq ".$1" <<<"$TOTALS"; }  # PART.FIELD of TOTALS
# TOTALS as they are now; notes in SHRUNK what went back since the last call. Nothing while the guard is away.
TOTALS='' SHRUNK='' polls=0
poll() {  # TENANT
	local now
	now=$(totals "$1")
	[ -n "$now" ] || return 0
	[ -z "$TOTALS" ] || SHRUNK+=$(totals_shrunk "$TOTALS" "$now")
	TOTALS=$now
	polls=$((polls + 1))
}
storm_result() {  # FILE: sets MADE and TRUTH
	read -r _ MADE _ _ _ TRUTH _ <"$1"
}

# ---- a thousand in a slice, and a guard that dies among them

first=$(usage)
poll a
base=$(field book.cpu_usec)
guard=$(guard_cpu)
$STORM -n 1000 -k 60 -b 1 -d $A >/run/storm.out &
storm=$!
killed=''
while kill -0 $storm 2>/dev/null; do
	poll a
	if [ -z "$killed" ] && [ -n "$TOTALS" ] && [ "$(field book.starts)" -ge 300 ]; then
		killed=$(field book.starts)
		kill -9 "$(guard_pid)"
	fi
	nap 0.3
done
wait $storm
storm_result /run/storm.out
diag "$(</run/storm.out); the guard used $((($(guard_cpu) - guard) / 1000)) ms"
is "$MADE" 1000 "a thousand containers came and went"
num "${killed:-0}" '>=' 300 "the guard was killed when it had counted ${killed:-none}"
wait_for 20 'poll a; [ "$(field live.starts)" = 0 ] && [ "$(jq .containers <<<"$TOTALS")" = 1 ]' "all are gone"
# nobody runs any more, and the slice's own look comes with the next beat, where that is not late
slice=$(($(usage) - first))
until_true 20 "poll a; [ \$((\$(field book.cpu_usec) - base)) -ge $((slice * 98 / 100)) ]" || :
book=$(($(field book.cpu_usec) - base))
diag "CPU in µs: slice $slice, book $book, the containers' own $TRUTH" \
	"of it: live $(field live.cpu_usec), ended $(field ended.cpu_usec), unseen $(field unseen.cpu_usec)"
num $book '>=' $((slice * 98 / 100)) "the book is the slice's own counter, within 2 %"
num $book '<=' $((slice * 102 / 100)) "either way"
is "$SHRUNK" "" "in $polls looks no counter of the total went back"
is "$(parts_differ "$TOTALS")" "" "live, ended and unseen are the total, field by field"
diag "starts $(field book.starts), ends $(field book.ends), unread $(field book.ends_unread), unseen for $(field book.unseen_usec) us, lived $(field book.life_usec) us"
# Those that came and went while there was no guard are in nobody's count.
num "$(field book.starts)" '<=' 1000 "no start is counted twice"
num "$(field book.starts)" '>=' 700 "nor are many missed"
num "$(field book.ends)" '<=' 1000 "no end is counted twice"
num "$(field book.ends)" '>=' 700 "nor are many missed"
num "$(field ended.cpu_usec)" '<=' $((TRUTH * 102 / 100)) "the dead used no more than they did"
seen=$(field ended.cpu_usec)
diag "$((seen * 100 / TRUTH)) % of it was seen in the containers' own files"
is "$(field book.resets)" 0 "no counter of the kernel went back"

# ---- the same without a slice

TOTALS='' SHRUNK=''
$STORM -n 200 -k 40 -b 1 -s 7 -c -d docker >/run/storm.out &
storm=$!
while kill -0 $storm 2>/dev/null; do
	poll b
	nap 0.3
done
wait $storm
storm_result /run/storm.out
wait_for 20 'poll b; [ "$(jq .containers <<<"$TOTALS")" = 0 ]' "200 without a slice: all are gone"
is "$MADE $(field book.starts) $(field book.ends)" "200 200 200" "each start and each end is counted"
is "$(field unseen.cpu_usec) $(jq .slices <<<"$TOTALS")" "0 0" "there is no slice that would know what nobody saw"
missed=$((TRUTH - $(field book.cpu_usec)))
diag "CPU in µs: the containers' own $TRUTH, book $(field book.cpu_usec), missed $missed;" \
	"unread ends $(field book.ends_unread), unseen for $(field book.unseen_usec) us"
num "$(field book.cpu_usec)" '<=' $((TRUTH * 102 / 100)) "no more is booked than was used"
if [ $((missed * 100)) -gt $((TRUTH * 2)) ]; then
	num "$(field book.ends_unread)" '>' 0 "more than 2 % was missed: ends that nobody read are counted"
	num "$(field book.unseen_usec)" '>=' $missed "and so is the time for which they went unread"
fi
is "$SHRUNK$(parts_differ "$TOTALS")" "" "no counter went back, and the parts are the total"

# ---- a record of the file is damaged

file=/run/bailiff/books
before=$(totals a)
guard_stop
at=$(grep -abo stay.scope $file | head -n 1)
printf '\377\377\377' | dd of=$file bs=1 seek="${at%%:*}" conv=notrunc status=none
guard_start
ctl status --json
is "$(jq -c '[.sampling.books.damaged, .sampling.books.set_aside]' <<<"$CTL_OUT")" '[1,false]' "one record is damaged: skipped, and counted"
like "$(guard_log)" "books.*(damaged|checksum)" "the journal says so"
until_true 20 '[ -n "$(totals a)" ]' || :
is "$(totals_shrunk "$before" "$(totals a)")" "" "that was stay.scope's: the tenant's total did not go back"

# ---- and then its header

guard_stop
printf '\377\377\377\377' | dd of=$file bs=1 conv=notrunc status=none
guard_start
ctl status --json
is "$(jq -c '[.sampling.books.damaged, .sampling.books.set_aside, .sampling.books.error]' <<<"$CTL_OUT")" '[0,true,null]' "a file without a header is set aside"
check "as books.old" test -s $file.old
like "$(guard_log)" "books\.old" "the journal says so"
before=$(usage)
$STORM -n 40 -k 40 -b 3 -l 500:2000 -s 9 $A >/run/storm.out
wait_for 20 'TOTALS=$(totals a); [ "$(field book.ends)" = 40 ]' "counting goes on"
least=$((($(usage) - before) * 98 / 100))
wait_for 20 'TOTALS=$(totals a); [ "$(field book.cpu_usec)" -ge $least ]' "from now"
done_testing
