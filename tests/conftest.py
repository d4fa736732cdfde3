"""What all tests share: one Hypothesis profile, a Dask cluster, the command in this process."""

import json
import sys

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "deterministic",
    derandomize=True,
    deadline=None,  # speed belongs in benchmarks
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("deterministic")


@pytest.fixture(autouse=True, scope="module")
def no_workers_left():
    """A file's worker processes end with it, or they would outlive the whole run."""
    yield
    if "joblib" in sys.modules:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor(max_workers=1, reuse=True).shutdown(wait=True)


@pytest.fixture
def dask_cluster(tmp_path):
    """A real Dask cluster on this machine: two workers, a process each."""
    distributed = pytest.importorskip("distributed", reason="pip install '.[cluster]'")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=":0",
        local_directory=str(tmp_path / "dask"),
    ) as cluster:
        yield cluster


@pytest.fixture
def command(capsys):
    """The expansion command: arguments to exit code, stdout and stderr."""
    from expansion.cli import SEVERAL, app
    from expansion.console import run

    def call(*arguments):
        code = run(app, [str(argument) for argument in arguments], SEVERAL)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def answer(command):
    """The same, asked for JSON."""

    def call(*arguments):
        code, out, err = command(*arguments, "--format", "json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return call
