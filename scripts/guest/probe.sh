#!/bin/bash
# Runs in place of the agent, in its sandbox, and writes down what it could do that it should not (BROKEN), and what it
# could not do that it should (MISSING).
# shellcheck disable=SC2016 # the variables are Perl's
report=/var/lib/xbm-agent/probe
must_not() { if "$@" >/dev/null 2>&1; then echo "BROKEN $*"; else echo "refused $*"; fi; }
must() { if "$@" >/dev/null 2>&1; then echo "may $*"; else echo "MISSING $*"; fi; }
{
  for folder in /etc /etc/xbm-agent /usr /usr/lib/xbm-agent /var /var/log /boot /dev /sys/kernel /proc/sys/kernel; do
    must_not touch "$folder/xbm-probe"
  done
  must_not ls /home
  must_not ls /root
  must_not cat /etc/shadow
  must_not cat /etc/xbm-agent/secrets/mqtt
  must_not mount -t tmpfs none /mnt
  must_not unshare -U true
  must_not unshare -n true
  must_not chroot / true
  must_not mknod /var/lib/xbm-agent/null c 1 3
  must_not bash -c 'cp /bin/true /var/lib/xbm-agent/suid && chmod u+s /var/lib/xbm-agent/suid'
  must_not dmesg
  must_not date -s 2001-01-01
  must_not hostname elsewhere
  must_not kill -0 1
  must_not perl -e 'use Socket; socket(my $s, 17, SOCK_RAW, 0) or exit 1'
  must_not perl -e 'use Socket; socket(my $s, AF_INET, SOCK_RAW, 1) or exit 1'
  must_not perl -e 'exit !(syscall(101, 0, 0, 0, 0) == 0)' # ptrace on amd64; another number elsewhere, and refused as well
  must touch /var/lib/xbm-agent/file
  must rm /var/lib/xbm-agent/file
  must cat /etc/xbm-agent/agent.yaml
  must test "$(cat "$CREDENTIALS_DIRECTORY/secret_mqtt")" = 'open sesame'
  must touch /run/xbm-probe/file
  must perl -e 'use Socket; socket(my $s, AF_INET, SOCK_STREAM, 0) or exit 1'
  echo "finished"
} >$report
