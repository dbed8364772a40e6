/** Scripts that give a cluster's machine what its pods need. */

/** Values: HOST, IMAGE, DIGEST, ARCHIVE (in the home folder), CTR (a program), SOCKET (or nothing). Does nothing where the image is there with its digest. */
export const importScript = `
containerd() { as_root "$CTR" \${SOCKET:+--address "$SOCKET"} -n k8s.io "$@"; }
there() { containerd images ls "name==$IMAGE" 2>/dev/null | grep -qF "$DIGEST"; }
main() {
  if there; then rm -f "$HOME/$ARCHIVE"; say "$IMAGE is there"; exit 0; fi
  if [ ! -s "$HOME/$ARCHIVE" ]; then
    problem "$HOST" CLU-IMAGE "the archive of $IMAGE is not on the machine any more" "run up with --replace of the resource whose name ends with -copy"
  elif ! told=$(containerd images import "$HOME/$ARCHIVE" 2>&1); then
    problem "$HOST" CLU-IMAGE "containerd did not take $IMAGE: $(printf %s "$told" | tail -n 1)" "see whether containerd runs there, and whether its disk is full"
  elif ! there; then
    problem "$HOST" CLU-IMAGE "the archive holds another image than $IMAGE with $DIGEST" "save the image anew: its archive must name it as the lock does"
  fi
  stop_at_problems
  rm -f "$HOME/$ARCHIVE"
  say "imported $IMAGE"
}
`;

/** Values: HOST, FOLDERS (a line each), OWNER. */
export const foldersScript = `
main() {
  while IFS= read -r folder; do
    [ -n "$folder" ] || continue
    told=$(as_root mkdir -p "$(dirname "$folder")" 2>&1 && as_root install -d -o "$OWNER" -g "$OWNER" -m 750 "$folder" 2>&1) ||
      problem "$HOST" CLU-FOLDER "$folder cannot be made: $told" "see whether the disk is full or read-only"
  done <<END
$FOLDERS
END
  stop_at_problems
}
`;
