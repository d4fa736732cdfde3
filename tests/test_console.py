"""What the commands share: exit codes, one-line errors, options with several values."""

import json
import sys
from fractions import Fraction

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from expansion.console import check_format, print_json, progress_bar, run, spread_options
from expansion.errors import InputError

SEVERAL = ("--depth", "--rule")


@pytest.fixture
def app():
    """A small command line that does what it is told."""
    made = typer.Typer(add_completion=False, rich_markup_mode=None)

    @made.command()
    def good(depth: list[str], number: int = 1) -> None:
        print("result", *depth, number)

    @made.command()
    def fail() -> int:
        return 1

    @made.command()
    def bad() -> None:
        raise InputError("depth must be\npositive", "0\n0", "give 1")

    @made.command()
    def stop() -> None:
        raise KeyboardInterrupt

    @made.command()
    def abort() -> None:
        raise typer.Abort

    @made.command()
    def pipe() -> None:
        raise BrokenPipeError

    @made.command()
    def crash() -> None:
        raise RuntimeError("a bug")

    return made


class TestRun:
    def test_success(self, app, capsys):
        assert run(app, ["good", "1", "2", "--number", "7"]) == 0
        out, err = capsys.readouterr()
        assert (out, err) == ("result 1 2 7\n", "")

    def test_a_failed_check(self, app, capsys):
        assert run(app, ["fail"]) == 1
        assert capsys.readouterr().err == ""

    def test_bad_input_is_one_line(self, app, capsys):
        assert run(app, ["bad"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: depth must be")
        assert err.count("\n") == 1

    @pytest.mark.parametrize(
        "arguments",
        [
            ["nonsense"],
            ["good"],
            ["good", "1", "--number", "x"],
            ["good", "1", "--nonsense", "1"],
            ["good", "1", "--number"],
            ["good", "1", "--number", "x\ny"],
        ],
    )
    def test_usage_errors_are_one_line(self, app, capsys, arguments):
        assert run(app, arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert "Traceback" not in err

    @pytest.mark.parametrize("command", ["stop", "abort"])
    def test_an_interruption(self, app, capsys, command):
        assert run(app, [command]) == 130
        out, err = capsys.readouterr()
        assert out == ""
        assert err == "interrupted; nothing was left half-written\n"

    def test_a_reader_that_went_away(self, app, monkeypatch):
        monkeypatch.setattr(sys, "stdout", sys.stdout)
        assert run(app, ["pipe"]) == 0

    def test_a_bug_is_not_called_bad_input(self, app):
        with pytest.raises(RuntimeError, match=r"a bug"):
            run(app, ["crash"])

    def test_help(self, app, capsys):
        assert run(app, ["--help"]) == 0
        out, err = capsys.readouterr()
        assert "good" in out
        assert err == ""

    def test_several_values(self, app, capsys):
        made = typer.Typer(add_completion=False)

        @made.command()
        def only(depth: list[str] = typer.Option(...)) -> None:  # noqa: B008 - typer's way
            print(*depth)

        assert run(made, ["--depth", "1", "10,100"], SEVERAL) == 0
        assert capsys.readouterr().out == "1 10 100\n"


class TestSpreadOptions:
    @pytest.mark.parametrize(
        ("given", "spread"),
        [
            ([], []),
            (["growth"], ["growth"]),
            (["--depth", "1", "10"], ["--depth", "1", "--depth", "10"]),
            (["--depth", "1,10", "100"], ["--depth", "1", "--depth", "10", "--depth", "100"]),
            (["--depth=1", "10"], ["--depth", "1", "--depth", "10"]),
            (["--depth=1,2"], ["--depth", "1", "--depth", "2"]),
            (["--depth", "1", "--format", "json"], ["--depth", "1", "--format", "json"]),
            (["--format", "json", "--depth", "1"], ["--format", "json", "--depth", "1"]),
            (["--depth", "-1"], ["--depth", "-1"]),
            (["--rule", "1/n", "-0.5"], ["--rule", "1/n", "--rule", "-0.5"]),
            (["--depth"], ["--depth"]),
            (["--depth", "1", "--depth", "2"], ["--depth", "1", "--depth", "2"]),
        ],
    )
    def test_by_hand(self, given, spread):
        assert spread_options(given, SEVERAL) == spread

    @given(st.lists(st.sampled_from(["expand", "--order", "3", "--tied", "--format=json", "1/n"])))
    def test_other_options_are_left_alone(self, arguments):
        assert spread_options(arguments, SEVERAL) == arguments

    @given(st.lists(st.integers(-9, 99).map(str), min_size=1))
    def test_values_are_kept_in_order(self, values):
        spread = spread_options(["growth", "--depth", *values, "--seed", "0"], SEVERAL)
        assert spread[0] == "growth"
        assert spread[-2:] == ["--seed", "0"]
        assert spread[1:-2:2] == ["--depth"] * len(values)
        assert spread[2:-2:2] == values

    @pytest.mark.parametrize(
        "arguments", [["--depth", "--rule", "1"], ["--rule", "--format", "json"]]
    )
    def test_an_option_without_a_value_is_not_forgotten(self, arguments):
        # The parser must see it, to say what is missing.
        assert arguments[0] in spread_options(arguments, SEVERAL)


class TestFormats:
    def test_known(self):
        assert check_format("json", ["text", "json"]) == "json"

    @pytest.mark.parametrize("chosen", ["yaml", "", "JSON", "text,json"])
    def test_unknown(self, chosen):
        with pytest.raises(InputError, match=r"a format among text, json; got .*; choose one"):
            check_format(chosen, ["text", "json"])


class TestPrintJson:
    def test_exact_numbers_are_strings(self, capsys):
        print_json({"count": Fraction(25, 3), "sum": [Fraction(2)], "name": "Ω°", "x": 0.5})
        text = capsys.readouterr().out
        assert json.loads(text) == {"count": "25/3", "sum": ["2"], "name": "Ω°", "x": 0.5}
        assert "Ω°" in text

    @pytest.mark.parametrize("value", [float("inf"), float("nan"), [float("-inf")]])
    def test_what_json_has_no_word_for_is_refused(self, value):
        with pytest.raises(ValueError, match=r"not JSON compliant"):
            print_json(value)


def numpy_s() -> None:
    np.empty(2**50)


def pytorch_s() -> None:  # what its allocator raises, and its words
    raise RuntimeError("DefaultCPUAllocator: not enough memory:\nyou tried to allocate 9 bytes")


@pytest.mark.parametrize("large", [numpy_s, pytorch_s])
def test_a_request_beyond_the_memory_is_one_line(capsys, large):
    app = typer.Typer()
    app.command()(large)
    assert run(app, []) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: a request that fits into memory; got ")
    assert "allocate" in message
    assert message.count("\n") == 1


class TestProgressBar:
    def test_nothing_is_written_where_nobody_looks(self, capsys):
        with progress_bar("growth", 3) as advance:
            for number in range(3):
                advance(f"step {number}")
            advance()
        assert capsys.readouterr() == ("", "")

    def test_a_terminal_sees_it_on_stderr(self, capsys, monkeypatch):
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        with progress_bar("growth", 2) as advance:
            advance("first of two")
            advance()
        out, err = capsys.readouterr()
        assert out == ""
        assert "growth" in err

    def test_errors_pass_through(self):
        with pytest.raises(InputError), progress_bar("growth", 1):
            raise InputError("a", 1, "b")
