"""Tidy tables, as the CSV and the Parquet that an experiment leaves."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from expansion.report.grid import csv_text

__all__ = ["Row", "parquet_bytes", "read_parquet", "table_csv"]

Row = dict[str, Any]


def table_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The table as CSV; what is not a finite number is empty."""
    return csv_text(rows).encode()


def parquet_bytes(rows: Sequence[Row]) -> bytes:
    """The table as Parquet: the same columns and rows."""
    buffer = io.BytesIO()
    # A column of whole numbers and others becomes one of floats, not an error.
    columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    for name, values in columns.items():
        if any(isinstance(value, float) for value in values):
            columns[name] = [None if value is None else float(value) for value in values]
    parquet.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def read_parquet(content: bytes) -> list[Row]:
    """The rows of :func:`parquet_bytes`."""
    return list(parquet.read_table(io.BytesIO(content)).to_pylist())
