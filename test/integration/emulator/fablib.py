"""FABlib as an experimenter uses it, one command a line of JSON on stdin, one answer a line on stdout.

Commands: {"do": NAME, ...arguments}. Answers: {"ok": VALUE} or {"error": TEXT}. FABlib finds its settings in the environment and in $HOME/work/fabric_config/fabric_rc,
as anywhere. FABLIB_PORTS (JSON) is for machines where nobody may listen on 443 and 22, the only ports that FABlib knows: `https` is the API's, `hosts` a file
with the ports of bastion and nodes.
"""
import json
import os
import sys
import traceback

out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what FABlib prints is no answer

from fabrictestbed_extensions.fablib.fablib import FablibManager  # noqa: E402

ports = json.loads(os.environ.get("FABLIB_PORTS", "{}"))
if "https" in ports:
    from fabrictestbed_extensions.utils.utils import Utils

    probe = Utils.is_reachable
    Utils.is_reachable = staticmethod(lambda *, hostname, port=443: probe(hostname=hostname.split(":")[0], port=ports["https"] if port == 443 else ports.get("bastion", port)))
if "hosts" in ports:
    import paramiko

    connect, channel = paramiko.SSHClient.connect, paramiko.Transport.open_channel


    def record():
        with open(ports["hosts"]) as file:
            return json.load(file)


    def connect_there(self, hostname, *args, **options):
        bastion = record()["bastion"]
        there = {"port": bastion["port"]} if hostname == bastion["host"] and "sock" not in options else {}
        return connect(self, hostname, *args, **there, **options)


    def channel_there(self, kind, dest_addr=None, src_addr=None, *args, **options):
        known = {h["address"]: h["port"] for h in record()["hosts"]}
        there = (dest_addr[0], known.get(dest_addr[0], dest_addr[1])) if dest_addr else None
        return channel(self, kind, there, src_addr, *args, **options)


    paramiko.SSHClient.connect, paramiko.Transport.open_channel = connect_there, channel_there

fablib = None


def manager(no_ssh=True, validate=False):
    global fablib
    if not no_ssh:
        bastion = record()["bastion"]
        os.environ.update(FABRIC_BASTION_HOST=bastion["host"], FABRIC_BASTION_USERNAME=bastion["user"])
    if fablib is None or fablib.get_no_ssh() != no_ssh:
        fablib = FablibManager(validate_config=validate, no_ssh=no_ssh, log_file=os.environ["HOME"] + "/fablib.log", data_dir=os.environ["HOME"])
    return fablib


def interface(i):
    network = i.get_network()
    return {
        "name": i.get_name(),
        "mac": i.get_mac(),
        "network": network.get_name() if network else None,
        "data": i.get_fablib_data(),
    }


def node(n):
    return {
        "site": n.get_site(),
        "cores": n.get_cores(),
        "ram": n.get_ram(),
        "disk": n.get_disk(),
        "image": n.get_image(),
        "username": n.get_username(),
        "state": n.get_reservation_state(),
        "management_ip": str(n.get_management_ip()),
        "user_data": n.get_user_data(),
        "components": {c.get_name(): c.get_model() for c in n.get_components()},
        "interfaces": {i.get_name(): interface(i) for i in n.get_interfaces()},
    }


def network(n):
    return {
        "type": str(n.get_type()),
        "layer": str(n.get_layer()),
        "site": n.get_site(),
        "subnet": str(n.get_subnet()),
        "gateway": str(n.get_gateway()),
        "interfaces": sorted(i.get_name() for i in n.get_interfaces()),
        "user_data": n.get_user_data(),
    }


def show(s):
    s.update()
    listed = s.list_nodes(output="json", quiet=True, pretty_names=False)
    return {
        "id": s.get_slice_id(),
        "name": s.get_name(),
        "state": str(s.get_state()),
        "lease_end": s.get_lease_end(),
        "listed": json.loads(listed) if isinstance(listed, str) else listed,
        "nodes": {n.get_name(): node(n) for n in s.get_nodes()},
        "networks": {n.get_name(): network(n) for n in s.get_networks()},
    }


def make(name, nodes, networks=(), wait=True):
    """A slice as FABlib's notebooks make them: add_node, add_component, add_fabnet, add_l2network, submit."""
    s = manager().new_slice(name=name)
    cards = {}
    for n in nodes:
        known = {k: n[k] for k in ("name", "site", "cores", "ram", "disk", "image") if k in n}
        vm = s.add_node(**known)
        for c in n.get("components", []):
            vm.add_component(model=c["model"], name=c["name"])
        if n.get("fabnet"):
            vm.add_fabnet()
        for card in n.get("cards", []):
            cards[n["name"] + "." + card] = vm.add_component(model="NIC_Basic", name=card).get_interfaces()[0]
        if "user_data" in n:
            vm.set_user_data({**vm.get_user_data(), **n["user_data"]})
    for net in networks:
        interfaces = [cards[c] for c in net["cards"]]
        if net["kind"] == "l3":
            s.add_l3network(name=net["name"], interfaces=interfaces, type=net["type"])
        else:
            s.add_l2network(name=net["name"], interfaces=interfaces, **({"type": net["type"]} if "type" in net else {}))
    s.submit(wait=wait, wait_interval=1, wait_timeout=300, progress=False)
    return show(s)


def run(command):
    do = command.pop("do")
    if do == "make":
        return make(**command)
    if do == "open":
        return show(manager().get_slice(**command))
    if do == "slices":
        return sorted(s.get_name() for s in manager().get_slices(**command))
    if do == "user_data":
        s = manager().get_slice(command["name"])
        n = s.get_node(command["node"])
        n.set_user_data({**n.get_user_data(), **command["value"]})
        s.submit(wait=True, wait_interval=1, progress=False)
        return show(s)
    if do == "execute":
        s = manager(no_ssh=False).get_slice(command["name"])
        n = s.get_node(command["node"])
        users = {h["name"]: h["user"] for h in record()["hosts"]}
        output, errors = n.execute(command["command"], quiet=True, retry=3, retry_interval=2, username=users[n.get_name()] if n.get_name() in users else None)
        return {"output": output, "errors": errors, "username": n.get_username()}
    if do == "project":
        m = manager()
        fabric = m.get_manager()
        return {"id": m.get_project_id(), "name": m.get_project_name(), "bastion_username": m.get_bastion_username(), "email": fabric.get_user_email(), "tags": sorted(m.get_project_tags())}
    if do == "delete":
        manager().get_slice(command["name"]).delete()
        return True
    raise ValueError(do)


def answer(value):
    out.write(json.dumps(value, default=str) + "\n")
    out.flush()


answer({"ok": "ready"})
for line in sys.stdin:
    try:
        answer({"ok": run(json.loads(line))})
    except BaseException as error:  # noqa: BLE001
        traceback.print_exc()
        answer({"error": f"{type(error).__name__}: {error}"})
