/** Makes a host ready for Kubespray; run again it changes nothing. Pure text. */

/**
 * HOST, CLUSTER, MAC, ADDRESS (with its prefix length), ROUTES (`to via`, one a line), NAT64 (resolvers, one a line), OUTBOUND (`host port`, one
 * a line), KEY (the cluster's public key) in the values.
 */
export const prepareScript = `
marker="dynamos-fabric:$CLUSTER"
configure_network() {
  [ -n "$MAC" ] || return 0
  # One script for first time and for every start of the machine: its address and routes are the same after a reboot, on every system alike.
  root_file /usr/local/sbin/dynamos-fabric-network 755 <<END
#!/bin/sh
# Written by dynamos-fabric: the address and the routes of the data card.
set -eu
PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
card= left=60
# At a start the card may come later than this.
while :; do
  for file in /sys/class/net/*/address; do
    [ "\\$(cat "\\$file")" != "$MAC" ] || card=\\$(basename "\\$(dirname "\\$file")")
  done
  left=\\$((left - 1))
  [ -z "\\$card" ] && [ "\\$left" -gt 0 ] || break
  sleep 1
done
[ -n "\\$card" ] || { echo "no card has the address $MAC" >&2; exit 1; }
ip link set dev "\\$card" up
for old in \\$(ip -o addr show dev "\\$card" scope global | awk '{ print \\$4 }'); do
  [ "\\$old" = "$ADDRESS" ] || ip addr del "\\$old" dev "\\$card"
done
ip addr replace "$ADDRESS" dev "\\$card"
$(printf '%s\\n' "$ROUTES" | while read -r to via; do [ -z "$to" ] || printf 'ip route replace "%s" via "%s" dev "$card"\\n' "$to" "$via"; done)
END
  root_file /etc/systemd/system/dynamos-fabric-network.service 644 <<END
[Unit]
Description=Address and routes of the data network (dynamos-fabric)
Wants=network-pre.target
After=network-pre.target
Before=kubelet.service containerd.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/dynamos-fabric-network

[Install]
WantedBy=multi-user.target
END
  as_root mkdir -p /etc/systemd/system/multi-user.target.wants
  as_root ln -sfn ../dynamos-fabric-network.service /etc/systemd/system/multi-user.target.wants/dynamos-fabric-network.service
  if [ -d /etc/NetworkManager ]; then
    # NetworkManager would ask for an address by DHCP and take ours away when it gets none.
    printf '[keyfile]\\nunmanaged-devices+=mac:%s\\n' "$MAC" | root_file /etc/NetworkManager/conf.d/90-dynamos-fabric.conf 644 &&
      as_root systemctl reload NetworkManager 2>/dev/null
  fi
  as_root /usr/local/sbin/dynamos-fabric-network || problem "hosts.$HOST.network" CLU-HOST-NETWORK "the data card could not be set up (above)" "compare mac, dataAddress and routes with: ip addr"
  [ ! -d /run/systemd/system ] || as_root systemctl daemon-reload
}
use_nat64() {
  [ -n "$NAT64" ] || return 0
  # Only where there is no way out by IPv4 at all.
  [ -z "$(ip -4 route show default)" ] && [ -n "$(ip -6 route show default)" ] || return 0
  if [ -d /run/systemd/resolve ]; then
    printf '[Resolve]\\nDNS=%s\\nDomains=~.\\n' "$(printf '%s' "$NAT64" | tr '\\n' ' ')" |
      root_file /etc/systemd/resolved.conf.d/90-dynamos-fabric.conf 644 && as_root systemctl restart systemd-resolved
  else
    printf '%s\\n' "$NAT64" | sed 's/^/nameserver /' | root_file /etc/resolv.conf 644
  fi
  say "$HOST: no IPv4 way out; resolvers with NAT64"
}
reaches() { timeout 10 bash -c ': </dev/tcp/$0/$1' "$1" "$2" 2>/dev/null; }
check_outbound() {
  local host port
  while read -r host port; do
    [ -z "$host" ] || tries 4 reaches "$host" "$port" ||
      problem "hosts.$HOST" CLU-HOST-OUTBOUND "$host port $port cannot be reached from there" "open the way out, or change \\\`outbound\\\` (and \\\`nat64\\\` for hosts without IPv4)"
  done <<END
$OUTBOUND
END
}
keep_clock() {
  [ -d /run/systemd/system ] || return 0
  [ "$(timedatectl show -p NTP --value 2>/dev/null)" = yes ] || as_root timedatectl set-ntp true 2>/dev/null ||
    say "$HOST: nothing keeps its clock; install chrony"
}
have_python() {
  command -v python3 >/dev/null || tries 3 install_package python3 ||
    problem "hosts.$HOST" CLU-HOST-PYTHON "there is no python3 and it could not be installed" "install python3 there"
}
no_swap() {
  if [ "$(wc -l </proc/swaps)" -gt 1 ]; then as_root swapoff -a; fi
  if grep -qE '^[^#]\\S*\\s+\\S+\\s+swap\\s' /etc/fstab 2>/dev/null; then
    as_root sed -i -E 's/^([^#]\\S*\\s+\\S+\\s+swap\\s.*)$/# dynamos-fabric: \\1/' /etc/fstab
  fi
}
set_kernel() {
  # loose: a host with two networks gets answers by the other one
  printf 'net.ipv4.ip_forward = 1\\nnet.ipv6.conf.all.forwarding = 1\\nnet.ipv4.conf.all.rp_filter = 2\\n' |
    root_file /etc/sysctl.d/90-dynamos-fabric.conf 644
  as_root sysctl -q -p /etc/sysctl.d/90-dynamos-fabric.conf || problem "hosts.$HOST" CLU-HOST-SYSCTL "kernel settings were refused (above)" "see /etc/sysctl.d/90-dynamos-fabric.conf"
}
# The cluster's own key, made on its control node: nobody's private key travels.
admit_cluster() {
  local file=$HOME/.ssh/authorized_keys
  umask 077
  mkdir -p "$HOME/.ssh"
  [ -e "$file" ] || : >"$file"
  { grep -v " $marker\\$" "$file"; printf '%s %s\\n' "$KEY" "$marker"; } >"$file.new"
  if cmp -s "$file.new" "$file"; then rm "$file.new"; else mv "$file.new" "$file"; fi
}
main() {
  configure_network
  use_nat64
  check_outbound
  keep_clock
  have_python
  no_swap
  set_kernel
  admit_cluster
  stop_at_problems
  say "$HOST: ready"
}
`;

/** What a host that lives on is rid of when it leaves; run on it by the control node. CLUSTER is replaced. */
export const leaveScript = `
sed -i "/ dynamos-fabric:CLUSTER$/d" ~/.ssh/authorized_keys
`;
