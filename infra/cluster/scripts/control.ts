/** What the control node needs beside the playbooks. Pure text. */

/** Makes the cluster's folder and key; prints the public key, the only line. FOLDER (below the home) in the values. */
export const keyScript = `
main() {
  umask 077
  mkdir -p "$HOME/$FOLDER" && cd "$HOME/$FOLDER" || exit 1
  command -v ssh-keygen >/dev/null || { problem "hosts" CLU-HOST-OS "ssh-keygen is missing on the control node" "install the OpenSSH client there"; exit 1; }
  [ -s id_ed25519 ] || ssh-keygen -q -t ed25519 -N '' -C '' -f id_ed25519
  awk '{ print $1, $2 }' id_ed25519.pub
}
`;

/**
 * Fetches Kubespray into a folder of its own with a virtual environment; a second run finds it complete. FOLDER, SOURCE (URL of a .tar.gz),
 * SOURCE_ID, HOST in the values; `install_tools` writes the runner.
 */
export const kubesprayScript = `
environment() { # interpreter
  rm -rf venv
  if [ "$1" = python3 ]; then "$1" -c 'import ensurepip' 2>/dev/null || install_package python3-venv; else command -v "$1" >/dev/null && "$1" -c 'import ensurepip' 2>/dev/null || install_package "$1" "$1-venv" || install_package "$1"; fi
  "$1" -m venv venv && tries 3 venv/bin/pip install --quiet --disable-pip-version-check -r source/requirements.txt
}
main() {
  umask 077
  mkdir -p "$HOME/$FOLDER/kubespray/$SOURCE_ID" && cd "$HOME/$FOLDER/kubespray/$SOURCE_ID" || exit 1
  if [ ! -e complete ]; then
    if [ ! -e source/requirements.txt ]; then
      rm -rf source unpacked source.tar.gz; mkdir unpacked
      tries 4 fetch "$SOURCE" source.tar.gz && tar -xzf source.tar.gz -C unpacked --strip-components=1 && mv unpacked source ||
        { problem kubespray.source CLU-KUBESPRAY-SOURCE "$SOURCE could not be fetched and unpacked (above)" "see that the control node reaches it, and that the version is a tag of Kubespray"; exit 1; }
      rm -f source.tar.gz
    fi
    for file in cluster.yml scale.yml remove-node.yml reset.yml requirements.txt; do
      [ -e "source/$file" ] || problem kubespray.source CLU-KUBESPRAY-SOURCE "there is no $file in it" "it must have Kubespray's entry points"
    done
    [ "$problems" = 0 ] || { rm -rf source; exit 1; }
    say "$HOST: the virtual environment of Kubespray"
    # Its requirements name an exact ansible, which may want a newer Python than the system's (v2.31: 3.11).
    environment python3 || environment python3.12 || environment python3.11 ||
      { problem kubespray CLU-KUBESPRAY-PYTHON "Kubespray's requirements could not be installed on $HOST (above)" "see that it reaches PyPI and has Python 3.11 or newer with venv; or use a system with one (ubuntu 24.04)"; exit 1; }
    touch complete
  fi
  cd "$HOME/$FOLDER" || exit 1
  install_tools
  ln -sfn "kubespray/$SOURCE_ID" current.new && mv -T current.new current
  say "$HOST: Kubespray from $SOURCE"
}
`;

/** Sets labels, and takes away those that an earlier run set and that are not wanted any more. FOLDER, LABELS (`node key=value`, one a line). */
export const labelsScript = `
kube() { as_root env KUBECONFIG=/etc/kubernetes/admin.conf PATH="$PATH" kubectl "$@"; }
set_label() { kube label node "$1" "$2" --overwrite >/dev/null; }
main() {
  local node label key file=$HOME/$FOLDER/labels
  touch "$file"
  while read -r node label; do
    [ -n "$node" ] || continue
    key=\${label%%=*}
    printf '%s\\n' "$LABELS" | grep -q "^$node $key=" && continue
    kube get node "$node" >/dev/null 2>&1 || continue
    tries 3 set_label "$node" "$key-" || problem "hosts.$node.labels" CLU-LABEL "the label $key could not be removed" "look at the API server: kubectl get nodes"
  done <"$file"
  while read -r node label; do
    [ -n "$node" ] || continue
    tries 5 set_label "$node" "$label" || problem "hosts.$node.labels" CLU-LABEL "$label could not be set" "look at the API server: kubectl get nodes"
  done <<END
$LABELS
END
  stop_at_problems
  printf '%s\\n' "$LABELS" >"$file.new" && mv "$file.new" "$file"
}
`;

/** Prints the cluster's kubeconfig, and nothing else. FOLDER in the values. */
export const kubeconfigScript = `
main() {
  cd "$HOME/$FOLDER" || exit 1
  as_root cat artifacts/admin.conf 2>/dev/null || as_root cat /etc/kubernetes/admin.conf 2>/dev/null ||
    { problem kubeconfig CLU-KUBECONFIG "the cluster left no kubeconfig on its control node" "look at the log of cluster.yml there: ~/$FOLDER/logs"; exit 1; }
}
`;

/** One program from a .tar.gz into /usr/local/bin. TOOL, VERSION, FROM (URL; ARCH is replaced), FOLDER in the values. */
export const toolScript = `
main() {
  local arch found stamp=/usr/local/share/dynamos-fabric/$TOOL work
  case "$(uname -m)" in x86_64) arch=amd64 ;; aarch64 | arm64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
  if [ "$(cat "$stamp" 2>/dev/null)" = "$VERSION" ] && [ -x "/usr/local/bin/$TOOL" ]; then return 0; fi
  work=$(mktemp -d) || exit 1
  trap 'rm -rf "$work"' EXIT
  FROM=\${FROM//ARCH/$arch}
  tries 4 fetch "$FROM" "$work/archive" && tar -xzf "$work/archive" -C "$work" ||
    { problem "tools.$TOOL" CLU-TOOL-FETCH "$FROM could not be fetched (above)" "see that the control node reaches it and that there is such a version"; exit 1; }
  found=$(find "$work" -type f -name "$TOOL")
  [ -f "$found" ] || { problem "tools.$TOOL" CLU-TOOL-FETCH "$FROM does not hold one program $TOOL" "correct \\\`from\\\`"; exit 1; }
  as_root install -m 755 "$found" "/usr/local/bin/$TOOL"
  printf '%s\\n' "$VERSION" | root_file "$stamp" 644
  say "$TOOL $VERSION"
}
`;
