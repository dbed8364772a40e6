/** Looks at a host before anything is changed on it; all that is wrong comes at once. Pure text. */

/**
 * HOST, ROLE, RAM_MB, DISK_GB, MAC, DATA, INTERFACES in the values. Systems: Kubespray's README, "Supported Linux Distributions".
 */
export const checkScript = `
supported='ubuntu 22.04 and 24.04, debian 11 to 13, rocky, almalinux, rhel, centos and oracle linux 9 and 10, fedora, amazon linux 2023'
interface_of_mac() {
  local file
  for file in /sys/class/net/*/address; do
    [ "$(cat "$file" 2>/dev/null)" = "$1" ] && { basename "$(dirname "$file")"; return; }
  done
}
interface_of_address() { ip -o addr show | awk -v a="$1" '{ split($4, p, "/"); if (p[1] == a) { print $2; exit } }'; }
check_system() {
  local id version
  id=$(. /etc/os-release 2>/dev/null; printf %s "\${ID-}")
  version=$(. /etc/os-release 2>/dev/null; printf %s "\${VERSION_ID-}")
  case "$id:$version" in
    ubuntu:22.04 | ubuntu:24.04 | debian:11 | debian:12 | debian:13 | fedora:* | amzn:2023) ;;
    rocky:9* | rocky:10* | almalinux:9* | almalinux:10* | rhel:9* | rhel:10* | centos:9* | centos:10* | ol:9* | ol:10*) ;;
    *) problem "hosts.$HOST" CLU-HOST-OS "the system is \${id:-unknown} $version, which Kubespray does not support" "use one of: $supported" ;;
  esac
}
check_size() {
  local have free
  have=$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)
  [ "$have" -ge "$RAM_MB" ] || problem "hosts.$HOST" CLU-HOST-RAM "$have MB of memory, $RAM_MB are needed" "give the machine more, or lower minimum.ram"
  free=$(df -Pk /var/lib | awk 'NR == 2 { print int($4 / 1048576) }')
  [ "$free" -ge "$DISK_GB" ] || problem "hosts.$HOST" CLU-HOST-DISK "$free GB free at /var/lib, $DISK_GB are needed" "make room there, or lower minimum.disk"
}
check_interface() {
  local name
  if [ -n "$MAC" ]; then
    name=$(interface_of_mac "$MAC")
    [ -n "$name" ] || { problem "hosts.$HOST.network.mac" CLU-HOST-INTERFACE "no card has the address $MAC" "compare with: ip link"; return; }
  elif [ -n "$DATA" ]; then
    name=$(interface_of_address "$DATA")
    [ -n "$name" ] || { problem "hosts.$HOST.dataAddress" CLU-HOST-INTERFACE "no card has the address $DATA" "compare with: ip addr"; return; }
  fi
  [ -n "$INTERFACES" ] || return 0
  if [ -n "\${name-}" ]; then
    printf '%s\\n%s\\n' "$name" "$DATA" | grep -qP -- "$INTERFACES" && return 0
  else
    printf '%s\\n' /sys/class/net/* | sed 's|.*/||' | grep -qP -- "$INTERFACES" && return 0
  fi
  problem "hosts.$HOST" CLU-HOST-INTERFACE "no interface for the data network matches $INTERFACES (there are: $(ls /sys/class/net | tr '\\n' ' '))" "set \\\`interfaces\\\` to a pattern that matches on every host"
}
main() {
  local need
  as_root true 2>/dev/null || problem "hosts.$HOST.user" CLU-HOST-SUDO "$(id -un) cannot become root without a password" "allow it: %sudo ALL=(ALL) NOPASSWD: ALL"
  for need in ip awk df grep; do
    command -v "$need" >/dev/null || { problem "hosts.$HOST" CLU-HOST-OS "the program $need is missing" "install iproute2 and the basic tools of the system"; return; }
  done
  check_system
  check_size
  check_interface
  stop_at_problems
  say "$HOST: $(. /etc/os-release; printf %s "\${PRETTY_NAME-}"), $(nproc) cores, $(awk '/^MemTotal:/ { print int($2 / 1048576 + 0.5) }' /proc/meminfo) GB"
}
`;
