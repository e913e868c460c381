"""Every code that an error (`E_`) or a warning (`W_`) may carry: what it means, and what to do.

The sentence that comes with a code names the file and the figures; this is what all sentences of a code have in common.
`docs/codes.md` is written from this table (`make codes`).
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """What a code means, and what to do about it."""

    meaning: str
    remedy: str


READING = {
    "E_CODEC": Code(
        "The pixels are compressed in a way that no installed decoder reads.", "Install the package named."
    ),
    "E_CONFLICTING_SLICES": Code("Two different slices of one series lie at one place.", "Give one acquisition alone."),
    "E_FILE": Code(
        "A file or folder cannot be read or written.", "See to permissions and free space; `-vv` says where."
    ),
    "E_GANTRY_TILT": Code("The slices are sheared against their normal.", "Give an untilted reconstruction."),
    "E_LIMIT": Code("The input is larger than is read.", "Give a smaller folder or file."),
    "E_MEMORY": Code("The study does not fit into memory.", "Close other programs, or take a machine with more."),
    "E_MISSING_SLICES": Code("Slices are missing inside the series.", "Export or copy the whole series again."),
    "E_MIXED_PATIENTS": Code("One series holds slices of several patients or studies.", "Give the folder of one."),
    "E_MIXED_SIZES": Code("The pictures of one study have several sizes.", "Export them again at one size."),
    "E_NOT_AXIAL": Code("A single axial slice was wanted, and the file holds none.", "Give an axial slice."),
    "E_NOT_FOUND": Code("There is no file or folder at the path given.", "Check its spelling."),
    "E_NOT_HU": Code("The voxels are no Hounsfield units, or it cannot be told how they become some.", "Export again."),
    "E_NO_CT_SERIES": Code("There is no CT series that can be read.", "Read the reasons given for each; give another."),
    "E_NO_GEOMETRY": Code("Where the slices lie in the patient is missing or contradicts itself.", "Export again."),
    "E_NO_HU": Code("Pictures do not say what HU they were made from.", "Export them anew from the scans."),
    "E_NO_SUCH_SERIES": Code(
        "The folder has no series of that number, UID or description.", "Take one of those listed."
    ),
    "E_PIXEL_FORMAT": Code("Pixels are stored in a form that is no CT.", "Export as 16-bit monochrome slices."),
    "E_TEMPORAL_SERIES": Code("The series holds several points in time.", "Choose a single phase by `--series`."),
    "E_TOO_SMALL": Code("There are too few slices, or they show too small a field.", "Give the whole series."),
    "E_TRUNCATED": Code("A file ends before its content does.", "Copy or export it again."),
    "E_UNKNOWN_FORMAT": Code("The file is no format that is read.", "Give a DICOM folder, NIfTI or NRRD file."),
    "E_VARYING_SPACING": Code("The distance between slices changes inside the series.", "Give one part alone."),
    "W_DAMAGED_FILES": Code("Files of the folder could not be read and were left out.", "Copy or export them again."),
    "W_DUPLICATE_SLICES": Code("Slices were stored twice with equal pixels; one of each was taken.", "None is needed."),
    "W_LOSSY": Code("The pixels were compressed with loss: HU are not exact.", "Prefer a lossless export."),
    "W_MISSING_UID": Code(
        "Identifiers of the slices are missing.", "None for the answer; no DICOM object can point back."
    ),
    "W_MONOCHROME1": Code("The slices are stored for inverted display; HU were read as they are.", "None is needed."),
    "W_OBLIQUE": Code(
        "The slices are turned from axial.", "Prefer an axial reconstruction: networks learned from those."
    ),
    "W_OFFSET_FIXED": Code("Values were stored some 1024 too high; that was taken away.", "See whether HU look right."),
    "W_RESCALE_ASSUMED": Code(
        "How values become HU is missing and was found by looking.", "See whether HU look right."
    ),
    "W_SEVERAL_STUDIES": Code(
        "The folder holds several studies; one was chosen.", "Give the folder of the one you mean."
    ),
    "W_SMALL_FOV": Code("The field of view is narrower than a chest.", "Give a reconstruction of the whole chest."),
    "W_TWO_ACQUISITIONS": Code("The series holds two acquisitions; one was chosen.", "Give one by itself."),
}
"""Of reading a study."""

JUDGING = {
    "W_COVERAGE": Code("The lungs are cut by the first or last slice.", "Give a scan of the whole chest."),
    "W_FEW_SLICES": Code("The study has too few slices for a decision.", "Give the whole series."),
    "W_FUSION_NOT_FITTED": Code(
        "No fusion was fitted for these stages: no probability.", "Fit: `cascade-train fusion`."
    ),
    "W_LUNGS_DISAGREE": Code(
        "The lung detector and the threshold disagree; both were used.", "Look at the lung boxes."
    ),
    "W_NOISE": Code("The study is noisy.", "Trust small lesions less."),
    "W_NOT_CHEST": Code("No lungs were found.", "Give a CT of the chest."),
    "W_NO_CONTRAST": Code("The pulmonary arteries hold too little contrast.", "Give a CT angiogram."),
    "W_THICK": Code("Slices lie far apart.", "Give a thin reconstruction."),
}
"""Of judging a study: the gates. An abstention is an answer."""

BUNDLES = {
    "E_BUNDLE": Code("A bundle lacks what is asked of it.", "Name another by `--bundle`."),
    "E_BUNDLE_CHANGED": Code("A file of the bundle is not the one that its manifest names.", "Get the bundle again."),
    "E_CONFIG": Code("A stage's settings in the manifest are wrong.", "Get the bundle again."),
    "E_FORMAT": Code("The bundle is of another version of the format.", "Take one made for this version."),
    "E_MANIFEST": Code("The manifest cannot be read, or contradicts itself.", "Get the bundle again."),
    "E_NETWORK_ARGUMENTS": Code(
        "A network cannot be made of the arguments given, or does not take what its stage cuts.",
        "Change what is named.",
    ),
    "E_NOT_A_BUNDLE": Code("The folder holds other things than a bundle.", "Choose another folder."),
    "E_NOT_FINITE": Code(
        "A network answered with values that are no numbers.", "Get the bundle again, or change runtime."
    ),
    "E_NO_BUNDLE": Code("There is no bundle, or a file of it is missing.", "Name one by `--bundle`."),
    "E_UNKNOWN_NETWORK": Code("No network has this name.", "Take the nearest, which is named."),
    "E_UNKNOWN_STAGE": Code("No stage has this name.", "Take the nearest, which is named."),
    "E_WEIGHTS_DIFFER": Code("Weights do not fit the network that they are named for.", "Get the bundle again."),
}
"""Of bundles and their networks."""

CALLING = {
    "E_DEVICE": Code("The device is not there or not known.", "Say auto, cpu, gpu or gpu:N."),
    "E_INTERNAL": Code("A mistake of this package.", "Run again with `-vv` and report the traceback."),
    "E_OPERATING_POINT": Code("There is no operating point of this name.", "rule_out, balanced or rule_in."),
    "E_OUT": Code(
        "The folder for results holds other things, or half a result, or cannot be made.",
        "Give a new folder by `-o`, or take that one away.",
    ),
    "E_NO_STUDY": Code("A format that shows the study was asked for findings alone.", "Write it by `save_run`."),
    "E_OUTPUT": Code("Results cannot be written.", "Free space, or choose another folder by `-o`."),
    "E_RUNTIME": Code("There is no runtime of this name.", "Take the nearest, which is named."),
    "E_RUN_FAILED": Code("A timed run of `cascade run` failed.", "Run it by hand; its last line is in the sentence."),
    "E_SHADOWED": Code(
        "Another package is called detectors, segmenters or classifiers.", "Rename it, or start elsewhere."
    ),
    "E_UNKNOWN_FORMAT_NAME": Code("There is no output format of this name.", "Take the nearest, which is named."),
    "E_USAGE": Code("The call itself is wrong.", "The sentence says what is meant; `--help` has examples."),
}
"""Of commands and calls."""

DATA_SETS = {
    "E_BAD_MASK": Code("A mask cannot be used.", "Give one of three axes."),
    "E_CACHE": Code("The folder for prepared cases cannot be used.", "Make room, name another, or unset the variable."),
    "E_COLUMNS": Code("A table lacks a column.", "Add the one that is named."),
    "E_DATASET": Code("A `dataset.yaml` cannot be used.", "Mend the key that is named."),
    "E_DUPLICATE": Code("Two cases hold the same scan.", "Take one of them away."),
    "E_EMPTY_MASK": Code("A mask that should mark something is empty.", "Draw it, or leave the case out."),
    "E_FINDINGS": Code("Stored findings are missing, damaged or of another format.", "Write them again."),
    "E_FROZEN_SET": Code("A study is not as it was when its set was frozen.", "Use the version that froze it."),
    "E_GRID": Code("An answer and a truth lie on different grids.", "Compare those of one study."),
    "E_MASK_GRID": Code("A mask does not lie on its image's grid.", "Export both together."),
    "E_MASK_MISSING": Code("A scan has no mask where one should be.", "Put it there, or take the scan away."),
    "E_MASK_TURNED": Code("A mask runs in another direction than its image.", "Export both anew."),
    "E_MIXED_CASES": Code("Two cases have one name.", "Write their sets into two folders."),
    "E_NOT_A_CASE": Code("The file is no training case of this version.", "Make it again."),
    "E_NOT_LABELS": Code("A file that should hold labels holds none.", "Name its key under options."),
    "E_NO_ANATOMY": Code("There is no label map of the anatomy asked for.", "Name its folder by `--anatomy`."),
    "E_NO_CASES": Code("The folder holds no case of its layout.", "See docs/datasets.md for how its files are named."),
    "E_NO_DATASET": Code("The folder is no data set that is read.", "Name its layout in dataset.yaml."),
    "E_NO_TRUTH": Code("The truth says nothing of embolism.", "Give a mask, or a label of the exam."),
    "E_SIMULATION": Code("A study cannot be simulated as asked.", "The sentence names the setting or the label map."),
    "E_SCAN_MISSING": Code("A mask has no scan.", "Put it there, or take the mask away."),
    "E_SPLIT": Code("A patient stands on both sides of a split.", "Move all studies of a patient to one side."),
    "E_TABLE": Code("A table of labels is wrong.", "Mend the line that is named."),
    "E_UNKNOWN_LAYOUT": Code("There is no data set layout of this name.", "Take the nearest, which is named."),
    "E_UNREADABLE": Code("A case cannot be opened.", "Copy it again, or take it out of the data set."),
    "W_EMPTY_MASK": Code("A mask is empty.", "Leave the case out if nobody has looked for clots there."),
    "W_MASK_PLACE": Code("Masks do not lie where clots do.", "Look at one over its image."),
    "W_NO_LUNGS": Code("No lungs were found in a case.", "Look at it."),
    "W_ONE_CLASS": Code("All exams are of one kind.", "Add exams of the other."),
    "W_SPACING": Code("A spacing is unusual.", "See whether the header is right."),
    "W_SPACING_ASSUMED": Code("A spacing is missing and was assumed.", "Name it in dataset.yaml."),
    "W_WINDOWED": Code("HU end where a display window does.", "Export again without a window."),
}
"""Of data sets and what `cascade-train check` says."""

TRAINING = {
    "E_AUGMENT": Code("A setting of the augmentation is out of range.", "The sentence says the range."),
    "E_CROPS": Code("A setting of the crops is out of range.", "The sentence says the range."),
    "E_DIVERGED": Code("The loss is not finite at any rate.", "Look for values in the data that are not finite."),
    "E_IMBALANCE": Code("A setting against imbalance is out of range.", "The sentence says the range."),
    "E_LITTLE_SAMPLE": Code(
        "A few samples were not learned by heart: the set-up cannot learn.", "Check data and rate."
    ),
    "E_LOSS": Code("The loss has no term, or one that is not known.", "Give one, such as `loss.terms.bce=1`."),
    "E_NO_INPUT": Code("No stage says anything that a fusion could be fitted on.", "Name a bundle with stages."),
    "E_NO_MASK": Code("No case says where an embolus is.", "Give a data set with masks, or train a classifier."),
    "E_NO_ROOM": Code("The disk has no room for a run.", "Free space, or give another `-o`."),
    "E_NO_SLICES": Code("No slice is labelled with what is to be learned.", "Add data whose slices are labelled."),
    "E_NO_ULTRALYTICS": Code("Detectors need Ultralytics.", "`pip install 'ultralytics>=8.4'`."),
    "E_ONE_CLASS": Code("All that is to be told apart is of one kind.", "Add cases of the other."),
    "E_PLAN": Code("A setting of the plan is out of range.", "The sentence says the range."),
    "E_RESUME": Code("The run cannot be gone on with.", "The sentence says why; start a new one."),
    "E_RUN_EXISTS": Code("The run folder is not empty.", "Give another by `-o`, or `--resume` it."),
    "E_SLICES": Code("A setting of the drawn slices is out of range.", "The sentence says the range."),
    "E_STAGE": Code("Networks of one stage would see other views than they learned from.", "Set what is named."),
    "E_START": Code("Weights to begin with are another network's.", "Name the network that they were trained with."),
    "E_TOO_FEW_EXAMS": Code("There are too few exams to fit a fusion on.", "Add validation studies."),
}
"""Of training."""

CHAPTERS = {
    "Reading a study": READING,
    "Judging a study": JUDGING,
    "Bundles": BUNDLES,
    "Commands and calls": CALLING,
    "Data sets": DATA_SETS,
    "Training": TRAINING,
}
CODES: dict[str, Code] = {name: code for chapter in CHAPTERS.values() for name, code in chapter.items()}


def page() -> str:
    """The catalogue as Markdown."""
    lines = [
        "# Codes",
        "",
        "Every error (`E_`) and warning (`W_`). An error refuses and writes nothing; a warning stands in the findings.",
        "The sentence beside a code says which file or setting, with its figures.",
    ]
    for title, chapter in CHAPTERS.items():
        lines += ["", f"## {title}", "", "| code | meaning | remedy |", "|---|---|---|"]
        lines += [f"| `{name}` | {code.meaning} | {code.remedy} |" for name, code in sorted(chapter.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
