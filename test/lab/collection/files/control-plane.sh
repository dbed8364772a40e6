# Starts what makes the control plane, and waits for the API server.
set -eu
ssl=/etc/kubernetes/ssl
lab-service start etcd -- etcd --name etcd1 --data-dir /var/lib/etcd/data --unsafe-no-fsync \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster etcd1=http://127.0.0.1:2380
lab-service start kube-apiserver $ssl/apiserver.crt $ssl/ca.crt -- kube-apiserver \
  --etcd-servers=http://127.0.0.1:2379 --advertise-address="$ADDRESS" --secure-port=6443 --allow-privileged=true \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --client-ca-file=$ssl/ca.crt \
  --tls-cert-file=$ssl/apiserver.crt --tls-private-key-file=$ssl/apiserver.key \
  --kubelet-client-certificate=$ssl/apiserver-kubelet-client.crt --kubelet-client-key=$ssl/apiserver-kubelet-client.key \
  --kubelet-certificate-authority=$ssl/ca.crt --kubelet-preferred-address-types=InternalIP,Hostname \
  --service-account-issuer="https://kubernetes.default.svc.$DOMAIN" --service-account-key-file=$ssl/sa.pub \
  --service-account-signing-key-file=$ssl/sa.key --service-cluster-ip-range="$SERVICES"
ready() { kubectl get --raw /readyz >/dev/null 2>&1; }
for _ in $(seq 600); do ! ready || break; sleep 0.2; done
ready || { echo 'the API server does not get ready; its last words:' >&2; tail -n 5 /var/log/lab/kube-apiserver.log >&2; exit 1; }
lab-service start kube-controller-manager /etc/kubernetes/controller-manager.conf -- kube-controller-manager \
  --kubeconfig=/etc/kubernetes/controller-manager.conf --leader-elect=false --use-service-account-credentials=true \
  --root-ca-file=$ssl/ca.crt --service-account-private-key-file=$ssl/sa.key --cluster-signing-cert-file=$ssl/ca.crt \
  --cluster-signing-key-file=$ssl/ca.key --allocate-node-cidrs=true --cluster-cidr="$PODS" --service-cluster-ip-range="$SERVICES"
lab-service start kube-scheduler /etc/kubernetes/scheduler.conf -- kube-scheduler --kubeconfig=/etc/kubernetes/scheduler.conf --leader-elect=false
