"""RBD volumes."""

from __future__ import annotations

import uuid

from ..ceph import Ceph
from ..processes import MIB, run
from .volume import Volume


class RbdVolumes:
    """Part of `Volumes`."""

    def rbd(self, size: int = 32 * MIB, fill: bool = False) -> Volume:
        """An image in the lab's cluster, which the first one starts."""
        if not self.cluster:
            self.cluster = Ceph(self.workspace, self.libvirt).start()
        cluster, volume_id = self.cluster, str(uuid.uuid4())
        name = f"{cluster.POOL}/volume-{volume_id}"
        cluster.rbd("create", "--size", f"{size}B", name, "--image-feature", "layering")
        image = f"rbd:{name}:conf={cluster.conf}:id=admin:keyring={cluster.directory}/admin.keyring"
        if fill:
            content, _ = self.new_file(size, True)
            run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", content, image)
            content.unlink()
        source = (
            f"<source protocol='rbd' name='{name}'><host name='127.0.0.1' port='{cluster.port}'/></source>"
            f"<auth username='{cluster.USER}'><secret type='ceph' uuid='{cluster.secret}'/></auth>"
        )
        info = self.info(
            "rbd", volume_id, name=name, hosts=["127.0.0.1"], ports=[str(cluster.port)], cluster_name="ceph",
            auth_enabled=True, auth_username=cluster.USER, secret_type="ceph", secret_uuid=cluster.secret,
            volume_id=volume_id, discard=True,
        )  # fmt: skip

        def close() -> None:
            if cluster.running():
                cluster.rbd("rm", "--no-progress", name, check=False)

        return self.keep(Volume("rbd", size, info, "network", source, (name,), image=["-f", "raw", image], on_close=close))
