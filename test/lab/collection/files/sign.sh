# Signs what a node asks for on standard input, with its names; then writes the authority's certificate. NODE and ADDRESS are the node's.
set -eu
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ssl=/etc/kubernetes/ssl
printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:%s,IP:%s\n' "$NODE" "$ADDRESS" >"$work/ext"
awk -v folder="$work" '/^# / { file = folder "/" $2 ".csr"; next } { print >file }' -
for name in kubelet proxy flannel; do
  printf '# %s\n' "$name"
  openssl x509 -req -in "$work/$name.csr" -CA $ssl/ca.crt -CAkey $ssl/ca.key -CAserial "$work/serial" -CAcreateserial -days 3650 -extfile "$work/ext" 2>/dev/null
done
printf '# ca\n'
cat $ssl/ca.crt
