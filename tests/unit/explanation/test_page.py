"""The page: complete in itself, safe from names, and drawn by a real browser."""

import base64
import dataclasses
import hashlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from oomlang.explanation.cgroup_map import HEIGHT, KINDS, WIDTH, tiles
from oomlang.explanation.focus import focus
from oomlang.explanation.page import page
from tests.unit.explanation.hosts import HOSTILE, POLICY, USUAL, WEB, explained, host, task

SCRIPT = b"<script>x"
HOSTILE_HOST = host(
    task(20, HOSTILE, (b"<img src=x>", b"\xff\x1b[2J"), 500),
    task(21, SCRIPT, (b"\"><a href='http://x'>",), 300),
    task(22, None, None, 10),
)


class _Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_nothing_comes_from_elsewhere_and_nothing_runs() -> None:
    elements = _Elements(page(explained())).found
    assert {tag for tag, _ in elements} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
    } == set()
    for _, attributes in elements:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("src", "style", "srcset")
        ]
        assert (attributes.get("href") or "#").startswith("#")


def test_the_policy_of_the_page_allows_its_own_style_and_nothing_else() -> None:
    text = page(explained())
    (css,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    (policy,) = [a["content"] for tag, a in _Elements(text).found if a.get("http-equiv")]
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in css
    assert "@import" not in css


def test_every_link_leads_to_a_row_that_takes_the_focus() -> None:
    elements = _Elements(page(explained())).found
    ids = {a["id"]: a for _, a in elements if "id" in a}
    links = [a["href"] for tag, a in elements if tag == "a"]
    assert {f"#pid-{pid}" for pid in (10, 11, 12, 13, 14)} <= set(links)
    assert all((link or "")[1:] in ids for link in links)
    assert all(ids[(link or "")[1:]].get("tabindex") == "-1" for link in links)


def test_every_tile_has_a_name_and_the_legend_no_colour_alone() -> None:
    text = page(explained())
    named = [a for tag, a in _Elements(text).found if a.get("class") in KINDS and tag in ("a", "g")]
    assert len(named) >= 5
    assert all(a.get("aria-label") for a in named)
    assert "python3, pid 12, 500MiB: the victim" in {a["aria-label"] for a in named}
    for mark, meaning in (("✕", "the victim"), ("▲", "a `kill first` rule covers it"), ("■", "never killed")):
        assert re.search(rf">{mark}</text></svg>{re.escape(meaning)}</li>", text)


def test_tiles_are_of_the_kinds_that_the_decision_says() -> None:
    kinds = {tile.pid: tile.kind for tile in tiles(explained(), frozenset(range(99))) if tile.pid}
    assert kinds == {10: "protected", 11: "task", 12: "victim", 13: "first", 14: "protected"}
    for tile in tiles(explained(), frozenset()):
        assert tile.pid is None
        assert 0 <= tile.box.x <= tile.box.x + tile.box.width <= WIDTH + 0.01
        assert 0 <= tile.box.y <= tile.box.y + tile.box.height <= HEIGHT + 0.01


def test_areas_follow_the_usage() -> None:
    found = {t.name: t.box.width * t.box.height for t in tiles(explained(), frozenset())}
    nginx = next(area for name, area in found.items() if name.startswith("nginx"))
    python = next(area for name, area in found.items() if name.startswith("python3, pid 12"))
    assert nginx / python == pytest.approx(6, rel=0.3)


def test_names_are_text() -> None:
    found = explained("kill highest rss\n", HOSTILE_HOST)
    text = page(found, [focus(found, c) for c in found.decision.candidates])
    elements = _Elements(text).found
    assert {tag for tag, _ in elements} & {"script", "img", "b"} == set()
    assert "\x1b" not in text
    assert "␛[2J" in text
    assert [a["href"] for tag, a in elements if tag == "a" and not (a["href"] or "").startswith("#")] == []


@pytest.mark.parametrize(
    "policy",
    ["", "kill nothing when oom.global\n", "never kill when pid > 0\n", "kernel decides when oom.global\n"],
)
def test_every_end_has_a_page(policy: str) -> None:
    found = explained(policy)
    assert found.words.verdict() in page(found).replace("&#34;", '"')


def test_no_task_and_nothing_seen() -> None:
    assert "there is no candidate" in page(explained(facts=host()))
    blind = [dataclasses.replace(t, facts={}, comm=None, memcg=None) for t in USUAL.tasks]
    found = explained(facts=dataclasses.replace(USUAL, tasks=tuple(blind)))
    assert "uncertain" in page(found)


def test_a_large_machine_has_a_small_page() -> None:
    tasks = [task(pid, b"t", (b"s%d" % (pid % 300),), pid % 97) for pid in range(1, 10_001)]
    found = explained("kill first when pid > 5000\n", host(*tasks))
    assert len(page(found)) < 2_000_000


# In a browser


def _chromium(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    (folder / "page.html").write_text(text, encoding="utf-8")
    browser = shutil.which("chromium")
    assert browser is not None
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        f"--user-data-dir={folder / 'profile'}", "--hide-scrollbars", "--window-size=1280,1500",
        *arguments, (folder / "page.html").as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, timeout=120, check=True, cwd=folder)


@pytest.mark.needs("chromium")
def test_a_browser_takes_every_element_and_applies_the_style(tmp_path: Path) -> None:
    found = explained("kill highest rss\n", HOSTILE_HOST)
    text = page(found)
    seen = _chromium(tmp_path, text, "--dump-dom").stdout.decode()
    # A browser mends what is wrong: a stray tag would change what it nests.
    assert [tag for tag, _ in _Elements(seen).found if tag != "tbody"] == [
        tag for tag, _ in _Elements(text).found if tag != "tbody"
    ]


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("scheme, background", [("light", "#ffffff"), ("dark", "#14171c")])
def test_light_and_dark(tmp_path: Path, scheme: str, background: str) -> None:
    shot = tmp_path / "page.png"
    forced = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    _chromium(tmp_path, page(explained(POLICY)), f"--screenshot={shot}", *forced)
    assert _first_pixel(shot.read_bytes()) == background


def _first_pixel(png: bytes) -> str:
    """The colour of a PNG's upper left corner, which no filter of its first row changes."""
    import zlib

    assert png.startswith(b"\x89PNG")
    data, place = b"", 8
    while place < len(png):
        size = int.from_bytes(png[place : place + 4], "big")
        if png[place + 4 : place + 8] == b"IDAT":
            data += png[place + 8 : place + 8 + size]
        place += size + 12
    return "#" + zlib.decompress(data)[1:4].hex()


def test_the_map_shows_the_scope_alone() -> None:
    found = tiles(explained(scope=WEB[:1]), frozenset())
    assert found[0].name.startswith("cgroup /system.slice, ")
    assert not any("python3" in tile.name for tile in found)
