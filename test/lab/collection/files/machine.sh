# What a machine of its own has by itself and an emulated host has not. Run again, it changes nothing.
set -eu
umask 022
# Mounts that a pod makes must be seen in the others, as on a machine with systemd. All of it ends with the host's own mount namespace.
[ "$(findmnt -no PROPAGATION /)" = shared ] || mount --make-rshared /
# An overlay cannot lie on an overlay, which is what the host's /var is: these folders lie on the disk itself.
disk=/run/node/disk/lab
own() {
  mkdir -p "$1"
  [ -d /run/node/disk ] || return 0
  findmnt --mountpoint "$1" >/dev/null || { mkdir -p "$disk$1"; mount --bind "$disk$1" "$1"; }
}
own /var/lib/containerd
own /var/lib/kubelet
own /var/lib/etcd
mkdir -p /etc/kubernetes/ssl /etc/cni/net.d /etc/kube-flannel /run/flannel /run/lab /var/log/lab /var/log/pods /var/log/containers /var/lib/cni
# The kubelet wants these of the whole machine. It finds them as it wants them, and the machine keeps its own.
tunables=/run/lab/tunables
while read -r name value; do
  file=$tunables/$name
  [ -e "/proc/sys/$name" ] || continue
  findmnt --mountpoint "/proc/sys/$name" >/dev/null && continue
  mkdir -p "$(dirname "$file")"
  printf '%s\n' "$value" >"$file"
  mount --bind "$file" "/proc/sys/$name"
done <<LIST
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
LIST
# Of the host's own network.
sysctl -q -w net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
# The host's part of the machine's control groups: pods are below it, and it is removed with the host.
for hierarchy in /sys/fs/cgroup/*/; do
  [ -e "$hierarchy/tasks" ] || continue
  mkdir -p "$hierarchy$CGROUP"
done
if [ -e /sys/fs/cgroup/cpuset ]; then
  for part in "$(dirname "$CGROUP")" "$CGROUP"; do
    for what in cpus mems; do
      [ -s "/sys/fs/cgroup/cpuset$part/cpuset.$what" ] && grep -q . "/sys/fs/cgroup/cpuset$part/cpuset.$what" ||
        cat "/sys/fs/cgroup/cpuset/cpuset.$what" >"/sys/fs/cgroup/cpuset$part/cpuset.$what"
    done
  done
fi
