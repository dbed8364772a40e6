# The network of pods between nodes, and of services.
set -eu
umask 022
cat >/etc/kube-flannel/net-conf.json <<END_
{"Network": "$PODS", "EnableNFTables": false, "Backend": {"Type": "vxlan"}}
END_
NODE_NAME=$NODE lab-service start flanneld /etc/kube-flannel/net-conf.json /etc/kubernetes/flannel.conf -- \
  flanneld --kube-subnet-mgr --kubeconfig-file=/etc/kubernetes/flannel.conf --ip-masq ${INTERFACES:+"--iface-regex=$INTERFACES"}
cat >/etc/kubernetes/proxy.yaml <<END_
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: /etc/kubernetes/proxy.conf}
mode: iptables
clusterCIDR: $PODS
# Limits of the whole machine: not this host's to set.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
END_
lab-service start kube-proxy /etc/kubernetes/proxy.yaml /etc/kubernetes/proxy.conf -- kube-proxy --config=/etc/kubernetes/proxy.yaml --hostname-override="$NODE"
for _ in $(seq 300); do [ ! -s /run/flannel/subnet.env ] || break; sleep 0.2; done
[ -s /run/flannel/subnet.env ] || { echo 'Flannel has no subnet; its last words:' >&2; tail -n 5 /var/log/lab/flanneld.log >&2; exit 1; }
# Flannel's own plugin would hand this to the others at each pod; it is not to be had here, and what it hands over only depends on the node.
. /run/flannel/subnet.env
cat >/etc/cni/net.d/.new <<END_
{"cniVersion": "0.3.1", "name": "cbr0", "plugins": [
  {"type": "bridge", "bridge": "cni0", "mtu": $FLANNEL_MTU, "isGateway": true, "isDefaultGateway": true, "hairpinMode": true, "ipMasq": false, "forceAddress": true,
   "ipam": {"type": "host-local", "subnet": "${FLANNEL_SUBNET%.*}.0/${FLANNEL_SUBNET#*/}", "routes": [{"dst": "$FLANNEL_NETWORK"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
END_
cmp -s /etc/cni/net.d/.new /etc/cni/net.d/10-flannel.conflist && rm /etc/cni/net.d/.new || mv /etc/cni/net.d/.new /etc/cni/net.d/10-flannel.conflist
