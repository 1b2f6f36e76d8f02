"""The sessions that make, check and show the project. `nox -l` lists them."""

import subprocess
import sys
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests", "lint", "types", "docs"]

PROJECT = tomllib.loads(Path("pyproject.toml").read_text())
WHEEL = ".[cli,testing]"  # installed from a built wheel, never in place: what is tested is what people get


def present_pythons() -> list[str]:
    """Find which of the supported Pythons run here: asking beats looking, since a shim may lead nowhere."""
    found = {(sys.version_info.major, sys.version_info.minor)}
    for version in ((3, 11), (3, 12), (3, 13)):
        command = ["python{}.{}".format(*version), "-c", "print('here')"]
        try:
            answer = subprocess.run(command, capture_output=True, check=False)
        except OSError:
            continue
        if answer.stdout.strip() == b"here":
            found.add(version)
    return ["{}.{}".format(*version) for version in sorted(found)]


def group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PROJECT, name))


def floors() -> list[str]:
    """Pin every dependency of the package to the oldest release that it admits."""
    project = PROJECT["project"]
    ranges = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    return [item.replace(">=", "==") for item in ranges]


def run_tests(session: nox.Session, *, measure: bool) -> None:
    env = {
        # With the working directory out of sys.path, the tests import the wheel and not the checkout.
        "PYTHONSAFEPATH": "1",
        "PYTHONDEVMODE": "1",
        "PYTHONWARNINGS": "error",
        "COVERAGE_FILE": str(Path(session.create_tmp(), "coverage")),
    }
    pytest = ["-m", "pytest", "-n", "2", "--dist", "worksteal", *session.posargs]
    if not measure:
        session.run("python", *pytest, env=env)
        return
    session.run("coverage", "erase", env=env)
    session.run("coverage", "run", *pytest, env=env)
    session.run("coverage", "combine", "--quiet", env=env)
    session.run("coverage", "report", env=env)


@nox.session(python=present_pythons())
def tests(session: nox.Session) -> None:
    """Run the tests on the built wheel, with every supported Python that is present.

    Coverage is measured with the first of them: nothing in the package depends on the version, and measuring
    doubles the time.
    """
    session.install(WHEEL, *group("tests"))
    run_tests(session, measure=session.python == present_pythons()[0])


@nox.session(python="3.11" if "3.11" in present_pythons() else None)
def lowest(session: nox.Session) -> None:
    """Run the tests with the oldest dependencies that the package admits."""
    session.install(WHEEL, *floors(), *group("tests"))
    run_tests(session, measure=False)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types: mypy on package, tests and examples, pyright on the package and on what its users see of it."""
    session.install("-e", WHEEL, *group("types"), *group("tests"), *group("benchmarks"))
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "ghl_voice_async", "--ignoreexternal")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site; a warning is an error."""
    session.install(WHEEL, *group("docs"))
    session.run("sphinx-build", "-nW", "--keep-going", "-q", "docs", "docs/_build/html")


@nox.session
def demo(session: nox.Session) -> None:
    """Fetch three thousand call logs from a simulator on this machine."""
    session.install(WHEEL)
    session.run("ghl-voice", "demo", *session.posargs)


@nox.session
def web_app(session: nox.Session) -> None:
    """Show the call logs of a simulator in a browser, until Ctrl+C. `-- --port 8001` takes another port."""
    session.install(WHEEL, *group("web-app"))
    session.chdir("docs/examples")
    # On Ctrl+C nox would otherwise kill the application while it is still closing its streams.
    session.run("python", "-m", "web_app.simulated", *session.posargs, interrupt_timeout=10)


@nox.session
def worker(session: nox.Session) -> None:
    """Kill a worker of docs/examples/worker in the middle of its work, and show that nothing is lost."""
    session.install(WHEEL, *group("worker"))
    session.chdir("docs/examples")
    session.run("python", "-m", "worker.demo")


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Print the tables of tests/benchmarks, or of those named. `-- --keep` makes the page *Performance* anew, too."""
    session.install(WHEEL, *group("benchmarks"))
    names = [name for name in session.posargs if name != "--keep"]
    is_kept = "--keep" in session.posargs
    temporary = Path(session.create_tmp())
    sdk = temporary / "official-sdk"  # an environment of its own, since it brings what it likes
    session.run("python", "-m", "venv", "--clear", str(sdk))
    session.run(str(sdk / "bin/python"), "-m", "pip", "install", "-q", "gohighlevel-api-client", external=True)
    figures = Path("docs/performance.json") if is_kept else temporary / "figures.json"
    env = {"OFFICIAL_SDK_PYTHON": str(sdk / "bin/python"), "BENCHMARK_FIGURES": str(figures.resolve())}
    plots = ["--plot", "docs/rate-limits.svg"] if is_kept else []
    for table in sorted(Path("tests/benchmarks").glob("bench_*.py")):
        if not names or table.stem.removeprefix("bench_") in names:
            session.run("python", str(table), *plots, env=env)
    session.run("python", "tests/benchmarks/plots.py", str(figures))


@nox.session
def kills(session: nox.Session) -> None:
    """Kill `ghl-voice fetch` thirty times for each kind of output, and print what was lost and what fetched again."""
    session.install(WHEEL)
    session.run("python", "tests/benchmarks/kills.py")


@nox.session
def crosstalk(session: nox.Session) -> None:
    """Make ten thousand calls to a server with stray responses, each way, and count those that got another's body."""
    session.install(WHEEL, *group("tests"))
    session.run("python", "tests/benchmarks/crosstalk.py", *session.posargs)


@nox.session
def million(session: nox.Session) -> None:
    """Fetch a million ids from a generator, and print the memory on the way."""
    session.install(WHEEL)
    session.run("python", "tests/benchmarks/million.py")


@nox.session
def soak(session: nox.Session) -> None:
    """Make a hundred thousand calls with faults on, and print what stays open."""
    session.install(WHEEL)
    session.run("python", "tests/benchmarks/soak.py", *session.posargs)
