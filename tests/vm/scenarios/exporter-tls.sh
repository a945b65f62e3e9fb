# shellcheck shell=bash disable=SC2154,SC2016,SC2034
# The exporter over a network: nobody but this host at loopback, not even a container; with TLS and ClientCA= whoever has a
# certificate. Certificates that are right, another authority's, expired, missing; renewed without a restart.
#
#   tenant.slice
#   └── tenant-net.slice
#       └── docker-<id>.scope   web: on the bridge 192.0.2.1/24
#
# shape: docker
# timeout: 400

CONF=/etc/bailiff/exporter.conf
TLS=/etc/bailiff/tls
ENGINE_NETWORK=bridge
code() { curl -s --max-time 60 -o /dev/null -w '%{http_code}' "$@" || :; }
# The same from within the container.
inside() { docker exec web "${TOOL[@]}" curl -s --max-time 60 -o /dev/null -w '%{http_code}' "$@" || :; }
exporter_says() { journalctl --sync; journalctl -u bailiff-exporter.service -o cat --no-pager; }
authority() {  # NAME
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$1" -keyout "$TLS/$1.key" -out "$TLS/$1.pem" 2>/dev/null
}
signed() {  # NAME AUTHORITY DAYS
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" -keyout "$TLS/$1.key" -out "$TLS/$1.csr" 2>/dev/null
	openssl x509 -req -in "$TLS/$1.csr" -CA "$TLS/$2.pem" -CAkey "$TLS/$2.key" -CAcreateserial -out "$TLS/$1.pem" -days "$3" \
		-extfile <(echo 'subjectAltName=IP:127.0.0.1,IP:192.0.2.1,DNS:host.docker.internal') 2>/dev/null
}
install_certificate() { cp "$TLS/$1.pem" "$TLS/server-now.pem" && cp "$TLS/$1.key" "$TLS/server-now.key"; }
served() { openssl s_client -connect 127.0.0.1:9477 </dev/null 2>/dev/null | openssl x509 -noout -subject 2>/dev/null || :; }
exporter_pid() { systemctl show --value --property=MainPID bailiff-exporter.service; }
restart() { systemctl restart bailiff-exporter.service; }

modprobe -a bridge veth
jq 'del(.bridge) + {bip: "192.0.2.1/24", "userland-proxy": false}' /etc/docker/daemon.json >/run/daemon.json
cp /run/daemon.json /etc/docker/daemon.json
systemctl restart docker.service
docker_run web tenant-net.slice --add-host=host.docker.internal:host-gateway "${WITH_TOOLS[@]}"
policy_set <<'P'
[Host]
Mode=observe

[Tenant net]
Match=slice=tenant-net.slice
P
guard_start
mkdir -p $TLS
authority good
authority other
signed first good 30
signed second good 60
signed late good -1
signed right good 30
signed wrong other 30
chmod -R a+rX $TLS
chmod a+r $TLS/*.key # one machine, one test

# ---- loopback

printf '[Exporter]\nListen=127.0.0.1:9477\n' >$CONF
restart
wait_for 60 '[ "$(code http://127.0.0.1:9477/metrics)" = 200 ]' 'at loopback there are metrics'
like "$(docker exec web cat /etc/hosts)" '192\.0\.2\.1.*host.docker.internal' 'a container has a name for the host'
is "$(inside http://192.0.2.1:9477/metrics)" 000 'which does not lead it to loopback'
is "$(inside --resolve host.docker.internal:9477:192.0.2.1 http://host.docker.internal:9477/metrics)" 000 'nor does that name'
is "$(inside http://127.0.0.1:9477/metrics)" 000 'its own loopback is another'

# ---- everywhere, with certificates

install_certificate first
chmod a+r $TLS/server-now.*
printf '[Exporter]\nListen=0.0.0.0:9477\nCertificate=%s\nKey=%s\nClientCA=%s\n' $TLS/server-now.pem $TLS/server-now.key $TLS/good.pem >$CONF
restart
URL=https://192.0.2.1:9477/metrics
wait_for 60 '[ "$(served)" = "subject=CN = first" ]' 'it speaks TLS'
is "$(inside --cacert /etc/bailiff/tls/good.pem $URL)" 403 'a container without a certificate is refused'
is "$(inside --cacert /etc/bailiff/tls/good.pem --resolve host.docker.internal:9477:192.0.2.1 https://host.docker.internal:9477/api/v1/status)" 403 'by name, too'
is "$(inside http://192.0.2.1:9477/metrics)" 000 'and without TLS'
for name in wrong late; do
	got=$(inside --cacert /etc/bailiff/tls/good.pem --cert "/etc/bailiff/tls/$name.pem" --key "/etc/bailiff/tls/$name.key" $URL)
	is "${got/000/403}" 403 "one that is $name is refused"
done
RIGHT=(--cacert "$TLS/good.pem" --cert "$TLS/right.pem" --key "$TLS/right.key")
is "$(inside "${RIGHT[@]}" $URL)" 200 'who has one may'
is "$(code "${RIGHT[@]}" $URL)" 200 'from the host as well'
is "$(code "${RIGHT[@]}" --tls-max 1.1 --tlsv1.0 --ciphers DEFAULT@SECLEVEL=0 $URL)" 000 'TLS 1.1 is none'

# ---- renewed

PID=$(exporter_pid)
install_certificate second
check 'systemctl reload' systemctl reload bailiff-exporter.service
wait_for 60 '[ "$(served)" = "subject=CN = second" ]' 'serves another certificate'
is "$(exporter_pid)" "$PID" 'by the same process'
is "$(code "${RIGHT[@]}" $URL)" 200 'which goes on'
install_certificate late
check 'systemctl reload' systemctl reload bailiff-exporter.service
wait_for 60 '[[ $(exporter_says) = *"certificates are not renewed: those from before go on"* ]]' 'one that is expired is not taken, and that is said'
is "$(served)" 'subject=CN = second' 'the one before goes on'
install_certificate first
wait_for 120 '[ "$(served)" = "subject=CN = first" ]' 'one that is right is noticed without a word'
is "$(exporter_pid)" "$PID" 'by the same process'
is "$(inside "${RIGHT[@]}" $URL)" 200 'and serves'
install_certificate late
restart
wait_for 60 '[[ $(exporter_says) = *"expired at"*"whoever verifies it will refuse"* ]]' 'started with one that is expired it says so'
is "$(code "${RIGHT[@]}" $URL)" 000 'and whoever verifies it refuses'
done_testing
