"""A loader in a Hugging Face Trainer: a model of dictionaries, fed by an iterable of them."""

import json
from pathlib import Path

import pytest
import torch
from given import BATCH, CHANNELS, EPOCHS, SEED, Network, Seen

import freqprep

pytest.importorskip("accelerate", reason="pip install 'freqprep[frameworks]'")
transformers = pytest.importorskip("transformers", reason="pip install 'freqprep[frameworks]'")
pytestmark = pytest.mark.filterwarnings("ignore")


class Model(torch.nn.Module):
    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.network, self.seen = Network(), seen
        self.validated = Seen()

    def forward(self, pixel_values, labels):
        (self.seen if self.training else self.validated).add(pixel_values, labels)
        logits = self.network(pixel_values)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


class Named:
    """A loader whose batches are the dictionaries that a Trainer's models are called with."""

    def __init__(self, loader: freqprep.Loader) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self):
        return ({"pixel_values": x, "labels": y} for x, y in self.loader)

    def set_epoch(self, epoch: int) -> None:
        self.loader.set_epoch(epoch)


def trainer(folder, seen, train, val=None, **options):
    class Trainer(transformers.Trainer):
        def get_train_dataloader(self):
            return Named(train)

        def get_eval_dataloader(self, eval_dataset=None):
            return Named(val)

    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        save_strategy=options.pop("save_strategy", "no"),
        remove_unused_columns=False,
        **options,
    )
    return Trainer(model=Model(seen), args=arguments, eval_dataset=val)


@pytest.mark.parametrize("accumulation", [1, 4])
def test_every_epoch_is_the_loaders(train, seen, tmp_path, accumulation):
    trainer(tmp_path, seen, train, gradient_accumulation_steps=accumulation).train()
    seen.are_epochs_of(train, EPOCHS)


def test_evaluation_sees_all_images_after_each_epoch(train, val, seen, tmp_path):
    run = trainer(tmp_path, seen, train, val, eval_strategy="epoch")
    run.train()
    metrics = run.evaluate()
    seen.are_epochs_of(train, EPOCHS)
    run.model.validated.are_epochs_of(val, EPOCHS + 1)
    assert metrics["eval_loss"] > 0


class SaveLoader(transformers.TrainerCallback):
    """Saves a loader's state with each checkpoint."""

    def __init__(self, loader: freqprep.Loader) -> None:
        self.loader = loader

    def on_save(self, args, state, control, **_):
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        (folder / "loader.json").write_text(json.dumps(self.loader.state_dict()))


@pytest.mark.parametrize("accumulation", [1, 3])
def test_a_run_is_resumed_inside_an_epoch_and_at_its_end(train, seen, tmp_path, accumulation):
    """Where the batches of an update divide the epoch: the Trainer counts a resumed one from 0."""
    steps = len(train) // accumulation
    assert len(train) == 18 and steps * accumulation == len(train)

    def run(name, seen, resume=None):
        loader = freqprep.Loader(train.split, CHANNELS, batch_size=BATCH, seed=SEED)
        inside = resume is not None and int(resume.name.rpartition("-")[2]) % steps
        torch.manual_seed(0)
        made = trainer(
            tmp_path / name,
            seen,
            loader,
            gradient_accumulation_steps=accumulation,
            save_strategy="steps",
            save_steps=2,
            ignore_data_skip=bool(inside),
        )
        made.add_callback(SaveLoader(loader))
        if inside:
            loader.load_state_dict(json.loads((resume / "loader.json").read_text()))
        made.train(resume_from_checkpoint=str(resume) if resume else None)
        assert made.state.global_step == EPOCHS * steps
        return made.model.state_dict()

    whole = run("whole", seen)
    for done in (steps + 2, 2 * steps):
        rest = Seen()
        found = run(f"resumed-{done}", rest, tmp_path / "whole" / f"checkpoint-{done}")
        assert all(torch.equal(found[name], whole[name]) for name in whole)
        expected = seen.x[done * accumulation :]
        assert len(rest.x) == len(expected)
        assert all((one == other).all() for one, other in zip(rest.x, expected, strict=True))


def test_batches_themselves_for_a_trainer_with_its_own_loss(train, seen, tmp_path):
    class Trainer(transformers.Trainer):
        def get_train_dataloader(self):
            return train

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            x, y = inputs
            return model(x, y)["loss"]

    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=4,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        save_strategy="no",
    )
    Trainer(model=Model(seen), args=arguments).train()
    seen.are_epochs_of(train, EPOCHS)


def test_a_dataset_for_trainers_that_make_their_own_dataloader(photos, seen, tmp_path):
    dataset = freqprep.Dataset(freqprep.open_store(photos)["train"], CHANNELS)
    sampler = dataset.batch_sampler(BATCH, seed=SEED)

    def collate(samples):
        x, y = torch.utils.data.default_collate(samples)
        return {"pixel_values": x, "labels": y}

    class Trainer(transformers.Trainer):
        def get_train_dataloader(self):
            made = torch.utils.data.DataLoader(dataset, batch_sampler=sampler, collate_fn=collate)
            return self.accelerator.prepare(made)

    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), num_train_epochs=2, report_to=[], disable_tqdm=True, use_cpu=True
    )
    Trainer(model=Model(seen), args=arguments).train()
    fresh = dataset.batch_sampler(BATCH, seed=SEED)
    expected = [torch.stack([dataset[i][0] for i in batch]) for _ in range(2) for batch in fresh]
    assert len(seen.x) == len(expected)
    assert all((x == y.numpy()).all() for x, y in zip(seen.x, expected, strict=True))
