"""Encrypted volumes: LUKS in a file, its passphrase in a libvirt secret named as nova names it."""

from __future__ import annotations

import copy
import secrets

from ..processes import MIB, LabError, run
from .volume import Volume


class LuksVolumes:
    """Part of `Volumes`."""

    def luks(self, size: int = 32 * MIB, fill: bool = False, with_secret: bool = True) -> Volume:
        """A LUKS file; without its secret a swap onto it cannot work."""
        path, volume_id = self.new_file(size, False, "luks")
        path.unlink()
        passphrase = f"luksSecret{secrets.token_hex(6)}"
        key = ["--object", f"secret,id=key,data={passphrase}"]
        self._format(key, path, size)
        image = f"driver=luks,key-secret=key,file.driver=file,file.filename={path}"
        if fill:
            content, _ = self.new_file(size, True)
            run("qemu-img", "convert", "-n", *key, "-f", "raw", content, "--target-image-opts", image)
            content.unlink()
        secret = self.libvirt.define_secret("volume", volume_id, passphrase) if with_secret else None

        def close() -> None:
            if secret:
                self.libvirt.virsh("secret-undefine", secret, check=False)
            path.unlink(missing_ok=True)

        info = self.info("local", volume_id, device_path=str(path))
        info["data"]["encrypted"] = True
        encryption = f"<encryption format='luks'><secret type='passphrase' uuid='{secret}'/></encryption>"
        source = f"<source file='{path}'>{encryption}</source>"
        names, reader = (str(path), "luks"), [*key, "--image-opts", image]
        return self.keep(Volume("luks", size, info, "file", source, names, image=reader, on_close=close))

    def luks_over_nbd(self, size: int = 32 * MIB) -> Volume:
        """A LUKS volume behind an NBD server, which opens the file anew for each client."""
        luks, nbd = self.luks(size), self.nbd()
        luks.path.replace(nbd.raw)

        def close() -> None:
            nbd.close()
            luks.close()

        info = copy.deepcopy(nbd.info)
        info["serial"], info["data"]["encrypted"] = luks.id, True
        source = nbd.source.replace("</source>", luks.source.partition(">")[2])
        reader = [argument.replace(str(luks.path), str(nbd.raw)) for argument in luks.image]
        names = (*nbd.names, "luks")
        return self.keep(Volume("luks", size, info, "network", source, names, image=reader, on_close=close))

    @staticmethod
    def _format(key: list[str], path, size: int) -> None:
        """Formats the file; qemu-img's calibration of its iterations fails now and then on a busy machine."""
        for attempt in range(3):
            try:
                run("qemu-img", "create", "-q", *key, "-f", "luks", "-o", "key-secret=key,iter-time=10", path, size)
                return
            except LabError:
                if attempt == 2:
                    raise
