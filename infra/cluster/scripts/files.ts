/** Puts files that were copied to a node where they belong. Pure text. */

/**
 * Before anything is copied: a folder for what comes, and room for it. NODE, STAGE (below the home), FOLDER, FILES in the values; a line of FILES is
 * `<SHA-256> <name in STAGE> <bytes> <path below FOLDER>`.
 */
export const roomScript = `
free_at() { # folder, or the nearest above it that is there
  local at=$1
  while ! as_root test -d "$at"; do at=$(dirname "$at"); done
  as_root df -PB1 "$at" | awk 'END { print $4, $6 }'
}
main() {
  local sum name bytes path free mount at need=0
  while read -r sum name bytes path; do
    [ -n "$sum" ] || continue
    [ "$(as_root stat -c %s "$FOLDER/$path" 2>/dev/null)" = "$bytes" ] || need=$((need + bytes))
  done <<<"$FILES"
  for at in "$HOME" "$FOLDER"; do
    read -r free mount <<<"$(free_at "$at")"
    [ "$free" -ge "$need" ] || problem "nodes.$NODE" CLU-DISK-FULL "$at needs $need bytes for files, $mount has $free" "make room there"
  done
  stop_at_problems
  umask 077
  mkdir -p "$HOME/$STAGE"
}
`;

/**
 * Each file is looked at before any is put in place; then each takes the place of the one before by a rename. Files of an earlier run that are not wanted
 * any more go, if nobody changed them. Values as for {@link roomScript}, and OWNER (a number). Beside FOLDER lies the list of what was put there.
 */
export const placeScript = `
sum_of() { as_root sha256sum "$1" 2>/dev/null | cut -c1-64; }
take_away() { # a file whose checksum is still the one it was put there with
  if [ "$(sum_of "$FOLDER/$2")" = "$1" ]; then as_root rm -f "$FOLDER/$2"
  elif as_root test -e "$FOLDER/$2"; then say "$NODE: $FOLDER/$2 was changed there, and stays"; fi
}
put() { # sum name path
  local target=$FOLDER/$3
  [ "$(sum_of "$target")" = "$1" ] && return
  as_root mkdir -p "$(dirname "$target")" &&
    as_root mv "$HOME/$STAGE/$2" "$target.new" && as_root chown "$OWNER:$OWNER" "$target.new" && as_root chmod 640 "$target.new" && as_root mv -T "$target.new" "$target" &&
    say "$NODE: $target"
}
undo() {
  local sum path
  while read -r sum path; do [ -z "$sum" ] || take_away "$sum" "$path"; done <<<"$(as_root cat "$FOLDER.files" 2>/dev/null)"
  as_root rm -f "$FOLDER.files"
  as_root find "$FOLDER" -depth -type d -empty -delete 2>/dev/null
  rm -rf "\${HOME:?}/$STAGE"
}
main() {
  local sum name bytes path list=
  [ "$1" != undo ] || { undo; exit 0; }
  while read -r sum name bytes path; do
    [ -n "$sum" ] || continue
    list+="$sum $path"$'\\n'
    [ "$(sum_of "$FOLDER/$path")" = "$sum" ] || [ "$(sum_of "$HOME/$STAGE/$name")" = "$sum" ] ||
      problem "nodes.$NODE" CLU-FILE-CHECKSUM "$FOLDER/$path is not there as it was sent" "run up again with --replace for the resource that copies it; if it happens again, look at the node's disk"
  done <<<"$FILES"
  stop_at_problems
  as_root mkdir -p "$FOLDER" && as_root touch "$FOLDER.files" && as_root chmod 600 "$FOLDER.files" || exit 1
  while read -r sum path; do
    [ -z "$sum" ] || grep -qxF -- "$path" <<<"$(cut -d' ' -f2- <<<"$list")" || take_away "$sum" "$path"
  done <<<"$(as_root cat "$FOLDER.files")"
  # What lies there is written down before it lies there: what is broken off can still be taken away.
  printf %s "$list" | as_root tee "$FOLDER.files" >/dev/null || exit 1
  while read -r sum name bytes path; do
    [ -z "$sum" ] || put "$sum" "$name" "$path" || exit 1
  done <<<"$FILES"
  as_root find "$FOLDER" -type d -exec chown "$OWNER:$OWNER" {} + -exec chmod 750 {} + || exit 1
  rm -rf "\${HOME:?}/$STAGE" && mkdir -p -m 700 "$HOME/$STAGE"
}
`;

/** Looks at a folder that somebody else fills, and changes nothing. NODE, FOLDER, OWNER in the values. */
export const thereScript = `
main() {
  as_root test -d "$FOLDER" ||
    { problem "nodes.$NODE" CLU-FILE-MISSING "there is no folder $FOLDER on the node" "put the files there, or correct the path"; exit 1; }
  closed=$(as_root find "$FOLDER" -type f ! -perm -o=r ! \\( -gid "$OWNER" -perm -g=r \\) ! \\( -uid "$OWNER" -perm -u=r \\) | head -n 1)
  [ -z "$closed" ] ||
    problem "nodes.$NODE" CLU-FILE-CLOSED "user and group $OWNER, as which all runs, cannot read $closed" "give the files to that group: chgrp -R $OWNER $FOLDER; chmod -R g+rX $FOLDER"
  stop_at_problems
}
`;
