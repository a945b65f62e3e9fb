# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# Who is told of an incident, and how: signals on the bus, the hooks of bailiff-notify.service as it is installed (one that
# fails among them), `why` from another host. Then the bus goes away while a throttle stands: it is given back all the same.
#
#   tenant.slice
#   ├── tenant-web.slice/web.scope      tenant web: 40 % of a CPU in requests; CPUGuarantee=60%
#   └── tenant-spin.slice/spin.scope    tenant spin: weight 2000, 16 threads
#
# timeout: 300

noise_policy </dev/null
noise_pair
guard_start

# ---- a webhook, as the sample has it; before it a hook that fails

python3 - <<'P' &
import http.server
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with open("/run/hooks", "a") as f:
            f.write(self.headers["X-Bailiff-State"] + " " + body.replace("\n", " ") + "\n")
        self.send_response(204)
        self.end_headers()
    def log_message(self, *args):
        pass
http.server.HTTPServer(("127.0.0.1", 8099), Hook).serve_forever()
P
server=$!
install -D -m 755 /usr/share/doc/bailiff/notify/webhook /etc/bailiff/notify.d/50-webhook
printf '#!/bin/sh\necho "no such pager" >&2\nexit 7\n' >/etc/bailiff/notify.d/10-pager
chmod 755 /etc/bailiff/notify.d/10-pager
mkdir -p /run/systemd/system/bailiff-notify.service.d
printf '[Service]\nEnvironment=BAILIFF_WEBHOOK_URL=http://127.0.0.1:8099/hook\n' \
	>/run/systemd/system/bailiff-notify.service.d/50-url.conf
mkdir -p /etc/bailiff/notify.d/desk
printf '#!/bin/sh\necho "the desk hears: $1 $BAILIFF_INCIDENT_ID"\n' >/etc/bailiff/notify.d/desk/hear
chmod 755 /etc/bailiff/notify.d/desk/hear
systemctl daemon-reload
systemctl start bailiff-notify.service bailiff-notify@desk.service
is "$(systemctl show -P User bailiff-notify.service)" bailiff-notify "it runs as a user of its own"
busctl monitor --json=short --match="type='signal',interface='org.bailiff.Guard1'" >/run/signals 2>/dev/null &
monitor=$!
nap 3

# ---- an incident

signals() { jq -r 'select(.type == "signal") | .member as $m | .payload.data | "\($m) \(map(tostring) | join(" "))"' /run/signals; }
go spin
wait_for_act 40 ' throttle spin' "spin is throttled"
wait_for 20 'grep -q "^opened " /run/hooks 2>/dev/null' "the hook is told that an incident has begun"
like "$(</run/hooks)" '"spin.scope"' "and whose it is"
like "$(</run/hooks)" '"web.scope"' "and who is hurt"
diag "$(head -c 700 /run/hooks)"
wait_for 10 '[[ $(journalctl -u bailiff-notify.service -o cat) == *10-pager* ]]' "a hook that fails is told of in the journal"
diag "$(journalctl -u bailiff-notify.service -o cat | tail -n 5)"
wait_for 10 '[[ $(journalctl -u bailiff-notify@desk.service -o cat) =~ "the desk hears: opened "[0-9]+ ]]' "bailiff-notify@desk runs the hooks of its directory"
unlike "$(journalctl -u bailiff-notify.service -o cat)" 'desk' "which are none of the others'"
signals >/run/told
like "$(</run/told)" 'IncidentOpened [0-9]+ spin spin.scope cpu ' "IncidentOpened"
like "$(</run/told)" 'ActionTaken [0-9]+ throttle spin spin.scope ' "ActionTaken"
diag "$(</run/told)"

# ---- from another host; ssh is a stand-in here that starts what the real one would

mkdir -p /run/bin
printf '#!/bin/sh\necho "$*" >>/run/ssh\nexec systemd-stdio-bridge\n' >/run/bin/ssh
chmod 755 /run/bin/ssh
here=$(bailiffctl why spin.scope | head -n 1)
there=$(PATH=/run/bin:$PATH bailiffctl -H root@there why spin.scope 2>&1 | head -n 1)
is "$there" "$here" "why, through ssh, says the same"
like "$(</run/ssh)" "root@there" "ssh was asked for that host"
diag "$there"

# ---- the bus goes away

pid=$(guard_pid)
isnt "$(cg "$SPIN" cpu.max)" "max 100000" "a throttle stands: $(cg "$SPIN" cpu.max)"
systemctl stop dbus.socket dbus.service 2>/dev/null || :
is "$(systemctl show -P ActiveState dbus.service)" inactive "there is no bus"
rest spin
wait_for 90 '[ "$(cg "$SPIN" cpu.max)" = "max 100000" ]' "it rests: its CPU is given back without a bus"
go spin
wait_for 60 '[ "$(cg "$SPIN" cpu.max)" != "max 100000" ]' "it spins again: held back without a bus"
rest spin
systemctl start dbus.socket dbus.service
wait_for 60 'ctl status --json; [ $CTL_STATUS = 0 ]' "the bus is back: the guard answers"
is "$(guard_pid)" "$pid" "it is the same process"
wait_for 90 '[ "$(leases)" = 0 ]' "all is given back"
acts >/run/acts
like "$(tail -n 3 /run/acts)" ' unthrottle spin' "and what was done meanwhile is told"
wait_for 100 'grep -q "^closed " /run/hooks' "the hook is told of the end, though it lost the bus in between"
kill $server $monitor 2>/dev/null || :
done_testing
