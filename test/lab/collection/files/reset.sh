# Takes Kubernetes off a host.
set -u
for service in kubelet kube-proxy flanneld kube-scheduler kube-controller-manager kube-apiserver etcd; do lab-service stop "$service"; done
# Containers run apart from containerd: their keepers are told to end them.
for task in $(ctr -n k8s.io tasks ls -q 2>/dev/null); do ctr -n k8s.io tasks kill -s KILL "$task" 2>/dev/null; done
for _ in $(seq 100); do ctr -n k8s.io tasks ls 2>/dev/null | grep -q RUNNING || break; sleep 0.1; done
for container in $(ctr -n k8s.io containers ls -q 2>/dev/null); do
  ctr -n k8s.io tasks delete -f "$container" >/dev/null 2>&1
  ctr -n k8s.io containers delete "$container" >/dev/null 2>&1
done
lab-service stop containerd
findmnt -rno TARGET | grep -E '^/(var/lib/kubelet/.|run/containerd|run/netns/.)' | sort -r | while read -r mounted; do umount -l "$mounted"; done
for card in cni0 flannel.1; do ip link delete "$card" 2>/dev/null; done
for table in filter nat mangle; do iptables -t "$table" -F && iptables -t "$table" -X; done
find /var/lib/kubelet /var/lib/containerd /var/lib/etcd /var/lib/cni /etc/cni/net.d /etc/kubernetes /etc/kube-flannel /run/flannel -mindepth 1 -delete 2>/dev/null
find /sys/fs/cgroup/*"$CGROUP" -depth -type d -exec rmdir {} \; 2>/dev/null
exit 0
