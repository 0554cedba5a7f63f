"""Which network addresses may be called. An own list: `ipaddress.is_private` lets several of these pass."""

import ipaddress
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SPECIAL_V4 = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; some clouds' metadata
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; cloud metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
]
# All of IPv6 is special but this, and in this again some.
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")
_SPECIAL_V6 = [
    ipaddress.ip_network(network)
    for network in (
        "2001::/23",  # Teredo, ORCHID, benchmarking
        "2001:db8::/32",
        "2002::/16",  # 6to4: carries an IPv4 address
        "2620:4f:8000::/48",
        "3fff::/20",
    )
]


def is_public(address: Address) -> bool:
    """True for an ordinary host on the internet."""
    if address.version == 4:
        return not any(address in network for network in _SPECIAL_V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _SPECIAL_V6)


def may_call(text: str, *, allowed_networks: Sequence[str]) -> bool:
    """True for a public address and for one that the deployment names."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    return is_public(address) or any(address in ipaddress.ip_network(network) for network in allowed_networks)
