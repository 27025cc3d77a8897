"""The guest's kernel and initial RAM disk, made once from Debian's packages and kept in a cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from pathlib import Path

from .processes import LabError, run

RING = 2048
"""Sectors in the guest's ring: it covers the first MiB of a disk."""

WRITER = Path(__file__).with_name("guest_writer.c")
KERNEL_PACKAGE = "linux-image-cloud-amd64"
MODULES = ["virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"]

INIT = f"""\
#!/bin/busybox sh
B=/bin/busybox
$B mkdir -p /proc /sys /dev
$B mount -t devtmpfs none /dev
$B mount -t proc none /proc
for module in {" ".join(MODULES)}; do [ -f /modules/$module.ko ] && $B insmod /modules/$module.ko; done
delay=2000
mode=
for word in $($B cat /proc/cmdline); do
    case $word in
        pivot.delay=*) delay=${{word#*=}} ;;
        pivot.lockstep) mode=lockstep ;;
        pivot.measure) mode=measure ;;
        pivot.poweroff=*) ( $B sleep ${{word#*=}}; $B poweroff -f ) & ;;
    esac
done
exec /bin/writer {RING} $delay $mode
"""


def cache_directory() -> Path:
    """Where the image is kept: $PIVOTD_TEST_CACHE, else below the user's cache directory."""
    chosen = os.environ.get("PIVOTD_TEST_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pivotd-test"
    base.mkdir(parents=True, exist_ok=True)
    return base


def guest_image() -> tuple[Path, Path]:
    """The paths of kernel and initrd; made when they are missing or their recipe has changed."""
    cache = cache_directory()
    recipe = hashlib.sha256(WRITER.read_bytes() + INIT.encode()).hexdigest()[:16]
    kernel, initrd = cache / "vmlinuz", cache / f"initrd-{recipe}.gz"
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (kernel.exists() and initrd.exists()):
            tree = _unpack_kernel(cache)
            _make_initrd(cache, tree, initrd)
            shutil.copy(next(tree.glob("boot/vmlinuz-*")), kernel)
    return kernel, initrd


def _unpack_kernel(cache: Path) -> Path:
    tree = cache / "kernel"
    if list(tree.glob("boot/vmlinuz-*")) and list(tree.glob("lib/modules/*")):
        return tree
    shutil.rmtree(tree, ignore_errors=True)
    depends = run("apt-cache", "depends", KERNEL_PACKAGE, check=False)
    versioned = re.search(r"Depends: (linux-image-\S+)", depends)
    if not versioned:
        raise LabError(f"apt does not know {KERNEL_PACKAGE}: run `apt-get update` first")
    for old in cache.glob("linux-image*.deb"):
        old.unlink()
    run("apt-get", "download", versioned.group(1), cwd=cache, timeout=300)
    package = next(cache.glob("linux-image*.deb"))
    run("dpkg", "-x", package, tree)
    package.unlink()
    return tree


def _make_initrd(cache: Path, tree: Path, initrd: Path) -> None:
    root = cache / "initrd"
    shutil.rmtree(root, ignore_errors=True)
    (root / "bin").mkdir(parents=True)
    (root / "modules").mkdir()
    shutil.copy(shutil.which("busybox") or "/bin/busybox", root / "bin/busybox")
    for module in MODULES:
        file = next(tree.glob(f"**/kernel/drivers/**/{module}.ko*"), None)
        if file is None:
            continue  # built into this kernel
        target = root / "modules" / file.name
        shutil.copy(file, target)
        if file.suffix == ".xz":
            run("xz", "-d", target)
    run("gcc", "-O2", "-static", "-s", "-o", root / "bin/writer", WRITER)
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    run("sh", "-c", f"cd '{root}' && find . | cpio -o -H newc --quiet | gzip -1 > '{initrd}.new' && mv '{initrd}.new' '{initrd}'")
    shutil.rmtree(root)
