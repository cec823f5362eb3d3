from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_EIGHT_THREADS = """
import sys, threading
from oomlang.objects.by_pyelftools import import_pyelftools, read_with_pyelftools
from oomlang.objects.elf import ElfError
from tests.unit.objects.elf_images import elf_image

class Watch:
    importing = set()
    def find_spec(self, name, path=None, target=None):
        if name.startswith("elftools"):
            self.importing.add(threading.get_ident())

def use(number):
    together.wait()
    import_pyelftools() if number % 2 else read_with_pyelftools(elf_image([]))

sys.meta_path.insert(0, Watch())
sys.setswitchinterval(1e-6)
together = threading.Barrier(8)
threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(Watch.importing))
"""


def test_one_thread_imports_it_however_many_compile() -> None:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-W", "error", "-c", _EIGHT_THREADS]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert (run.stdout, run.stderr) == ("1\n", "")
