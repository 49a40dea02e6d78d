"""UnlearnCanvas: the same scenes painted in many styles; a style or an object is forgotten."""

from pathlib import Path

from vestige.data.images import image_files
from vestige.data.rows import DataError, Row

PHOTOS = "Seed_Images"
TRAINED = 18
"""Of the 20 images of an object in a style, those numbered up to this one are trained on."""


def read(folder: Path, part: str, prompt: str) -> dict[str, list[Row]]:
    """The splits of UnlearnCanvas.

    Args:
        folder: with images as `STYLE/OBJECT/NUMBER.jpg`, the photos that were painted from in `Seed_Images`.
        part: the style or object that is forgotten, as its folder is called.
        prompt: wording around the description of an image.

    Returns:
        `forget` and `retain`, the images numbered 1 to 18, and `holdout`, the others of what is forgotten, which no
        model was trained on; and `images`, one prompt for each object in each style, which images are drawn after and
        judged (`models.judge`). Prompts are those that the authors' models were trained with; the label is the style
        (or object) and clusters are objects (or styles).

    Source: OPTML-Group/UnlearnCanvas 920cfd1, `diffusion_model_finetuning/dataset_preparation.py` (`GenerationDataset`;
        its evaluation set begins at image 18, which it also trains on).
    """
    images = [(path, path.relative_to(folder).parts) for path in image_files(folder)]
    found = [(path, parts[0], parts[1]) for path, parts in images if len(parts) == 3 and path.stem.isdigit()]
    styles, objects = {style for _, style, _ in found}, {thing for _, _, thing in found}
    if part not in styles | objects:
        raise DataError(
            f"{folder} has no style or object {part!r} (images lie in STYLE/OBJECT/NUMBER.jpg); it has "
            f"{', '.join(sorted(styles)[:5])} and {', '.join(sorted(objects)[:5])}"
        )
    by_style = part in styles
    splits: dict[str, list[Row]] = {"forget": [], "retain": [], "holdout": []}
    for path, style, thing in found:
        forgotten = part == (style if by_style else thing)
        if split := _split(forgotten, int(path.stem)):
            splits[split].append(_image(folder, path, style, thing, by_style, prompt))
    pairs = sorted({(style, thing) for _, style, thing in found})
    asked = [Row(str(folder), "-".join(pair), _asked(*pair, by_style, prompt), folder) for pair in pairs]
    return {**splits, "images": asked}


def _split(forgotten: bool, number: int) -> str:
    if number <= TRAINED:
        return "forget" if forgotten else "retain"
    return "holdout" if forgotten else ""


def _image(folder: Path, path: Path, style: str, thing: str, by_style: bool, prompt: str) -> Row:
    name = path.relative_to(folder).as_posix()
    values = {"id": name, "image": path.absolute(), **_asked(style, thing, by_style, prompt)}
    return Row(str(path), name, values, folder)


def _asked(style: str, thing: str, by_style: bool, prompt: str) -> dict[str, str]:
    """The prompt, with the concept of the forgotten one's domain as label and that of the other as cluster."""
    look = "Photo" if style == PHOTOS else style.replace("_", " ")
    label, cluster = (style, thing) if by_style else (thing, style)
    return {
        "prompt": prompt.replace("{question}", f"A {thing} image in {look} style."),
        "label": label,
        "cluster": cluster,
    }
