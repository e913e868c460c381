"""The report: one offline file that shows where and says why."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np

from cascade.core.findings import Exam, Findings, Lungs, Slices
from cascade.core.study import Note
from cascade.core.windows import PE
from cascade.writing import overlay
from cascade.writing.picture import LESION
from cascade.writing.report import key_slices, report
from tests.writing.answers import answer, study

OPEN_TAGS = {"meta", "img", "html", "line", "rect", "polyline"}


class Balance(HTMLParser):
    """Collects tags, and what is left open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "action")]
        if tag not in OPEN_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in OPEN_TAGS:
            assert self.open.pop() == tag


def page(findings=None) -> str:
    return report(study(), findings or answer()).decode()


def test_the_report_is_one_file_without_scripts_or_links():
    reader = Balance()
    reader.feed(page())
    assert not reader.open
    assert not reader.seen & {"script", "link", "iframe", "object", "form"}
    assert all(link.startswith("data:image/png;base64,") for link in reader.links)
    assert "default-src 'none'" in page()


def test_the_report_says_decision_probability_and_why():
    text = page()
    assert ">positive<" in text
    assert "probability 0.871" in text
    assert "operating point: balanced" in text
    assert "+2.500" in text
    assert "A lesion of 23 mm3 &lt;right&gt;." in text
    assert "Research only" in text


def test_every_text_is_escaped():
    evil = "<script>alert(1)</script>"
    findings = answer(exam=Exam("review", 0.5, evil, evil), warnings=(Note("W_X", evil),))
    assert "<script" not in page(findings)


def test_an_abstention_shows_its_warning_and_no_probability():
    exam = Exam("abstain", None, None, "The scan shows no chest.")
    text = page(answer(exam=exam, lesions=(), warnings=(Note("W_NOT_CHEST", "no lungs were found"),)))
    assert ">abstain<" in text
    assert "no probability" in text
    assert "W_NOT_CHEST" in text


def test_a_report_of_nothing_known_can_be_written():
    reader = Balance()
    reader.feed(page(Findings(study().grid)))
    assert not reader.open


def test_key_slices_are_the_largest_of_each_lesion():
    assert [z for z, _, _ in key_slices(answer())] == [2, 3]
    scores = np.array([0, 0.2, 0.9, 0.8, 0.1, 0.3], np.float32)
    without = answer(lesions=(), labels=None, embolus=None, slices=Slices(scores, {"siamese": scores}))
    assert key_slices(without)[0][0] == 2


def test_every_stage_that_scores_slices_has_a_line_and_a_legend():
    scores = np.linspace(0, 1, 6).astype(np.float32)
    text = page(answer(slices=Slices(scores, {"lung_filter": scores, "vessel_reader": scores})))
    assert ">PE, lung filter<" in text
    assert ">PE, vessel reader<" in text
    assert text.count("<polyline") == 3
    colours = re.findall(r'<polyline style="stroke: var\((--\w+)\)', text)
    assert len(set(colours)) == 3


def test_pictures_are_square_pixels_with_the_outline_in_them():
    packed = re.search(r"base64,([^\"]+)\"", page())
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(packed[1]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[:2] == (24, 20)  # 16 rows of 0.75 mm, 20 columns of 0.5 mm


def test_the_overlay_outlines_a_clot_without_covering_it():
    findings = answer(lungs=None)
    picture = overlay(study(), findings, 2)
    assert picture.shape == (16, 20, 3)
    inside = findings.lesion_mask()[2] > 0
    grey = PE.to_bytes(study().hu[2])
    assert np.array_equal(picture[inside], np.repeat(grey[inside][:, None], 3, axis=1))
    outlined = np.all(picture == LESION, axis=2)
    rows, columns = np.nonzero(inside)
    assert outlined[rows.min() - 1, columns.min() : columns.max() + 1].all()


def test_the_patients_right_is_on_the_left_of_the_picture():
    boxes = np.full((6, 2, 4), np.nan, np.float32)
    boxes[2, 0] = 1, 2, 6, 14  # the right lung has the smaller x
    picture = overlay(study(), answer(labels=None, embolus=None, lungs=Lungs(boxes, None)), 2)
    coloured = np.ptp(picture.astype(int), axis=2) > 0
    assert np.nonzero(coloured)[1].max() < 10
