/** Texts that an emulated host is made of: OpenSSH's configuration, passwd, and the scripts that run before it. Pure. */
import { shellWord } from "../../shell-word.js";

/** One SSH server. */
export interface SshServer {
  /** Folder with host_key and authorized_keys, as the server sees it. */
  readonly folder: string;
  readonly login: string;
  /** Variables of every session. */
  readonly env: Readonly<Record<string, string>>;
  /** Shell command that sessions run instead of what was asked for. */
  readonly command?: string;
  /** The bastion: passes connections on and runs nothing. */
  readonly forwardOnly?: boolean;
  /** Keys in the login's own `~/.ssh/authorized_keys` open it too, as on any machine: for a host whose home is its own. */
  readonly homeKeys?: boolean;
}

/** sshd_config(5): logins by key only, no question to the system's own accounts or to PAM. */
export function sshdConfig(server: SshServer): string {
  const env = Object.entries(server.env).map(([name, value]) => quoted(`${name}=${value}`));
  const only = server.forwardOnly === true;
  return `# Made by dynamos-fabric's emulator.
HostKey ${quoted(`${server.folder}/host_key`)}
AuthorizedKeysFile ${quoted(`${server.folder}/authorized_keys`.replaceAll("%", "%%"))}${server.homeKeys === true ? " .ssh/authorized_keys" : ""}
PidFile none
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
AuthenticationMethods publickey
PasswordAuthentication no
PermitRootLogin prohibit-password
AllowUsers ${server.login}
AllowAgentForwarding no
X11Forwarding no
PermitTunnel no
AllowStreamLocalForwarding no
AllowTcpForwarding ${only ? "local" : "yes"}
PermitTTY ${only ? "no" : "yes"}
${only ? "" : "AcceptEnv LANG LC_*\n"}${only ? "" : `Subsystem sftp ${server.command === undefined ? "internal-sftp" : sftpWord}\n`}${
  env.length === 0 ? "" : `SetEnv ${env.join(" ")}\n`
}${
  only
    ? "ForceCommand echo 'this machine only passes connections on to nodes' >&2; exit 1\n"
    : server.command === undefined
      ? ""
      : `ForceCommand ${server.command}\n`
}`;
}

/** In SSH_ORIGINAL_COMMAND when a client asks for file transfer. */
const sftpWord = "dynamos-fabric-sftp";

/**
 * Starts a session in the node's own folder. Without root, sshd starts it in the person's real home folder and nothing else can move it.
 * @param sftpServer path of the program, undefined where there is none
 */
export function sessionScript(sftpServer: string | undefined): string {
  return `#!/bin/sh
# Made by dynamos-fabric's emulator: a session of an emulated node.
cd "$HOME" || exit 1
case "\${SSH_ORIGINAL_COMMAND-}" in
  "") exec "\${SHELL:-/bin/sh}" -l ;;
  ${sftpWord}) ${
    sftpServer === undefined
      ? "echo 'no sftp-server on this machine' >&2; exit 1"
      : `exec ${shellWord(sftpServer)}`
  } ;;
  *) exec "\${SHELL:-/bin/sh}" -c "$SSH_ORIGINAL_COMMAND" ;;
esac
`;
}

/**
 * The system's passwd with the image's user as a second name of root, and the user that sshd wants to exist when it runs as root.
 * Source of the latter: README.privsep of OpenSSH.
 */
export function passwdFor(system: string, login: string, home: string, shell: string): string {
  const kept = system
    .split("\n")
    .filter((line) => line !== "" && !/^(sshd|\+.*)$/.test(line.split(":")[0] ?? ""));
  const others = kept.filter((line) => line.split(":")[0] !== login);
  return [
    ...others,
    "sshd:*:65534:65534::/run/sshd:/usr/sbin/nologin",
    `${login}:*:0:0::${home}:${shell}`,
    "",
  ].join("\n");
}

export function hostsFileFor(name: string): string {
  return `127.0.0.1 localhost\n127.0.1.1 ${name}\n::1 localhost ip6-localhost ip6-loopback\n`;
}

/** For machines without sudo: whoever logs in is root already. Options are those of sudo(8) that Ansible and people use. */
export const sudoScript = `#!/bin/sh
# Made by dynamos-fabric's emulator: this node has no sudo, and every login is root already.
while [ $# -gt 0 ]; do
  case "$1" in
    -u | -g | -p | -C | -h | -r | -t | -U | -T | -D | -R) shift; [ $# -eq 0 ] || shift ;;
    --) shift; break ;;
    -*) shift ;;
    *=*) export "$1"; shift ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || set -- "\${SHELL:-/bin/sh}"
exec "$@"
`;

/**
 * Before each SSH server on a loopback address, when root runs it: in mount and host name namespaces of its own, with the passwd of
 * {@link passwdFor} and the folder that sshd wants; everything else is the machine's. NODE, HOST, SSHD in the environment.
 */
export const loopbackScript = `set -e
mkdir -p "$NODE/run"
mount --rbind /run "$NODE/run"
mount -t tmpfs -o mode=755 run /run
for entry in "$NODE"/run/*; do ln -s "$entry" /run/; done
rm -f /run/sshd
mkdir -m 755 /run/sshd
mount --bind "$NODE/passwd" /etc/passwd
printf %s "$HOST" >/proc/sys/kernel/hostname
exec "$SSHD" -i -e -f "$NODE/sshd_config"
`;

/** Where a node in namespaces finds its own folder. */
export const insideFolder = "/run/node";
/** Where it finds the toolchain's cache, whatever is mounted over the place where that is. */
export const insideCache = "/run/cache";

/**
 * The first process of a node in namespaces. What is written below /etc, /opt, /srv, /usr and /var, and /home, /root and /tmp, is the node's own and outlives
 * its reboot; the machine's own files are only read. A folder that holds the node's own cannot be layered and stays the machine's.
 * NODE, HOST, SSHD, CACHE in the environment. Says \`started PID\` once its namespaces are there.
 */
export const nodeScript = `set -e
read -r pid rest </proc/self/stat
echo "started $pid"
mount --make-rprivate /
cd "$NODE"
resolv=$(cat /etc/resolv.conf 2>/dev/null || true)
layered=yes
for d in etc opt srv usr var; do
  case "$NODE/" in "/$d/"*) continue ;; esac
  [ -d "/$d" ] || continue
  mkdir -p "disk/$d" "disk/.work/$d"
  mount -t overlay node -o "lowerdir=/$d,upperdir=disk/$d,workdir=disk/.work/$d" "/$d" || { layered=no; break; }
done
if [ "$layered" = yes ]; then
  if [ ! -e disk/.made ]; then
    cat passwd >/etc/passwd
    cat hosts >/etc/hosts
    printf '%s\\n' "$HOST" >/etc/hostname
    rm -f /etc/resolv.conf
    printf '%s\\n' "$resolv" >/etc/resolv.conf
    mkdir -p /etc/netplan /usr/local/bin
    [ ! -e bin/sudo ] || cp bin/sudo /usr/local/bin/sudo
    : >disk/.made
  fi
else
  # No overlay here: at least the files that every node must have to itself.
  printf '%s\\n' "$HOST" >hostname
  for f in passwd hosts hostname; do [ ! -e "/etc/$f" ] || mount --bind "$f" "/etc/$f"; done
fi
mount -t proc proc /proc
printf %s "$HOST" >/proc/sys/kernel/hostname
mount -t tmpfs -o mode=755 run /run
mkdir -p -m 755 /run/sshd /run/lock /run/netns ${insideFolder} ${insideCache} /run/cgroup
mount --bind "$NODE" ${insideFolder}
[ ! -d "$CACHE" ] || mount --rbind "$CACHE" ${insideCache}
# The network of a mount of /sys is the one it was mounted in.
if mount --rbind /sys/fs/cgroup /run/cgroup && mount -t sysfs sysfs /sys; then mount --rbind /run/cgroup /sys/fs/cgroup; fi
mkdir -p disk/home disk/root disk/tmp
chmod 1777 disk/tmp
for d in home root tmp; do mount --bind "disk/$d" "/$d"; done
mkdir -p "/home/$LOGIN"
# The machine's programs that are not installed are there where they always are.
case "$CACHE/" in /home/* | /root/* | /tmp/*) mkdir -p "$CACHE"; mount --rbind ${insideCache} "$CACHE" ;; esac
cd /
exec "$SSHD" -D -e -f ${insideFolder}/sshd_config
`;

/** Source: sshd_config(5), "arguments may optionally be enclosed in double quotes". */
function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
