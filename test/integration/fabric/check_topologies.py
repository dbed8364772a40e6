"""Loads and validates GraphML with fabric-fim, and lets fim write what it understood.

usage: check_topologies.py IN OUT
Each IN/*.graphml gets OUT/<name>.json with what fim sees, and OUT/<name>.graphml as fim writes it. fim also makes topologies of its own:
OUT/fims-own.graphml and OUT/fims-rich.graphml.
"""
import json
import pathlib
import sys

from fim.user.topology import ExperimentTopology
from fim.user.component import ComponentModelType
from fim.slivers.capacities_labels import Capacities, CapacityHints, Flags, Labels
from fim.slivers.json_data import UserData
from fim.user.network_service import ServiceType


def interface(i):
    """An interface as fim sees it, its sub-interfaces with it."""
    seen = {"type": str(i.type), "id": i.node_id}
    if i.capacities is not None and i.capacities.bw:
        seen["bw"] = i.capacities.bw
    if i.labels is not None and i.labels.local_name:
        seen["local_name"] = i.labels.local_name
    if i.labels is not None and i.labels.vlan:
        seen["vlan"] = i.labels.vlan
    if i.interface_list:
        seen["children"] = {c.name: interface(c) for c in i.interface_list}
    return seen


def component(c):
    seen = {"model": f"{c.type}/{c.model}"}
    if str(c.type) in ("SharedNIC", "SmartNIC", "FPGA"):
        seen["ports"] = {i.name: interface(i) for i in c.interface_list}
    if str(c.type) == "Storage":
        seen["volume"] = c.labels.local_name
        seen["mounted"] = c.flags.auto_mount
    return seen


def node(n):
    seen = {
        "id": n.node_id,
        "site": n.site,
        "core": n.capacities.core,
        "ram": n.capacities.ram,
        "disk": n.capacities.disk,
        "image": n.image_ref,
        "components": {c.name: component(c) for c in n.components.values()},
        "user_data": n.user_data,
    }
    if n.capacity_hints is not None:
        seen["instance_type"] = n.capacity_hints.instance_type
    if n.labels is not None and n.labels.instance_parent:
        seen["host"] = n.labels.instance_parent
    if n.boot_script:
        seen["boot_script"] = n.boot_script
    return seen


def service(topology, s):
    seen = {
        "id": s.node_id,
        "type": str(s.type),
        "layer": str(s.layer),
        "interfaces": sorted(
            [topology.get_owner_node(p).name, p.name] for i in s.interface_list for p in i.get_peers()
        ),
    }
    if s.site:
        seen["site"] = s.site
    if s.capacities is not None and s.capacities.bw:
        seen["bw"] = s.capacities.bw
    return seen


def seen_in(topology):
    inner = ("OVS", "P4", "VLAN", "MPLS")
    return {
        "nodes": {n.name: node(n) for n in topology.nodes.values()},
        "networks": {
            s.name: service(topology, s) for s in topology.network_services.values() if str(s.type) not in inner
        },
    }


source, target = map(pathlib.Path, sys.argv[1:3])
for path in sorted(source.glob("*.graphml")):
    try:
        topology = ExperimentTopology(graph_string=path.read_bytes().decode())
        topology.validate()
        topology.graph_model.validate_graph()
        seen = seen_in(topology)
        (target / path.name).write_bytes(topology.serialize().encode())
    except Exception as error:  # the test prints what fim said
        seen = {"error": f"{type(error).__name__}: {error}"}
    (target / f"{path.stem}.json").write_text(json.dumps(seen))

own = ExperimentTopology()
for site in ("AMST", "TOKY"):
    ports = []
    for number in (1, 2):
        node = own.add_node(name=f"{site.lower()}-{number}", site=site)
        node.set_properties(user_data=UserData({"text": "a < b & \"c\" é \u2028"}))
        nic = node.add_component(name=f"{node.name}-nic1", model_type=ComponentModelType.SharedNIC_ConnectX_6)
        ports += nic.interface_list
    own.add_network_service(name=f"net-{site.lower()}", nstype=ServiceType.FABNetv4, interfaces=ports)
own.validate()
(target / "fims-own.graphml").write_text(own.serialize())


def port(card, number):
    """fim lists a card's ports in no fixed order."""
    return next(i for i in card.interface_list if i.name.endswith(f"-p{number}"))


# All that FABRIC has, and we only keep: a facility port, a P4 switch, a port mirror; and all that we write, as fim writes it.
rich = ExperimentTopology()
left = rich.add_node(name="left", site="AMST")
left.set_properties(
    capacities=Capacities(core=2, ram=8, disk=10),
    capacity_hints=CapacityHints(instance_type="fabric.c2.m8.d10"),
    labels=Labels(instance_parent="amst-w1.fabric-testbed.net"),
    boot_script="#!/bin/sh\necho a < b\n",
    image_type="qcow2",
    image_ref="default_ubuntu_22",
)
right = rich.add_node(name="right", site="LOSA")
right.set_properties(capacity_hints=CapacityHints(instance_type="fabric.c4.m16.d100"))
first = left.add_component(name="left-nic1", model_type=ComponentModelType.SharedNIC_ConnectX_6)
fast = left.add_component(name="left-fast", model_type=ComponentModelType.SmartNIC_ConnectX_5)
other = right.add_component(name="right-fast", model_type=ComponentModelType.SmartNIC_ConnectX_7_400)
fpga = left.add_component(name="left-fpga", model_type=ComponentModelType.FPGA_Xilinx_U280)
left.add_component(name="left-gpu-a30-1", model_type=ComponentModelType.GPU_A30)
left.add_storage(name="vol", labels=Labels(local_name="vol"), flags=Flags(auto_mount=True))
ends = [
    port(fast, 1).add_child_interface(name="left-fast-p1-100", labels=Labels(vlan="100")),
    port(other, 1).add_child_interface(name="right-fast-p1-100", labels=Labels(vlan="100")),
]
rich.add_network_service(name="ptp", nstype=ServiceType.L2PTP, interfaces=ends)
rich.add_network_service(name="v4", nstype=ServiceType.FABNetv4, interfaces=[port(first, 1)])
rich.add_network_service(name="v6", nstype=ServiceType.FABNetv6Ext, interfaces=[port(other, 2)])
facility = rich.add_facility(name="Campus", site="AMST", capacities=Capacities(bw=10), labels=Labels(vlan="300"))
rich.add_switch(name="p4", site="AMST", nports=2)
rich.add_network_service(
    name="br", nstype=ServiceType.L2Bridge, interfaces=[port(fast, 2), facility.interface_list[0]]
)
rich.add_port_mirror_service(name="mirror", from_interface_name="HundredGigE0/0/0/5", to_interface=port(fpga, 1))
rich.validate()
(target / "fims-rich.graphml").write_text(rich.serialize())
