"""A server of oslo.messaging whose swap_volume does nothing: oslo_server.py URL TOPIC HOST"""

import sys

import oslo_messaging
from oslo_config import cfg


class Endpoint:
    """The least that can answer."""

    target = oslo_messaging.Target(version="1.0")

    def swap_volume(self, _context, **_arguments):
        return {}


url, topic, host = sys.argv[1:]
cfg.CONF([], project="bench", default_config_files=[])
transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=url)
target = oslo_messaging.Target(exchange="openstack", topic=topic, server=host)
server = oslo_messaging.get_rpc_server(transport, target, [Endpoint()], executor="threading")
server.start()
server.wait()
