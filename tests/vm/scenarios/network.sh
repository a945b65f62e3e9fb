# shellcheck shell=bash disable=SC2154,SC2016,SC2034
# What containers send and receive: counted in their network namespace, by whoever is in it, as the other end of
# the wire counts it. No capability more, no namespace entered. And that other end itself, by its name, as the host sees it.
#
#   tenant.slice
#   ├── tenant-net.slice        tenant net, by slice
#   │   ├── docker-<id>.scope   web: on a bridge; sends and receives what is counted
#   │   └── docker-<id>.scope   helper: in web's network
#   └── tenant-flat.slice       tenant flat, by slice
#       ├── docker-<id>.scope   plain: in the host's network
#       ├── docker-<id>.scope   alone: in none
#       └── docker-<id>.scope   other: on the bridge, another user's
#
# shape: docker
# kernels: 6.1 6.12
# timeout: 300

DOWN=$((64 << 20)) UP=$((24 << 20))

# This machine's own bridge; no address of it is anybody else's, and nothing is forwarded.
bridge_up() {
	modprobe -a bridge veth
	jq 'del(.bridge) + {bip: "192.0.2.1/24", "userland-proxy": false}' /etc/docker/daemon.json >/run/daemon.json
	cp /run/daemon.json /etc/docker/daemon.json
	systemctl restart docker.service
	mkdir -p /run/www
	head -c $DOWN /dev/zero >/run/www/blob
	busybox httpd -p 192.0.2.1:80 -h /run/www
}

# The other end of a container's wire: NAME; sets WIRE.
wire_of() {
	local index
	read -r index < <(docker exec "$1" cat /sys/class/net/eth0/iflink)
	for WIRE in /sys/class/net/*; do
		[ "$(<"$WIRE/ifindex")" != "$index" ] || return 0
	done
	WIRE=''
}

# What the wire says of the container, in SENT and RECEIVED: the other way round.
wire_read() {
	RECEIVED=$(<"$WIRE/statistics/tx_bytes") SENT=$(<"$WIRE/statistics/rx_bytes")
	PACKETS=$(<"$WIRE/statistics/tx_packets")
}

# As `show` has them, in one line each.
links() { about "$1" '.links[]? | [.name, .master, .state] | join(" ")'; }

load() {  # CONTAINER: receives DOWN bytes and sends UP
	docker exec "$1" "${TOOL[@]}" curl -sSo /dev/null http://192.0.2.1/blob
	busybox nc -l -p 5001 >/run/got &
	docker exec "$1" "${TOOL[@]}" bash -c "
		until exec 3>/dev/tcp/192.0.2.1/5001; do sleep 0.2; done 2>/dev/null
		head -c $UP /dev/zero >&3"
	wait $!
	[ "$(stat --format=%s /run/got)" = $UP ] || not_ok "$1 sent what it should"
}

about() {  # NAME FILTER: of `show`, looked at anew
	ctl show "container:$1" --json
	jq -r "$2" <<<"$CTL_OUT"
}

near() {  # GOT WANTED TEXT: within 1 %
	if [[ $1 =~ ^[0-9]+$ ]] && (($1 * 100 >= $2 * 99 && $1 * 100 <= $2 * 101)); then
		ok "$3: $1 of $2"
	else
		not_ok "$3" "got: $1, wanted: $2 within 1 %"
	fi
}

book() {  # CONTAINER: "received sent" of its book
	about "$1" '.book | "\(.network_receive_bytes) \(.network_transmit_bytes)"'
}

policy_set <<EOP
[Host]
Mode=ceilings

[Tenant net]
Match=slice=tenant-net.slice

[Tenant flat]
Match=slice=tenant-flat.slice
EOP
bridge_up
guard_start
num "$((0x$(sed -n 's/^CapEff:\t//p' "/proc/$(guard_pid)/status") & 1 << 19))" == 0 "the guard may not trace other processes"

# ---- a container on the bridge

ENGINE_NETWORK=bridge docker_run web tenant-net.slice "${WITH_TOOLS[@]}"
wire_of web
isnt "$WIRE" "" "web has a wire: $WIRE"
wait_for 30 '[ "$(about web .measured.network.state)" = own ]' "its network is counted as its own"
load web
read -r received sent < <(book web)
wire_read
num "$received" '>=' $DOWN "all that it received is in its book"
near "$received" "$RECEIVED" "as the wire counts it"
num "$sent" '>=' $UP "and all that it sent"
near "$sent" "$SENT" "as the wire counts it"
near "$(about web .book.network_receive_packets)" "$PACKETS" "packets, too"
is "$(about web '[.book.network_receive_errors, .book.network_transmit_errors] | add')" 0 "no errors"
first=$(totals net)
num "$(jq .book.network_receive_bytes <<<"$first")" '>=' $DOWN "the tenant has received it"
is "$(parts_differ "$first")" "" "the parts are the total"

# ---- the host's side of it

is "$(links web)" "${WIRE##*/} docker0 up" "its link of the host, and the bridge that it is on"
side=$(about web '.links[0]')
wire_read
near "$(jq .to_container.bytes <<<"$side")" "$RECEIVED" "what the link sends goes to it"
near "$(jq .to_container.packets <<<"$side")" "$PACKETS" "packets, too"
near "$(jq .from_container.bytes <<<"$side")" "$SENT" "what the link receives comes from it"
is "$(jq -r '[.to_container.dropped, .from_container.dropped] | join(" ")' <<<"$side")" \
	"$(cat "$WIRE/statistics/tx_dropped" "$WIRE/statistics/rx_dropped" | paste -sd ' ')" "drops are the link's own"
is "$(about web '[.links_all, .links_error] | @json')" '[1,null]' "it is the only one"
ctl show container:web
like "$CTL_OUT" "Host side: ${WIRE##*/} on docker0, [0-9]+ dropped towards it, [0-9]+ dropped from it" "show says so"

# ---- somebody else in its network

ENGINE_NETWORK=container:web docker_run helper tenant-net.slice "${WITH_TOOLS[@]}"
wait_for 30 '[ "$(about helper "[.measured.network.state, .measured.network.counted_at_name] | join(\" \")")" = "shared web" ]' \
	"helper is in web's network, and said to be"
is "$(links helper)" "$(links web)" "the same link leads to both"
load helper
read -r received sent < <(book web)
wire_read
near "$received" "$RECEIVED" "what it does is counted once, at web"
is "$(about helper .book.network_receive_bytes)" null "and not at helper"
is "$(jq .book.network_receive_bytes <<<"$(totals net)")" "$received" "nor twice at the tenant"

# ---- the host's, none, and one that is not root's

ENGINE_NETWORK=host docker_run plain tenant-flat.slice
wait_for 30 '[ "$(about plain .measured.network.state)" = host ]' "plain uses the host's network, and is said to"
is "$(about plain .book.network_receive_bytes)" null "nothing is counted for it"
ctl show container:plain
like "$CTL_OUT" "Network: the host's" "show says so"
unlike "$CTL_OUT" "Host side" "and of links nothing"
is "$(about plain '[.links, .links_error] | @json')" '[[],null]' "none leads there"
docker_run alone tenant-flat.slice
wait_for 30 '[ "$(about alone .measured.network.state)" = own ]' "alone has a network of its own"
is "$(about alone '[.book.network_receive_bytes, .book.network_transmit_bytes] | join(" ")')" "0 0" "with nothing in it"
is "$(about alone '[.links, .links_error] | @json')" '[[],null]' "and no link that leads there"
ENGINE_NETWORK=bridge docker_run other tenant-flat.slice "${WITH_TOOLS[@]}" --user 1000 --cap-add=SYS_CHROOT
wait_for 30 '[ "$(about other .measured.network.state)" = own ]' "other, another user's processes, is counted"
docker exec --user 0 other "${TOOL[@]}" curl -sSo /dev/null http://192.0.2.1/blob
num "$(about other .book.network_receive_bytes)" '>=' $DOWN "what it received, too"

# ---- it ends, comes again, and the guard, too

before=$(totals net)
docker_rm helper web
ENGINE_NETWORK=bridge docker_run web tenant-net.slice "${WITH_TOOLS[@]}"
wait_for 30 '[ "$(about web .measured.network.state)" = own ]' "web is made again"
after=$(totals net)
is "$(totals_shrunk "$before" "$after")" "" "no total of the tenant went back"
docker exec web "${TOOL[@]}" curl -sSo /dev/null http://192.0.2.1/blob
read -r received sent < <(book web)
wire_of web
wire_read
near "$received" "$RECEIVED" "its book begins anew, with all that it received"
after=$(totals net)
num "$(($(jq .book.network_receive_bytes <<<"$after") - $(jq .book.network_receive_bytes <<<"$before")))" '>=' $DOWN \
	"the tenant's total goes on"
is "$(totals_shrunk "$before" "$after")" "" "and did not go back"
systemctl kill --signal=KILL bailiffd.service
wait_for 60 '[ -n "$(totals net)" ]' "the guard is killed and comes again"
docker exec web "${TOOL[@]}" curl -sSo /dev/null http://192.0.2.1/blob
wait_for 30 '[ "$(about web .measured.network.state)" = own ]' "web is counted on"
read -r received sent < <(book web)
wire_read
near "$received" "$RECEIVED" "what it received meanwhile is in its book"
is "$(totals_shrunk "$after" "$(totals net)")" "" "no total went back"

# ---- where it is shown

ctl usage --format openmetrics
like "$CTL_OUT" 'container_network_receive_bytes_total\{tenant="net",name="web",id="[0-9a-f]+"\} [1-9]' "as cAdvisor names it"
unlike "$CTL_OUT" 'container_network_receive_bytes_total\{[^}]*name="plain"' "without those that are not counted"
like "$CTL_OUT" 'bailiff_tenant_network_receive_bytes_total\{tenant="net"\} [1-9]' "tenants have totals"
ctl top --json
like "$(jq -c '.tenants[] | select(.name == "flat") | .containers[] | select(.name == "plain") | .network' <<<"$CTL_OUT")" 'host' \
	"top says whose network it is"
ctl status --json
is "$(jq -c '.sampling | [.net_damaged, .net_error]' <<<"$CTL_OUT")" '[0,null]' "nothing was damaged or refused"

# ---- links without any right, and without whoever could tell of them

mkdir -p /run/systemd/system/bailiff-netlink.service.d
printf '[Service]\nAmbientCapabilities=\nCapabilityBoundingSet=\n' >/run/systemd/system/bailiff-netlink.service.d/50-test.conf
systemctl daemon-reload
systemctl restart bailiff-netlink.service
wait_for 90 '[ "$(links web)" = "${WIRE##*/} docker0 up" ]' "links are told without any capability"
systemctl stop bailiff-netlink.socket bailiff-netlink.service
is "$(about web '[.links, .links_error] | @json')" '[null,"bailiff-netlink is not there"]' "without the service it is said why there are none"
is "$(about web .measured.network.state)" own "and all else is as it was"
done_testing
