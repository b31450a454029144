"""Export of a run's network to one file: ONNX, or a program of ``torch.export``.

The graph takes coefficients (or RGB pixels) as they are, normalises them, and answers logits. How
an image becomes that input is written into the file and beside it, for people and for programs.
"""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from freqprep.augment import ClassifierInput
from freqprep.engines.process_wide import warnings_ignored
from freqprep.errors import FreqprepError, MissingPackageError, UsageError
from freqprep.storage.disk import full_disk_named, write_parts
from freqprep.storage.paths import local_path
from freqprep.store.targets import check_file
from freqprep.training.model_config import ModelConfig

__all__ = ["Exported", "export"]

FORMAT_NAME = "freqprep-export"
FORMAT_VERSION = "1.0"

DESCRIPTION = "freqprep.json"
"""Name of the description inside an exported file: a key of ONNX's metadata, or an extra file."""

TOLERANCE = 1e-4
"""Largest difference from the network itself, in units of its largest logit, or of 1."""

_INPUT, _OUTPUT, _IMAGES = "image", "logits", "images"
_REMEDY = "pip install 'freqprep[export]'"

Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Exported:
    """Result of an export.

    Attributes
    ----------
    path, description : Path
        The network, and the JSON file beside it.
    file_bytes : int
        Of the network's file.
    difference : float
        Largest difference of a logit from the network's own.
    """

    path: Path
    description: Path
    file_bytes: int
    difference: float


class Normalised(torch.nn.Module):
    """A network behind the normalisation of its input.

    Parameters
    ----------
    inputs : ClassifierInput
    network : torch.nn.Module
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, inputs: ClassifierInput, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(inputs.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(inputs.std)[:, None, None])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Coefficients or pixels (n, C, rows, columns) -> logits (n, classes)."""
        logits: torch.Tensor = self.network((image - self.mean) / self.std)
        return logits


def export(config: ModelConfig, network: torch.nn.Module, path: str | Path) -> Exported:
    """Export a network; the file is checked before it gets its name.

    Parameters
    ----------
    config : ModelConfig
    network : torch.nn.Module
        In evaluation mode on the CPU.
    path : str or Path
        ``.onnx``, or ``.pt2`` for ``torch.export``; a file there is replaced. The description
        goes beside it, its name with ``.json`` behind.

    Returns
    -------
    Exported
        The files that were written, and how far the outputs differ.

    Raises
    ------
    UsageError
        Another suffix, a place that cannot hold the files, or a detector.
    MissingPackageError
        onnx, onnxscript or onnxruntime is not installed.
    FreqprepError
        The exported graph answers otherwise than the network.
    """
    path = local_path(path)
    form = check_target(path)
    inputs = config.classifier_inputs
    description = path.with_name(f"{path.name}.json")
    model: Any = Normalised(inputs, network).eval()
    model.to("cpu", memory_format=torch.contiguous_format)
    text = json.dumps(describe(config), indent=1, allow_nan=False) + "\n"
    with warnings_ignored:  # the exporters' own, about themselves
        data, run = form(model, inputs, text)
    difference = _compare(model, inputs, run)
    with full_disk_named(path.absolute().parent):
        write_parts(description, [text.encode()], path.absolute().parent)
        written = write_parts(path, [data], path.absolute().parent)
    return Exported(path, description, written.file_bytes, difference)


def describe(config: ModelConfig) -> dict[str, Any]:
    """Describe an exported network: all that is needed to use it, as JSON data."""
    inputs, encoding = config.classifier_inputs, config.encoding
    unit = "coefficients" if inputs.kind == "frequency" else "RGB in 0..255"
    return {
        "format": FORMAT_NAME,
        "format_version": FORMAT_VERSION,
        "model": config.model,
        "strides": config.strides,
        "gate": config.gate,
        "input": {
            "name": _INPUT,
            "type": "float32",
            "shape": [_IMAGES, *inputs.shape],
            "unit": unit,
            "channels": list(inputs.channels) or ["red", "green", "blue"],
        },
        "output": {
            "name": _OUTPUT,
            "type": "float32",
            "shape": [_IMAGES, len(config.class_ids)],
            "unit": "logits: softmax gives probabilities",
        },
        "preprocessing": {
            "steps": _steps(config),
            "read": list(inputs.read),
            "quantization_steps": config.quantization_steps.tolist(),
            "resize": inputs.resize,
            "side": inputs.side,
            "encoding": encoding.to_dict(),
        },
        "normalisation": {
            "in_the_graph": True,
            "mean": list(inputs.mean),
            "std": list(inputs.std),
        },
        "classes": {"ids": list(config.class_ids), "names": list(config.class_names)},
        "content_ids": config.content_ids,
    }


def _steps(config: ModelConfig) -> list[str]:
    """Describe the steps from an image file to the graph's input."""
    inputs, geometry = config.classifier_inputs, config.encoding.geometry
    upright = "applied" if geometry.orientation == "apply" else "ignored"
    if geometry.resize is None:
        place = f"resize so that the long side is at most {geometry.size} (never enlarge)"
    else:
        place = f"resize the short side to {geometry.resize}, keep the central {geometry.size}"
    last = (
        "8x8 DCT again; of its 192 channels those of input.channels, in that order"
        if inputs.kind == "frequency"
        else "JFIF RGB, clipped to 0..255"
    )
    return [
        f"decode to 8-bit JFIF YCbCr, full range, 4:4:4, EXIF orientation {upright}",
        f"{place}: antialiased bilinear, on the three planes, in 8 bits",
        "repeat the edge to whole blocks; orthonormal 8x8 DCT of each plane minus 128; channel"
        " y_v_h, cb_v_h or cr_v_h is the frequency v (vertical), h (horizontal) of all blocks",
        f"divide by the quantization steps, round (halves to even), saturate to"
        f" {config.encoding.precision.codes}, multiply back",
        "set the channels that are not in preprocessing.read to zero; invert the DCT; cut the"
        " padding off",
        f"resize the short side to {inputs.resize}, antialiased bilinear (the long side is"
        f" truncated to whole pixels), and keep the central {inputs.side} x {inputs.side}",
        last,
    ]


Form = Callable[[Normalised, ClassifierInput, str], tuple[bytes, Run]]


def check_target(path: Path) -> Form:
    """Find the exporter for a path, once it is sure that the path can be written.

    Raises
    ------
    UsageError, MissingPackageError
        As `export`.
    """
    forms: dict[str, Form] = {".onnx": _to_onnx, ".pt2": _to_program}
    if path.suffix not in forms:
        raise UsageError(
            f"{str(path)!r} is in no form that can be exported", f"end it in {' or '.join(forms)}"
        )
    for target in (path, path.with_name(f"{path.name}.json")):
        check_file(target)
    if path.suffix == ".onnx":
        for name in ("onnx", "onnxscript", "onnxruntime"):
            _import(name)
    return forms[path.suffix]


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise MissingPackageError(
            f"the package {name} cannot be imported: {error}", _REMEDY
        ) from None


def _to_onnx(model: Normalised, inputs: ClassifierInput, text: str) -> tuple[bytes, Run]:
    program = torch.onnx.export(
        model,
        (torch.zeros(2, *inputs.shape),),
        input_names=[_INPUT],
        output_names=[_OUTPUT],
        dynamic_shapes=_any_number_of_images(),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # lines of code, with the paths they have here
    program.model.metadata_props[DESCRIPTION] = text
    data = program.model_proto.SerializeToString()
    runtime = _import("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return data, lambda images: session.run([_OUTPUT], {_INPUT: images})[0]


def _to_program(model: Normalised, inputs: ClassifierInput, text: str) -> tuple[bytes, Run]:
    example = (torch.zeros(2, *inputs.shape),)
    program = torch.export.export(model, example, dynamic_shapes=_any_number_of_images())
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # as above
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={DESCRIPTION: text})
    buffer.seek(0)
    loaded = torch.export.load(buffer).module()
    return buffer.getvalue(), lambda images: loaded(torch.from_numpy(images)).detach().numpy()


def _any_number_of_images() -> tuple[dict[int, Any]]:
    return ({0: torch.export.Dim(_IMAGES, min=1)},)


def _compare(model: Normalised, inputs: ClassifierInput, run: Run) -> float:
    """Compute the largest difference of a logit over random inputs like the network's.

    The network is used in the memory format that it is trained and evaluated in.
    """
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rng = np.random.default_rng(0)
    mean, std = (np.array(v, np.float32)[:, None, None] for v in (inputs.mean, inputs.std))
    worst = 0.0
    for images in (1, 3):
        example = mean + std * rng.standard_normal((images, *inputs.shape), np.float32)
        with torch.inference_mode():
            shown = torch.from_numpy(example).contiguous(memory_format=torch.channels_last)
            wanted = model(shown).numpy()
        found = run(example)
        difference = float(np.abs(found - wanted).max()) if found.shape == wanted.shape else np.inf
        if not difference <= TOLERANCE * max(1.0, float(np.abs(wanted).max())):
            raise FreqprepError(
                f"the exported graph answers otherwise than the network, by {difference:.2g} in a"
                " logit: nothing was written",
                "install the tested versions (constraints.txt)",
            )
        worst = max(worst, difference)
    return worst
