"""Run folders made without training: networks with batch norm statistics and varied predictions."""

import dataclasses
from pathlib import Path

import torch

from freqprep.augment import ClassifierInput, DetectorInput, DetectorPreprocess, Preprocess
from freqprep.spectrum.channels import channels
from freqprep.store.selections import select
from freqprep.store.split import Split
from freqprep.training.checkpoint import AVERAGE, NETWORK, write_checkpoint
from freqprep.training.model_config import ModelConfig, write_model_config

GRID = 16
"""Smallest grid that mobilenet_v2 accepts."""

DETECTOR_GRID = 8


def make_config(split: Split, kind: str = "frequency", gate: bool = False) -> ModelConfig:
    """Config of the smallest network for a split: 6 channels of 24 read, or RGB of 32 pixels."""
    if kind == "frequency":
        inputs = ClassifierInput.frequency(split, channels("paper-6"), channels("square-24"), GRID)
    else:
        inputs = ClassifierInput.rgb(split, select(None, split), 2 * GRID)
    attributes = split.attributes
    return ModelConfig(
        model="mobilenet_v2",
        strides="canonical",
        gate=gate,
        patches=0,
        inputs=inputs,
        encoding=attributes.encoding,
        class_ids=attributes.class_ids,
        class_names=attributes.class_names,
        content_ids={attributes.split: split.content_id},
        recipe={},
        results={"validation": {}},  # of a run that has ended
    )


def make_detector_config(split: Split, masks: bool = False, kind: str = "frequency") -> ModelConfig:
    """Config of a detector of frames with a short side of 32 pixels."""
    if kind == "frequency":
        used, read = channels("paper-6"), channels("square-24")
        inputs = DetectorInput.frequency(split, used, read, DETECTOR_GRID)
    else:
        inputs = DetectorInput.rgb(None, DETECTOR_GRID)
    name = "maskrcnn" if masks else "fasterrcnn"
    return dataclasses.replace(make_config(split), model=f"{name}_resnet50_fpn", inputs=inputs)


def inputs_of(config: ModelConfig, split: Split) -> torch.Tensor:
    """Normalised inputs of all valid rows, in row order."""
    selection = config.inputs.read_selection
    codes = split.read_codes(split.valid, selection).copy()
    preprocess = Preprocess(config.inputs, split.attributes.encoding)
    return preprocess(torch.from_numpy(codes), split.sizes[split.valid])


def make_network(config: ModelConfig, split: Split, seed: int = 0) -> torch.nn.Module:
    """Classifier with random weights, batch norm statistics of a split, and varied predictions."""
    torch.manual_seed(seed)
    network = config.build()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # mean over all batches
    with torch.no_grad():
        network(inputs_of(config, split))
        last = (network.network if config.gate else network).classifier[1]
        last.weight *= 6
        if config.gate:  # without this, all gates are open
            network.gate.pairs.weight *= 3000
    return network.eval()


def make_detector(config: ModelConfig, split: Split, seed: int = 0) -> torch.nn.Module:
    """Detector with random weights, batch norm statistics of a split, and some high scores."""
    torch.manual_seed(seed)
    network = config.build()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
    selection = config.inputs.read_selection
    codes = torch.from_numpy(split.read_codes(split.valid, selection).copy())
    preprocess = DetectorPreprocess(config.inputs, split.attributes.encoding)
    with torch.no_grad():
        network.backbone(preprocess(codes, split.sizes[split.valid]).images)
        scores = network.roi_heads.box_predictor.cls_score
        scores.weight *= 6
        scores.bias[0] += 4  # the background: fewer detections take less time
    return network.eval()


def make_run(folder: Path, split: Split, config: ModelConfig | None = None, seed: int = 0) -> Path:
    """Write a run folder: a config and a checkpoint."""
    config = make_config(split) if config is None else config
    folder.mkdir(parents=True, exist_ok=True)
    make = make_detector if config.detects else make_network
    state = make(config, split, seed).state_dict()
    write_model_config(folder, config)
    write_checkpoint(folder, config, {AVERAGE: state, NETWORK: {}})
    return folder
