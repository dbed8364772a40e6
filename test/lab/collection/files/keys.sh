# Makes a node's keys and writes what has to be signed: its own, its proxy's, its Flannel's.
set -eu
umask 077
cd /etc/kubernetes/ssl
ask() { # name subject
  [ -e "$1.key" ] || openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
  printf '# %s\n' "$1"
  openssl req -new -key "$1.key" -subj "$2"
}
ask kubelet "/O=system:nodes/CN=system:node:$NODE"
ask proxy /CN=system:kube-proxy
ask flannel /CN=flannel
