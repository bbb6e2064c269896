#!/bin/bash
# Runs inside a booted Debian with systemd, as a service of it (see scripts/guest/root.sh): installs the agent's package,
# looks at the service through two boots, and removes it. A line for each check goes to /out/results; the machine then
# switches itself off. What it needs lies in /in.
set -u
out=/out
exec >>$out/log 2>&1
stage_file=/srv/stage
stage=$(cat $stage_file 2>/dev/null || echo install)
# shellcheck source=/dev/null
. /in/environment # WATCHDOG: seconds; SLOW: how much longer than usual things may take here; SOAK: seconds, 0 for none

check() { # check NAME COMMAND...
  local name=$1
  shift
  echo "--- $name: $*"
  if "$@"; then echo "ok $name" >>$out/results; else
    echo "FAILED $name" >>$out/results
    systemctl status --no-pager -n 20 xbm-agent
  fi
}
note() { echo "note $*" | tee -a $out/results; }
journal() { journalctl -u xbm-agent --no-pager -o cat "$@"; }
property() { systemctl show xbm-agent --property "$1" --value; }

# within SECONDS COMMAND... tries again until it succeeds.
within() {
  local end=$((SECONDS + $1 * SLOW))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 0.2
  done
}
active() { [[ $(property ActiveState) == active ]]; }
restarted() { (($(property NRestarts) > before)); }
files() {
  find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /srv -o -path /in -o -path /out \
    -o -path /var/log -o -path /var/cache -o -path /var/backups -o -path '/var/tmp/systemd-*' -o -path /var/lib/apt \
    -o -path /var/lib/dpkg -o -path /var/lib/systemd -o -path '/etc/*-' -o -path /var/lib/mosquitto -o -path /etc/mosquitto \
    -o -path /etc/systemd/system/xbm-checks -o -path /var/lib/xbm-feed \) \
    -prune -o -printf '%M %U %p -> %l\n' | sort
}

install_stage() {
  files >/srv/before
  check "the package installs" dpkg -i /in/xbm-agent.deb
  check "all parts are compiled in" bash -c 'xbm-agent version --json | tee -a /dev/stderr | grep -q "\"tflite\":\"2.*\"camera\":\"gocv"'
  check "the service is enabled" systemctl is-enabled xbm-agent
  check "the service waits for a configuration" bash -c '! systemctl is-active xbm-agent'
  check "the user has no shell" bash -c 'getent passwd xbm-agent | grep -q nologin$'
  check "the configuration is not for everybody" test "$(stat -c %a:%U:%G /etc/xbm-agent/agent.yaml)" = 640:root:xbm-agent
  check "the secrets are root's" test "$(stat -c %a:%U /etc/xbm-agent/secrets)" = 700:root

  install -m 644 /in/model.tflite /etc/xbm-agent/embedder.tflite
  install -m 640 -o xbm-agent -g xbm-agent /in/things.gallery /var/lib/xbm-agent/
  install -m 640 -g xbm-agent /in/agent.yaml /etc/xbm-agent/agent.yaml
  (umask 077 && echo 'open sesame' >/etc/xbm-agent/secrets/mqtt)
  mkfifo -m 644 /var/lib/xbm-agent/camera.mjpeg
  mkdir -p /etc/systemd/system/xbm-agent.service.d
  printf '[Service]\nWatchdogSec=%s\nTimeoutStartSec=%s\n' "$WATCHDOG" $((90 * SLOW)) >/etc/systemd/system/xbm-agent.service.d/test.conf

  mosquitto_passwd -b -c /etc/mosquitto/passwd board 'open sesame'
  chown mosquitto /etc/mosquitto/passwd
  printf 'listener 1883 127.0.0.1\npassword_file /etc/mosquitto/passwd\n' >/etc/mosquitto/conf.d/test.conf
  # The camera: a clip that never ends, through a pipe that can be made to stall. Open for reading, too, it always has a
  # reader, and the agent never sees its end.
  mkdir -p /var/lib/xbm-feed
  cp /in/clip.mjpeg /var/lib/xbm-feed/
  cat >/etc/systemd/system/xbm-feed.service <<END
[Service]
ExecStart=/bin/bash -c 'exec 3<>/var/lib/xbm-agent/camera.mjpeg; while cat /var/lib/xbm-feed/clip.mjpeg >&3; do :; done'
Restart=always
RestartSec=100ms
[Install]
WantedBy=multi-user.target
END
  systemctl enable xbm-feed mosquitto
  check "the configuration is good" xbm-agent check-config --config /etc/xbm-agent/agent.yaml
}

# match_arrives waits for an event that was published from now on.
match_arrives() {
  mosquitto_sub -h 127.0.0.1 -u board -P 'open sesame' -W $((20 * SLOW)) -C 1 -t 'xbm/board/shelf/match' | tee $out/match.json | grep -q '"schema":"match/1"'
}

# flow STOP|CONT stalls the camera's pipe, or lets it go on.
flow() {
  pkill -"$1" -f 'bash -c exec 3<>'
  pkill -"$1" -x cat
}

watchdog() { # watchdog NAME: waits for the restart after something was made to hang
  local started=$SECONDS
  check "$1: restarted by the watchdog" within $((WATCHDOG * 3)) restarted
  local took=$((SECONDS - started))
  check "$1: restarted within 1.5 times the watchdog's time and RestartSec" test $((took * 2)) -le $((WATCHDOG * 3 + 4))
  note "$1: restarted after $took s, WatchdogSec=$WATCHDOG"
}

run_stage() {
  check "the service starts at boot" within 60 active
  active || return # nothing of what follows could succeed
  note "$(systemd-analyze time | head -n 1)"
  check "a match arrives at the broker" match_arrives
  check "status tells" bash -c 'xbm-agent service status | tee -a /dev/stderr | grep -q "1 of 1 cameras.*broker connected"'
  check "log lines have priorities" bash -c 'journalctl -u xbm-agent -p info -o cat | grep -q "agent starts"'
  check "no listening sockets" no_listening
  check "metrics on the socket" metrics
  if ((SOAK > 0)); then
    soak
    return
  fi
  security
  sandbox
  stream
  if [[ -c /dev/video0 ]]; then v4l2; fi

  before=$(property NRestarts)
  check "reload" systemctl reload xbm-agent
  check "reload took the configuration" within 10 bash -c 'journalctl -u xbm-agent -o cat | grep -q reloaded'
  sed -i 's/^mqtt:/mqtt:\n  brokr: x/' /etc/xbm-agent/agent.yaml
  systemctl reload xbm-agent
  check "a bad reload keeps the old" within 10 bash -c 'journalctl -u xbm-agent -o cat | grep -q "did you mean mqtt.broker"'
  check "still recognising" match_arrives
  check "nothing restarted" test "$(property NRestarts)" = "$before"

  systemctl restart xbm-agent
  check "a bad configuration refuses to start" bash -c '! systemctl is-active xbm-agent'
  check "and says why" bash -c 'journalctl -u xbm-agent -o cat -n 20 | grep -q "mqtt.brokr: unknown key; did you mean mqtt.broker?"'
  check "and does not try again" test "$(property NRestarts):$(property ExecMainStatus)" = "0:78"
  sed -i '/brokr/d' /etc/xbm-agent/agent.yaml
  systemctl restart xbm-agent
  check "starts with the mended one" active

  before=$(property NRestarts)
  check "recognising before the freeze" match_arrives
  kill -STOP "$(property MainPID)"
  watchdog "the process frozen"
  check "recognises again" match_arrives

  before=$(property NRestarts)
  flow STOP # the pipe stays open, nothing comes: the read hangs
  watchdog "capture hung"
  check "capture hung: named in the journal" bash -c 'journalctl -u xbm-agent -o cat | grep -q "a stage hangs.*camera shelf: capture"'
  flow CONT
  check "sees again" match_arrives
  flow STOP
  sleep 2
  local started=$SECONDS
  systemctl stop xbm-agent
  check "stops in time while a camera hangs" test $((SECONDS - started)) -le $((12 * SLOW))
  check "and properly" test "$(property Result)" = success
  check "and has said goodbye" test "$(mosquitto_sub -h 127.0.0.1 -u board -P 'open sesame' -W 10 -C 1 -t xbm/board/status)" = offline
  flow CONT
  systemctl start xbm-agent

  if [[ -f /in/hang.so ]]; then
    install -m 755 /in/hang.so /usr/lib/xbm-hang.so
    printf '[Service]\nEnvironment=LD_PRELOAD=/usr/lib/xbm-hang.so\n' >/etc/systemd/system/xbm-agent.service.d/hang.conf
    systemctl daemon-reload
    systemctl restart xbm-agent
    check "recognising before the model hangs" match_arrives
    before=$(property NRestarts)
    touch /var/lib/xbm-agent/hang
    watchdog "model hung"
    check "model hung: named in the journal" bash -c 'journalctl -u xbm-agent -o cat | grep -q "a stage hangs.*camera shelf: recognition"'
    rm -f /var/lib/xbm-agent/hang /usr/lib/xbm-hang.so
    rm /etc/systemd/system/xbm-agent.service.d/hang.conf
    systemctl daemon-reload
    systemctl restart xbm-agent
  fi
  crash
  operations
  removal
  if [[ -f /in/xbm-agent.tar.gz ]]; then archive; fi
}

doctor_says() { # doctor_says PATTERN ARGUMENT...
  local pattern=$1
  shift
  xbm-agent doctor "$@" | tee -a /dev/stderr | grep -q -e "$pattern"
}

# operations are what somebody far away has.
operations() {
  local name
  for name in configuration program model gallery broker; do
    check "doctor finds the $name good" doctor_says "^ok  *$name "
  done
  mkdir -p /srv/full
  mount -t tmpfs -o size=256k full /srv/full
  head -c 1M /dev/zero >/srv/full/file 2>/dev/null
  check "doctor finds a full disk" doctor_says '^FAULT  *disk .*→' --set state_dir=/srv/full
  umount /srv/full
  if ((SLOW > 1)) && date -s '1970-01-02'; then # its own machine, not a container that shares the clock
    check "doctor finds a clock in 1970" doctor_says '^warning  *clock .*1970.*→'
    date -s '2026-06-01'
  fi
  gpasswd -d xbm-agent video
  systemctl stop mosquitto
  check "doctor finds the broker gone" doctor_says '^FAULT  *broker .*refuse.*→'
  systemctl start mosquitto
  usermod -aG video xbm-agent
  check "a support bundle" xbm-agent support-bundle --out $out/bundle.tar.gz
  mkdir -p /srv/bundle
  tar -xzf $out/bundle.tar.gz -C /srv/bundle
  check "with the journal" grep -rq 'agent starts' /srv/bundle
  check "and without the password" bash -c '! grep -rq "open sesame" /srv/bundle'
  rm -r /srv/bundle $out/bundle.tar.gz
}

# archive installs the tarball in the place of the package, and removes it.
archive() {
  head -c 300000 /in/xbm-agent.deb >/srv/half.deb
  head -c 300000 /in/xbm-agent.tar.gz >/srv/half.tar.gz
  check "half a .deb is refused" bash -c '! sh /in/install.sh /srv/half.deb && sh /in/install.sh /srv/half.deb 2>&1 | grep -i "again"'
  check "half an archive is refused" bash -c '! sh /in/install.sh /srv/half.tar.gz'
  check "and nothing of them installed" bash -c '! command -v xbm-agent'
  check "the archive installs" sh /in/install.sh /in/xbm-agent.tar.gz
  install -m 644 /in/model.tflite /etc/xbm-agent/embedder.tflite
  install -m 640 -g xbm-agent /in/agent.yaml /etc/xbm-agent/agent.yaml
  install -m 640 -o xbm-agent -g xbm-agent /in/things.gallery /var/lib/xbm-agent/
  (umask 077 && echo 'open sesame' >/etc/xbm-agent/secrets/mqtt)
  install -m 644 /var/lib/xbm-feed/clip.mjpeg /var/lib/xbm-agent/camera.mjpeg
  mosquitto_sub -h 127.0.0.1 -u board -P 'open sesame' -W $((60 * SLOW)) -C 1 -t 'xbm/board/shelf/match' >$out/archive.json &
  sleep 1
  systemctl restart xbm-agent
  check "its service recognises" wait $!
  check "the archive is removed" sh /in/install.sh --uninstall --purge
  files >/srv/after
  diff /srv/before /srv/after >$out/left
  cat $out/left
  check "and leaves nothing" test ! -s $out/left
}

# soak lets the agent run at full load, as fast as the pipe gives frames, and looks for restarts and growth.
soak() {
  local end=$((SECONDS + SOAK)) pid first="" now
  pid=$(property MainPID)
  while ((SECONDS < end)); do
    sleep 30
    now=$(awk '$1 == "VmRSS:" { print $2 }' "/proc/$pid/status")
    ((SECONDS + SOAK * 9 / 10 > end)) && first=${first:-$now} # the first tenth warms up
    echo "soak $SECONDS s: RSS $now kB, $(find "/proc/$pid/fd" -type l | wc -l) descriptors, $(property StatusText)"
  done
  note "soak of $SOAK s: RSS $first kB, then $now kB; $(grep -o '^xbm_camera_frames{[^ ]* .*' <(metrics_text))"
  check "no restart in $SOAK s at full load" test "$(property NRestarts):$(property MainPID)" = "0:$pid"
  check "memory does not grow by more than 5 %" test $((now * 100)) -le $((first * 105))
}

no_listening() { # of the agent, in TCP and UDP
  local pid inodes
  pid=$(property MainPID)
  inodes=$(find "/proc/$pid/fd" -lname 'socket:*' -printf '%l\n' | tr -dc '0-9\n')
  [[ -n $inodes ]] || return 1
  # state 0A is LISTEN for TCP, 07 an unconnected UDP socket
  ! { awk '$4 == "0A" { print $10 }' /proc/net/tcp /proc/net/tcp6 && awk '$4 == "07" { print $10 }' /proc/net/udp /proc/net/udp6; } |
    grep -Fxf <(echo "$inodes")
}

metrics_text() {
  perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new("/run/xbm-agent/metrics.sock") or die $!;
    print $s "GET /metrics HTTP/1.0\r\n\r\n"; print while <$s>'
}
metrics() { metrics_text | tee $out/metrics | grep -q '^xbm_camera_frames{camera="shelf"} [1-9]'; }

says() { xbm-agent service status | grep -q "$1"; }

# stream adds a network camera, which a process of its own reads, and kills that.
stream() {
  perl -MIO::Socket::INET -e '$SIG{PIPE} = "IGNORE"; local $/;
    $l = IO::Socket::INET->new(LocalAddr => "127.0.0.1:8080", Listen => 5, ReuseAddr => 1) or die $!;
    open F, "<", "/var/lib/xbm-feed/clip.mjpeg" or die $!; $clip = <F>;
    while ($c = $l->accept) { print $c "HTTP/1.0 200 OK\r\n\r\n"; 1 while print $c $clip; close $c }' &
  local server=$! agent process
  printf '  street:\n    kind: http\n    address: http://127.0.0.1:8080/\n    fps: 2\n    frozen: 0s\n' >>/etc/xbm-agent/agent.yaml
  systemctl reload xbm-agent
  check "a network camera gives frames" within 30 says "2 of 2 cameras"
  agent=$(systemctl show -P MainPID xbm-agent)
  process=$(pgrep -P "$agent" -x xbm-capture)
  check "its process goes first when memory runs out" grep -qx 800 "/proc/$process/oom_score_adj"
  kill -KILL "$process"
  check "its process is killed: there is another" within 30 replaced "$agent" "$process"
  check "and it gives frames" within 30 says "2 of 2 cameras"
  check "the agent is the same" test "$agent" = "$(systemctl show -P MainPID xbm-agent)"
  sed -i '/^  street:/,$d' /etc/xbm-agent/agent.yaml
  systemctl reload xbm-agent
  check "without the network camera all is well" within 30 says "1 of 1 cameras"
  check "and its process has ended" within 30 alone "$agent"
  kill "$server"
}
replaced() { # replaced AGENT PROCESS
  local now
  now=$(pgrep -P "$1" -x xbm-capture) && [[ $now != "$2" ]]
}
alone() { ! pgrep -P "$1"; }

# v4l2 adds a camera on the board, a driver's test picture, and takes it from the service again.
v4l2() {
  printf '  bench:\n    kind: device\n    address: /dev/video0\n    width: 640\n    height: 360\n    fps: 2\n' >>/etc/xbm-agent/agent.yaml
  ls -l /dev/video0
  systemctl reload xbm-agent
  check "a V4L2 camera gives frames" within 30 says "2 of 2 cameras"
  check "doctor can open it" bash -c 'xbm-agent doctor | tee -a /dev/stderr | grep -q "^ok  *camera bench"'
  chgrp root /dev/video0
  check "doctor finds no camera group" doctor_says '^FAULT  *camera bench .*no camera group.*→'
  chgrp video /dev/video0
  xbm-agent service unit --exec /usr/bin/xbm-agent --devices no >/etc/systemd/system/xbm-agent.service
  systemctl daemon-reload
  systemctl restart xbm-agent
  check "without devices in the unit it does not" within 30 says "degraded: no frames from bench; 1 of 2 cameras"
  check "and doctor tells" bash -c 'xbm-agent doctor | tee -a /dev/stderr | grep "camera bench"'
  rm /etc/systemd/system/xbm-agent.service
  systemctl daemon-reload
  sed -i '/^  bench:/,$d' /etc/xbm-agent/agent.yaml
  systemctl restart xbm-agent
  check "and without the camera all is well" within 30 says "1 of 1 cameras"
}

security() {
  systemd-analyze security --no-pager xbm-agent >$out/security 2>&1
  local exposure
  exposure=$(sed -n 's/.*exposure level.*: \([0-9.]*\) .*/\1/p' $out/security)
  note "exposure ${exposure:-unknown}"
  check "exposure at most 1.5" awk -v e="${exposure:-9}" 'BEGIN { exit !(e <= 1.5) }'
}

# sandbox tries what the service must not be able to, with the very settings of its unit.
sandbox() {
  local pid
  pid=$(property MainPID)
  grep -E '^(NoNewPrivs|CapEff|CapBnd|Seccomp|Uid):' "/proc/$pid/status"
  check "no new privileges" grep -q '^NoNewPrivs:.1' "/proc/$pid/status"
  check "no capabilities" bash -c "grep -q '^CapBnd:.0000000000000000' /proc/$pid/status && grep -q '^CapEff:.0000000000000000' /proc/$pid/status"
  check "system calls are filtered" grep -q '^Seccomp:.2' "/proc/$pid/status"
  check "not even root writes elsewhere" bash -c "! nsenter -t $pid -m touch /etc/xbm-probe /usr/xbm-probe /var/log/xbm-probe"
  check "not root" bash -c "! grep -q '^Uid:.0' /proc/$pid/status"
  cp /usr/lib/systemd/system/xbm-agent.service /run/systemd/system/xbm-probe.service
  sed -i 's|^ExecStart=.*|ExecStart=/bin/bash /in/probe.sh|; s/^Type=.*/Type=oneshot/; /^WatchdogSec/d; s/^Restart=.*/Restart=no/; s/^ExecReload.*//' \
    /run/systemd/system/xbm-probe.service
  sed -i 's/^RuntimeDirectory=.*/RuntimeDirectory=xbm-probe/' /run/systemd/system/xbm-probe.service
  rm -f /var/lib/xbm-agent/probe
  systemctl daemon-reload
  systemctl start xbm-probe
  cat /var/lib/xbm-agent/probe
  check "the probe ran in the sandbox" grep -q '^finished$' /var/lib/xbm-agent/probe
  check "the sandbox holds" bash -c '! grep -q "^BROKEN" /var/lib/xbm-agent/probe'
  check "the probe could do what it may" bash -c '! grep -q "^MISSING" /var/lib/xbm-agent/probe'
  # The same without the sandbox must find it open, or the probe proves nothing.
  rm -f /var/lib/xbm-agent/probe
  printf '[Service]\nType=oneshot\nUser=xbm-agent\nExecStart=/bin/bash /in/probe.sh\n' >/run/systemd/system/xbm-probe.service
  systemctl daemon-reload
  systemctl start xbm-probe
  check "the probe finds an open sandbox open" test "$(grep -c '^BROKEN' /var/lib/xbm-agent/probe)" -ge 3
  rm -f /var/lib/xbm-agent/{probe,suid} /run/systemd/system/xbm-probe.service
  systemctl daemon-reload
}

crash() {
  local pid
  check "recognising before the kill" match_arrives
  before=$(property NRestarts)
  pid=$(property MainPID)
  kill -KILL "$pid"
  check "restarted after kill -9" within 20 restarted
  check "and recognises" match_arrives
}

removal() {
  systemctl disable --now xbm-feed
  rm -r /etc/systemd/system/xbm-feed.service /etc/systemd/system/xbm-agent.service.d
  check "a unit of its own is installed" xbm-agent service install --no-start
  check "for network cameras and clips, without devices" grep -q '^PrivateDevices=yes' /etc/systemd/system/xbm-agent.service
  check "the package is removed" dpkg --remove xbm-agent
  check "removal takes the unit of its own" test ! -e /etc/systemd/system/xbm-agent.service
  check "removal leaves configuration and state" bash -c 'test -f /etc/xbm-agent/agent.yaml && test -f /var/lib/xbm-agent/things.gallery'
  check "removal stops the service" bash -c '! pgrep -x xbm-agent'
  check "the package is purged" dpkg --purge xbm-agent
  files >/srv/after
  diff /srv/before /srv/after >$out/left
  cat $out/left
  check "removal leaves nothing" test ! -s $out/left
  check "the user is gone" bash -c '! getent passwd xbm-agent'
}

case $stage in
install)
  install_stage
  echo run >$stage_file
  systemctl reboot
  ;;
run)
  run_stage
  journalctl -u xbm-agent --no-pager >$out/journal
  echo "finished" >>$out/results
  systemctl poweroff
  ;;
esac
