# shellcheck shell=bash disable=SC2154,SC2016,SC2034
# What rootless containers send and receive: in a user namespace, behind slirp4netns, in the user's own directories of
# cgroups. And a pod's containers, which share one network.
#
#   user.slice/user-1000.slice                      tenant user1000, by user
#   └── user@1000.service/user.slice                delegated: only read
#       ├── libpod-<id>.scope/container             mine: receives 32 MB through slirp4netns
#       ├── libpod-<id>.scope/container             flat: in the host's network
#       └── user-libpod_pod_<id>.slice              of a pod
#           ├── libpod-<id>.scope/container         its infra container, the oldest
#           └── libpod-<id>.scope/container         inner: receives 32 MB
#
# shape: podman
# timeout: 300

DOWN=$((32 << 20))

about() {  # ID FILTER: of `show`, looked at anew
	ctl show "container:$1" --json
	jq -r "$2" <<<"$CTL_OUT"
}

own() {  # ID: received and sent in its network, by the file that its own processes see
	rootless podman exec "$1" cat /proc/net/dev | awk '$1 != "lo:" && NR > 2 {r += $2; s += $10} END {print r, s}'
}

receive() {  # ID: DOWN bytes of this machine's
	rootless podman exec "$1" "${TOOL[@]}" curl -sSo /dev/null http://10.0.2.2:8000/blob
}

near() {  # GOT WANTED TEXT: within 1 %
	if [[ $1 =~ ^[0-9]+$ ]] && (($1 * 100 >= $2 * 99 && $1 * 100 <= $2 * 101)); then
		ok "$3: $1 of $2"
	else
		not_ok "$3" "got: $1, wanted: $2 within 1 %"
	fi
}

policy_set <<EOP
[Host]
Mode=ceilings

[Tenant user1000]
Match=user=1000
EOP
modprobe tun
chmod 666 /dev/net/tun
mkdir -p /run/www
head -c $DOWN /dev/zero >/run/www/blob
busybox httpd -p 127.0.0.1:8000 -h /run/www
guard_start

# ---- slirp4netns

mine=$(rootless podman run --detach --name mine --network=slirp4netns:allow_host_loopback=true "${WITH_TOOLS[@]}" bb sleep 100000)
wait_for 30 '[ "$(about "$mine" .measured.network.state)" = own ]' "a rootless container's network is counted"
receive "$mine"
received=$(about "$mine" .book.network_receive_bytes)
num "$received" '>=' $DOWN "all that it received is in its book"
read -r there _ < <(own "$mine")
near "$received" "$there" "as it sees it itself"
num "$(jq .book.network_receive_bytes <<<"$(totals user1000)")" '>=' $DOWN "its user's tenant has received it"

# ---- the host's

flat=$(rootless podman run --detach --name flat --network=host bb sleep 100000)
wait_for 30 '[ "$(about "$flat" .measured.network.state)" = host ]' "a rootless container in the host's network is said to be"

# ---- a pod

rootless podman image exists localhost/bb
pod=$(rootless podman pod create --name pod --infra-image localhost/bb --infra-command 'sleep 100000' \
	--network=slirp4netns:allow_host_loopback=true)
inner=$(rootless podman run --detach --pod pod --name inner "${WITH_TOOLS[@]}" bb sleep 100000)
infra=$(rootless podman pod inspect pod | jq -r .InfraContainerID)
wait_for 30 '[ "$(about "$infra" .measured.network.state) $(about "$inner" .measured.network.state)" = "own shared" ]' \
	"a pod's network is counted at its oldest container"
receive "$inner"
received=$(about "$infra" .book.network_receive_bytes)
read -r there _ < <(own "$inner")
near "$received" "$there" "once"
is "$(about "$inner" .book.network_receive_bytes)" null "and not at the other"
done_testing
