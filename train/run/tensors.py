"""Store named tensors and a JSON document in one safetensors file with a checksum. Such files cannot contain code."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from deepchrome.common.files import atomic_write, check_regular_file
from deepchrome.errors import BadDataError, MissingInputError

FORMAT_VERSION: Final = 1
_KEY: Final = "deepchrome"
_SIZE_BYTES: Final = 8  # a safetensors file begins with the size of its JSON header


def write_tensors(path: Path, tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> None:
    """Write tensors and a JSON document.

    Raises
    ------
    StorageError
        The file cannot be written. An existing file is left as it was.
    """
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    text = json.dumps({"format_version": FORMAT_VERSION, "sha256": _digest(contiguous, document), **document})
    with atomic_write(path) as temporary:
        # Do not use save_file: its own temporary file would stay behind if the process were killed.
        temporary.write_bytes(save(contiguous, {_KEY: text}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and the document that :func:`write_tensors` wrote.

    Raises
    ------
    MissingInputError
        The file does not exist.
    BadDataError
        The file was not written by :func:`write_tensors`, has another format version, or does not
        match its checksum.
    """
    check_regular_file(path)
    try:
        # Not safe_open, which needs a path in UTF-8.
        data = path.read_bytes()
        tensors = load(data)
        header = json.loads(data[_SIZE_BYTES : _SIZE_BYTES + int.from_bytes(data[:_SIZE_BYTES], "little")])
        document = json.loads(header["__metadata__"][_KEY])
        version, digest = document.pop("format_version"), document.pop("sha256")
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file") from None
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadDataError(f"{path}: damaged, or not written by dc train ({error})") from None
    if version != FORMAT_VERSION:
        raise BadDataError(f"{path}: format version {version}, but this deepchrome reads version {FORMAT_VERSION}")
    if digest != _digest(tensors, document):  # guard: model-checksum
        raise BadDataError(f"{path}: damaged (the content does not match its checksum)")
    return tensors, document


def _digest(tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the document and of all names, types, shapes and values, in hexadecimal."""
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
