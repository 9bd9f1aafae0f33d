# shellcheck shell=bash disable=SC2016,SC2154
# The steps, in their order. Sourced by packaging/systemd-test.sh.

title "A fresh installation"
inside dpkg --install /shared/tpp.deb >"$shared/dpkg" 2>&1 || fail "dpkg: $(cat "$shared/dpkg")"
is "the package" "install ok installed" "$(inside dpkg-query -W -f '${Status}' tpp)"
is "the unit is" "inactive success enabled" "$(property ActiveState) $(property Result) $(inside systemctl is-enabled tpp)"
is "the machine is" running "$(inside systemctl is-system-running)"
ok "configured, enabled, not started and not failed while there is no account"
is "/etc/tpp/credentials" "700 root root" "$(inside stat -c '%a %U %G' /etc/tpp/credentials)"
is "/etc/tpp/tpp.toml" "644 root root" "$(inside stat -c '%a %U %G' /etc/tpp/tpp.toml)"
inside grep -q '^tpp:.*nologin$' /etc/passwd || fail "no user tpp"
ok "user, directory for passwords and configuration are there, with the right modes"
inside dpkg --verify tpp || fail "files differ from the package's"
said=$(inside systemd-analyze verify --man=no tpp.service 2>&1 | grep -F tpp.service || true)
is "systemd-analyze verify says" "" "$said"
score=$(inside systemd-analyze security --no-pager --offline=true --threshold=15 /usr/lib/systemd/system/tpp.service | tail -1) ||
    fail "too exposed: $score"
ok "the unit is sound; ${score#→ }"

title "The first start"
inside cp /usr/bin/tpp /root/stand-in
inside systemd-run --quiet --unit=stand-in --property=StandardOutput=file:/run/stand-in \
    /root/stand-in dev --listen 127.0.0.1:0 --health-listen 127.0.0.1:0 --api-listen 127.0.0.1:0 --control-socket /run/stand-in.sock --sessions 1 --workers 1
wait_until "the stand-in runs" inside grep -q '^upstream ' /run/stand-in
upstream=$(inside awk '$1 == "upstream" { print $2; exit }' /run/stand-in)
# configure SESSIONS: what an administrator would write.
configure() {
    into /etc/tpp/tpp.toml <<END
listen = "0.0.0.0:$proxy_port"
health_listen = "127.0.0.1:9090"
[workers]
count = $workers
[upstream]
host = "127.0.0.1"
port = ${upstream##*:}
[[credentials]]
username = "dev"
password_file = "credentials/dev"
sessions = $1
END
}
configure "$sessions"
echo dev-password | into /etc/tpp/credentials/dev
inside chmod 600 /etc/tpp/credentials/dev
inside tpp check >/dev/null || fail "tpp check refuses the configuration"
inside mkdir -p /etc/systemd/system/tpp.service.d
# A missed watchdog is waited for below.
printf '[Service]\nWatchdogSec=2s\n' | into /etc/systemd/system/tpp.service.d/watchdog.conf
inside systemctl daemon-reload
inside systemctl start tpp || fail "systemctl start"
is "the unit is" "active running" "$(property ActiveState) $(property SubState)"
ready || fail "not ready though systemd was told so"
answers || fail "no answer through tpp"
ok "ready when systemd was told so; a request is answered; status: $(property StatusText)"
is "the supervisor's user" tpp "$(inside ps -o user= -p "$(main_pid)")"
is "/run/tpp" "750 tpp" "$(inside stat -c '%a %U' /run/tpp)"
is "/var/lib/tpp" "700 tpp" "$(inside stat -c '%a %U' /var/lib/tpp)"
all_workers() { [[ $(worker_pids | wc -w) == "$workers" ]]; }
wait_until "$workers workers" all_workers
inside tppctl status >/dev/null || fail "root's tppctl is refused"
inside journalctl --no-pager --unit=tpp | grep -iE 'dev-password|not locked|not raised|not ruled out' && fail "the journal holds the above"
ok "user, directory, $workers workers and tppctl are right; tokens are locked in memory, no password is in the journal"

title "Reload"
configure $((sessions + 2))
load_begins
inside systemctl reload tpp || fail "systemctl reload: $?"
total() { beside curl -s --max-time 5 http://127.0.0.1:9090/health | sed -nE 's/.*"total": *([0-9]+).*/\1/p'; }
all_tokens() { [[ $(total) == $((sessions + 2)) ]]; }
wait_until "the account's new sessions" all_tokens
load_ends "a good configuration"
inside sed -i 's/^port = .*/port = 70000/' /etc/tpp/tpp.toml
code=0
inside tppctl reload >/dev/null 2>"$shared/said" || code=$?
is "tppctl reload's exit status for a wrong configuration" 78 "$code"
inside systemctl reload tpp >/dev/null 2>&1 && fail "systemctl reload succeeds with a wrong configuration"
is "the unit is" "active" "$(property ActiveState)"
answers || fail "no answer after a refused reload"
ok "a wrong one is refused and changes nothing: $(tail -1 "$shared/said")"
configure "$sessions"
inside systemctl reload tpp || fail "systemctl reload after the correction"

title "The supervisor ends, the workers stay"
adopted "systemctl restart" inside systemctl restart tpp
kill_main() { inside kill -KILL "$(main_pid)"; }
adopted "kill -KILL" kill_main
stop_main() { inside kill -STOP "$(main_pid)"; }
adopted "a missed watchdog" stop_main
is "restarts by systemd" 2 "$(property NRestarts)"

title "A restart with a wrong configuration"
main=$(main_pid)
before=$(worker_pids)
load_begins
inside sed -i 's/^port = .*/port = 70000/' /etc/tpp/tpp.toml
inside systemctl restart tpp 2>/dev/null && fail "systemctl restart succeeds with a wrong configuration"
failed() { [[ "$(property ActiveState) $(property ExecMainStatus)" == "failed 78" ]]; }
wait_until "the unit has failed" failed
configure "$sessions"
inside systemctl start tpp || fail "systemctl start after the correction"
load_ends "a failed restart, and a start after the correction"
is "the workers" "$before" "$(worker_pids)"
ok "supervisor $main gave way to none, then to $(main_pid); workers $before stayed"

title "A worker is killed"
victim=$(worker_pids | awk '{ print $1 }')
inside kill -KILL "$victim"
replaced_worker() { all_workers && ! inside kill -0 "$victim"; }
wait_until "another worker" replaced_worker
answers || fail "no answer after a worker's end"
ok "worker $victim was replaced"

title "Another address, another executable"
before=$(worker_pids)
load_begins
inside sed -i "s/^listen = .*/listen = [\"0.0.0.0:$proxy_port\", \"127.0.0.1:8081\"]/" /etc/tpp/tpp.toml
inside systemctl reload tpp || fail "systemctl reload with another address"
load_ends "a reload with another address"
# no_common BEFORE AFTER: all workers are others.
no_common() { [[ -z $(tr ' ' '\n' <<<"$1 $2" | sort | uniq -d) && $(wc -w <<<"$2") == "$workers" ]]; }
workers_changed() { no_common "$before" "$(worker_pids)"; }
wait_until "the forerunners have ended" workers_changed
adopted "kill -KILL with two addresses" kill_main
proxy_port=8081 answers || fail "the other address was lost"
main=$(main_pid)
before=$(worker_pids)
load_begins
inside tppctl upgrade >/dev/null || fail "tppctl upgrade"
load_ends "tppctl upgrade"
wait_until "the forerunners have ended" workers_changed
is "the main process" "$main active" "$(main_pid) $(property ActiveState)"
ok "supervisor $main is the same process, with other workers: $(worker_pids)"

title "An upgrade of the package"
main=$(main_pid)
load_begins
inside dpkg --install /shared/next.deb >"$shared/dpkg" 2>&1 || fail "dpkg: $(cat "$shared/dpkg")"
wait_until "the new supervisor serves" replaced "$main"
load_ends "dpkg --install $next_version"
is "the package" "$next_version-1" "$(inside dpkg-query -W -f '${Version}' tpp)"
inside grep -q "sessions = $sessions" /etc/tpp/tpp.toml || fail "the configuration was not kept"
is "the running supervisor" /usr/bin/tpp "$(inside readlink "/proc/$(main_pid)/exe")"
ok "supervisor $main gave way to $(main_pid), the configuration was kept"

title "Stop and purge"
inside systemctl stop tpp || fail "systemctl stop"
is "the unit is" "inactive success" "$(property ActiveState) $(property Result)"
is "processes of user tpp" "" "$(inside pgrep -u tpp || true)"
is "listening on port $proxy_port" "" "$(beside ss -Hltn "sport = :$proxy_port")"
is "/run/tpp holds" "" "$(inside ls -A /run/tpp)"
ok "no process and no socket are left"
printf '[Service]\nAmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\nPrivateUsers=no\n' |
    into /etc/systemd/system/tpp.service.d/low-port.conf
inside sed -i 's/^listen = .*/listen = "0.0.0.0:80"/' /etc/tpp/tpp.toml
inside systemctl daemon-reload
proxy_port=80
inside systemctl start tpp || fail "systemctl start after a stop, on port $proxy_port"
answers || fail "no answer after a stop and a start, on port $proxy_port"
violations=$(beside curl -s --max-time 5 "$upstream/stats" | sed -nE 's/.*"violations": *([0-9]+).*/\1/p')
is "tokens used by two at a time" 0 "$violations"
ok "it starts again, on port $proxy_port too; the server saw no token in use by two at a time in all of this"
inside rm -r /etc/systemd/system/tpp.service.d
inside dpkg --purge tpp >"$shared/dpkg" 2>&1 || fail "dpkg: $(cat "$shared/dpkg")"
is "processes of user tpp" "" "$(inside pgrep -u tpp || true)"
left=$(inside find / -xdev -name '*tpp*' -not -path '/proc/*' -not -path '/sys/*' -not -path '/shared/*')
is "files left" "" "$left"
inside grep -q '^tpp:' /etc/passwd || fail "the user is gone: files of it could go to another user's number"
ok "nothing is left but the user tpp"
