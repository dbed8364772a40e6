"""Loads and validates GraphML with fabric-fim, and lets fim write what it understood.

usage: check_topologies.py IN OUT
Each IN/*.graphml gets OUT/<name>.json with what fim sees, and OUT/<name>.graphml as fim writes it. fim also makes a topology of its own: OUT/fims-own.graphml.
"""
import json
import pathlib
import sys

from fim.user.topology import ExperimentTopology
from fim.user.component import ComponentModelType
from fim.slivers.json_data import UserData
from fim.user.network_service import ServiceType

source, target = map(pathlib.Path, sys.argv[1:3])
for path in sorted(source.glob("*.graphml")):
    try:
        topology = ExperimentTopology(graph_string=path.read_text())
        topology.validate()
        topology.graph_model.validate_graph()
        seen = {
            "nodes": {
                n.name: {
                    "id": n.node_id,
                    "site": n.site,
                    "core": n.capacities.core,
                    "ram": n.capacities.ram,
                    "disk": n.capacities.disk,
                    "image": n.image_ref,
                    "components": sorted(f"{c.type}/{c.model}" for c in n.components.values()),
                    "user_data": n.user_data,
                }
                for n in topology.nodes.values()
            },
            "networks": {
                s.name: {
                    "id": s.node_id,
                    "site": s.site,
                    "type": str(s.type),
                    "nodes": sorted(topology.get_owner_node(p).name for i in s.interface_list for p in i.get_peers()),
                }
                for s in topology.network_services.values()
                if str(s.type) != "OVS"
            },
        }
        (target / path.name).write_text(topology.serialize())
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
