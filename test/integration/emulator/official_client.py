"""FABRIC's own client, one command a line of JSON on stdin, one answer a line on stdout.

Commands: {"do": NAME, ...arguments}. Answers: {"ok": VALUE} or {"error": TEXT, "status": HTTP status or null}.
"""
import json
import sys
from datetime import datetime, timedelta, timezone

from fabrictestbed.external_api.orchestrator_client import OrchestratorClient, OrchestratorHTTPError
from fim.graph.abc_property_graph import ABCPropertyGraph
from fim.slivers.instance_catalog import InstanceCatalog
from fim.user import Capacities, ExperimentTopology, UserData

# the client repeats calls that answer 500; here each is to be seen once
orchestrator = OrchestratorClient(sys.argv[1], retries=0)
token = sys.argv[2]
TIME = "%Y-%m-%d %H:%M:%S %z"


def attribute(element, name, field):
    value = element.get_property(name)
    return getattr(value, field, None) if value else None


def show_topology(topology):
    """What FIM makes of a graph: it must load, and say what is in it."""
    nodes = {}
    for name, node in topology.nodes.items():
        reservation = node.reservation_info
        nodes[name] = {
            "site": node.site,
            "management_ip": str(node.management_ip) if node.management_ip else None,
            "state": reservation.reservation_state if reservation else None,
            "error": reservation.error_message if reservation else None,
            "capacities": node.capacities.to_dict() if node.capacities else None,
            "worker": attribute(node, "label_allocations", "instance_parent"),
            "flavour": attribute(node, "capacity_hints", "instance_type"),
            "user_data": node.user_data,
            "components": {c.name: [str(c.type), c.model] for c in node.components.values()},
            "interfaces": {i.name: {"mac": attribute(i, "label_allocations", "mac")} for i in node.interface_list},
        }
    services = {}
    for name, service in topology.network_services.items():
        if str(service.type) == "OVS":
            continue
        services[name] = {
            "type": str(service.type),
            "site": service.site,
            "gateway": service.gateway.gateway if service.gateway else None,
            "subnet": service.gateway.subnet if service.gateway else None,
            "state": service.reservation_info.reservation_state if service.reservation_info else None,
            "addresses": {i.name: [attribute(i, "labels", "ipv4"), attribute(i, "label_allocations", "ipv4")] for i in service.interface_list},
        }
    return {"nodes": nodes, "services": services}


def fablib_topology(nodes):
    """A topology as FABlib builds it: each node a NIC_Basic, one FABNetv4 network a site."""
    from fabrictestbed_extensions.fablib.fablib import FablibManager

    folder = sys.argv[3]
    fablib = FablibManager(
        orchestrator_host=sys.argv[1], credmgr_host="127.0.0.1", core_api_host="127.0.0.1", token_location=folder + "/token.json",
        project_id="p", bastion_username="u", bastion_key_location=folder + "/key", validate_config=False, no_ssh=True,
        data_dir=folder, log_file=folder + "/fablib.log",
    )
    new = fablib.new_slice(name="fablib")
    by_site = {}
    for node in nodes:
        vm = new.add_node(name=node["name"], site=node["site"], cores=node["cores"], ram=node["ram"], disk=node["disk"])
        for component in node.get("components", []):
            vm.add_component(model=component, name=component.lower())
        by_site.setdefault(node["site"], []).append(vm.add_component(model="NIC_Basic", name="nic").get_interfaces()[0])
    for site, interfaces in by_site.items():
        new.add_l3network(name="net-" + site, interfaces=interfaces, type="IPv4")
    return new.get_fim_topology().serialize()


def edit(graph, changes):
    """Edits a graph with FIM, as a user of FABlib would."""
    topology = ExperimentTopology(graph_string=graph)
    for change in changes:
        kind = change["kind"]
        if kind == "remove_node":
            topology.remove_node(name=change["name"])
        elif kind == "remove_service":
            topology.remove_network_service(name=change["name"])
        elif kind == "resize":
            topology.nodes[change["name"]].set_properties(capacities=Capacities(core=change["core"], ram=4, disk=10), site=change["site"])
        elif kind == "user_data":
            topology.nodes[change["name"]].set_properties(user_data=UserData(change["value"]))
        elif kind == "add_node":
            import fim.user as fim

            node = topology.add_node(name=change["name"], site=change["site"], capacities=fim.Capacities(core=2, ram=8, disk=10), image_type="qcow2", image_ref="default_ubuntu_22")
            nic = node.add_component(model_type=fim.ComponentModelType.SharedNIC_ConnectX_6, name="nic")
            if change.get("join"):
                topology.network_services[change["join"]].connect_interface(nic.interface_list[0])
            else:
                topology.add_network_service(name="net-" + change["name"], nstype=fim.ServiceType.FABNetv4, interfaces=[nic.interface_list[0]], site=change["site"])
    return topology.serialize()


def show(value):
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, list):
        return [show(v) for v in value]
    if isinstance(value, ExperimentTopology):
        return show_topology(value)
    return value


def run(command):
    do = command.pop("do")
    if do == "fablib_topology":
        return fablib_topology(command["nodes"])
    if do == "edit":
        return edit(command["graph"], command["changes"])
    if do == "validate":
        topology = ExperimentTopology(graph_string=command["graph"])
        topology.validate()
        return show_topology(topology)
    if do == "dictionaries":
        topology = ExperimentTopology(graph_string=command["graph"])
        services = [s for s in topology.network_services.values() if str(s.type) != "OVS"]
        return {e.node_id: ABCPropertyGraph.sliver_to_dict(e.get_sliver()) for e in [*topology.nodes.values(), *services]}
    if do == "renew_by_hours":
        end = (datetime.now(timezone.utc) + timedelta(hours=command["hours"])).strftime(TIME)
        orchestrator.renew(token=token, slice_id=command["slice_id"], new_lease_end_time=end)
        return end
    if do == "flavours":
        catalogue = InstanceCatalog()
        return [catalogue.map_capacities_to_instance(cap=Capacities(core=c, ram=r, disk=d)) for c, r, d in command["wishes"]]
    if do in ("resources", "portal_resources"):
        arguments = command if do == "portal_resources" else {"token": token, **command}
        sites = getattr(orchestrator, do)(**arguments).sites
        return {
            name: {
                "total": site.capacities.to_dict(),
                "taken": site.capacity_allocations.to_dict() if site.capacity_allocations else None,
                "components": sorted(site.components.keys()),
                "workers": sorted(site.children.keys()),
            }
            for name, site in sites.items()
        }
    if do == "portal_resources_summary":
        return orchestrator.portal_resources_summary(**command)
    return show(getattr(orchestrator, do)(token=token, **command))


print(json.dumps({"ok": "ready"}), flush=True)
for line in sys.stdin:
    try:
        answer = {"ok": run(json.loads(line))}
    except OrchestratorHTTPError as e:
        answer = {"error": e.body_preview, "status": e.status_code}
    except Exception as e:  # what the client says of anything else is what the test wants to see
        answer = {"error": f"{type(e).__name__}: {e}", "status": None}
    print(json.dumps(answer, default=str), flush=True)
