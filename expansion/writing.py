"""Files are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from expansion.errors import InputError

__all__ = ["write_whole"]


def write_whole(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write ``content`` to ``path`` so that no reader ever sees a part of it.

    Parameters
    ----------
    path : path
        In a folder that exists; an existing file is replaced.
    content : bytes
        The whole file.

    Raises
    ------
    InputError
        When the folder is missing or cannot be written to; an existing file is then untouched.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder, "a.txt"), b"whole").read_bytes()
    b'whole'
    """
    target = Path(path)
    part: str | None = None
    try:
        handle, part = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name}.", suffix=".part"
        )
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; an ordinary new file follows the umask.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(part, 0o666 & ~mask)
        os.replace(part, target)
    except OSError as error:
        came = f"{target} ({error.strerror})"
        raise InputError("a file that can be written", came, "check the folder") from None
    finally:
        if part is not None and os.path.exists(part):  # also after an interruption
            os.unlink(part)
    return target
