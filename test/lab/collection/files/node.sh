# Certificates from standard input; then containerd, its images, and the kubelet.
set -eu
umask 077
cd /etc/kubernetes/ssl
mkdir -p /run/lab/signed
awk '/^# / { file = "/run/lab/signed/" $2 ".crt"; next } { print >file }' -
for name in ca kubelet proxy flannel; do
  # The control node has its own authority's; a certificate that is there and of this authority stays, so that nothing is started anew for it.
  if [ -e "$name.crt" ] && openssl verify -CAfile /run/lab/signed/ca.crt "$name.crt" >/dev/null 2>&1; then continue; fi
  cp "/run/lab/signed/$name.crt" "$name.crt"
done
for name in kubelet proxy flannel; do
  cat >"/etc/kubernetes/$name.conf" <<END_
apiVersion: v1
kind: Config
clusters: [{name: cluster.local, cluster: {server: "https://$API:6443", certificate-authority: /etc/kubernetes/ssl/ca.crt}}]
users: [{name: $name, user: {client-certificate: /etc/kubernetes/ssl/$name.crt, client-key: /etc/kubernetes/ssl/$name.key}}]
contexts: [{name: $name, context: {cluster: cluster.local, user: $name}}]
current-context: $name
END_
done
umask 022
cat >/etc/kubernetes/containerd.toml <<END_
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/lab/pause:1"
  # Without CAP_SYS_RESOURCE a process cannot be made safer from the kernel's choice than its parent.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$CNI"
    conf_dir = "/etc/cni/net.d"
END_
lab-service start containerd /etc/kubernetes/containerd.toml -- containerd -c /etc/kubernetes/containerd.toml
for _ in $(seq 150); do ! ctr version >/dev/null 2>&1 || break; sleep 0.2; done
for image in pause coredns; do
  ctr -n k8s.io images ls -q | grep -qx "localhost/lab/$image:1" || ctr -n k8s.io images import "$IMAGES/$image.tar" >/dev/null
done
cat >/etc/kubernetes/kubelet.yaml <<END_
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: /etc/kubernetes/ssl/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: /etc/kubernetes/ssl/kubelet.crt
tlsPrivateKeyFile: /etc/kubernetes/ssl/kubelet.key
cgroupDriver: cgroupfs
cgroupRoot: $CGROUP
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
clusterDNS: [$DNS]
clusterDomain: $DOMAIN
resolvConf: /etc/resolv.conf
nodeStatusUpdateFrequency: 4s
# All hosts share one disk, which may well be fuller than a node's own would be.
evictionHard: {nodefs.available: "1%", imagefs.available: "1%"}
imageGCHighThresholdPercent: 100
$([ "$SCHEDULABLE" = True ] || printf 'registerWithTaints: [{key: node-role.kubernetes.io/control-plane, effect: NoSchedule}]')
END_
lab-service start kubelet /etc/kubernetes/kubelet.yaml /etc/kubernetes/kubelet.conf /etc/kubernetes/ssl/kubelet.crt -- \
  kubelet --config=/etc/kubernetes/kubelet.yaml --kubeconfig=/etc/kubernetes/kubelet.conf --hostname-override="$NODE" --node-ip="$ADDRESS"
