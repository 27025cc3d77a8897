"""The suite's fixtures: one lab for the session, one pivotd that most tests share, clients and guests."""

from __future__ import annotations

import random

import pytest
from faults.scene import Stage
from figures import Figures
from lab.clients import Notifications, Raw, Rpc
from lab.daemon import Pivotd, binary
from lab.lab import Lab
from lab.rabbit import BROKER_PASSWORD
from pool import GuestPool
from traffic import Traffic

FIGURES = Figures()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rounds", type=int, default=4, help="rounds of random faults, or storms (default 4)")
    parser.addoption("--seed", type=int, default=None, help="seed of the random faults (default: a fresh one, printed)")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.seed is None:
        # Worker processes of pytest-xdist must collect the same tests.
        given = getattr(config, "workerinput", {}).get("seed")
        config.option.seed = random.SystemRandom().randrange(1 << 31) if given is None else given


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    """Hands the seed to a worker process of pytest-xdist."""
    node.workerinput["seed"] = node.config.option.seed


def pytest_report_header(config: pytest.Config) -> str:
    return f"random faults: {config.option.rounds} rounds from seed {config.option.seed}"


class FailuresAtOnce:
    """Names each test that fails when it fails: a run that is cut off says so, too."""

    def __init__(self, terminal):
        self.terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.terminal.ensure_newline()
            self.terminal.write_line(f"FAILED {report.nodeid} ({report.when})")


def pytest_sessionstart(session: pytest.Session) -> None:
    terminal = session.config.pluginmanager.getplugin("terminalreporter")
    if terminal and not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(FailuresAtOnce(terminal))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    """Takes the figures over from a worker process of pytest-xdist."""
    FIGURES.lines += getattr(node, "workeroutput", {}).get("figures", [])


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = FIGURES.lines


def pytest_terminal_summary(terminalreporter) -> None:
    if FIGURES.lines:
        terminalreporter.section("figures (printed, not asserted)")
        for line in FIGURES.lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def figures() -> Figures:
    """What is printed at the end."""
    return FIGURES


@pytest.fixture(scope="session")
def lab():
    """Broker, libvirt, volumes; all private, all gone at the end.  All that was on the bus meanwhile is held against schemas/."""
    binary()
    with Lab(tracing=True) as lab, Traffic(lab) as traffic:
        yield lab
        FIGURES.lines += traffic.checked()


@pytest.fixture(scope="session")
def shared_worker(lab: Lab):
    """The pivotd that `worker` hands out."""
    daemon = lab.daemon("pivotd").start()
    yield daemon
    assert BROKER_PASSWORD not in daemon.log(), "the broker's password is in the log"
    if daemon.running():
        FIGURES.take(daemon)
        assert daemon.terminate() == 0, "SIGTERM has to end in exit code 0"


@pytest.fixture
def worker(shared_worker: Pivotd) -> Pivotd:
    """A ready pivotd that tests share; one that died in another test is started again."""
    if not shared_worker.running():
        shared_worker.start()
    shared_worker.wait_ready()
    return shared_worker


@pytest.fixture(scope="session")
def shared_rpc(lab: Lab):
    """The client that `rpc` hands out."""
    client = Rpc(lab.rabbit.url, "pivotd")
    yield client
    client.close()


@pytest.fixture
def rpc(worker: Pivotd, shared_rpc: Rpc) -> Rpc:
    """A stock oslo.messaging client of `worker`."""
    return shared_rpc


@pytest.fixture
def raw(worker: Pivotd):
    """A client of `worker` whose messages are made by hand."""
    client = Raw(worker.transport_url, worker.topic)
    yield client
    client.close()


@pytest.fixture
def notifications(lab: Lab):
    """A stock listener to pivotd's notifications."""
    listener = Notifications(lab.rabbit.url)
    yield listener
    listener.close()


@pytest.fixture(scope="session")
def all_guests(lab: Lab) -> GuestPool:
    """What `pool` hands out."""
    return GuestPool(lab)


@pytest.fixture(scope="module")
def pool(all_guests: GuestPool):
    """Guests to take from."""
    yield all_guests
    all_guests.shrink()


@pytest.fixture
def guest(pool: GuestPool):
    """A persistent guest on a filled volume."""
    return pool.one()


@pytest.fixture(params=["persistent", "transient"])
def any_guest(request: pytest.FixtureRequest, pool: GuestPool):
    """A persistent guest, and a transient one."""
    return pool.one(persistent=request.param == "persistent")


@pytest.fixture
def second_worker(lab: Lab):
    """Starts a pivotd of the test's own, with these settings: second_worker({...}) -> (daemon, client)."""
    started: list[tuple[Pivotd, Rpc]] = []

    def start(config: dict | None = None, **options) -> tuple[Pivotd, Rpc]:
        name = f"worker{len(lab.daemons)}"
        daemon = lab.daemon(name, config=config, **options).start()
        started.append((daemon, Rpc(daemon.transport_url, daemon.topic)))
        return started[-1]

    yield start
    for daemon, client in started:
        client.close()
        daemon.stop()
        assert BROKER_PASSWORD not in daemon.log(), "the broker's password is in the log"


@pytest.fixture(scope="session")
def shared_stage(lab):
    """The stage that `stage` hands out."""
    stage = Stage(lab)
    yield stage
    stage.close()
    assert BROKER_PASSWORD not in stage.daemon.log(), "the broker's password is in the log"


@pytest.fixture
def stage(lab, shared_stage: Stage) -> Stage:
    """A running pivotd with durable queues, and its caller; whatever another test has left dead is started again."""
    if not lab.rabbit.process.running():
        lab.rabbit.start()
    if not lab.libvirt.process.running():
        lab.libvirt.start()
    if not shared_stage.daemon.running():
        shared_stage.daemon.start()
    shared_stage.daemon.wait_ready()
    return shared_stage


@pytest.fixture
def own_stage(lab):
    """Makes a stage of the test's own: own_stage({settings}, state=...)."""
    made: list[Stage] = []

    def make(config: dict | None = None, **options) -> Stage:
        made.append(Stage(lab, config, **options))
        return made[-1]

    yield make
    for stage in made:
        stage.close()
