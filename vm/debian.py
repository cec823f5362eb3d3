"""Gets Debian's own kernel, without our hooks, for a boot: what a released kernel does with what we emit.

Its drivers for the machine's disks and ports are modules, so it needs an initramfs: made here, with nothing in it but
those modules and busybox. The cache directory, named by the package and by what makes the initramfs, holds

- `bzImage`  the kernel
- `initrd`   loads the modules and goes on with the guest's root file system
- `btf`      the kernel's types, for CO-RE
"""

from __future__ import annotations

import hashlib
import lzma
import re
import shutil
import tempfile
from pathlib import Path

from vm.machine import EnvironmentLacks, apt, cache_root, install_packages, locked, run, say

SERIES = "6.1"
META_PACKAGE = "linux-image-amd64"
"""Of Debian 12; it depends on the kernel of the day."""
PACKAGES = ("busybox-static", "kmod", "cpio", "binutils", "xz-utils")
MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "squashfs")
INIT = """#!/bin/busybox sh
busybox mount -t devtmpfs dev /dev
for module in /modules/*; do busybox insmod "$module"; done
tries=0
until [ -b /dev/vda ] || [ $tries = 100 ]; do busybox usleep 100000; tries=$((tries + 1)); done
busybox mount -t squashfs -o ro /dev/vda /root
busybox umount /dev
exec busybox switch_root /root /sbin/init
"""
XZ = b"\xfd7zXZ\x00"


def package() -> str:
    """The package of the kernel that Debian has now, as apt knows it."""
    shown = apt("apt-cache", "depends", META_PACKAGE)
    found = re.search(rf"Depends: (linux-image-{re.escape(SERIES)}\S*)", shown)
    if not found:
        raise EnvironmentLacks(f"apt knows no {META_PACKAGE} of series {SERIES}: this needs Debian 12")
    return found[1]


def kernel_dir(name: str) -> Path:
    """Where the kernel of this package is, or would be."""
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return cache_root() / "kernel" / f"{name}-{digest[:8]}"


def ensure() -> Path:
    """The cache directory, filled if it is not there."""
    install_packages(PACKAGES)
    name = package()
    directory = kernel_dir(name)
    if directory.is_dir():
        return directory
    with locked(directory.with_suffix(".lock")):
        if not directory.is_dir():
            say(f"downloading {name} (70 MB)")
            with tempfile.TemporaryDirectory(prefix=".debian-", dir=directory.parent) as work:
                fill(name, Path(work))
                (Path(work) / "out").rename(directory)
    return directory


def fill(name: str, work: Path) -> None:
    """Unpacks the package in `work`, and makes what a boot needs in `work/out`."""
    apt("apt-get", "download", name, folder=work)
    (deb,) = work.glob("*.deb")
    run(["dpkg-deb", "-x", str(deb), str(work / "tree")])
    out = work / "out"
    out.mkdir()
    (image,) = (work / "tree/boot").glob("vmlinuz-*")
    shutil.copy(image, out / "bzImage")
    data = image.read_bytes()
    (work / "vmlinux").write_bytes(lzma.LZMADecompressor().decompress(data[data.index(XZ) :]))
    run(["objcopy", f"--dump-section=.BTF={out / 'btf'}", str(work / "vmlinux"), "/dev/null"])
    initramfs(work / "tree", image.name.removeprefix("vmlinuz-"), work / "initramfs", out / "initrd")


def initramfs(tree: Path, release: str, root: Path, target: Path) -> None:
    """The modules that a boot needs, in the order in which they can be loaded."""
    for folder in ("bin", "dev", "modules", "root"):
        (root / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    run(["depmod", "-b", str(tree), release])
    paths: list[str] = []
    for module in MODULES:
        shown = run(["modprobe", "-d", str(tree), "-S", release, "--show-depends", module])
        paths += [path for path in re.findall(r"^insmod (\S+)", shown, re.MULTILINE) if path not in paths]
    for number, path in enumerate(paths):
        shutil.copy(path, root / "modules" / f"{number:02}-{Path(path).name}")
    names = "".join(f"{path.relative_to(root)}\0" for path in sorted(root.rglob("*")))
    argv = ["cpio", "--null", "--create", "--format=newc", "--quiet", "--owner=0:0", "--file", str(target)]
    run(argv, folder=root, stdin=names)
