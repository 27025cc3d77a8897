"""TLS to the broker by its address, and what doctor says when it fails."""

import pytest
from bus.certificates import Authority, TLSServer
from lab.processes import free_port
from lab.rabbit import Rabbit


@pytest.fixture(scope="module")
def authority(lab):
    """Who issues the certificates."""
    return Authority(lab.workspace.directory("certificates"), "authority")


@pytest.fixture(scope="module")
def secure(lab, authority):
    """A broker that speaks TLS to clients with a certificate, known by its address."""
    certificate, key = authority.issue("broker", "IP:127.0.0.1")
    port = free_port()
    settings = {
        "listeners.ssl.local": f"127.0.0.1:{port}",
        "ssl_options.cacertfile": authority.certificate,
        "ssl_options.certfile": certificate,
        "ssl_options.keyfile": key,
        "ssl_options.verify": "verify_peer",
        "ssl_options.fail_if_no_peer_cert": "true",
    }
    broker = Rabbit(lab.workspace, name="secure", settings=settings).start()
    broker.tls_port = port
    yield broker
    broker.stop()


@pytest.fixture
def doctor(lab):
    """What `pivotd doctor` says about a broker: its lines on it."""

    def ask(url: str, **query) -> str:
        text = "&".join(f"{key}={value}" for key, value in query.items())
        said = lab.daemon("patient").command("doctor", "--transport-url", f"{url}?{text}")[1]
        return "\n".join(line for line in said.splitlines() if " broker:" in line)

    return ask


def test_by_address(lab, secure, authority, doctor):
    """A certificate for an address verifies, as it does with oslo.messaging."""
    certificate, key = authority.issue("client", "DNS:client")
    url = secure.url.replace("rabbit:", "rabbits:").replace(f":{secure.port}/", f":{secure.tls_port}/")
    mine = {"ssl_ca_file": authority.certificate, "ssl_cert_file": certificate, "ssl_key_file": key}
    assert doctor(url, **mine).startswith("ok ")
    query = "&".join(f"{key}={value}" for key, value in mine.items())
    worker = lab.daemon("secured", libvirt_uri="dry-run:", transport_url=f"{url}?{query}").start()
    assert "without ssl_ca_file" not in worker.log()
    worker.stop()
    # Without a CA it connects to anybody, and says so.
    del mine["ssl_ca_file"]
    assert "its certificate is not verified" in doctor(url, **mine)
    unverified = f"{url}?ssl_cert_file={certificate}&ssl_key_file={key}"
    worker = lab.daemon("unverified", libvirt_uri="dry-run:", transport_url=unverified).start()
    assert "TLS to RabbitMQ without ssl_ca_file" in worker.log()
    worker.stop()

    # It wants one, or may want one where its alert was lost.
    assert " a client certificate (ssl_cert_file" in doctor(url, ssl_ca_file=authority.certificate)
    by_name = url.replace("127.0.0.1", "localhost")
    assert "certificate is not for localhost" in doctor(by_name, **mine, ssl_ca_file=authority.certificate)
    plain = url.replace("rabbits:", "rabbit:")
    assert "is this a TLS port?" in doctor(plain)
    on_plain_port = secure.url.replace("rabbit:", "rabbits:")
    assert "does not speak TLS on this port" in doctor(on_plain_port, ssl_ca_file=authority.certificate)


def test_certificates_that_are_refused(lab, authority, doctor):
    """Each for its own reason; the name's only where it is not waived."""
    stranger = Authority(lab.workspace.directory("certificates"), "stranger")
    cases = [
        (authority.issue("expired", "IP:127.0.0.1", days=-1), {}, "has expired"),
        (stranger.issue("foreign", "IP:127.0.0.1"), {}, "not from an authority in"),
        (authority.issue("other", "IP:127.0.0.2,DNS:localhost"), {}, "not for 127.0.0.1"),
    ]
    for (certificate, key), query, text in cases:
        server = TLSServer(certificate, key)
        url = f"rabbits://u:p@127.0.0.1:{server.port}/"
        assert text in doctor(url, ssl_ca_file=authority.certificate, **query), text
        waived = doctor(url, ssl_ca_file=authority.certificate, ssl_enforce_hostname_verification=0)
        assert (text in waived) == ("not for" not in text), waived
        server.close()
