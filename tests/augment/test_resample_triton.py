"""The fused kernel: in Triton's interpreter it equals the tiled form, and it compiles for GPUs.

Not run on a GPU here; these tests need Triton, which comes with torch's CUDA builds.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton", reason="Triton is not installed: the fused kernel is not tested")

from freqprep.augment.normalisation import Normalisation  # noqa: E402
from freqprep.augment.resample import Resampler  # noqa: E402
from freqprep.augment.resample_triton import TritonResampler, can_launch  # noqa: E402
from freqprep.augment.window_table import window_table  # noqa: E402
from freqprep.spectrum.channels import channels  # noqa: E402

HERE = Path(__file__).parent
CASES = [("paper-64", "square-24"), ("y_0_0,cb_0_0,y_3_1", "cb_0_0,y_0_0"), ("paper-64", None)]


def interpreted() -> None:
    """Compare both forms; run in a process of its own, with TRITON_INTERPRET=1."""
    from test_resample_dense import GRID, random_codes, windows_of

    assert can_launch(torch.device("cpu"))
    for seed, (read, used) in enumerate(CASES):
        rng, n = np.random.default_rng(seed), 2
        windows, flip = windows_of(rng, n, 70), np.array([True, False])
        read, used = channels(read), used and channels(used)
        planes = 3 if used is None else len(used)
        mean, std = rng.uniform(-50, 50, planes), rng.uniform(40, 80, planes)
        steps = rng.choice([1, 4, 8], len(read)).astype(np.float32)
        codes = random_codes(seed, n, read)
        size = tuple((8 * (-(-windows.kept.max(axis=0) // 8) + 1)).tolist())
        table = torch.from_numpy(window_table(windows, flip, None))
        for dtype, close in ((torch.float32, 1e-3), (torch.bfloat16, 2e-2)):
            normal = Normalisation(mean, std, used is None, dtype)
            resample = Resampler(read, steps, GRID, used, normal)
            fused = TritonResampler(resample._components, planes, used is None, normal)
            found = fused(codes, table, size, plain=False, filled=False)
            expected = resample(codes, windows, flip, size)
            assert found.dtype == dtype and found.shape == expected.shape
            assert found.is_contiguous(memory_format=torch.channels_last)
            assert (found - expected).abs().max() < close * expected.abs().max().clamp(min=1)


def test_it_equals_the_tiled_form_in_the_interpreter():
    code = "import test_resample_triton as t; t.interpreted()"
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=HERE.parents[1], capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


def test_where_it_cannot_start_a_note_says_why_and_it_is_not_used(capfd):
    can_launch.cache_clear()
    try:
        assert not can_launch(torch.device("cpu"))  # no GPU, and not the interpreter
        assert "augmentation on cpu without Triton, which is slower: " in capfd.readouterr().err
    finally:
        can_launch.cache_clear()


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(("read", "used"), [("square-24", "square-24"), ("all", None)])
def test_it_compiles_without_a_gpu(capability, read, used):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from freqprep.augment.resample_kernel import resample

    read, used = channels(read), used and channels(used)
    parts = Resampler(read, np.ones(len(read), np.float32), (64, 64), used)._components
    launch = TritonResampler(parts, 3 if used is None else 24, used is None, None)._launches[0]
    constants = {**launch.sizes, "RGB": used is None, "ZERO_BEYOND": False, "PRECISION": "tf32"}
    names = ("images", "channels", "rows", "columns", "tiles_across", "height", "width", "planes")
    kinds = {
        **dict.fromkeys(resample.arg_names, "*fp32"),
        **dict.fromkeys(names, "i32"),
        **{"codes": "*i8", "table": "*i32", "channel": "*i32", "plane": "*i32", "out": "*bf16"},
        **dict.fromkeys(constants, "constexpr"),
    }
    source = ASTSource(fn=resample, signature=kinds, constexprs=constants)
    found = triton.compile(
        source,
        target=GPUTarget("cuda", capability, 32),
        options=launch.options,
    )
    assert len(found.asm["cubin"]) > 0
    assert found.metadata.shared <= 163 * 1024  # of a program, on sm_80
