# The cluster's authority and the control plane's own certificates and kubeconfigs. NAMES, SERVICE_ADDRESS in the environment.
set -eu
umask 077
cd /etc/kubernetes/ssl
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
[ -e ca.key ] || { key ca.key; openssl req -x509 -new -key ca.key -out ca.crt -days 3650 -subj /CN=kubernetes-ca; }
[ -e sa.key ] || { openssl genrsa -out sa.key 2048 2>/dev/null; openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null; }
certificate() { # name subject names
  local wanted="$2 ${3-}"
  [ -e "$1.crt" ] && [ "$(cat "$1.for")" = "$wanted" ] && return 0
  [ -e "$1.key" ] || key "$1.key"
  { printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n'; [ -z "${3-}" ] || printf 'subjectAltName=%s\n' "$3"; } >"$1.ext"
  openssl req -new -key "$1.key" -subj "$2" | openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
  printf '%s\n' "$wanted" >"$1.for"
}
kubeconfig() { # file, certificate
  kubectl config set-cluster cluster.local --server="https://$ADDRESS:6443" --certificate-authority=ca.crt --embed-certs --kubeconfig="$1.new" >/dev/null
  kubectl config set-credentials "$2" --client-certificate="$2.crt" --client-key="$2.key" --embed-certs --kubeconfig="$1.new" >/dev/null
  kubectl config set-context "$2@cluster.local" --cluster=cluster.local --user="$2" --kubeconfig="$1.new" >/dev/null
  kubectl config use-context "$2@cluster.local" --kubeconfig="$1.new" >/dev/null
  mv "$1.new" "$1"
}
names="DNS:localhost,DNS:$NODE,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.$DOMAIN,IP:$SERVICE_ADDRESS"
for name in 127.0.0.1 $NAMES; do
  case "$name" in *:*) names="$names,IP:$name" ;; *[!0-9.]*) names="$names,DNS:$name" ;; *) names="$names,IP:$name" ;; esac
done
certificate apiserver /CN=kube-apiserver "$(printf %s "$names" | tr , '\n' | awk '!seen[$0]++' | paste -sd, -)"
certificate apiserver-kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
certificate kubernetes-admin /O=system:masters/CN=kubernetes-admin
certificate controller-manager /CN=system:kube-controller-manager
certificate scheduler /CN=system:kube-scheduler
kubeconfig /etc/kubernetes/admin.conf kubernetes-admin
kubeconfig /etc/kubernetes/controller-manager.conf controller-manager
kubeconfig /etc/kubernetes/scheduler.conf scheduler
