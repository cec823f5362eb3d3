"""Pages of the codes E05: tests."""

from __future__ import annotations

from oomlang.diagnostics.catalogue.page import Page
from oomlang.diagnostics.codes import Code

PAGES = (
    Page(
        code=Code.TEST_UNKNOWN_MEMCG,
        title="the test does not declare this cgroup",
        meaning="""
            A task of a test runs in a cgroup that the test declares with `memcg "/path" { … }`. A declared path
            implies the ones above it: they use the sum of what lies below them.
        """,
        why="""
            A misspelt path would put the task into an empty cgroup of its own, and the test would pass or fail for
            the wrong reason.
        """,
        wrong="""\
kill highest rss

test "the larger one dies" {
  memcg "/batch.slice" { usage 3GiB }
  task "small" in "/batch.slice" { rss 1GiB }
  task "large" in "/batch.slic" { rss 2GiB }
  expect victim "large"
}
""",
        right="""\
kill highest rss

test "the larger one dies" {
  memcg "/batch.slice" { usage 3GiB }
  task "small" in "/batch.slice" { rss 1GiB }
  task "large" in "/batch.slice" { rss 2GiB }
  expect victim "large"
}
""",
    ),
    Page(
        code=Code.TEST_UNKNOWN_TASK,
        title="the test has no such task",
        meaning="""
            `expect` and `invoker` name tasks of the same test, by the name behind `as` where there is one,
            otherwise by the name behind `task`.
        """,
        why="""
            An expectation about a task that does not exist could never hold, or always.
        """,
        wrong="""\
kill highest rss

test "python dies" {
  memcg "/batch.slice" { }
  task "python3" in "/batch.slice" { rss 1GiB }
  expect victim "python"
}
""",
        right="""\
kill highest rss

test "python dies" {
  memcg "/batch.slice" { }
  task "python3" in "/batch.slice" { rss 1GiB }
  expect victim "python3"
}
""",
    ),
    Page(
        code=Code.TEST_FACT,
        title="a test cannot set this here",
        meaning="""
            The braces of a task take facts of tasks (`rss`, `uid`, …), those of a memcg take facts of cgroups
            without `memcg.` in front (`usage`, `limit`, …) and inputs per memcg. Facts that follow from others
            cannot be set: `badness` follows from the memory of the task, `comm` is its name, the `oom.` facts come
            from `memory`, `swap`, `scope` and `order`.
        """,
        why="""
            A fact at the wrong place would be left out in silence, and the test would run with 0 instead.
        """,
        wrong="""\
kill highest memcg.usage

test "the larger cgroup" {
  memcg "/a" { rss 2GiB }
  memcg "/b" { usage 1GiB }
  task "one" in "/a" { rss 1GiB }
  task "two" in "/b" { rss 1GiB }
  expect victim "one"
}
""",
        right="""\
kill highest memcg.usage

test "the larger cgroup" {
  memcg "/a" { usage 2GiB }
  memcg "/b" { usage 1GiB }
  task "one" in "/a" { rss 1GiB }
  task "two" in "/b" { rss 1GiB }
  expect victim "one"
}
""",
    ),
    Page(
        code=Code.TEST_NO_EXPECTATION,
        title="a test expects nothing",
        meaning="""
            A test needs at least one line that begins with `expect`: `expect victim`, `expect order`, `expect
            safe`, `expect none`, `expect kernel decides` or `expect kill nothing`.
        """,
        why="""
            Without one it passes whatever the policy does.
        """,
        wrong="""\
kill highest rss

test "the largest dies" {
  memcg "/batch.slice" { }
  task "python" in "/batch.slice" { rss 1GiB }
}
""",
        right="""\
kill highest rss

test "the largest dies" {
  memcg "/batch.slice" { }
  task "python" in "/batch.slice" { rss 1GiB }
  expect victim "python"
}
""",
    ),
    Page(
        code=Code.TEST_CONTRADICTION,
        title="a test cannot hold as it is written",
        meaning="""
            Two of the test's lines exclude each other: two different victims, a victim where nothing is to be
            killed, a task that is to be safe and to die, the size of the machine given twice.
        """,
        why="""
            Such a test fails whatever the policy does, and says nothing about it.
        """,
        wrong="""\
kill highest rss

test "one of them dies" {
  memcg "/batch.slice" { }
  task "python" in "/batch.slice" { rss 1GiB }
  task "make"   in "/batch.slice" { rss 2GiB }
  expect victim "make"
  expect victim "python"
}
""",
        right="""\
kill highest rss

test "one of them dies" {
  memcg "/batch.slice" { }
  task "python" in "/batch.slice" { rss 1GiB }
  task "make"   in "/batch.slice" { rss 2GiB }
  expect order "make", "python"
}
""",
    ),
    Page(
        code=Code.TEST_VALUE,
        title="a value in a test does not fit",
        meaning="""
            The value has another unit than the fact or input, lies outside its range, or is not a literal.
        """,
        why="""
            The kernel would never report such a value, so the test would prove something about a machine that
            cannot exist.
        """,
        wrong="""\
kill highest rss

test "the largest dies" {
  memcg "/batch.slice" { }
  task "python" in "/batch.slice" { rss 1024 }
  expect victim "python"
}
""",
        right="""\
kill highest rss

test "the largest dies" {
  memcg "/batch.slice" { }
  task "python" in "/batch.slice" { rss 1024MiB }
  expect victim "python"
}
""",
    ),
)
