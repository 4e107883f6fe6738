"""Up to four connections that share one table of vMotions say anything, in any order and in any pieces."""

from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support.vspc import (
    AGREES,
    KNOWN_SUBOPTIONS_1,
    VM_BIOS_UUID,
    VM_LOCATION_UUID,
    VM_VC_UUID,
    VMOTION_ABORT,
    WILL_AUTHENTICATION,
    Clock,
    Host,
    do_proxy,
    ext,
    unknown_suboption_rcvd_1,
    vm_name,
    vmotion_begin,
    vmotion_complete,
    vmotion_peer,
    vmotion_table,
)
from vmw_cloudinit_metadata.vspc.connection import MAX_EARLY_DATA, VSPCConnection
from vmw_cloudinit_metadata.vspc.events import (
    Limits,
    PacketReceived,
    ProtocolViolated,
    ProxyRefused,
    VMIdentified,
    VMLeft,
    VMotionBegan,
)
from vmw_cloudinit_metadata.vspc.port import Port
from vmw_cloudinit_metadata.vspc.telnet import Decoder

MAX_ORPHANS = 2
LIMITS = Limits(max_line=200, max_suboption=200)

HOSTS = st.integers(0, 3)
MESSAGES = st.sampled_from(
    [
        AGREES,
        WILL_AUTHENTICATION,
        KNOWN_SUBOPTIONS_1,
        do_proxy(),
        do_proxy("other"),
        vm_name("web-01"),
        vm_name("db-01"),
        VM_VC_UUID,
        VM_BIOS_UUID,
        VM_LOCATION_UUID,
        unknown_suboption_rcvd_1(81),
        vmotion_begin(),
        vmotion_begin(b"other"),
        vmotion_complete(),
        vmotion_complete(b"other"),
        VMOTION_ABORT,
        ext(99),
        ext(82, b"x" * 300),
        b"noise\n",
        b"x" * 300,
    ]
)
PIECES = [b"\xff", b"\xfa", b"\xf0", b"\xe8", b"\xfb", b"\x00", b"\x28", b"!!", b"A#\n"]
GARBAGE = st.lists(st.sampled_from(PIECES))
# A CR would go out in one of two forms; test_connection_data.py has it.
DATA = st.binary(min_size=1, max_size=30).map(lambda data: data.replace(b"\r", b"\xff"))


class Connections(RuleBasedStateMachine):
    """What holds whatever the hosts say; the shell's part is played as its contract wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.vmotions = vmotion_table(self.clock, MAX_ORPHANS)
        self.vmotions_begun = 0
        self.packets_said = 0
        self.packets_received: set[str] = set()
        self.served: list[Port] = []  # the ports of VMs that are identified and have not left
        self.sent: defaultdict[Port, bytes] = defaultdict(bytes)
        self.received: defaultdict[Port, bytes] = defaultdict(bytes)  # by the VM, over all its carriers
        self.hosts = [self.new_host() for _ in range(4)]
        self.telnet = [self.new_telnet() for _ in range(4)]

    def new_host(self) -> Host:
        return Host(self.vmotions, self.clock, limits=LIMITS)

    def new_telnet(self) -> Decoder:
        decoder = Decoder()
        decoder.binary = True
        return decoder

    def deliver(self, number: int, data: bytes, cut: int) -> None:
        host = self.hosts[number]
        for piece in (data[:cut], data[cut:]):
            host.says(piece)
        self.take_events(number)

    def take_events(self, number: int) -> None:
        """Do as the shell does."""
        for event in self.hosts[number].events():
            if isinstance(event, VMIdentified):
                assert event.port not in self.served
                self.served.append(event.port)
            elif isinstance(event, VMLeft):
                self.served.remove(event.port)
            elif isinstance(event, VMotionBegan):
                self.vmotions_begun += 1
            elif isinstance(event, PacketReceived):
                assert event.port in self.served
                if event.packet.code != "A":
                    assert event.packet.code not in self.packets_received
                    self.packets_received.add(event.packet.code)
            elif isinstance(event, ProxyRefused) or (isinstance(event, ProtocolViolated) and event.fatal):
                self.hear(number, 100_000)
                self.leave(number)
                return

    def server_sends(self, port: Port, data: bytes) -> None:
        self.sent[port] += data
        port.send(data)

    def hear(self, number: int, most: int) -> None:
        connection = self.hosts[number].connection
        for token in self.telnet[number].feed(connection.data_to_send(most)):
            if isinstance(token, bytes):
                assert connection.port.carrier is connection
                assert not connection.port.held
                self.received[connection.port] += token

    def leave(self, number: int) -> None:
        self.hosts[number].leaves()
        for event in self.hosts[number].events():
            assert isinstance(event, VMLeft | ProtocolViolated | ProxyRefused | VMIdentified | PacketReceived)
            if isinstance(event, VMLeft):
                self.served.remove(event.port)
        self.hosts[number] = self.new_host()
        self.telnet[number] = self.new_telnet()

    # What happens

    @rule(number=HOSTS, message=MESSAGES, cut=st.integers(0, 40))
    def a_host_says_something(self, number: int, message: bytes, cut: int) -> None:
        self.deliver(number, message, cut)

    @rule(number=HOSTS, garbage=GARBAGE)
    def a_host_says_garbage(self, number: int, garbage: list[bytes]) -> None:
        self.deliver(number, b"".join(garbage), 0)

    @initialize()
    def two_vms_are_there(self) -> None:
        for number in (0, 1):
            self.a_vm_connects(number, 0)

    @rule(number=HOSTS, cut=st.integers(0, 40))
    def a_vm_connects(self, number: int, cut: int) -> None:
        self.deliver(number, AGREES + KNOWN_SUBOPTIONS_1 + do_proxy(), cut)
        self.deliver(number, vm_name("web-01") + VM_VC_UUID + VM_BIOS_UUID, cut)

    @rule(number=HOSTS, back=st.integers(0, 2), cut=st.integers(0, 20))
    def a_destination_comes(self, number: int, back: int, cut: int) -> None:
        self.deliver(number, vmotion_peer(max(0, self.vmotions_begun - back) % 256), cut)

    @rule(source=HOSTS, destination=HOSTS, fresh=st.booleans(), completes=st.booleans(), data=DATA)
    def a_vm_moves(self, source: int, destination: int, fresh: bool, completes: bool, data: bytes) -> None:
        port = self.hosts[source].connection.port
        if fresh:
            self.leave(destination)
        self.deliver(source, vmotion_begin(), 0)
        if port in self.served:
            self.server_sends(port, data)
        self.deliver(destination, AGREES + KNOWN_SUBOPTIONS_1 + vmotion_peer(self.vmotions_begun % 256), 0)
        if completes:
            self.deliver(destination, vmotion_complete(), 0)

    @rule(number=HOSTS, cut=st.integers(0, 10))
    def a_guest_asks(self, number: int, cut: int) -> None:
        self.packets_said += 1
        self.deliver(number, b"\n!!P%d#\n" % self.packets_said, cut)

    @rule(number=HOSTS)
    def a_host_leaves(self, number: int) -> None:
        self.leave(number)

    @rule(which=st.integers(0, 9), data=DATA)
    def the_server_answers(self, which: int, data: bytes) -> None:
        if self.served:
            self.server_sends(self.served[which % len(self.served)], data)

    @rule(number=HOSTS, most=st.integers(0, 10))
    def a_host_hears(self, number: int, most: int) -> None:
        self.hear(number, most)

    @rule(seconds=st.sampled_from([0.5, 2.0, 60.0, 120.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.clock.now += seconds
        for vmotion in self.vmotions.expire():
            if not vmotion.source_open:
                self.served.remove(vmotion.port)
        for number, host in enumerate(self.hosts):
            host.connection.check_deadline()
            assert host.connection.deadline is None or host.connection.deadline > self.clock.now
            self.take_events(number)

    # What holds

    @invariant()
    def output_comes_out_once_and_in_order(self) -> None:
        for port in self.served:
            waiting = self.sent[port][len(self.received[port]) :]
            assert self.received[port] + waiting == self.sent[port]
            assert port.unsent == len(waiting)

    @invariant()
    def a_served_port_lives_on_one_open_connection_or_is_on_its_way(self) -> None:
        open_connections = [host.connection for host in self.hosts]
        for port in self.served:
            assert port.identity is not None
            assert port.held == (self.vmotions.under_way(port) is not None)
            assert port.carrier in open_connections if port.carrier else port.held
        for connection in open_connections:
            if connection.port.identity is not None:
                # Its own, or one that has moved away from it, and perhaps left.
                assert connection.port.carrier is not connection or connection.port in self.served

    @invariant()
    def nothing_grows_without_bound(self) -> None:
        assert self.vmotions._orphans.total() <= MAX_ORPHANS
        orphans = [each for each in self.vmotions._by_port.values() if each.is_orphan]
        assert len(orphans) == self.vmotions._orphans.total()
        assert len(self.vmotions) - len(orphans) <= len(self.hosts)
        assert len(self.vmotions._by_token) <= len(self.vmotions)
        for host in self.hosts:
            self.bounds_hold(host.connection)

    def bounds_hold(self, connection: VSPCConnection) -> None:
        assert len(connection._early_data or b"") <= MAX_EARLY_DATA
        assert len(connection.port.lines) <= LIMITS.max_line
        assert len(connection._decoder._suboption or b"") <= LIMITS.max_suboption + 1
        assert connection._events == []

    def teardown(self) -> None:
        # Whoever is served and stands still gets all that was sent.
        for number in range(len(self.hosts)):
            self.hear(number, 100_000)
        for port in self.served:
            if not port.held:
                assert self.received[port] == self.sent[port]


TestConnections = Connections.TestCase
TestConnections.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
