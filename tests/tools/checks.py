# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the checks of this collection, section by section, and say at the end what was found.

usage: checks.py [SECTION ...] [-- options for pytest, or for tests/fuzz/run.py]

Without a section all of them run, in two lanes side by side: one waits for labs, one computes and then waits for hosts.
A section that fails does not keep the others from running. The exit status is 0 only when nothing failed. With CI=true
a check that was skipped counts as failed, unless its reason is one of those in ALLOWED_IN_CI. What each check printed
is in .build/logs.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import ansibletest
import collection
import cores
import docsite
import publishing
from common import (
    BUILD,
    DEV,
    INSTALLED,
    LOGS,
    NAME,
    NAMESPACE,
    REPORTS,
    ROOT,
    TREE,
    VENV,
    ToolError,
    Word,
    environment,
    run,
    venv_python,
)

# Parts of a machine that no test machine can be made to have. Everything else is installed, so CI must have run it.
ALLOWED_IN_CI = (
    re.compile(r"\bKubernetes\b"),  # needs a cluster
    re.compile(r"\bSELinux\b"),  # needs a kernel with it
    re.compile(r"\bPython 3\.14\b"),  # for modules on hosts, of which there are none here; Debian and PyPI have none
)

MINUTE = 60
SCENARIOS = 3  # side by side; each of them keeps half a processor busy
NO_TESTS_COLLECTED = 5
TREES, IMAGE = (ROOT / "tests" / "lab" / "debian" / name for name in ("trees.py", "image.py"))
DEBIAN = BUILD / "debian"


@dataclass
class Section:
    """What one section found. `failed` and `skipped` name checks, with a reason."""

    name: str
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def skip(self, check: str, reason: str) -> None:
        self.skipped.append(f"{check}: {reason}")
        print(f"  skipped  {check}: {reason}", flush=True)

    def fail(self, check: str, reason: str) -> None:
        self.failed.append(f"{check}: {reason}")
        print(f"  FAILED   {check}: {reason}", flush=True)

    def tool(self, check: str, command: Sequence[str | Path], **how: object) -> bool:
        """One program, one check. What it prints is shown only when it fails."""
        started = time.monotonic()
        status, output = execute(self, check, command, **how)  # type: ignore[arg-type]
        took = f"{time.monotonic() - started:.1f} s"
        if status == 0:
            self.passed += 1
            print(f"  passed   {check} ({took})", flush=True)
            return True
        print(output.rstrip())
        self.fail(check, f"exit status {status} after {took}")
        return False

    def call(self, check: str, function: Callable[[], object]) -> object:
        """One function of a tool, one check."""
        started = time.monotonic()
        try:
            answer = function()
        except ToolError as error:
            print(error)
            self.fail(check, str(error).splitlines()[0])
            return None
        self.passed += 1
        print(f"  passed   {check} ({time.monotonic() - started:.1f} s)", flush=True)
        return answer


def execute(
    section: Section,
    check: str,
    command: Sequence[str | Path],
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    live: bool = False,
    limit: float = 10 * MINUTE,
) -> tuple[int, str]:
    """Run a program, keep what it prints in .build/logs, show it at once when `live`. -> (exit status, output)

    The program gets a process group of its own, so that nothing it started outlives it when time is up or on Ctrl-C.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    lines: list[str] = []
    deadline = time.monotonic() + limit
    log_name = re.sub(r"[^a-z0-9]+", "-", f"{section.name}-{check}".lower()).strip("-")
    with open(LOGS / f"{log_name}.log", "w", encoding="utf-8") as log:
        log.write(f"$ {' '.join(words)}\n")
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=dict(env) if env is not None else environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            signal.signal(signal.SIGALRM, _time_is_up)
            signal.alarm(max(1, int(deadline - time.monotonic())))
            for raw in process.stdout or ():
                line = raw.decode("utf-8", "replace")
                lines.append(line)
                log.write(line)
                log.flush()
                if live:
                    sys.stdout.write(line)
                    sys.stdout.flush()
            status = process.wait()
        except _TimeIsUpError:
            lines.append(f"\nStopped: not finished after {limit:.0f} s.\n")
            status = 124
        finally:
            signal.alarm(0)
            if process.poll() is None:
                _end(process)
    return status, "".join(lines)


class _TimeIsUpError(Exception):
    pass


def _time_is_up(*_: object) -> None:
    raise _TimeIsUpError


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and what it started, politely first."""
    for name in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, name)
            process.wait(timeout=10)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def take_junit(section: Section, report: Path) -> bool:
    """Count the cases of a report in JUnit's form; False when there is none."""
    if not report.exists():
        return False
    for case in ET.parse(report).getroot().iter("testcase"):
        name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
        problem = next((case.find(kind) for kind in ("failure", "error") if case.find(kind) is not None), None)
        skipped = case.find("skipped")
        if problem is not None:
            text = (problem.get("message") or problem.text or "failed").strip()
            section.failed.append(f"{name}: {text.splitlines()[0]}")
        elif skipped is not None and skipped.get("type") != "pytest.xfail":
            section.skipped.append(f"{name}: {skipped.get('message') or 'no reason given'}")
        else:
            section.passed += 1
    return True


def package(section: Section) -> None:
    """Build the archive, install it as a user does, and call everything in it by its full name."""
    archive = section.call("ansible-galaxy collection build and install", collection.install)
    if archive is None:
        return
    found = section.call("ansible-doc and ansible-playbook by full name", collection.verify)
    if isinstance(found, list):
        print("             " + ", ".join(found))
    section.call("galaxy-importer", publishing.imported)
    section.call("ansible-builder introspect", publishing.introspected)
    section.call("ansible-builder create", publishing.context)


def lint(section: Section) -> None:
    """Style, types, licences and the changelog; Ansible content on the copy, in which nothing but the project is."""
    programs = VENV / "bin"
    tree = collection.copy()
    link_home = collection.link()
    others = section.call("other collections, out of the package ansible", collection.others)
    found_in = os.pathsep.join(str(path) for path in (tree.parents[2], others) if path)
    ansible = environment(ANSIBLE_COLLECTIONS_PATH=found_in)
    section.tool("ruff", [programs / "ruff", "check", "--no-cache", "--output-format", "concise", "."], cwd=tree)
    core = f"ansible_collections.{NAMESPACE}.{NAME}.plugins.module_utils"
    section.tool(
        "mypy --strict",
        [programs / "mypy", "--config-file", ROOT / "pyproject.toml", "-p", f"{core}._core", "-p", f"{core}._io"],
        env=environment(MYPYPATH=str(link_home)),
    )
    section.tool("yamllint", [programs / "yamllint", "--strict", "."], cwd=tree)
    section.tool(
        "ansible-lint (profile production)",
        [programs / "ansible-lint", "--offline", "--strict", "--profile", "production", "--nocolor", "-q"],
        cwd=tree,
        env=ansible,
    )
    section.tool("docs/variables.md", [venv_python(), ROOT / "dev" / "variables.py", "--check"])
    section.tool("reuse", [programs / "reuse", "lint", "--lines"], cwd=tree)
    section.tool("antsibull-changelog", [programs / "antsibull-changelog", "lint"], cwd=tree, env=ansible)


def sanity_tests(section: Section, venv: Path) -> None:
    """ansible-test sanity with the ansible-core of one environment: all of its tests, no ignore file."""
    collection.copy()
    shutil.rmtree(TREE / "tests" / "output", ignore_errors=True)
    words, env = ansibletest.command(venv, "sanity", "--truncate", "0", "--junit")
    check = f"ansible-test sanity, {venv.name}"
    before = len(section.failed)
    status, output = execute(section, check, words, cwd=TREE, env=env, limit=30 * MINUTE)
    # ansible-test says what is wrong in lines of its own; the rest is pip at work
    told = [line for line in output.splitlines() if line.startswith(("ERROR", "FATAL", ">>>"))]
    run_tests = re.findall(r'^Running sanity test "([^"]+)"(?: on Python ([\d.]+))?', output, re.MULTILINE)
    broken = {*re.findall(r"Found \d+ (\S+) issue\(s\)(?: on python ([\d.]+))?", output)}
    passed = sum(1 for test in run_tests if test not in broken)
    section.passed += passed
    for test, version in sorted(broken):
        section.failed.append(f"{check}: {test} {version}".rstrip())
    if status and not broken:
        print(output)
        section.fail(check, f"exit status {status}")
    elif told:
        print("\n".join(told))
    for line in re.findall(r"^WARNING: (.*[Ss]kipp.*)$", output, re.MULTILINE):
        section.skip(check, line)
    print(f"  {check}: {passed} passed, {len(section.failed) - before} failed", flush=True)


def unit_tests(section: Section, venv: Path, paths: Sequence[str]) -> None:
    """ansible-test units with the ansible-core and the Python of one environment."""
    collection.copy()
    shutil.rmtree(TREE / "tests" / "output", ignore_errors=True)
    asked = run([venv_python(venv), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], env=environment(venv))
    python = asked.stdout.strip()
    words, env = ansibletest.command(venv, "units", "--local", "--python", python, "--num-workers", "2", *paths)
    check = f"ansible-test units, {venv.name}"
    before, passed = len(section.failed), section.passed
    status, output = execute(section, check, words, cwd=TREE, env=env, limit=30 * MINUTE)
    reports = sorted((TREE / "tests" / "output" / "junit").glob("*-units.xml"))
    for report in reports:
        take_junit(section, report)
    if (status and len(section.failed) == before) or section.passed == passed:
        section.fail(check, f"exit status {status}, {len(reports)} reports")
    if len(section.failed) > before:
        print(output)
    print(f"  {check}: {section.passed - passed} passed, {len(section.failed) - before} failed", flush=True)


def target_tests(section: Section, venv: Path) -> None:
    """ansible-test integration with the ansible-core and the Python of one environment: every target."""
    collection.copy()
    shutil.rmtree(TREE / "tests" / "output", ignore_errors=True)
    words, env = ansibletest.command(venv, "integration", "--local", "--continue-on-error")
    check = f"ansible-test integration, {venv.name}"
    status, output = execute(section, check, words, cwd=TREE, env=env, limit=10 * MINUTE)
    done = re.findall(r"^Running (\S+) integration test role", output, re.MULTILINE)
    broken = output.partition("failed. See error output above for details:")[2].split()
    for name in ansibletest.targets():
        if name not in done:
            section.fail(f"{check}: {name}", "was not run")
        elif name in broken or (status and not broken):
            section.fail(f"{check}: {name}", f"exit status {status}")
        else:
            section.passed += 1
    if status:
        print(output)
    print(f"  {check}: {', '.join(done)}", flush=True)


def core_venv(section: Section, core: str, python: str) -> Path | None:
    """The environment with this ansible-core; without its Python that is skipped, and None."""
    venv = cores.venv(core, python)
    if venv is None:
        section.skip(f"ansible-core {core}", f"there is no Python {python} on this machine")
    return venv


def ends(section: Section) -> list[Path]:
    """Environments with the oldest and the newest ansible-core; that of .venv where one of them cannot be had."""
    found = [core_venv(section, core, python) for core, python in cores.ENDS]
    return [venv or VENV for venv in found] if any(found) else [VENV]


def sanity_of_ends(section: Section) -> None:
    """ansible-test sanity on the oldest and on the newest ansible-core."""
    for venv in ends(section):
        sanity_tests(section, venv)


#: What ansible-test can run. For tests of module_utils it hides Ansible's controller, which _io needs; and a test that
#: starts ansible-playbook itself starts one that finds not all of Ansible. Both are run by pytest, on each core too.
UNITS = (
    "tests/unit/plugins/action/",
    "tests/unit/plugins/filter/",
    "tests/unit/plugins/inventory/",
    "tests/unit/plugins/lookup/",
    "tests/unit/plugins/module_utils/_core/",
    "--exclude",
    "tests/unit/plugins/action/test_over_ssh.py",
    "--exclude",
    "tests/unit/plugins/action/test_secrecy.py",
)
#: Some of each kind, for every change; all are in the section unit.
SOME_UNITS = (
    "tests/unit/plugins/filter/",
    "tests/unit/plugins/lookup/",
    "tests/unit/plugins/inventory/",
    "tests/unit/plugins/action/test_trust_pool.py",
    "tests/unit/plugins/module_utils/_core/test_pool.py",
)


def ansible_test(section: Section) -> None:
    """ansible-test units and integration on the oldest and on the newest ansible-core."""
    for venv in ends(section):
        unit_tests(section, venv, SOME_UNITS)
        target_tests(section, venv)


def docs(section: Section) -> None:
    """The documentation of every plugin and role, and the pages made of it."""
    tree = collection.copy()
    env = environment(ANSIBLE_COLLECTIONS_PATH=str(tree.parents[2]))
    lint_docs = ["lint-collection-docs", "--plugin-docs", "--skip-rstcheck", "--validate-collection-refs", "self", "."]
    section.tool("antsibull-docs lint", [VENV / "bin" / "antsibull-docs", *lint_docs], cwd=tree, env=env)
    section.call("pages with Sphinx, warnings are errors", docsite.build)


#: Some of their scenarios take ten times as long as others. These come first, see pytest_collection_modifyitems.
LENGTHY = {"tests/integration", "tests/kubernetes", "tests/molecule"}


def pytest_section(
    section: Section,
    paths: Sequence[str],
    marks: str,
    extra: Sequence[str],
    *,
    workers: int = 0,
    limit: float = 60 * MINUTE,
    within: Sequence[str] = (),
    venv: Path = VENV,
) -> None:
    """Tests by pytest, in one process or by so many workers. `within`: what is to run pytest in some other place."""
    there = [path for path in paths if any((ROOT / path).rglob("test_*.py"))]
    for path in sorted({*paths} - {*there}):
        section.skip("pytest", f"there are no tests in {path}")
    if not there:
        return
    home = collection.link()
    report = REPORTS / f"{section.name}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    command: list[Word] = [
        *within,
        venv_python(venv),
        "-m",
        "pytest",
        "-q",
        "-m",
        marks,
        f"--junitxml={report}",
        "-o",
        "junit_family=xunit1",
    ]
    lengthy = bool({*paths} & LENGTHY)
    if lengthy:
        command += ["--durations=15", "--durations-min=60"]
    if workers:
        order = ["load", "--maxschedchunk", "1"] if lengthy else ["worksteal"]
        command += ["-n", str(workers), "--dist", *order]
    found_in = {"PYTHONPATH": str(home), "ANSIBLE_COLLECTIONS_PATH": str(home), "QUAZZAR_COLLECTIONS": str(INSTALLED)}
    env = environment(venv, **found_in)
    status, _output = execute(section, "pytest", [*command, *there, *extra], env=env, live=True, limit=limit)
    counted = take_junit(section, report)
    if status == NO_TESTS_COLLECTED:
        section.skip("pytest", f"no test in {', '.join(there)} is for this section ({marks})")
    elif status and not section.failed:
        section.fail("pytest", f"exit status {status}" + ("" if counted else ", no report"))


def unit(section: Section, extra: Sequence[str] = ()) -> None:
    """Every file of plugins/ on its own, some seconds of fuzzing, and what must hold for the repository as a whole."""
    pytest_section(section, ["tests/unit", "tests/fuzz"], "not nightly and not ssh", extra, workers=2)


def lab(section: Section, extra: Sequence[str] = ()) -> None:
    """The lab itself: the reference Control Panel and OS nodes."""
    pytest_section(section, ["tests/lab"], "not nightly and not ssh", extra)


def trust(section: Section, extra: Sequence[str] = ()) -> None:
    """Every identity with every pin at every replica, by OpenSSL's verifier and by Go's; the tables are in reports."""
    pytest_section(section, ["tests/matrix"], "not nightly and not ssh", extra)


def integration(section: Section, extra: Sequence[str] = ()) -> None:
    """The installed collection, run by ansible-playbook against the lab."""
    if section.call("the installed collection", collection.install) is not None:
        marks = "not nightly and not ssh"
        pytest_section(section, ["tests/integration"], marks, extra, workers=SCENARIOS, limit=75 * MINUTE)


def ssh(section: Section, extra: Sequence[str] = ()) -> None:
    """The same over real OpenSSH servers on loopback; as root also with sudo."""
    if section.call("the installed collection", collection.install) is not None:
        everywhere = ["tests/unit", "tests/lab", "tests/integration"]
        pytest_section(section, everywhere, "ssh and not nightly", extra, workers=SCENARIOS)


def kubernetes(section: Section, extra: Sequence[str] = ()) -> None:
    """The Control Panel in pods of a real cluster, its nodes outside; QUAZZAR_K8S_EXEC says how to get at the pods."""
    if not os.environ.get("KUBECONFIG"):
        section.skip("pytest", "KUBECONFIG names no Kubernetes cluster to test on, see tests/README.md")
        return
    installed = section.call("the installed collection", collection.install)
    # Here, and not where pytest runs: from within the network of a cluster nothing may be reachable to build it from.
    if shutil.which("mmdebstrap") and not section.tool("the lab as an image", [venv_python(), IMAGE, DEBIAN]):
        return
    if section.call("other collections, out of the package ansible", collection.others) and installed:
        within = shlex.split(os.environ.get("QUAZZAR_K8S_EXEC", ""))
        # Most of the time is the wait for pods to come and go, so there are more of them than processors.
        pytest_section(section, ["tests/kubernetes"], "not nightly", extra, workers=3, within=within)


def molecule(section: Section, extra: Sequence[str] = (), venv: Path = VENV) -> None:
    """Molecule's scenarios, two side by side, each on hosts of its own with systemd, OpenSSH and sudo."""
    ask: list[Word] = [venv_python(venv), "-c", "from quazzar_lab import machines; print(machines.missing())"]
    reason = run(ask, env=environment(PYTHONPATH=str(ROOT / "tests" / "lab")), quiet=True).stdout.strip()
    if reason:
        section.skip("molecule", reason)
        return
    installed = section.call("the installed collection", collection.install)
    # Here, and not within a test: the first time it takes a minute or more, and only one can build.
    built = section.tool("what hosts are made of", [venv_python(), TREES, DEBIAN], limit=20 * MINUTE)
    if installed and built:
        pytest_section(section, ["tests/molecule"], "not nightly", extra, workers=2, venv=venv)


def fuzz(section: Section, extra: Sequence[str] = ()) -> None:
    """A million inputs that nobody has seen, for every reader of what comes from outside."""
    command: list[Word] = [venv_python(), ROOT / "tests" / "fuzz" / "run.py", *extra]
    status, _output = execute(section, "fuzz", command, live=True, limit=120 * MINUTE)
    if status:
        section.fail("fuzz", f"exit status {status}; the inputs are in .build/fuzz")
    else:
        section.passed += 1


def nightly(section: Section, extra: Sequence[str] = ()) -> None:
    """What takes too long for every change; and the properties of the pure room on examples that nobody has seen."""
    searching = ["tests/unit/plugins/module_utils/_core"]
    pytest_section(section, searching, "not nightly", ["--hypothesis-profile=searching", *extra], workers=2)
    fuzz(section)
    if section.call("the installed collection", collection.install) is not None:
        everywhere = ["tests/unit", "tests/lab", "tests/integration"]
        pytest_section(section, everywhere, "nightly", extra, workers=2, limit=300 * MINUTE)


# In the order in which they tell most for the time they take
SECTIONS: dict[str, Callable[..., None]] = {
    "package": package,
    "lint": lint,
    "unit": unit,
    "docs": docs,
    "sanity": sanity_of_ends,
    "ansible-test": ansible_test,
    "lab": lab,
    "trust": trust,
    "integration": integration,
    "ssh": ssh,
    "kubernetes": kubernetes,
    "molecule": molecule,
}
# What runs beside the others, most of whose time is waiting: at first what needs the processor all the time and starts
# no lab. Pods do not: what starts them has to yield to every lab, and they would not be ready in time.
BESIDE = ("lint", "docs", "sanity", "ansible-test", "unit", "molecule")
OTHERS: dict[str, Callable[..., None]] = {"fuzz": fuzz, "nightly": nightly}
WITH_OPTIONS = ("unit", "lab", "trust", "integration", "ssh", "kubernetes", "molecule", "fuzz", "nightly")


def summary(sections: Sequence[Section], seconds: float) -> int:
    """Print what was found, and how long all of it took; the exit status is returned."""
    in_ci = os.environ.get("CI", "").lower() == "true"
    skipped = [(section.name, text) for section in sections for text in section.skipped]
    allowed = [pair for pair in skipped if not in_ci or any(pattern.search(pair[1]) for pattern in ALLOWED_IN_CI)]
    failed = [(section.name, text) for section in sections for text in section.failed]
    failed += [(name, f"skipped, which CI refuses: {text}") for name, text in skipped if (name, text) not in allowed]
    print(f"\n{'section':<14}{'seconds':>8}{'passed':>8}{'failed':>8}{'skipped':>8}")
    for section in sections:
        counts = (section.passed, len(section.failed), len(section.skipped))
        print(f"{section.name:<14}{section.seconds:>8.1f}" + "".join(f"{count:>8}" for count in counts))
    for title, pairs in (("Skipped", allowed), ("Failed", failed)):
        if pairs:
            print(f"\n{title}:")
            for name, text in pairs:
                print(f"  {name}: {text}")
    passed = sum(section.passed for section in sections)
    print(
        f"\nAll of it took {seconds:.0f} s.\n{passed} passed, {len(failed)} failed, {len(allowed)} skipped", flush=True
    )
    return 1 if failed else 0


def run_section(name: str, function: Callable[..., None], *arguments: object) -> Section:
    section = Section(name)
    print(f"\n== {name}", flush=True)
    started = time.monotonic()
    try:
        function(section, *arguments)
    except ToolError as error:
        print(error)
        section.fail(name, str(error).splitlines()[0])
    section.seconds = time.monotonic() - started
    return section


def _run_quietly(names: Sequence[str], answers: Connection) -> None:
    """Run sections in a process of their own. What each prints comes at its end: two lanes must not talk at once."""
    shown = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    for name in names:
        with tempfile.TemporaryFile() as kept:
            for stream in (sys.stdout, sys.stderr):
                os.dup2(kept.fileno(), stream.fileno())
            try:
                section = run_section(name, SECTIONS[name])
            except KeyboardInterrupt:
                return
            finally:
                sys.stdout.flush()
                kept.seek(0)
                shown.write(kept.read())
                shown.flush()
        answers.send(section)


def run_all(done: list[Section]) -> None:
    """Every section, the two lanes side by side. What each found is in `done`, also after an interrupt."""
    answers, told = multiprocessing.Pipe(duplex=False)
    lane = multiprocessing.get_context("fork").Process(target=_run_quietly, args=(BESIDE, told))
    lane.start()
    told.close()
    try:
        for name, function in SECTIONS.items():
            if name not in BESIDE:
                done.append(run_section(name, function))
    except BaseException:
        lane.terminate()
        raise
    finally:
        missing = [*BESIDE]
        with contextlib.suppress(EOFError):
            while True:
                done.append(answers.recv())
                missing.remove(done[-1].name)
        lane.join()
        done.extend(Section(name, failed=["the section: ended without an answer"]) for name in missing)
        done.sort(key=lambda section: [*SECTIONS].index(section.name))


def main() -> int:
    words = sys.argv[1:]
    extra: list[str] = []
    if "--" in words:
        at = words.index("--")
        words, extra = words[:at], words[at + 1 :]
    every = {**SECTIONS, **OTHERS}
    unknown = [word for word in words if word not in every]
    if unknown:
        print(f"There is no section {', '.join(unknown)}; there are: {', '.join(every)}\n{__doc__}", file=sys.stderr)
        return 2
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    # What was started must not outlive us when we are told to end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"{VENV.name}: Python {sys.version.split()[0]}; collection path for development: {DEV}")
    began = time.monotonic()
    done: list[Section] = []
    try:
        if not words:
            run_all(done)
        for name in words:
            done.append(run_section(name, every[name], *([extra] if name in WITH_OPTIONS else [])))
    except KeyboardInterrupt:
        print("\nInterrupted.")
        summary(done, time.monotonic() - began)
        return 130
    return summary(done, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
