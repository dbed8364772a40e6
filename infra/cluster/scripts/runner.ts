/** Runs playbooks on the control node: detached, one at a time, found again, with progress. Pure text. */

/**
 * `cluster.sh follow KEY SECONDS WORK ARGS...` starts WORK detached unless a run with this KEY goes on already, prints its progress until it ends,
 * and ends with its code. A run with another key is waited for first. `run/` holds the run's files; `lock` is held by all its processes, so that
 * two cannot be at once, also when the first process of one was killed.
 */
export const runnerScript = `#!/usr/bin/env bash
# Written by dynamos-fabric. ~/.dynamos-fabric/CLUSTER/tools/cluster.sh
set -u
export LC_ALL=C.UTF-8 # Ansible wants it so
cd "$(dirname "$0")/.." || exit 1
umask 077
mkdir -p run logs applied/hosts

busy() { ! flock -n lock true 8>&-; }
field() { cat "run/$1" 2>/dev/null; }
problem() { # path code message remedy
  printf 'error: %s  %s  %s; %s\\n' "$1" "$2" "$3" "$4" >>run/errors
}
note() { printf '%s\\n' "$*" >>run/progress; }

follow() { # key seconds work...
  local key=$1 id worker
  while :; do
    if busy; then
      id=$(field id)
      # beginning or ending: a moment later it is one or the other
      if [ -z "$id" ] || [ -e run/result ]; then sleep 0.1; continue; fi
      if [ "$(field key)" = "$key" ]; then
        printf 'found the run again that goes on since %s s\\n' "$(($(date +%s) - $(field started)))"
      else
        printf 'another run goes on since %s s; waiting for its end\\n' "$(($(date +%s) - $(field started)))"
        watch_run "$id"
        continue
      fi
    else
      id=$$-$RANDOM$RANDOM
      setsid nohup bash tools/cluster.sh work "$id" "$@" >>run/worker.log 2>&1 </dev/null &
      worker=$!
      # It has begun, or somebody else was faster.
      until [ "$(field id)" = "$id" ] || ! kill -0 "$worker" 2>/dev/null; do sleep 0.05; done
    fi
    watch_run "$id"
    [ "$(field id)" != "$id" ] || report
  done
}

# Prints the progress of run $1 until it has ended.
watch_run() {
  local shown=0 total over=no
  while :; do
    if [ "$(field id)" != "$1" ] || [ -e run/result ] || ! busy; then over=yes; fi
    if [ "$(field id)" = "$1" ]; then
      total=$(wc -l <run/progress)
      [ "$total" -le "$shown" ] || sed -n "$((shown + 1)),\${total}p" run/progress
      shown=$total
    fi
    [ "$over" = no ] || return 0
    sleep 0.3
  done
}

report() {
  local code
  code=$(field result)
  if [ -z "$code" ]; then
    printf 'error: %s  %s  %s; %s\\n' hosts CLU-RUN-LOST "the run on the control node ended without a result: the machine was started anew, or the run was killed" "run up again; it goes on where it stopped" >&2
    exit 70
  fi
  if [ "$code" != 0 ]; then
    printf 'the last lines of the log (all of it: %s on the control node)\\n' "$(field logname)" >&2
    tail -n 40 "$(field logname)" >&2
    cat run/errors >&2
  fi
  exit "$code"
}

work() { # id key seconds work...
  exec 8>>lock
  # not at once: whoever looks whether it is free has it for a moment
  flock -w 2 8 || exit 75
  rm -f run/id; rm -f run/result
  printf '%s\\n' "$2" >run/key
  date +%s >run/started
  : >run/progress; : >run/errors
  printf '%s\\n' "$PWD/logs/$(date -u +%Y%m%d-%H%M%S)-$4.log" >run/logname
  : >"$(field logname)"
  ls -1t logs | tail -n +21 | while read -r old; do rm -f "logs/$old"; done
  printf '%s\\n' "$1" >run/id
  deadline=$(($(field started) + $3))
  shift 3
  ( "$@" )
  printf '%s\\n' "$?" >run/result.new
  mv run/result.new run/result
}

# One playbook. Its outcome for each host is in run/hosts; ends with ansible's code.
play() { # inventory playbook arguments...
  local inventory=$1 playbook=$2 code left
  shift 2
  left=$((deadline - $(date +%s)))
  rm -f run/hosts run/failures; touch run/hosts run/failures
  printf '\\n===== %s %s %s\\n' "$(date -u +%FT%TZ)" "$playbook" "$*" >>"$(field logname)"
  if [ "$left" -gt 0 ]; then
    ( umask 022; cd current/source && exec env DYNAMOS_PROGRESS="$OLDPWD/run/progress" DYNAMOS_FAILURES="$OLDPWD/run/failures" DYNAMOS_HOSTS="$OLDPWD/run/hosts" \\
      ANSIBLE_CALLBACK_PLUGINS="$OLDPWD/tools" ANSIBLE_CALLBACKS_ENABLED=dynamos_fabric_progress ANSIBLE_NOCOLOR=1 \\
      ANSIBLE_HOST_KEY_CHECKING=True ANSIBLE_PRIVATE_KEY_FILE="$OLDPWD/id_ed25519" ANSIBLE_FORKS=20 \\
      ANSIBLE_SSH_ARGS="-o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=30 -o UserKnownHostsFile=$OLDPWD/known_hosts -o StrictHostKeyChecking=accept-new -o IdentitiesOnly=yes -o ConnectTimeout=20" \\
      timeout -k 30 "$left" "$OLDPWD/current/venv/bin/ansible-playbook" -i "$inventory" --become "$playbook" "$@" ) >>"$(field logname)" 2>&1
    code=$?
  else
    code=124
  fi
  printf '%s %s %s\\n' "$(date -u +%FT%TZ)" "$code" "$playbook $*" >>history
  [ "$code" != 124 ] && [ "$code" != 137 ] ||
    problem deadline CLU-RUN-DEADLINE "$playbook was stopped at the deadline" "see the log for what took so long, raise the deadline, run up again"
  if [ "$code" != 0 ]; then tell_failures "$playbook" "$code"
  elif [ ! -s run/hosts ]; then
    problem hosts CLU-PLAYBOOK-FAILED "$playbook told nothing of how it went: its Ansible does not load callbacks" "see the log"
    return 1
  fi
  return "$code"
}

tell_failures() { # playbook code
  local host kind play task message told=0
  while IFS=$'\\t' read -r host kind play task message; do
    grep -qP "^\\Q$host\\E\\t(failed|unreachable)\\t" run/hosts || [ ! -s run/hosts ] || continue
    told=$((told + 1))
    [ "$told" -le 8 ] || continue
    if [ "$kind" = unreachable ]; then
      problem "hosts.$host" CLU-HOST-UNREACHABLE "$1, task $task: the control node cannot reach $host: $message" "see that it runs and lets the control node in; then run up again"
    elif printf %s "$message" | grep -qiE 'No space left on device|Disk quota exceeded'; then
      problem "hosts.$host" CLU-DISK-FULL "$1, task $task: the disk is full: $message" "make room there (df -h), then run up again"
    else
      problem "hosts.$host" CLU-PLAYBOOK-FAILED "$1, play $play, task $task: $message" "mend that, then run up again: hosts that are ready are not done again"
    fi
  done <run/failures
  [ "$told" -gt 0 ] || [ "$2" = 124 ] || [ "$2" = 137 ] || problem hosts CLU-PLAYBOOK-FAILED "$1 ended with $2" "see the log"
}

# --- which hosts, by files: wanted/hosts and applied/hosts hold one for each
member() { local file=\${1##*/}; file=\${file%.yaml}; printf '%s' "\${file#*-}"; }
value() { sed -n -E "s/^ +$2: *\\"?([^\\"]*)\\"?\\$/\\1/p" "$1" | head -n 1; }
joined() { local IFS=,; printf '%s' "$*"; }
place() { printf '%s %s' "$(value "$1" ansible_host)" "$(value "$1" ip)"; }
known() { [ -e "applied/hosts/$1" ]; }
moved() { # the same name at another address is another machine
  [ "$(place "applied/hosts/$1")" != "$(place "run/inventory/hosts/$1")" ]
}
# What all hosts depend on: variables, the control plane, Kubespray itself.
core() { { readlink current; cat "$1/groups.yaml" "$1"/group_vars/all/*.yaml; grep -H '' "$1"/hosts/c*.yaml | sed 's|^[^:]*/||'; } | sha256sum | cut -d ' ' -f 1; }
versions() { readlink current; value_of kube_version "$1"; }
value_of() { sed -n "s/^$1: *//p" "$2"/group_vars/all/*.yaml 2>/dev/null; }

ssh_to() { # file command
  local user port
  user=$(value "$1" ansible_user); port=$(value "$1" ansible_port)
  timeout 40 ssh -n -i id_ed25519 -o IdentitiesOnly=yes -o BatchMode=yes -o LogLevel=ERROR -o ConnectTimeout=15 -o StrictHostKeyChecking=accept-new \\
    -o UserKnownHostsFile="$PWD/known_hosts" -p "\${port:-22}" -l "$user" "$(value "$1" ansible_host)" "$2" 8>&-
}
forget_key() { # file
  local host port
  host=$(value "$1" ansible_host); port=$(value "$1" ansible_port)
  [ ! -e known_hosts ] || ssh-keygen -q -R "$([ -z "$port" ] && printf %s "$host" || printf '[%s]:%s' "$host" "$port")" -f known_hosts >/dev/null 2>&1
}
alive() { local pause; for pause in 0 2 5; do sleep "$pause"; ssh_to "$1" true >/dev/null 2>&1 && return 0; done; return 1; }

# Whether the control node gets to new hosts, and their clocks agree; all at once.
look_at() { # files...
  local file said near
  for file in "$@"; do
    ( if said=$(tries_ssh "$file") && [[ "$said" =~ ^[0-9]+$ ]]; then
        near=$((said - $(date +%s)))
        [ "\${near#-}" -le 60 ] || problem "hosts.$(member "$file")" CLU-HOST-CLOCK "its clock differs by $near s from the control node's" "set it, and let chrony keep it"
      else
        problem "hosts.$(member "$file")" CLU-HOST-UNREACHABLE "the control node cannot log in to $(value "$file" ansible_user)@$(value "$file" ansible_host): $said" "let the control node reach port 22 there, or set ansibleOver to the network that connects them"
      fi ) &
  done
  wait
  [ ! -s run/errors ]
}
tries_ssh() { # a host that was just started may need a moment
  local said pause
  for pause in 0 3 7; do sleep "$pause"; said=$(ssh_to "$1" 'date +%s' 2>&1) && { printf %s "$said"; return 0; }; done
  printf %s "$said" | tr '\\n' ' ' | tail -c 300
  return 1
}

leave_one() { # file in applied/hosts
  local name how
  name=$(member "$1")
  how=(-e "node=$name" -e skip_confirmation=yes)
  if ! alive "$1"; then
    note "$name does not answer: it is taken out without its help"
    how+=(-e reset_nodes=false -e allow_ungraceful_removal=true)
  fi
  play "$PWD/applied" remove-node.yml "\${how[@]}" || return 1
  ssh_to "$1" "$(sed "s/CLUSTER/\${PWD##*/}/" tools/leave.sh)" >/dev/null 2>&1
  forget_key "$1"
  rm "$1"
  note "$name has left"
}

leave() { # names: machines that go
  local name file
  for name in "$@"; do
    for file in applied/hosts/w-"$name".yaml applied/hosts/c[0-9][0-9]-"$name".yaml; do
      [ -e "$file" ] || continue
      may_leave "$file" && leave_one "$file" || return 1
    done
  done
}
may_leave() { # the first of the control plane cannot go: Kubespray's docs/operations/nodes.md
  case "\${1##*/}" in c01-*) problem "hosts.$(member "$1")" CLU-CONTROL-FIRST "it is the first host of the control plane, which cannot leave a cluster" "keep it; or destroy the cluster and make it anew"; return 1 ;; esac
}

accept() { # after a playbook: hosts that it is complete for
  local file name
  for file in run/inventory/hosts/*.yaml; do
    name=$(member "$file")
    ! grep -qP "^\\Q$name\\E\\tok\\tcomplete" run/hosts || cp "$file" applied/hosts/
  done
}

apply() {
  local file name going=() coming=() playbook
  rm -rf run/inventory && cp -r wanted run/inventory || return 1
  for file in applied/hosts/*.yaml; do
    [ -e "$file" ] || continue
    name=\${file##*/}
    if [ ! -e "run/inventory/hosts/$name" ] || moved "$name"; then may_leave "$file" || return 1; going+=("$file"); fi
  done
  for file in \${going[@]+"\${going[@]}"}; do leave_one "$file" || return 1; done
  for file in run/inventory/hosts/*.yaml; do known "\${file##*/}" || coming+=("$file"); done
  for file in \${coming[@]+"\${coming[@]}"}; do forget_key "$file"; done
  if [ "$(cat applied/core 2>/dev/null)" != "$(core run/inventory)" ]; then
    look_at run/inventory/hosts/*.yaml || return 1
    playbook=cluster.yml
    [ ! -e applied/versions ] || [ "$(cat applied/versions)" = "$(versions run/inventory)" ] || playbook=upgrade-cluster.yml
    play "$PWD/run/inventory" "$playbook"
    local code=$?
    rm -rf applied/group_vars && cp -r run/inventory/group_vars run/inventory/groups.yaml applied/
    accept
    for file in run/inventory/hosts/c*.yaml; do known "\${file##*/}" || return "$((code == 0 ? 1 : code))"; done
    versions run/inventory >applied/versions
    core run/inventory >applied/core
    return "$code"
  fi
  [ "\${#coming[@]}" -gt 0 ] || { note "nothing to do: all $(ls run/inventory/hosts | wc -l) hosts are in the cluster"; return 0; }
  look_at "\${coming[@]}" || return 1
  play "$PWD/run/inventory" playbooks/facts.yml || return 1
  local names=()
  for file in "\${coming[@]}"; do names+=("$(member "$file")"); done
  play "$PWD/run/inventory" scale.yml "--limit=$(joined "\${names[@]}" localhost)"
  local code=$?
  accept
  return "$code"
}
reset() { # names of machines that live on
  local name file here=()
  for name in "$@"; do
    for file in applied/hosts/w-"$name".yaml applied/hosts/c[0-9][0-9]-"$name".yaml; do
      [ -e "$file" ] || continue
      if alive "$file"; then here+=("$name"); else note "$name does not answer: it is left as it is"; fi
    done
  done
  if [ "\${#here[@]}" -gt 0 ]; then
    play "$PWD/applied" reset.yml -e reset_confirmation=yes "--limit=$(joined "\${here[@]}")" || return 1
    for name in "\${here[@]}"; do
      for file in applied/hosts/*-"$name".yaml; do ssh_to "$file" "$(sed "s/CLUSTER/\${PWD##*/}/" tools/leave.sh)" >/dev/null 2>&1; done
    done
  fi
  rm -rf applied wanted
}

case "$1" in
  follow | work) "$@" ;;
  *) echo "use: cluster.sh follow KEY SECONDS apply|leave|reset NAMES..." >&2; exit 64 ;;
esac
`;
