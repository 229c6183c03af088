"""The file of a checkpoint: an uncompressed .npz with a sealed end, written whole or not at all.

It holds a text in JSON and arrays, which `numpy.load` reads as well. Its last 64 bytes are the SHA-256 of all bytes
before them, in the place that zip archives have for a comment: whatever is altered, cut off or appended, the seal is
broken, and nothing is looked at. What a forged seal could still bring (an entry that claims more than the file holds,
an array of objects) is refused before memory is asked for; nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from microgradnp.arrays import Array

HEAD = "microgradnp.json"
"""The first entry: what is not an array, and which arrays belong where."""
SEAL = b"microgradnp sha256 "
"""What the archive's comment begins with; the digits follow, and the file ends."""
DIGITS = 64
KINDS = "biufcSUMm"
"""The kinds of numbers, texts and dates that an array may hold: no Python objects, no records."""
_CHUNK = 1 << 20
_LOCAL_HEADER = 30  # bytes in a zip archive before an entry's name


class CheckpointError(ValueError):
    """A file is no whole checkpoint, or does not hold or fit what was asked for; nothing has been loaded."""


def write(path: str | os.PathLike[str], head: Any, arrays: Mapping[str, Array]) -> None:
    """Write a checkpoint: killed at any moment, the old file or the new one is there, whole."""
    with replacing(path) as file:
        with zipfile.ZipFile(file, "w") as archive:
            text = json.dumps(head, ensure_ascii=False, indent=1)
            archive.writestr(zipfile.ZipInfo(HEAD), text.encode(errors="surrogatepass"))  # as `json.loads` decodes
            for name, array in arrays.items():
                large = array.nbytes > zipfile.ZIP64_LIMIT // 2
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=large) as entry:
                    npy.write_array(entry, array, allow_pickle=False)
            archive.comment = SEAL + b"0" * DIGITS
        end = file.seek(-DIGITS, os.SEEK_END)
        digits = _digits(file, end)
        file.seek(end)
        file.write(digits)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A new file that takes the place of the one at ``path`` once all of it is on the disk."""
    target = Path(os.path.realpath(path))  # where a link leads
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot save to {os.fspath(path)}: there is no folder {target.parent}.")
    if target.exists() and not target.is_file():
        raise ValueError(f"cannot save to {os.fspath(path)}: that is a folder or a device, not a file.")
    new = target.with_name(f".{target.name}.{token_hex(4)}.tmp")
    try:
        with open(new, "x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, new)
        os.replace(new, target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _digits(file: BinaryIO, end: int) -> bytes:
    """The SHA-256 of a file's first ``end`` bytes, in hexadecimal digits."""
    file.seek(0)
    hashed = hashlib.sha256()
    while end > 0 and (chunk := file.read(min(_CHUNK, end))):
        hashed.update(chunk)
        end -= len(chunk)
    return hashed.hexdigest().encode()


# -- Reading -----------------------------------------------------------------------------------------------------------


def read(path: str | os.PathLike[str]) -> tuple[Any, dict[str, Array]]:
    """What `write` has written: the head and the arrays.

    Raises
    ------
    CheckpointError
        If the file is not exactly what `write` has written; the message says in which way.
    """
    name = os.fspath(path)
    if stat.S_ISFIFO(os.stat(path).st_mode):
        raise CheckpointError(f"{name} is a pipe: a checkpoint is read from a file.")
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        wrong = _what_is_wrong(file, size)
        if wrong:
            raise CheckpointError(f"{name} {wrong} Nothing was loaded.")
        try:
            with zipfile.ZipFile(file) as archive:
                entries = _entries(archive, size)
                head = json.loads(archive.read(entries.pop(HEAD)))
                return head, {entry.removesuffix(".npy"): _array(archive, info) for entry, info in entries.items()}
        except MemoryError:  # the file is as large as it says
            raise
        except Exception as error:  # whatever zipfile, json and numpy.lib.format make of a forgery
            raise CheckpointError(
                f"{name} has a seal, but not of what nn.save writes ({type(error).__name__}: {error}). Nothing was "
                "loaded."
            ) from error


def _what_is_wrong(file: BinaryIO, size: int) -> str:
    """Why a file is not what it should be, as the rest of a sentence; nothing if its seal is whole."""
    file.seek(0)
    start = file.read(256)
    end = max(size - DIGITS - len(SEAL), 0)
    file.seek(end)
    seal = file.read()
    ours = start[_LOCAL_HEADER:].startswith(HEAD.encode())
    if ours and seal.startswith(SEAL) and seal[len(SEAL) :] == _digits(file, size - DIGITS):
        return ""
    if not ours:
        return _foreign(start, size)
    if seal.startswith(SEAL):
        return "was altered after it was saved: its checksum differs."
    whole = _end_of_seal(file)
    if whole < size:
        return f"is oversized: {size - whole} bytes follow its end, after {whole} bytes."
    return f"is truncated, or its end was altered: there is no checksum after {size} bytes."


def _end_of_seal(file: BinaryIO) -> float:
    """Where a seal ends that stands somewhere in the file; infinitely far, if there is none."""
    file.seek(0)
    before, place = b"", 0
    while chunk := file.read(_CHUNK):
        at = (before + chunk).rfind(SEAL)
        if at >= 0:
            return place - len(before) + at + len(SEAL) + DIGITS
        place += len(chunk)
        before = chunk[-len(SEAL) :]
    return math.inf


def _foreign(start: bytes, size: int) -> str:
    """What a file is that `write` has not written."""
    if not size:
        return "is empty."
    if start.startswith(b"PK"):
        if b"data.pkl" in start:
            return (
                "is PyTorch's. Where PyTorch is, load it with torch.load(path, weights_only=True) and pass it to "
                "nn.from_torch_state(model, state)."
            )
        return (
            "is an archive that nn.save has not written. If numpy.savez has, from a state_dict, it is read by "
            "model.load_state_dict(dict(numpy.load(path)))."
        )
    if start[:1] == b"\x80":
        return "is a pickle, which could run any code: nn.load opens none."
    if start[8:9] == b"{":
        return "is a safetensors file, it seems: nn.from_safetensors(path) reads it."
    known = {b"\x93NUMPY": "a single array of numpy.save", b"\x89HDF": "an HDF5 file, as Keras writes"}
    what = next(
        (what for magic, what in known.items() if start.startswith(magic)), "not a file that nn.save has written"
    )
    return f"is {what}."


def _entries(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The entries by name, if they are uncompressed and fit into the file together."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise ValueError(f"entry {info.filename!r} is compressed")
        if found.setdefault(info.filename, info) is not info:
            raise ValueError(f"there are two entries {info.filename!r}")
        size -= info.file_size
        if size < 0:
            raise ValueError(f"with entry {info.filename!r} the entries claim more bytes than the file has")
    return found


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    """One array, for which no more memory is asked for than the entry has bytes."""
    with archive.open(info) as entry:
        if npy.read_magic(entry) != (1, 0):
            raise ValueError(f"entry {info.filename!r} has another version of the .npy format")
        shape, fortran, dtype = npy.read_array_header_1_0(entry)
        if dtype.kind not in KINDS or not dtype.itemsize or min(shape, default=0) < 0:
            raise ValueError(f"entry {info.filename!r} holds an array of dtype {dtype} and shape {shape}")
        left = info.file_size - entry.tell()
        if math.prod(shape) * dtype.itemsize != left:
            raise ValueError(f"entry {info.filename!r} claims shape {shape} of {dtype}, and has {left} bytes")
        array = np.empty(shape, dtype, "F" if fortran else "C")
        place = array.ravel("K").view(np.uint8) if left else array
        for start in range(0, left, _CHUNK):
            part = np.frombuffer(entry.read(min(_CHUNK, left - start)), np.uint8)
            place[start : start + len(part)] = part
        if entry.read(1):
            raise ValueError(f"entry {info.filename!r} goes on after its array")
        return array
