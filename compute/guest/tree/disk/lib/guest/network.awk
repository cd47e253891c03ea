# Turns network_data.json, flattened by json.awk, into commands that set its fixed
# addresses. Only what consists of address characters is ever put in a command.
BEGIN { FS = "\t" }
{ v[$1] = $2 }

function get(path) { return (path in v) && v[path] ~ /^[0-9a-fA-F.:]+$/ ? v[path] : "" }

function bits(mask,    n, part, i, b) {
	if (mask ~ /^[0-9]+$/) return mask
	if (mask ~ /:/) { # IPv6: whole groups of ffff, the last one may be shorter
		n = split(mask, part, ":")
		for (i = 1; i <= n; i++) b += part[i] == "ffff" ? 16 : part[i] == "fff0" ? 12 : part[i] == "ff00" ? 8 : part[i] == "f000" ? 4 : 0
		return b + 0
	}
	n = split(mask, part, ".")
	for (i = 1; i <= n; i++) while (part[i] > 0) { b += part[i] % 2; part[i] = int(part[i] / 2) }
	return b + 0
}

END {
	# Cards by their hardware address.
	while (("cd /sys/class/net && grep -H . */address" | getline line) > 0) {
		split(line, part, "/address:")
		card[part[2]] = part[1]
	}
	for (i = 0; ("links/" i "/id") in v; i++) {
		mac = tolower(get("links/" i "/ethernet_mac_address"))
		if (mac in card) byID[v["links/" i "/id"]] = card[mac]
	}
	for (i = 0; ("networks/" i "/type") in v; i++) {
		net = "networks/" i
		dev = byID[v[net "/link"]]
		address = get(net "/ip_address")
		if (dev == "" || address == "" || v[net "/type"] !~ /^ipv[46]$/) continue
		if (index(address, "/") == 0) address = address "/" bits(get(net "/netmask"))
		if (!(dev in seen)) {
			# Whatever DHCP said before is not what the drive says.
			seen[dev]
			print "[ ! -r /run/udhcpc." dev ".pid ] || kill $(cat /run/udhcpc." dev ".pid)"
			print "ip addr flush dev " dev " scope global"
			print "ip link set " dev " up"
		}
		print "ip addr add " address " dev " dev
		if (v[net "/type"] == "ipv4") print ": >/run/static." dev
		for (j = 0; (net "/routes/" j "/network") in v; j++) {
			to = get(net "/routes/" j "/network")
			via = get(net "/routes/" j "/gateway")
			if (to != "" && via != "") print "ip route add " to "/" bits(get(net "/routes/" j "/netmask")) " via " via " dev " dev
		}
	}
	for (i = 0; ("services/" i "/address") in v; i++)
		if (v["services/" i "/type"] == "dns" && (address = get("services/" i "/address")) != "")
			print (i ? "echo nameserver " address " >>" : "echo nameserver " address " >") "/etc/resolv.conf"
}
