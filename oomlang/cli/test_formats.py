"""What `oomlang test` prints for programs: JSON (docs/schemas/test.schema.json) and JUnit's XML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from oomlang.cli.test_text import expected, got, place_of, why, words_of
from oomlang.diagnostics.visible import visible

if TYPE_CHECKING:
    from oomlang.cli.tested import Tested
    from oomlang.explanation import Words
    from oomlang.targets.interp.expectations import Check, Outcome

VERSION = 1


def to_json(tested: Sequence[Tested]) -> dict[str, Any]:
    """Every test of every policy that is right, with what was expected and what came out."""
    return {
        "version": VERSION,
        "passed": sum(len(item.outcomes) - len(item.failed) for item in tested),
        "failed": sum(len(item.failed) for item in tested),
        "files": [_file(item) for item in tested],
    }


def _file(item: Tested) -> dict[str, Any]:
    return {
        "file": item.source.name,
        "policy": item.policy,
        "tests": [_test(item, outcome) for outcome in item.outcomes],
        "coverage": {
            "share": item.coverage.share,
            "rules": [
                {"line": o.line, "column": o.column, "text": o.text, "tests": list(cases)}
                for o, cases in item.coverage.rules
            ],
        },
    }


def _test(item: Tested, outcome: Outcome) -> dict[str, Any]:
    words = words_of(item, outcome)
    ids = {task: id for id, task in outcome.case.tasks.items()}
    return {
        "name": outcome.case.name,
        "passed": outcome.passed,
        "order": [ids[c] for c in outcome.decision.ranking],
        "skipped": [ids[e.candidate] for e in outcome.decision.exclusions],
        "outside": list(outcome.outside),
        "expectations": [_check(item, words, check) for check in outcome.checks],
    }


def _check(item: Tested, words: Words, check: Check) -> dict[str, Any]:
    line, column = item.source.position(check.expectation.span.start)
    return {
        "expect": check.expectation.expect.value,
        "tasks": list(check.expectation.tasks),
        "line": line,
        "column": column,
        "passed": check.passed,
        "got": None if check.passed else got(words, check),
        "why": (why(words, check) or None) if not check.passed else None,
    }


def to_junit(tested: Sequence[Tested]) -> bytes:
    """A test suite for each policy."""
    from xml.etree import ElementTree

    top = ElementTree.Element("testsuites")
    for item in tested:
        suite = ElementTree.SubElement(
            top,
            "testsuite",
            name=visible(item.source.name),
            tests=str(len(item.outcomes)),
            failures=str(len(item.failed)),
            errors="0",
        )
        for outcome in item.outcomes:
            case = ElementTree.SubElement(
                suite, "testcase", classname=visible(item.source.name), name=visible(outcome.case.name)
            )
            failed = [check for check in outcome.checks if not check.passed]
            if failed:
                words = words_of(item, outcome)
                texts = [_text(item, words, check) for check in failed]
                message = f"expected {expected(item, failed[0])}; got: {got(words, failed[0])}"
                ElementTree.SubElement(case, "failure", message=message).text = "\n".join(texts)
    ElementTree.indent(top)
    text: bytes = ElementTree.tostring(top, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _text(item: Tested, words: Words, check: Check) -> str:
    because = why(words, check)
    return visible(f"{place_of(item, check)}: {expected(item, check)}") + "".join(
        f"\n  {label}: {text}" for label, text in (("got", got(words, check)), ("because", because)) if text
    )
