"""Sections of the page, as HTML. Names go through `escape_html`."""

from __future__ import annotations

import math

from freqprep.importance.advice import advice
from freqprep.report.figures import (
    ReportFigure,
    allocation_figure,
    correlation_figure,
    curve_figures,
    drift_figure,
    overlap_figures,
    score_figures,
)
from freqprep.report.heatmaps import BOTH, ONLY_CHOSEN, ONLY_PUBLISHED
from freqprep.report.report_data import ReportData
from freqprep.report.sample_pictures import Reconstruction, SampleImage, as_jpeg, gallery
from freqprep.report.style import as_svg
from freqprep.report.tables import (
    overlap_table,
    ranking_table,
    stability_table,
    unavailable_table,
)
from freqprep.spectrum.channels import CHANNELS
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.split import Split
from freqprep.text.escapes import escape_html
from freqprep.text.quantities import decibels, kilobytes, percent, plural

_SHEETS = ("Y (brightness)", "Cb (blue against yellow)", "Cr (red against green)")


def head(report: ReportData) -> str:
    """Write the head: the split, and the chosen channels."""
    analysis, chosen = report.analysis, report.selection.indices
    kb = kilobytes(report.chosen_kilobytes)
    store = escape_html(analysis.store.rstrip("/").rsplit("/", 1)[-1])
    facts = [
        ("store", escape_html(analysis.store)),
        ("split", escape_html(analysis.split)),
        ("images", f"{analysis.images:,} ({analysis.rejected:,} more were rejected)"),
        ("classes", f"{analysis.classes:,}"),
        ("blocks", f"{analysis.blocks:,} of 8x8 pixels in each component"),
        ("content id", f"<code>{escape_html(analysis.content_id)}</code>"),
    ]
    if report.stored < CHANNELS:
        facts.append(("channels stored", f"{report.stored} of {CHANNELS}"))
    if report.network:
        network = f"{escape_html(report.network)}, evaluated on {plural(report.sample, 'image')}"
        facts.append(("network", network))
    share = percent(report.chosen_share, space=True)
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts)
    names = ",<wbr>".join(report.selection.names)
    return f"""<header>
<h1>Which frequency channels matter</h1>
<p class="where"><bdi>{store}</bdi>, split <bdi>{escape_html(analysis.split)}</bdi></p>
{_summary(report)}
<dl class="tiles">
{_tile("channels", f"{len(chosen)} of {report.stored}")}
{_tile("on disk, an image", kb)}
{_tile("share of all bytes", share)}
{_tile(*_psnr_tile(report))}{_network_tile(report)}
</dl>
<div class="names"><h2 id="names-title">The chosen channels</h2>
<button type="button" id="copy">Copy</button><output id="copied" aria-live="polite"></output>
<code id="names" tabindex="0" aria-labelledby="names-title">{names}</code>
<p class="caption">For <code>--channels</code> of freqprep, or <code>freqprep.channels(...)</code>
in Python.</p></div>
<div class="about"><details class="facts" open><summary>What was analysed</summary>
<dl>{listed}</dl></details>
<aside><p><b>A channel</b> is one frequency of all 8x8 blocks of an image: 64 frequencies of
brightness (Y) and of two colour differences (Cb, Cr) make 192. <code>y_2_1</code> is Y, vertical
frequency 2, horizontal frequency 1; <code>y_0_0</code> is the mean brightness of each block.</p>
<p><b>PSNR</b> says how near two images are, in decibels; higher is nearer. Here it always compares
an image from some channels with the same image from all that are stored, in red, green and
blue.</p></aside>
</div>
</header>"""


def _summary(report: ReportData) -> str:
    chosen, by = report.selection.indices, escape_html(report.by)
    share = percent(report.chosen_share, space=True)
    if report.by in report.analysis.rankings:
        how = f"by the score <b>{by}</b> ({escape_html(report.ranking.meaning)})"
    else:
        how = f"as <b>{by}</b>, the best of the candidates"
    limit = report.budget.limit
    within = ""
    if not math.isinf(limit):
        within = f" within {kilobytes(limit / 1e3)} an image ({escape_html(report.budget.name)})"
    stored = ""
    if report.choice.allocation is not None:
        as_stored = kilobytes(report.kilobytes(chosen))
        stored = f" with the steps chosen for them ({as_stored} as this store has them)"
    every = report.stored
    what, psnr = _nearness(report)
    near = (
        f"an image from them has a {what} of {decibels(psnr)} against the image from all {every}"
        if math.isfinite(psnr)
        else f"an image from them does not differ from the image from all {every}"
    )
    return f"""<p class="verdict">{plural(len(chosen), "channel")} chosen {how}{within}. They take
{kilobytes(report.chosen_kilobytes)} an image{stored}, {share} of the bytes
of all {every}, and {near}.</p>"""


def _nearness(report: ReportData) -> tuple[str, float]:
    """Return what is measured, and how near images of the chosen channels are, dB.

    With steps of their own that is what was predicted with these, as networks see images.
    """
    if (other := report.choice.with_other_steps(report.rates.precision)) is not None:
        return "visible PSNR", other.psnr
    return "PSNR", report.analysis.psnr(report.selection.indices)


def _psnr_tile(report: ReportData) -> tuple[str, str]:
    what, psnr = _nearness(report)
    return ("PSNR, RGB" if what == "PSNR" else what), decibels(psnr)


def _tile(name: str, value: str) -> str:
    return f"<div><dt>{name}</dt><dd>{value}</dd></div>"


def _network_tile(report: ReportData) -> str:
    outcome = report.choice.allocation_result
    outcome = outcome or report.network_result(report.selection.indices)
    if outcome is None:
        return ""
    everything = report.network_result(report.analysis.stored)
    against = ""
    if everything is not None:
        against = f" <small>{percent(everything.accuracy, space=True)} with all</small>"
    return _tile("network's top-1", f"{percent(outcome.accuracy, space=True)}{against}")


def scores(report: ReportData) -> str:
    """Write the maps of the scores."""
    cards = "".join(_card(figure, caption=True) for figure in score_figures(report))
    return _section(
        "scores",
        "The scores",
        "Each square is a channel: vertical frequency v goes down, horizontal frequency h across,"
        " the mean at the top left. Yellow ranks high, dark blue low; where a score has both signs,"
        " orange is below zero and purple above. Logarithmic scales span a factor of a million at"
        " most; what is lower has the colour of their end. White squares are the chosen channels."
        " The first map is of the score that orders the channels in this report.",
        f'<div class="cards three">{cards}</div>',
    )


def curves(report: ReportData) -> str:
    """Write the curves along the ranking."""
    cards = "".join(_card(figure, caption=True) for figure in curve_figures(report))
    return _section(
        "curves",
        "What more channels bring",
        f"The line takes the channels in the order of <b>{escape_html(report.ranking.name)}</b>,"
        " the most important first. The orange diamond is the chosen selection, the circles are"
        " selections published elsewhere. A point off the line differs from as many channels by"
        " the ranking; higher PSNR and accuracy are better, and fewer bytes and nats.",
        f'<div class="cards two">{cards}</div>',
        intro_is_html=True,
    )


def allocation(report: ReportData) -> str:
    """Write the figure of bytes against distortion, and what to convert with."""
    figure = allocation_figure(report)
    images = plural(report.rates.images, "image")
    encoded = f"{images}, encoded again" if report.rates.of_source else f"codes of {images}"
    return _section(
        "allocation",
        "Bytes against distortion",
        "What the bytes buy, by the steps that coefficients are rounded to: the line of each"
        " precision takes the channels that leave the least distortion within so many bytes. The"
        " distortion is by rounding and by channels left out, in red, green and blue at the size"
        f" that networks see (a short side of 256 pixels), predicted from {encoded} and rounded"
        " to coarser steps. The circles are the"
        " published selections as this store has them.",
        f'<p class="verdict">{escape_html(advice(report.choice, report.rates))}</p>'
        f'<div class="cards">{_card(figure)}</div>',
    )


def pictures(report: ReportData, shown: list[SampleImage]) -> str:
    """Write the sample images, from few channels to all."""
    parts = []
    for sample in shown:
        cells = "".join(_picture(report, sample, image) for image in sample.reconstructions)
        grid = "pictures four" if len(sample.reconstructions) > 2 * 3 else "pictures"
        title = f"<bdi>{escape_html(sample.key)}</bdi> <small>row {sample.row}</small>"
        parts.append(f'<div class="sample"><h3>{title}</h3><div class="{grid}">{cells}</div></div>')
    return _section(
        "pictures",
        "What the network sees",
        "Images of this split as a network gets them: from the first channels of the ranking, and"
        " from the chosen ones. The PSNR is of this one image, its 8-bit red, green and blue at"
        " full size against those of the image from all channels; shown here are smaller"
        " copies. The KB are the mean of the split: a piece on disk holds one channel of"
        f" {ROWS_PER_SHARD} images, so a single image has no bytes of its own.",
        "".join(parts) or "<p>The split has no valid image.</p>",
    )


def _picture(report: ReportData, sample: SampleImage, image: Reconstruction) -> str:
    address, width, height = as_jpeg(image.pixels)
    count = len(image.selection)
    chosen = frozenset(image.selection.indices) == report.chosen
    cost = kilobytes(report.kilobytes(image.selection.indices))
    quality = f"PSNR {decibels(image.psnr)}" if math.isfinite(image.psnr) else "nothing differs"
    if count == report.stored:
        quality = "the reference"
    return f"""<figure{' class="chosen"' if chosen else ""}>
<img src="{address}" width="{width}" height="{height}"
alt="{escape_html(sample.key)} from {plural(count, "channel")}">
<figcaption><b>{image.name}</b> {quality}, {cost} an image</figcaption></figure>"""


def channel_gallery(report: ReportData, split: Split, shown: list[SampleImage]) -> str:
    """Write all channels of the first sample image."""
    if not shown:
        return ""
    sheets = gallery(split, shown[0].row, report.chosen)
    figures = []
    for title, sheet in zip(_SHEETS, sheets, strict=True):
        address, width, height = as_jpeg(sheet, max(sheet.shape))
        figures.append(
            f'<figure class="card"><h3>{title}</h3><img src="{address}" width="{width}"'
            f' height="{height}" alt="64 channels of {title}"></figure>'
        )
    address, width, height = as_jpeg(shown[0].reconstructions[-1].pixels, max(sheets[0].shape))
    figures.append(
        f'<figure class="card"><h3>The image</h3><img src="{address}" width="{width}"'
        f' height="{height}" alt="{escape_html(shown[0].key)}"></figure>'
    )
    return _section(
        "channels",
        "All channels of one image",
        "Each tile is one channel of the first image above, as a network reads it: 1/8 of the"
        " picture's height and width. Grey is zero; white and black are plus and minus the 99th"
        " percentile of the channel's magnitude, so faint channels look as strong as others."
        " Vertical frequency goes down, horizontal across. An orange frame marks the chosen ones.",
        f'<div class="cards two">{"".join(figures)}</div>',
    )


def ranking(report: ReportData) -> str:
    """Write the table of all channels with all scores."""
    return _section(
        "ranking",
        "The ranking",
        f"All {report.stored} channels in the order of {report.ranking.name}. Click a heading, or"
        " press Enter on it, to sort by it, once more for the other direction. The error is the"
        " standard error of the score, from leaving out each of eight groups of images in turn.",
        ranking_table(report),
    )


def overlap(report: ReportData) -> str:
    """Write the comparison with published selections."""
    cards = "".join(_card(figure) for figure in overlap_figures(report))
    key = "".join(
        f'<span><span class="swatch {kind.replace(" ", "-")}"></span>{kind}</span>'
        for kind in (BOTH, ONLY_CHOSEN, ONLY_PUBLISHED)
    )
    return _section(
        "overlap",
        "Against published selections",
        "Channel lists from the paper Learning in the Frequency Domain (Xu et al., CVPR 2020) and"
        " its code. Overlap is Jaccard's index: channels in both over channels in either.",
        f'{overlap_table(report)}<p class="key">{key}</p><div class="cards three">{cards}</div>',
    )


def redundancy(report: ReportData) -> str:
    """Write redundancy, the stability of the scores, and unavailable scores."""
    stable = f'<div class="card"><h3>How stable the scores are</h3>{stability_table(report)}</div>'
    beside = f"<div>{stable}{unavailable_table(report)}</div>"
    return _section(
        "redundancy",
        "Redundancy and stability",
        "The map shows for each two channels how their activity (how large their coefficients"
        " are) goes together from image to image. Dark red: where one is strong the other is;"
        " white: they do not depend on each other. Inside a component, low frequencies come first;"
        " orange marks at the edges are chosen channels. Of a correlated group, a few"
        " channels carry most of the information.",
        f'<div class="cards two uneven">{_card(correlation_figure(report))}{beside}</div>',
    )


def drift(report: ReportData) -> str:
    """Write the comparison with another split, if there is one."""
    figure = drift_figure(report)
    if report.drift is None or figure is None:
        return ""
    other = escape_html(report.drift.other)
    return _section(
        "drift",
        "Against another split",
        f"Compared with <bdi>{other}</bdi>: the two orders of the channels by"
        f" {escape_html(report.drift.by)} correlate by"
        f" {report.drift.spearman:.3f} (Spearman; 1 is the same order), and the top channels are"
        f" the same to {percent(report.drift.overlap, space=True)}. The map shows how much"
        " stronger (purple) or weaker (orange) each channel is there.",
        f'<div class="cards three">{_card(figure, caption=True)}</div>',
        intro_is_html=True,
    )


def _section(name: str, title: str, intro: str, body: str, *, intro_is_html: bool = False) -> str:
    words = intro if intro_is_html else escape_html(intro)
    return f"""<section id="{name}" aria-labelledby="{name}-title">
<h2 id="{name}-title">{title}</h2><p class="intro">{words}</p>
{body}</section>"""


def _card(figure: ReportFigure, *, caption: bool = False) -> str:
    drawn = as_svg(figure.name, figure.draw, escape_html(f"{figure.title}: {figure.reading}"))
    words = f"<figcaption>{escape_html(figure.reading)}</figcaption>" if caption else ""
    return f'<figure class="card"><h3>{escape_html(figure.title)}</h3>{drawn}{words}</figure>'
