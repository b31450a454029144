"""A loader in a loop of timm's parts: its models, optimizers, schedules and meters."""

import pytest
import torch
from given import EPOCHS

timm = pytest.importorskip("timm", reason="pip install 'freqprep[frameworks]'")
pytestmark = pytest.mark.filterwarnings("ignore")


def test_every_epoch_is_the_loaders(train, seen):
    from timm.data import Mixup
    from timm.loss import SoftTargetCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.utils import AverageMeter, ModelEmaV3, accuracy

    network = timm.create_model("test_vit", img_size=2, patch_size=1, in_chans=3, num_classes=4)
    optimizer = create_optimizer_v2(network, "adamw", lr=1e-3)
    average, losses, correct = ModelEmaV3(network), AverageMeter(), AverageMeter()
    mixup = Mixup(mixup_alpha=0.2, num_classes=4)
    for _ in range(EPOCHS):
        for _, (_, (x, y)) in zip(range(len(train)), enumerate(train), strict=False):
            seen.add(x, y)
            logits = network(x / 100)
            mixed, soft = mixup(x.clone(), y)
            loss = SoftTargetCrossEntropy()(network(mixed / 100), soft)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average.update(network)
            losses.update(loss.item(), len(y))
            correct.update(accuracy(logits, y)[0].item(), len(y))
    assert torch.isfinite(torch.tensor(losses.avg)) and correct.count == EPOCHS * 16 * len(train)
    seen.are_epochs_of(train, EPOCHS)
