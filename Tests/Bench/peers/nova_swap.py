"""nova's own `_swap_volume` on a live domain, once a line comes: nova_swap.py URI DOMAIN DISK PATH"""

import os
import sys
import warnings

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
warnings.simplefilter("ignore")
import nova.conf  # noqa: E402
from nova.virt.libvirt import config, driver, guest, host  # noqa: E402

uri, domain, disk, path = sys.argv[1:]
nova.conf.CONF([], project="nova", default_config_files=[])
connection = host.Host(uri)
# Without its initialisation, which asks QEMU about every architecture.
swapper = driver.LibvirtDriver.__new__(driver.LibvirtDriver)
swapper._host, swapper._may_keep_vtpm = connection, True
new = config.LibvirtConfigGuestDisk()
new.source_type, new.source_path, new.target_dev, new.target_bus = "file", path, disk, "virtio"
new.driver_name, new.driver_format, new.driver_cache = "qemu", "raw", "none"
moved = guest.Guest(connection.get_connection().lookupByName(domain))
print("ready", flush=True)
sys.stdin.readline()
swapper._swap_volume(moved, disk, new, 0)
