"""The page says what the analysis found, escapes every name, and refers to nothing outside."""

import base64
import dataclasses
import hashlib
import html
import io
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import freqprep
from freqprep.importance.drift import compute_drift
from freqprep.importance.ranking import Ranking, by_size
from freqprep.importance.result import jaccard
from freqprep.report import sections, write_report
from freqprep.report.report_data import ReportData
from freqprep.report.sample_pictures import as_jpeg, gallery, sample_images
from freqprep.report.sampling import sample_rows
from freqprep.spectrum.channels import CHANNELS, NAMES, PUBLISHED, published
from freqprep.text.escapes import escape_html
from freqprep.text.quantities import decibels, kilobytes, percent, short_number
from freqprep.text.terminal import on_one_line

EVIL = '<img src=x onerror="alert(1)"> $\\alpha \' & \u202e \x00 \n \udcff ]]> --> é'
VOID = {"meta", "link", "img", "wbr", "br", "path", "use", "image", "rect"}


class Page(HTMLParser):
    """Tags, attributes, texts and table rows of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.ids, self.open, self.words = [], [], [], []
        self.rows: list[list[tuple[str, str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append((attributes.get("data-value", ""), ""))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        self.words.append(data)
        if self.open and self.rows and {"td", "th"} & {*self.open[-3:]}:
            value, text = self.rows[-1][-1]
            self.rows[-1][-1] = (value, text + data)


@pytest.fixture(scope="module")
def page(with_network, split, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(with_network, split, path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parsed(page) -> Page:
    return Page(page)


@pytest.fixture
def without_figures(monkeypatch):
    """Let a page have texts and tables alone: most of its time is its figures'."""
    monkeypatch.setattr(sections, "as_svg", lambda name, draw, label: "<svg></svg>")


def test_the_page_is_well_formed(parsed):
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))
    links = {a["href"][1:] for tag, a in parsed.tags if tag == "a"}
    assert len(links) == 8 and links <= {*parsed.ids}


def test_the_page_refers_to_nothing_outside(page, parsed):
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", re.sub(r"data:[^\"]*", "", page))
    for _, attributes in parsed.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            if name in attributes:
                assert attributes[name].startswith(("data:", "#"))
    assert not [tag for tag, _ in parsed.tags if tag in ("iframe", "object", "embed", "form")]


def test_the_policy_allows_the_pages_own_script_only(page, parsed):
    policy = next(a["content"] for _, a in parsed.tags if "http-equiv" in a)
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy and "img-src data:" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert not [name for _, a in parsed.tags for name in a if name.startswith("on")]


def test_the_head_has_the_numbers_of_the_selection(page, report):
    analysis, chosen = report.analysis, list(report.selection.indices)
    head = html.unescape(re.sub(r"<[^>]*>", "", page[: page.index("<nav")]))
    assert analysis.content_id in head and analysis.store in head
    assert f"{analysis.images} ({analysis.rejected} more were rejected)" in head
    assert analysis.rejected == 5
    cost = analysis.channel_bytes
    assert f"{cost[chosen].sum() / 1e3:.3f} KB" in head
    assert percent(cost[chosen].sum() / cost.sum(), space=True) in head
    assert f"{analysis.psnr(chosen):.1f} dB" in head
    assert f"{len(chosen)} of 192" in head
    names = re.search(r'<code id="names".*?</code>', page, re.DOTALL)[0]
    assert re.sub(r"<[^>]*>", "", names) == ",".join(NAMES[k] for k in chosen)
    assert "toy.npz, evaluated on 50 images" in head


def test_the_ranking_has_every_value(parsed, report):
    rows = [row for row in parsed.rows if len(row) > 10]
    heads = [re.sub(r"\W.*", "", text) for _, text in rows[0]]
    assert len(rows) == 1 + CHANNELS
    others = [r for r in report.rankings if r.name not in ("bytes", report.by)]
    assert heads[:3] == ["rank", "channel", "chosen"]
    assert len(heads) == 4 + 2 + len(others)
    error = report.analysis.stability[report.by].error
    for rank, (row, index) in enumerate(zip(rows[1:], report.ranking.order, strict=True), 1):
        values = [float(value) for value, _ in row]
        assert row[0] == (repr(float(rank)), str(rank))
        assert row[1][1] == NAMES[index] and row[2][1] == "✓" * (index in report.chosen)
        assert values[3] == report.analysis.channel_bytes[index] / 1e3
        assert values[4] == report.ranking.values[index]
        assert values[5] == error[index]
        for value, ranking in zip(values[6:], others, strict=True):
            assert value == ranking.values[index]
        assert row[4][1] == short_number(report.ranking.values[index])


def test_the_overlap_has_the_numbers_of_each_selection(parsed, with_network, report):
    rows = {row[0][1]: [text for _, text in row[1:]] for row in parsed.rows if len(row) == 8}
    for name in PUBLISHED:
        theirs = published(name).indices
        outcome = ReportData.of(with_network).network_result(theirs)
        assert rows[name] == [
            str(len(theirs)),
            str(len(report.chosen & {*theirs})),
            percent(jaccard(report.chosen, theirs), space=True),
            f"{report.analysis.channel_bytes[list(theirs)].sum() / 1e3:.1f}",
            decibels(report.analysis.psnr(theirs)),
            percent(outcome.accuracy, space=True),
            f"{outcome.loss:.3f}",
        ]


def test_stability_and_what_is_missing_are_told(parsed, without_figures, result, split, tmp_path):
    text = "".join(parsed.words)
    for found in result.analysis.stability.values():
        assert f"{found.spearman:.3f} ± {found.spearman_sd:.3f}" in text
    analysis = dataclasses.replace(
        result.analysis, stability={}, unavailable={"mrmr": f"because {EVIL}"}
    )
    write_report(dataclasses.replace(result, analysis=analysis), split, tmp_path / "r.html")
    text = "".join(Page((tmp_path / "r.html").read_text(encoding="utf-8")).words)
    assert "too few images" in text and f"because {on_one_line(EVIL)}" in text


def test_pictures_are_rebuilt_from_what_they_say(split, report, page):
    for sample in sample_images(report, split):
        reference = split.image(sample.row).astype(float)
        counts = [len(image.selection) for image in sample.reconstructions]
        assert counts == sorted({6, 12, 24, 48, 64, 192, len(report.selection)})
        for image in sample.reconstructions:
            pixels = split.image(sample.row, image.selection)
            np.testing.assert_array_equal(image.pixels, pixels)
            error = ((pixels - reference) ** 2).mean()
            expected = 10 * math.log10(255**2 / error) if error else math.inf
            assert image.psnr == pytest.approx(expected)
            if error > 0:
                assert f"PSNR {expected:.1f} dB" in page
        assert sum("chosen" in image.name for image in sample.reconstructions) == 1


def test_pictures_are_inline_and_not_large():
    wide = np.random.default_rng(0).integers(0, 256, (400, 800, 3), dtype=np.uint8)
    address, width, height = as_jpeg(wide)
    assert (width, height) == (360, 180)
    data = base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (360, 180)


def test_the_gallery_frames_the_chosen_channels(split):
    row = sample_rows(split)[0]
    plain, framed = gallery(split, row, ()), gallery(split, row, (0, 9, 64))
    changed = [(a != b).any(axis=2) for a, b in zip(plain, framed, strict=True)]
    height, width = (side // 8 for side in changed[0].shape)
    tiles = [
        (c, v, h)
        for c, v, h in np.ndindex(3, 8, 8)
        if changed[c][v * height : (v + 1) * height, h * width : (h + 1) * width].any()
    ]
    assert tiles == [(0, 0, 0), (0, 1, 1), (1, 0, 0)]


def test_hostile_names_stay_text(with_network, store, tmp_path):
    split = freqprep.open_store(store)["train"]
    split.__dict__["keys"] = [f"{EVIL}{row}" for row in range(len(split))]
    values = np.linspace(1, -1, CHANNELS) * 1e300
    ranking = Ranking(EVIL, EVIL, EVIL, values, by_size(values))
    analysis = dataclasses.replace(
        with_network.analysis,
        store=f"/tmp/{EVIL}",
        split=EVIL,
        rankings={EVIL: ranking, **with_network.analysis.rankings},
        unavailable={EVIL: EVIL},
        stability={EVIL: with_network.analysis.stability["energy"]},
    )
    budget = dataclasses.replace(with_network.choice.budget, limit=1e5, name=EVIL)
    choice = dataclasses.replace(with_network.choice, by=EVIL, ranking=ranking, budget=budget)
    compared = compute_drift(with_network.analysis, with_network.analysis, "energy", 24)
    nasty = dataclasses.replace(
        with_network,
        analysis=analysis,
        choice=choice,
        network=EVIL,
        drift=dataclasses.replace(compared, other=EVIL),
    )
    write_report(nasty, split, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert not [a for tag, a in page.tags if tag == "img" and not a["src"].startswith("data:")]
    assert not [name for _, a in page.tags for name in a if name.startswith("on")]
    assert not re.search("[\u202e\x00\udcff]", text)
    assert "".join(page.words).count(on_one_line(EVIL)) >= 12


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>", "&lt;b&gt;"),
        ("a\"b'c&", "a&quot;b&#x27;c&amp;"),
        ("caf\u00e9 \u4e16", "caf\u00e9 \u4e16"),
        ("\udc80\x1b\n\u202e", "\\x80\\x1b\\n\\u202e"),
    ],
)
def test_names_are_escaped(text, shown):
    assert escape_html(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (1.0, "1.000"),
        (123.456, "123.5"),
        (-0.0123456, "-0.01235"),
        (25834.4, "25,834"),
        (1e-9, "1.00e-09"),
        (1e300, "1.00e+300"),
        (math.inf, "∞"),
    ],
)
def test_numbers_have_four_digits(value, shown):
    assert short_number(value) == shown


def test_a_selection_of_all_channels_does_not_differ(without_figures, result, split, tmp_path):
    everything = freqprep.channels("all")
    choice = dataclasses.replace(result.choice, selection=everything)
    write_report(dataclasses.replace(result, choice=choice), split, tmp_path / "r.html")
    assert "does not differ from the image from all 192" in (tmp_path / "r.html").read_text("utf-8")


def test_a_rule_that_won_is_named(without_figures, result, split, tmp_path):
    choice = dataclasses.replace(result.choice, by="zigzag-16+4+4")
    write_report(dataclasses.replace(result, choice=choice), split, tmp_path / "r.html")
    assert "<b>zigzag-16+4+4</b>, the best of the candidates" in (tmp_path / "r.html").read_text(
        "utf-8"
    )


def test_a_joint_choice_says_its_bytes_and_what_to_convert_with(
    without_figures, joint, split, tmp_path
):
    write_report(joint, split, tmp_path / "joint.html")
    words = " ".join(" ".join(Page((tmp_path / "joint.html").read_text("utf-8")).words).split())
    choice = joint.choice
    cost = f"{kilobytes(choice.bytes_per_image / 1e3)} an image with the steps chosen for them"
    assert cost in words
    assert "Convert with the fitted steps and read the" in words
    assert f"as {choice.allocation.name} , the best of the candidates" in words


def test_without_a_joint_choice_the_page_says_how_to_get_one(parsed):
    words = " ".join(" ".join(parsed.words).split())
    assert "Within the bytes of square-24, the best" in words
    assert "as this store has them" not in words.split("Which frequency")[1][:2000]
