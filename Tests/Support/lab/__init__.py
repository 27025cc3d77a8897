"""A private lab for pivotd: broker, hypervisor, guests and volumes, all in one directory and on 127.0.0.1.

Nothing of the machine's own is used or changed: RabbitMQ runs as a node of its own, libvirtd in a mount namespace of its own,
guests under TCG.  Every process is remembered by its id and start time and ended by it.

Only `clients` needs packages from PyPI; the rest is the standard library, so that the demo can use it too.
"""
