"""RoIAlign (He et al. 2017, "Mask R-CNN") from torch's own operators.

It replaces torchvision's compiled one where that does not load. torchvision's fallback in
Python takes every sample of every region at once, adaptive counts padded to the whole map.
"""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool2d, grid_sample

_LARGEST = 2**25  # samples at once: 128 MiB of float32


def roi_align(
    input: torch.Tensor,
    rois: torch.Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> torch.Tensor:
    """Compute the means over the bins of regions, as torchvision's operator does.

    Each bin is the mean of some points on a regular grid in it, each interpolated bilinearly.
    Points more than one position outside the map are zero, nearer ones have its border's value.

    Parameters
    ----------
    input : Tensor of float, shape (n, channels, rows, columns)
    rois : Tensor of float, shape (k, 5)
        Number of the image, then x1, y1, x2, y2. No gradient goes there.
    spatial_scale : float
        Positions of the map per unit of the regions.
    pooled_height, pooled_width : int
        Number of bins along each axis.
    sampling_ratio : int
        Points of a bin along each axis; 0 or less: as many as it takes for them to lie at most
        one position apart, which may be none in an empty region.
    aligned : bool
        Whether position i is at coordinate i + 0.5; otherwise at i, and regions have at least
        the size of one position.

    Returns
    -------
    Tensor, shape (k, channels, pooled_height, pooled_width)
        The dtype is that of the input.

    Raises
    ------
    RuntimeError
        Regions of another shape, or of an image that does not exist.
    """
    if rois.ndim != 2 or rois.shape[1] != 5:
        raise RuntimeError(f"roi_align takes regions (k, 5), not {tuple(rois.shape)}")
    precision = torch.promote_types(input.dtype, torch.float32)
    images = torch.split(input.to(precision), 1)
    rois = rois.detach().to(precision)
    if len(rois) and not 0 <= rois[:, 0].min() <= rois[:, 0].max() < len(images):
        raise RuntimeError(f"roi_align was given regions of other than {len(images)} images")
    bins = (pooled_height, pooled_width)
    first = rois[:, [2, 1]] * spatial_scale - 0.5 * aligned  # row and column
    extent = rois[:, [4, 3]] * spatial_scale - 0.5 * aligned - first
    if not aligned:
        extent = extent.clamp(min=1)
    size = extent / extent.new_tensor(bins)
    counts = torch.full_like(size, sampling_ratio) if sampling_ratio > 0 else size.ceil()

    # Regions of one image with as many points each are sampled together.
    keys = torch.cat([rois[:, :1], counts], 1).long()
    groups, member = torch.unique(keys, dim=0, return_inverse=True)
    order, pieces = [], [input.new_zeros((0, input.shape[1], *bins), dtype=precision)]
    for number, (index, *points) in enumerate(groups.tolist()):
        samples = input.shape[1] * pooled_height * pooled_width * max(points[0] * points[1], 1)
        for chosen in (member == number).nonzero()[:, 0].split(max(_LARGEST // samples, 1)):
            order.append(chosen)
            pieces.append(_pool(images[index], first[chosen], size[chosen], bins, points))
    pooled = torch.cat(pieces)
    return (pooled[torch.cat(order).argsort()] if order else pooled).to(input.dtype)


def _pool(
    image: torch.Tensor,
    first: torch.Tensor,
    size: torch.Tensor,
    bins: tuple[int, int],
    points: list[int],
) -> torch.Tensor:
    """Pool regions that have the same number of points: (k, channels, *bins)."""
    if min(points) < 1:
        return image.new_zeros((len(first), image.shape[1], *bins))
    axes = []
    inside = []
    for axis in (0, 1):
        length = image.shape[2 + axis]
        where = _coordinates(
            first[:, axis, None, None], size[:, axis, None, None], bins[axis], points[axis]
        )
        inside.append((where >= -1) & (where <= length))
        axes.append((2 * where + 1) / length - 1)  # grid_sample's coordinates
    (rows, columns), (row_inside, column_inside) = axes, inside
    shape = (*rows.shape, columns.shape[1])
    grid = torch.stack([columns[:, None].expand(shape), rows[:, :, None].expand(shape)], -1)
    values = grid_sample(
        image, grid.flatten(0, 1)[None], padding_mode="border", align_corners=False
    )  # (1, channels, k * rows, columns)
    if not (row_inside.all() and column_inside.all()):
        valid = row_inside[:, :, None] & column_inside[:, None]
        values = values.where(valid.flatten(0, 1), 0)
    means = avg_pool2d(values, points)  # in one pass; a mean over two axes apart takes longer
    return means.view(image.shape[1], len(first), *bins).transpose(0, 1)


def _coordinates(first: torch.Tensor, size: torch.Tensor, bins: int, points: int) -> torch.Tensor:
    """Compute the coordinates of all points along an axis: (k, bins * points)."""
    bin_number = torch.arange(bins, device=first.device)[:, None]
    point = torch.arange(points, device=first.device) + 0.5
    return (first + bin_number * size + point * (size / points)).flatten(1)
