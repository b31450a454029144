"""A model's config, ``model.json``: all that is needed to use a network besides its weights."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from freqprep.augment import ClassifierInput, DetectorInput
from freqprep.errors import CorruptStoreError, FreqprepError, RunError, UsageError
from freqprep.images.encoding import Encoding
from freqprep.models.detection import DETECTORS, build_detector
from freqprep.models.gate import ChannelGate, GatedNetwork, SelectionGate
from freqprep.models.networks import MODELS, build
from freqprep.storage.disk import full_disk_named, write_parts
from freqprep.storage.document_hash import HASH_KEY, with_hash, without_hash
from freqprep.storage.paths import local_path
from freqprep.storage.regular_file import read_regular
from freqprep.storage.strict_json import parse
from freqprep.store.layout import MODEL_FILE
from freqprep.store.manifest import GROUP_DOCUMENT

__all__ = ["ModelConfig", "read_model_config"]

FORMAT_NAME = "freqprep-model"
FORMAT_VERSION = "1.3"
"""1.1 has detectors: other inputs, and ``frozen_norm``; 1.2 precisions with steps of their own; 1.3
``selects``."""

_MOST_BYTES = 16 * 2**20
_MOST_PATCHES = 4096
_MOST_CLASSES, _MOST_CLASSES_DETECTED = 2**19, 2**16
"""Their weights take up to 4 GB, the limit of a file of weights."""

_MAKE_ONE = "name the folder of a run, or make one with `freqprep train STORE --run FOLDER`"


@dataclass(frozen=True)
class ModelConfig:
    """Description of a network: its architecture, its input and its classes.

    Attributes
    ----------
    model : str
        One of `freqprep.models.networks.MODELS` or `freqprep.models.detection.DETECTORS`.
    strides : str
        ``canonical`` or ``authors``.
    gate : bool
        Whether a gate stands before the network.
    patches : int
        Channels of a learned 8x8 convolution in the stem's place (RGB inputs only); 0 for none.
    inputs : ClassifierInput, or DetectorInput of a detector
        Channels, size and normalisation.
    encoding : Encoding
        Geometry and precision of the store it was trained from: how an image becomes codes.
    class_ids : tuple of str or int
        In the order of the network's answers; a detector's begin with the background.
    class_names : tuple of str
    content_ids : dict of str to str
        Split -> identity of the data it was trained and validated on.
    recipe : dict
        How it was trained, as JSON data.
    results : dict
        What came of it, as JSON data; empty until the run is done.
    frozen_norm : bool
        Whether the norms of a detector's backbone are frozen.
    selects : bool
        Whether the gate opens the same channels for all images: see `SelectionGate`.
    """

    model: str
    strides: str
    gate: bool
    patches: int
    inputs: ClassifierInput | DetectorInput
    encoding: Encoding
    class_ids: tuple[str | int, ...]
    class_names: tuple[str, ...]
    content_ids: dict[str, str]
    recipe: dict[str, Any]
    results: dict[str, Any] = dataclasses.field(default_factory=dict)
    frozen_norm: bool = False
    selects: bool = False

    @property
    def detects(self) -> bool:
        """Whether it is a detector, not a classifier."""
        return self.model in DETECTORS

    @property
    def classifier_inputs(self) -> ClassifierInput:
        """The input of a classifier.

        Raises
        ------
        UsageError
            It is a detector.
        """
        if not isinstance(self.inputs, ClassifierInput):
            raise UsageError(f"{self.model} is a detector", "name the run of a classifier")
        return self.inputs

    @property
    def quantization_steps(self) -> np.ndarray:
        """Quantization steps of the channels read: what their codes are multiplied by."""
        return self.encoding.steps_of(self.inputs.read_selection)

    @property
    def identity(self) -> str:
        """Hash of what the weights mean: network, input and classes."""
        document = self.to_dict()
        kept = ["model", "strides", "gate", "patches", "inputs", "steps", "classes"]
        kept += ["frozen_norm"] if self.detects else []
        kept += ["selects"] if self.selects else []
        text = json.dumps([document[name] for name in kept])
        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data; ``steps`` follow from the rest and are there for other readers."""
        return {
            "format": FORMAT_NAME,
            "format_version": FORMAT_VERSION,
            "model": self.model,
            "strides": self.strides,
            "gate": self.gate,
            "patches": self.patches,
            "inputs": self.inputs.to_dict(),
            "steps": self.quantization_steps.tolist(),
            "encoding": self.encoding.to_dict(),
            "classes": {"ids": list(self.class_ids), "names": list(self.class_names)},
            "content_ids": self.content_ids,
            "recipe": self.recipe,
            "results": self.results,
            "frozen_norm": self.frozen_norm,
            "selects": self.selects,
        }

    @classmethod
    def from_dict(cls, data: Any) -> ModelConfig:
        """Make a config from JSON data.

        Raises
        ------
        RunError
            Not a config, of a newer format, or malformed.
        """
        if not isinstance(data, dict) or data.get("format") != FORMAT_NAME:
            raise RunError(f'not a model config: it has no "format": "{FORMAT_NAME}"')
        version = str(data.get("format_version"))
        if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
            raise RunError(
                f"the model config has format {version}, this freqprep reads {FORMAT_VERSION}",
                "install a newer freqprep",
            )
        if data.get("model") not in (*MODELS, *DETECTORS):
            raise RunError(
                f"the model config names the network {data.get('model')!r}, unknown here",
                "install a newer freqprep",
            )
        data = {"frozen_norm": False, "selects": False, **data}
        try:
            _check_types(data)
            inputs = DetectorInput if data["model"] in DETECTORS else ClassifierInput
            ids, names = data["classes"]["ids"], data["classes"]["names"]
            return cls(
                model=data["model"],
                strides=data["strides"],
                gate=data["gate"],
                patches=data["patches"],
                inputs=inputs.from_dict(data["inputs"]),
                encoding=Encoding.from_dict(data["encoding"]),
                class_ids=tuple(ids),
                class_names=tuple(names),
                content_ids=data["content_ids"],
                recipe=data["recipe"],
                results=data["results"],
                frozen_norm=data["frozen_norm"],
                selects=data["selects"],
            )
        except (KeyError, TypeError, ValueError, FreqprepError) as error:
            raise RunError(f"the model config is malformed: {error}") from None

    def build(self, *, trained_stages: int = 4, regions: int = 512) -> Any:
        """Build the network with random weights.

        The numbers are for training a detector: see `freqprep.models.detection.build_detector`.
        """
        if self.detects:
            return build_detector(
                self.model,
                input=self.inputs.kind,
                channels=self.inputs.planes,
                classes=len(self.class_ids),
                frozen_norm=self.frozen_norm,
                trained_stages=trained_stages,
                regions=regions,
            )
        channels = self.patches or self.inputs.planes
        network = build(
            self.model,
            input="patches" if self.patches else self.inputs.kind,
            channels=channels,
            classes=len(self.class_ids),
            strides=self.strides,
        )
        if not self.gate:
            return network
        gate = SelectionGate(channels) if self.selects else ChannelGate(channels)
        return GatedNetwork(gate, network)


def _check_types(data: dict[str, Any]) -> None:
    """Refuse values of other types than `ModelConfig.to_dict` writes; the text says which."""
    kinds = {"model": str, "strides": str, "gate": bool, "patches": int, "frozen_norm": bool}
    kinds |= {"selects": bool}
    kinds |= dict.fromkeys(("inputs", "encoding", "classes", "content_ids"), dict)
    kinds |= {"recipe": dict, "results": dict}
    for name, kind in kinds.items():
        if type(data[name]) is not kind:
            raise ValueError(f"its {name} is {type(data[name]).__name__}, not {kind.__name__}")
    if not 0 <= data["patches"] <= _MOST_PATCHES:
        raise ValueError(f"{data['patches']} patches are not in 0..{_MOST_PATCHES}")
    if data["model"] in DETECTORS and (data["gate"] or data["patches"]):
        raise ValueError("a detector has neither a gate nor patches")
    if data["selects"] and not data["gate"]:
        raise ValueError("it selects channels without a gate")
    ids, names = data["classes"]["ids"], data["classes"]["names"]
    listed = isinstance(ids, list) and isinstance(names, list) and 0 < len(ids) == len(names)
    if not listed or not all(type(one) in (str, int) for one in ids) or len({*ids}) < len(ids):
        raise ValueError("its classes are no list of distinct ids with a name each")
    most = _MOST_CLASSES_DETECTED if data["model"] in DETECTORS else _MOST_CLASSES
    if len(ids) > most:
        raise ValueError(f"it has {len(ids)} classes, and no network has more than {most}")
    if not all(isinstance(text, str) for text in (*names, *data["content_ids"].values())):
        raise ValueError("its class names and content ids are not all texts")


def read_model_config(folder: str | Path) -> ModelConfig:
    """Read the config in a run's folder.

    Raises
    ------
    RunError
        There is none, or it cannot be used.
    """
    folder = local_path(folder)
    path = folder / MODEL_FILE
    try:
        data = read_regular(path, _MOST_BYTES)
    except CorruptStoreError as error:
        raise RunError(error.message, error.remedy) from None
    except OSError as error:
        what = f"{MODEL_FILE} cannot be read ({error.strerror})"
        if not os.path.lexists(folder):
            what = "it does not exist"
        elif not folder.is_dir():
            what = "it is a file"
        elif (folder / GROUP_DOCUMENT).is_file():
            what = "it is a store"
        raise RunError(f"{folder} is not the folder of a run: {what}", _MAKE_ONE) from None
    try:
        document = parse(data)
    except ValueError as error:
        raise RunError(f"{path} is not JSON: {error}", "train again, or restore the file") from None
    try:
        return ModelConfig.from_dict(_unhashed(document))
    except RunError as error:
        raise RunError(f"{path}: {error.message}", error.remedy or "restore the file") from None


def _unhashed(document: Any) -> Any:
    """Return a parsed file without its hash, or refuse content that it was not written for."""
    try:
        return without_hash(document) if isinstance(document, dict) else document
    except ValueError as error:
        raise RunError(
            f"it is damaged, or was edited: {error}",
            f'restore {MODEL_FILE}, or train again; if you edited it, remove its "{HASH_KEY}"',
        ) from None


def write_model_config(folder: Path, config: ModelConfig) -> None:
    """Write the config into a run's folder, whole or not at all."""
    data = json.dumps(with_hash(config.to_dict()), indent=1, allow_nan=False) + "\n"
    with full_disk_named(folder):
        write_parts(folder / MODEL_FILE, [data.encode()], folder)
