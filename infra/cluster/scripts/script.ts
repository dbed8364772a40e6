/** How a step's shell script is put together: values first, then functions, then `main`. Bash 4 or newer. Pure. */
import { shellWord } from "../../shell-word.js";

/** Values of a script by the name of the variable; each is quoted. */
export type ScriptValues = Readonly<Record<string, string | number>>;

/**
 * Functions of all scripts. A problem is one line on standard error: `error: <path>  <CODE>  <message>; <remedy>`, as problemLine writes it.
 */
const common = `
set -u
export LC_ALL=C
problems=0
say() { printf '%s\\n' "$*"; }
problem() { # path code message remedy
  printf 'error: %s  %s  %s; %s\\n' "$1" "$2" "$3" "$4" >&2
  problems=$((problems + 1))
}
stop_at_problems() { [ "$problems" = 0 ] || exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
# Up to $1 times, with pauses of 1, 2, 4 ... at most 15 seconds.
tries() {
  local left=$1 pause=1
  shift
  until "$@"; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || return 1
    sleep "$pause"
    pause=$((pause * 2)); [ "$pause" -le 15 ] || pause=15
  done
}
# The text on standard input as file $1 with mode $2, root's; says whether it changed.
root_file() {
  local new
  new=$(mktemp) && cat >"$new" || return 1
  if as_root cmp -s "$new" "$1"; then rm -f "$new"; return 1; fi
  as_root mkdir -p "$(dirname "$1")" && as_root install -m "$2" "$new" "$1"
  rm -f "$new"
}
# A URL into a file, by what every prepared host has.
fetch() { python3 - "$1" "$2" <<'END'
import shutil, sys, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1], timeout=60) as answer, open(sys.argv[2], "wb") as file:
        shutil.copyfileobj(answer, file)
except OSError as error:
    sys.exit(f"{sys.argv[1]}: {error}")
END
}
install_package() {
  if command -v apt-get >/dev/null; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq "$@"
  elif command -v dnf >/dev/null; then as_root dnf install -y -q "$@"
  else return 1; fi >&2
}
# Where a login that is not root may miss administrators' programs.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin
`;

/**
 * A script for `bash -s` on standard input. All of it is read before anything runs, so that nothing in it can swallow the rest.
 *
 * @param functions shell functions, `main` among them; it is called with the script's arguments
 */
export function script(values: ScriptValues, ...functions: readonly string[]): string {
  const lines = Object.entries(values).map(([name, value]) => `${name}=${shellWord(String(value))}`);
  return `${[...lines, common, ...functions].join("\n")}\nmain "$@" </dev/null\n`;
}
