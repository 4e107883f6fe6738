"""What cloud-init has written for a program that sets up a network, in the same words for each of them.

An interface is a dictionary of text and lists of text, with those of these keys that were found:

    mac          the card that is meant
    addresses    192.0.2.10/24, 2001:db8::10/64; IPv4 first, else in their order
    gateways     of default routes; IPv4 first
    routes       198.51.100.0/24 via 192.0.2.254 metric 100; sorted
    nameservers  IPv4 first, else in their order
    search       domains
    dhcp4        "true"
    ipv6         "auto": what routers announce, by SLAAC or DHCPv6
    mtu          in bytes
"""

import configparser
import ipaddress
import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import yaml

Files = dict[str, str]  # the path of a file -> its text
Interfaces = dict[str, dict[str, Any]]

_DEFAULT = ("default", "0.0.0.0/0", "::/0")
_UDEV_NAME = re.compile(r'ATTR\{address\}=="([^"]*)", NAME="([^"]*)"')


class _Found:
    """The interfaces as far as they are known."""

    def __init__(self) -> None:
        self._interfaces: Interfaces = defaultdict(dict)

    def add(self, name: str, key: str, *values: str) -> None:
        """Add to a list; what is said twice, once for each family, counts once."""
        known: list[str] = self._interfaces[name].setdefault(key, [])
        known += [value for value in values if value and value not in known]

    def set(self, name: str, key: str, value: object) -> None:
        """Take a value that there is one of."""
        self._interfaces[name][key] = str(value)

    def mention(self, name: str) -> None:
        """Take note that there is an interface, whatever is said of it."""
        self._interfaces[name].update()

    def route(self, name: str, to: str | None, via: str | None, metric: str | None = None) -> None:
        """Add a route; one to everywhere is a gateway."""
        if to in (None, *_DEFAULT):
            self.add(name, "gateways", str(via))
        else:
            way = f"{ipaddress.ip_network(str(to))}" + (f" via {via}" if via else "")
            self.add(name, "routes", way + (f" metric {metric}" if metric else ""))

    def interfaces(self) -> Interfaces:
        """Return them in the order that the module's docstring tells."""
        for found in self._interfaces.values():
            for key in ("addresses", "gateways", "nameservers"):
                if key in found:
                    found[key].sort(key=_family)
            if "routes" in found:
                found["routes"].sort()
            for key in [key for key, value in found.items() if value == []]:
                del found[key]
        return dict(self._interfaces)


def interfaces(renderer: str, files: Files) -> Interfaces:
    """Return the interfaces that a renderer has written."""
    found = _Found()
    _READERS[renderer](files, found)
    return found.interfaces()


def _family(address: str) -> int:
    return ipaddress.ip_interface(address).version


def _prefixed(address: str, netmask: str | None) -> str:
    return (
        address if "/" in address or netmask is None else str(ipaddress.ip_interface(f"{address}/{netmask}"))
    )


# ifupdown


def _eni(files: Files, found: _Found) -> None:
    for stanza in re.split(r"\n(?=iface )", files["etc/network/interfaces.d/50-cloud-init"]):
        head, _, body = stanza.partition("\n")
        if not head.startswith("iface ") or head == "iface lo inet loopback":
            continue
        _, name, family, method = head.split()
        found.mention(name)
        lines = [line.split(maxsplit=1) for line in body.splitlines() if line.startswith(" ")]
        options = {key: value for key, value in lines if key not in ("post-up", "pre-down")}
        if method == "static":
            found.add(name, "addresses", _prefixed(options["address"], options.get("netmask")))
        elif family == "inet6":
            found.set(name, "ipv6", "auto")
        elif method == "dhcp":
            found.set(name, "dhcp4", "true")
        found.add(name, "gateways", options.get("gateway", ""))
        found.add(name, "nameservers", *options.get("dns-nameservers", "").split())
        found.add(name, "search", *options.get("dns-search", "").split())
        if "mtu" in options:
            found.set(name, "mtu", options["mtu"])
        for key, value in lines:
            if key == "post-up" and value.startswith("route add "):
                _eni_route(name, value, found)
    for mac, name in _UDEV_NAME.findall(files.get("etc/udev/rules.d/70-persistent-net.rules", "")):
        found.set(name, "mac", mac)


def _eni_route(name: str, command: str, found: _Found) -> None:
    """Read ``route add [-A inet6] [-net NETWORK [netmask MASK]|default] gw GATEWAY [metric N] || true``."""
    words = command.replace("-A inet6", "").split(" || ")[0].split()[2:]
    to = words.pop(0)
    to = words.pop(0) if to in ("-net", "-host") else to
    options = dict(zip(words[::2], words[1::2], strict=True))
    found.route(
        name,
        to if to == "default" else _prefixed(to, options.get("netmask")),
        options.get("gw"),
        options.get("metric"),
    )


# netplan


def _netplan(files: Files, found: _Found) -> None:
    (text,) = files.values()
    network = yaml.load(text, Loader=yaml.BaseLoader)["network"]
    for kind in ("ethernets", "bonds", "bridges", "vlans"):
        for key, device in network.get(kind, {}).items():
            name = device.get("set-name", key)
            found.mention(name)
            if mac := device.get("match", {}).get("macaddress"):
                found.set(name, "mac", mac)
            found.add(name, "addresses", *device.get("addresses", []))
            found.add(name, "gateways", device.get("gateway4", ""), device.get("gateway6", ""))
            for route in device.get("routes", []):
                found.route(name, route["to"], route.get("via"), route.get("metric"))
            found.add(name, "nameservers", *device.get("nameservers", {}).get("addresses", []))
            found.add(name, "search", *device.get("nameservers", {}).get("search", []))
            if device.get("dhcp4") == "true":
                found.set(name, "dhcp4", "true")
            if "true" in (device.get("dhcp6"), device.get("accept-ra")):
                found.set(name, "ipv6", "auto")
            if "mtu" in device:
                found.set(name, "mtu", device["mtu"])


# systemd-networkd


def _networkd(files: Files, found: _Found) -> None:
    for path, text in files.items():
        if not path.endswith(".network"):
            continue
        sections = list(_sections(text))
        matched = next(values for title, values in sections if title == "Match")
        (name,) = matched["Name"]
        found.mention(name)
        for mac in matched.get("MACAddress", []):
            found.set(name, "mac", mac)
        for title, values in sections:
            if title == "Address":
                found.add(name, "addresses", *values["Address"])
            elif title == "Route":
                one = {key: value for key, (value,) in values.items()}
                found.route(name, one.get("Destination"), one.get("Gateway"), one.get("Metric"))
            elif title == "Link":
                found.set(name, "mtu", values["MTUBytes"][0])
            elif title == "Network":
                _networkd_network(name, values, found)


def _networkd_network(name: str, values: dict[str, list[str]], found: _Found) -> None:
    found.add(name, "nameservers", *" ".join(values.get("DNS", [])).split())
    found.add(name, "search", *" ".join(values.get("Domains", [])).split())
    (dhcp,) = values.get("DHCP", ["no"])
    if dhcp in ("yes", "ipv4"):
        found.set(name, "dhcp4", "true")
    if dhcp in ("yes", "ipv6") or values.get("IPv6AcceptRA") in (["true"], ["yes"], ["True"]):
        found.set(name, "ipv6", "auto")


def _sections(text: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Yield title and values of each section; both may be there several times."""
    for section in re.split(r"^\[", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("]")
        values: dict[str, list[str]] = defaultdict(list)
        for line in body.splitlines():
            if line:
                key, _, value = line.partition("=")
                values[key].append(value)
        yield title, values


# NetworkManager


def _network_manager(files: Files, found: _Found) -> None:
    for path, text in files.items():
        if not path.endswith(".nmconnection"):
            continue
        profile = configparser.ConfigParser(interpolation=None)
        profile.read_string(text)
        # A profile that knows the card by its MAC address does not repeat what it is called.
        name = profile["connection"].get("interface-name") or profile["connection"]["id"].split()[-1]
        found.mention(name)
        for section in ("ethernet", "vlan", "bond"):
            if section in profile:
                if "mac-address" in profile[section]:
                    found.set(name, "mac", profile[section]["mac-address"].lower())
                if "mtu" in profile[section]:
                    found.set(name, "mtu", profile[section]["mtu"])
        for family in ("ipv4", "ipv6"):
            if family in profile:
                _network_manager_family(name, family, profile[family], found)


def _network_manager_family(
    name: str, family: str, values: "configparser.SectionProxy", found: _Found
) -> None:
    for key, value in values.items():
        if re.fullmatch(r"address\d+", key):
            address, *gateway = value.split(",")
            found.add(name, "addresses", address)
            found.add(name, "gateways", *gateway)
        elif re.fullmatch(r"route\d+", key):
            found.route(name, *value.split(","))
    found.add(name, "gateways", values.get("gateway", ""))
    found.add(name, "nameservers", *values.get("dns", "").split(";"))
    found.add(name, "search", *values.get("dns-search", "").split(";"))
    if values["method"] in ("auto", "dhcp"):
        found.set(name, *(("dhcp4", "true") if family == "ipv4" else ("ipv6", "auto")))


# Red Hat's network scripts


def _sysconfig(files: Files, found: _Found) -> None:
    for path, text in files.items():
        script = re.fullmatch(r"etc/sysconfig/network-scripts/(ifcfg|route6?)-(.*)", path)
        if script is None:
            continue
        kind, name = script.groups()
        if kind == "route6":
            for line in text.splitlines():
                if line and not line.startswith("#"):
                    to, _via, via, *rest = line.split()
                    found.route(name, to, via, rest[1] if rest[:1] == ["metric"] else None)
            continue
        values = dict(word.split("=", 1) for word in shlex.split(text, comments=True))
        if kind == "route":
            for number in (key.removeprefix("ADDRESS") for key in values if key.startswith("ADDRESS")):
                to = _prefixed(values[f"ADDRESS{number}"], values[f"NETMASK{number}"])
                found.route(name, to, values[f"GATEWAY{number}"], values.get(f"METRIC{number}"))
        else:
            found.mention(name)
            _sysconfig_interface(name, values, found)


def _sysconfig_interface(name: str, values: dict[str, str], found: _Found) -> None:
    for key, value in values.items():
        if re.fullmatch(r"IPADDR\d*", key):
            found.add(name, "addresses", _prefixed(value, values[key.replace("IPADDR", "NETMASK")]))
        elif re.fullmatch(r"DNS\d+", key):
            found.add(name, "nameservers", value)
    found.add(name, "addresses", *values.get("IPV6ADDR", "").split())
    found.add(name, "addresses", *values.get("IPV6ADDR_SECONDARIES", "").split())
    found.add(name, "gateways", values.get("GATEWAY", ""), values.get("IPV6_DEFAULTGW", ""))
    found.add(name, "search", *values.get("DOMAIN", "").split())
    if "HWADDR" in values:
        found.set(name, "mac", values["HWADDR"])
    if "MTU" in values:
        found.set(name, "mtu", values["MTU"])
    if values.get("BOOTPROTO") == "dhcp":
        found.set(name, "dhcp4", "true")
    if "yes" in (values.get("DHCPV6C"), values.get("IPV6_AUTOCONF")):
        found.set(name, "ipv6", "auto")


_READERS: dict[str, Callable[[Files, _Found], None]] = {
    "eni": _eni,
    "netplan": _netplan,
    "networkd": _networkd,
    "network-manager": _network_manager,
    "sysconfig": _sysconfig,
}
