"""Store named tensors and a JSON document in one safetensors file with a checksum. Such files cannot contain code."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from deepchrome.common.files import atomic_write
from deepchrome.errors import BadDataError, MissingInputError

FORMAT_VERSION: Final = 1
_KEY: Final = "deepchrome"


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
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        document = json.loads(text or "")
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
