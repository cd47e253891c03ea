"""A day with openstacksdk: everything it makes, it finds again and removes."""

import openstack

cloud = openstack.connect()

image = cloud.get_image("tiny")
flavor = cloud.get_flavor("m1.tiny")
key = cloud.create_keypair("mine")
assert "PRIVATE KEY" in key.private_key, key

server = cloud.create_server("one", image=image, flavor=flavor, key_name="mine", network="default",
                             meta={"dish": "soup"}, auto_ip=True, wait=True, timeout=120)
assert server.status == "ACTIVE", server.status
assert server.public_v4, "auto_ip gave no floating address"
assert server.private_v4.startswith("10.20."), server.private_v4
assert [s.id for s in cloud.list_servers(filters={"name": "one"})] == [server.id]

cloud.compute.stop_server(server)
cloud.compute.wait_for_server(server, status="SHUTOFF", wait=120)
cloud.compute.start_server(server)
cloud.compute.wait_for_server(server, status="ACTIVE", wait=120)
snapshot = cloud.create_image_snapshot("copy", server, wait=True, timeout=120)
assert snapshot.status == "active", snapshot.status

network = cloud.create_network("kitchen")
subnet = cloud.create_subnet(network.id, cidr="192.168.9.0/24", subnet_name="kitchen4")
assert subnet.gateway_ip == "192.168.9.1", subnet.gateway_ip
group = cloud.create_security_group("doors", "who may come in")
cloud.create_security_group_rule(group.id, port_range_min=22, port_range_max=22, protocol="tcp")

# By id: found by name, a server comes without its addresses, and they stay.
assert cloud.delete_server(server.id, wait=True, timeout=120, delete_ips=True)
assert cloud.delete_image("copy")
assert cloud.delete_network("kitchen")
assert cloud.delete_security_group("doors")
assert cloud.delete_keypair("mine")
# list_servers and list_floating_ips may answer from the library's own memory.
assert list(cloud.compute.servers()) == [] and list(cloud.network.ips()) == []
print("all is well")
