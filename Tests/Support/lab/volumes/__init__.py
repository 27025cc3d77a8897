"""Volumes of every kind, each with Cinder's connection_info, libvirt's XML and a reader that needs neither.

    volumes = Volumes(workspace, libvirt)
    old, new = volumes.file(fill=True), volumes.loop()
"""

from .maker import Volumes
from .volume import Volume

__all__ = ["Volume", "Volumes"]
