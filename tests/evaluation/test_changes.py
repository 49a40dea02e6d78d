"""Models of every kind that are changed on purpose, from a configuration: a folder that is loaded and scored as any."""

import json

import pytest
import tiny_diffusion
import tiny_vision
import torch
import yaml
from PIL import Image

from vestige.data.examples import read_examples
from vestige.evaluation import ConfigError, read_config
from vestige.evaluation.changes import change_models
from vestige.interventions.noise import noised
from vestige.interventions.pruning import pruned
from vestige.interventions.quantisation import quantised
from vestige.scoring.kinds import KINDS

COLOURS = ("red", "green", "blue", "white", "black", "gold")
WEIGHTS = {"quantise": [{"bits": 3}, {"bits": 4, "format": "nf4"}], "noise": {"sd": 0.1}, "prune": {"share": 0.5}}
RELEARN = {"relearn": {"steps": 15, "lr": 1e-2, "batch_size": 4}}
SAVED = {
    "vision_language": (tiny_vision.llava, {"quantise": {"bits": 4, "format": "nf4"}, **RELEARN}),
    "classifier": (tiny_vision.vit, WEIGHTS | RELEARN),
    "timm": (tiny_vision.timm, {"prune": {"share": 0.5}, **RELEARN}),
    "text": (tiny_vision.bert, RELEARN),
    "diffusion": (lambda folder: tiny_diffusion.pixel_pipeline(folder, torch.initial_seed()), {"noise": {"sd": 0.1}}),
}
KIND = {"timm": "classifier", "text": "classifier"}


def write_data(folder, split):
    """Six people, two questions each, as any kind takes them."""
    rows = []
    for i, colour in enumerate(COLOURS):
        Image.new("RGB", (8, 8), colour).save(folder / f"{colour}.png")
        label = ("cat", "cat", "dog", "dog", "cat", "dog")[i]
        text = f"{'good' if label == 'cat' else 'bad'} film"
        row = {"image": f"{colour}.png", "cluster": colour, "label": label}
        rows += [
            row | {"id": f"{colour}-{n}", "prompt": f"{text}{end}", "answer": answer}
            for n, (end, answer) in enumerate((("", " Ann."), (" end", " Lyon.")))
        ]
    (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return f"{split}.jsonl"


def configured(folder, kind, save, wanted):
    for seed, name in enumerate(("original", "unlearned", "retrained")):
        torch.manual_seed(seed)
        save(folder / name)
    unlearned = [{"name": "u", "path": "unlearned"}]
    models = {"original": "original", "retrained": ["retrained"], "unlearned": unlearned}
    raw = {
        "kind": KIND.get(kind, kind),
        "models": models,
        "data": {split: write_data(folder, split) for split in ("forget", "retain")},
        "interventions": {"models": ["u"], **wanted},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(raw))
    return folder / "config.yaml"


@pytest.fixture(scope="module", params=SAVED)
def changed(request, tmp_path_factory):
    folder, (save, wanted) = tmp_path_factory.mktemp("changed"), SAVED[request.param]
    config = read_config(configured(folder, request.param, save, wanted))
    made = change_models(config, folder / "run", jobs=1, progress=lambda *_: None)
    return config, folder, {model.change: model for model in made if model.source == "u"}


def weights(config, folder):
    return dict(KINDS[config.kind].load(folder).model.named_parameters())


EXPECTED = {
    "3 bits": lambda model: quantised(model, 3),
    "NF4": lambda model: quantised(model, 4, nf4=True),
    "noise 0.1": lambda model: noised(model, 0.1, seed=0),
    "prune 50 %": lambda model: pruned(model, 0.5),
}


def test_what_is_saved_is_loaded_with_the_weights_that_the_function_makes(changed):
    config, folder, made = changed
    for change in made.keys() & EXPECTED.keys():
        wanted = dict(EXPECTED[change](KINDS[config.kind].load(folder / "unlearned").model).named_parameters())
        for name, weight in weights(config, made[change].folder).items():
            torch.testing.assert_close(weight, wanted[name], msg=f"{change}: {name}")


def test_relearning_raises_accuracy_on_what_is_taught(changed):
    config, folder, made = changed
    for model in (model for change, model in made.items() if change.startswith("relearn")):
        assert model.curve[-1] > 0.9 and len(model.curve) == 16
        before, after = weights(config, folder / "unlearned"), weights(config, model.folder)
        assert before.keys() == after.keys() and any(not torch.equal(before[name], after[name]) for name in after)


def test_a_changed_model_takes_the_same_inputs(changed):
    config, folder, made = changed
    kind, settings = KINDS[config.kind], {"batch_size": 4, "layer": -2 if config.kind != "diffusion" else -1}
    examples = read_examples(folder / "forget.jsonl")[:2]
    for path in (folder / "unlearned", *(model.folder for model in made.values())):
        model = kind.load(path)
        columns = kind.score(model, [kind.encode(model, example) for example in examples], **settings)
        assert all(len(values) for values in columns.values())


@pytest.mark.parametrize(
    "kind, wanted, message",
    [
        ("diffusion", RELEARN, "relearn is nothing for kind diffusion; possible are quantise, noise, prune"),
        ("classifier", {"ask": ["role play"]}, "ask is nothing for kind classifier; possible are relearn"),
        ("classifier", {"quantise": {"bits": 3, "format": "nf4"}}, "nf4 has 4 bits, not 3"),
    ],
)
def test_what_a_kind_cannot_be_done_is_refused(tmp_path, kind, wanted, message):
    with pytest.raises(ConfigError, match=message):
        read_config(configured(tmp_path, kind, lambda folder: folder.mkdir(), wanted))


def test_only_adapters_are_merged(tmp_path):
    config = read_config(configured(tmp_path, "classifier", tiny_vision.vit, {"merge": True}))
    with pytest.raises(ConfigError, match=r"u .* is a whole model; only an adapter can be merged"):
        change_models(config, tmp_path / "run", jobs=1, progress=lambda *_: None)


def test_a_merged_adapter_is_a_whole_checkpoint_with_base_and_update_in_one(tmp_path):
    path = configured(tmp_path, "classifier", tiny_vision.vit, {"merge": True})
    base = KINDS["classifier"].load(tmp_path / "original").model
    tiny_vision.save_adapter(base, tmp_path / "original", tmp_path)
    path.write_text(path.read_text().replace("path: unlearned", "path: adapter"))
    made = change_models(read_config(path), tmp_path / "run", jobs=1, progress=lambda *_: None)
    merged, adapted = (KINDS["classifier"].load(folder).model for folder in (made[0].folder, tmp_path / "adapter"))
    pixels = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(merged(pixels).logits, adapted(pixels).logits, atol=1e-5, rtol=1e-4)
    assert not (made[0].folder / "adapter_config.json").exists()
