"""Diffusion scoring against the plainest loop: one noised image at a time, by the definition of each prediction."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import tiny_diffusion as made
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
)
from PIL import Image
from safetensors.torch import load_file, save_file

from vestige.data.examples import Example
from vestige.metrics.diffusion import fade_diffusion, fade_diffusion_score
from vestige.scoring import restoring
from vestige.scoring.diffusion import Grid, compare, encode, prepare, score, squared_gap
from vestige.scoring.diffusion_loading import load
from vestige.scoring.diffusion_sampling import drawn_item, generate
from vestige.scoring.language import ScoringError
from vestige.scoring.loading import CheckpointError
from vestige.scoring.noising import NoiseLaw, law_of, noise_at, start_noise
from vestige.scoring.restoring import restored, way_back

GRID = Grid(n_timesteps=3, n_draws=2, seed=1)
TABLE = {"num_train_timesteps": 100}
KINDS = ("pixel", "latent", "flow", "v", "sample", "flow unet")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("diffusion")
    made.pixel_pipeline(root / "pixel")
    made.pixel_pipeline(root / "pixel again", seed=1)
    made.latent_pipeline(root / "latent")
    made.flow_pipeline(root / "flow")
    made.class_pipeline(root / "class latent")
    made.bare(root / "v", made.unet(0), DDIMScheduler(**TABLE, prediction_type="v_prediction"))
    made.bare(root / "sample", made.unet(0), DDPMScheduler(**TABLE, prediction_type="sample"))
    made.bare(root / "flow unet", made.unet(0), FlowMatchEulerDiscreteScheduler())
    made.bare(root / "class", made.unet(0, num_class_embeds=5), DDPMScheduler(**TABLE))
    return root


@pytest.fixture(scope="session")
def models(folder):
    return {path.name: load(path, device="cpu") for path in sorted(folder.iterdir())}


def pictures(model, n=4):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, 20, 16, 3), dtype=np.uint8)
    return [prepare(model, image, prompt="ab"[i % 2], label=i, name=f"image {i}") for i, image in enumerate(images)]


def plain_prediction(model, item, timestep, noised):
    """The network's own output for one noised image, through the pipeline's own text encoding."""
    t = torch.tensor([timestep])
    with torch.no_grad():
        match model.condition:
            case "text":
                text, _ = model.pipeline.encode_prompt(item.prompt, "cpu", 1, False)
                return model.model(noised, t.long(), encoder_hidden_states=text).sample
            case "pooled text":
                text, _, pooled, _ = model.pipeline.encode_prompt(
                    item.prompt, item.prompt, item.prompt, do_classifier_free_guidance=False, device="cpu"
                )
                return model.model(noised, text, pooled, t).sample
            case "class":
                output = model.model(noised, t.long(), class_labels=torch.tensor([item.label])).sample
                return output[:, : noised.shape[1]]  # the rest is the variance
        return model.model(noised, t).sample


def plain_loss(model, item, timestep, draw):
    """Squared norm of the noise error at one place, from textbook formulas in the network's own terms."""
    image = torch.from_numpy(item.state)[None]
    epsilon = torch.from_numpy(noise_at(GRID.seed, item.key, timestep, draw, item.state.shape))[None]
    if model.law.prediction == "flow":
        sigma = timestep / model.scheduler.config.num_train_timesteps
        noised = (1 - sigma) * image + sigma * epsilon
        velocity = plain_prediction(model, item, timestep, noised)
        return float(((1 - sigma) ** 2 * (epsilon - image - velocity) ** 2).sum())
    t = torch.tensor([int(timestep)])
    a = math.sqrt(model.scheduler.alphas_cumprod[int(timestep)])
    b = math.sqrt(1 - a * a)
    noised = model.scheduler.add_noise(image, epsilon, t)
    output = plain_prediction(model, item, timestep, noised)
    if model.law.prediction == "v_prediction":
        return float((a**2 * (model.scheduler.get_velocity(image, epsilon, t) - output) ** 2).sum())
    if model.law.prediction == "sample":
        return float(((a / b) ** 2 * (image - output) ** 2).sum())
    return float(((epsilon - output) ** 2).sum())


@pytest.mark.parametrize("kind", [*KINDS, "class", "class latent"])
def test_losses_are_those_of_one_noised_image_at_a_time(models, kind):
    model = models[kind]
    items = pictures(model)
    columns = score(model, items, batch_size=5, grid=GRID)
    expected = [
        [[plain_loss(model, item, t, draw) for draw in range(2)] for t in columns["timestep"][0]] for item in items
    ]
    np.testing.assert_allclose(columns["loss"], expected, rtol=2e-5)
    assert columns["n_values"].tolist() == [items[0].state.size] * len(items)
    assert columns["hidden"].shape == (len(items), 16)


@pytest.mark.parametrize("kind", ["pixel", "latent", "flow"])
def test_scores_depend_neither_on_the_batch_size_nor_on_the_other_images(models, kind):
    model = models[kind]
    items = pictures(model)
    whole = score(model, items, batch_size=100, grid=GRID)
    one = score(model, items[1:2], batch_size=1, grid=GRID)
    np.testing.assert_allclose(one["loss"][0], whole["loss"][1], rtol=1e-5)
    np.testing.assert_allclose(one["hidden"][0], whole["hidden"][1], rtol=1e-4, atol=1e-6)
    again = score(model, items, batch_size=100, grid=GRID)
    np.testing.assert_array_equal(again["loss"], whole["loss"])


def test_noise_is_standard_and_another_for_every_image_timestep_draw_and_seed():
    shape = (3, 40, 40)
    first = noise_at(0, 1, 10, 0, shape)
    np.testing.assert_array_equal(first, noise_at(0, 1, 10, 0, shape))
    others = [noise_at(*place, shape) for place in ((1, 1, 10, 0), (0, 2, 10, 0), (0, 1, 11, 0), (0, 1, 10, 1))]
    others += [noise_at(0, 1, 10.5, 0, shape), start_noise(0, 1, 0, shape)[0]]
    for other in others:
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.07
    assert abs(first.mean()) < 0.06 and abs(first.std() - 1) < 0.05


def test_every_prediction_is_handed_over_once_and_in_its_place(models):
    model, seen = models["pixel"], {}
    items = pictures(model)

    def keep(places, n_places, predicted):
        assert n_places == len(items) * GRID.n_places
        seen.update(zip(places.tolist(), predicted, strict=True))

    columns = score(model, items, batch_size=5, grid=GRID, reduce=keep)
    assert sorted(seen) == list(range(columns["loss"].size))
    place = np.ravel_multi_index((2, 1, 1), columns["loss"].shape)
    noise = noise_at(GRID.seed, items[2].key, columns["timestep"][2, 1], 1, items[2].state.shape)
    assert ((seen[place] - noise.ravel()) ** 2).sum() == pytest.approx(columns["loss"][2, 1, 1], rel=1e-5)


def test_two_models_are_compared_on_the_same_noise(models):
    model, other = models["pixel"], models["pixel again"]
    items = pictures(model)
    both = compare(model, other, items, batch_size=5, grid=GRID)
    np.testing.assert_allclose(both["loss"], score(model, items, batch_size=5, grid=GRID)["loss"], rtol=1e-6)
    np.testing.assert_allclose(
        both["loss_of_reference"], score(other, items, batch_size=5, grid=GRID)["loss"], rtol=1e-6
    )
    predictions = []
    for each in (model, other):
        rows = np.empty((both["gap"].size, items[0].state.size), np.float32)
        score(each, items, batch_size=5, grid=GRID, reduce=lambda p, _, out, rows=rows: rows.__setitem__(p, out))
        predictions.append(rows)
    np.testing.assert_allclose(both["gap"].ravel(), squared_gap(*predictions)["gap"], rtol=1e-5)
    assert both["gap"].min() > 0


@pytest.mark.parametrize("kind", ["pixel", "latent", "flow"])
def test_a_model_against_itself_has_no_gap_and_a_fade_of_exactly_0(models, kind):
    model = models[kind]
    drawn = generate(model, pictures(model)[:2], n_samples=2, batch_size=4, n_steps=2)["state"]
    samples = [drawn_item(item, k, drawn[2 * i + k]) for i, item in enumerate(pictures(model)[:2]) for k in range(2)]
    both = compare(model, model, samples, batch_size=5, grid=GRID)
    uu, ru = (both[name].reshape(4, -1) for name in ("loss", "loss_of_reference"))
    assert fade_diffusion(uu, ru, uu, ru) == 0
    assert fade_diffusion_score(both["gap"].reshape(4, -1), both["gap"].reshape(4, -1)) == 0


def test_what_a_network_predicts_is_turned_into_noise_by_the_formulas_of_its_kind():
    rng = np.random.default_rng(0)
    image, epsilon = (torch.from_numpy(rng.normal(size=(1, 2, 3, 3))) for _ in "ab")
    squared = np.array([0.99, 0.5, 0.01])
    for prediction, output in {
        "epsilon": lambda a, b: epsilon,
        "v_prediction": lambda a, b: a * epsilon - b * image,
        "sample": lambda a, b: image,
        "flow": lambda a, b: epsilon - image,
    }.items():
        law = NoiseLaw(prediction, 3, None if prediction == "flow" else squared)
        for a, b in zip(*law.levels(law.timesteps(3)), strict=True):
            noised = a * image + b * epsilon
            torch.testing.assert_close(law.noise_of(output(a, b), noised, a, b), epsilon)


def test_likelihood_weights_make_the_bound_of_a_gaussian_its_negative_log_likelihood():
    """The best denoiser of N(0, c) is linear, so the bound's integral is known and must give the entropy's slope."""
    law, variance = NoiseLaw("epsilon", 4000, np.linspace(0.9999, 0.0001, 4000)), 0.5
    t = law.timesteps(4000)
    signal, noise = law.levels(t)
    mean_error = signal**2 * variance / (signal**2 * variance + noise**2)
    low, high = (np.log(signal[i] ** 2 / noise[i] ** 2) for i in (-1, 0))
    exact = 0.5 * (np.log1p(variance * np.exp(high)) - np.log1p(variance * np.exp(low)))
    assert (law.likelihood_weights(t) * mean_error).sum() == pytest.approx(exact, rel=1e-4)
    assert law.likelihood_weights(t[:1]).tolist() == [1]
    with pytest.raises(ValueError, match="pure noise"):
        NoiseLaw("epsilon", 2, np.array([0.5, 0.0])).likelihood_weights(np.array([0.0, 1.0]))


def test_timesteps_are_the_middles_of_equal_parts():
    assert NoiseLaw("epsilon", 100, np.ones(100)).timesteps(4).tolist() == [12, 37, 62, 87]
    assert NoiseLaw("flow", 100).timesteps(4).tolist() == [12.5, 37.5, 62.5, 87.5]
    with pytest.raises(ValueError, match="within 1 and 100"):
        NoiseLaw("flow", 100).timesteps(101)


def test_samples_are_those_of_the_pipelines_themselves(folder, models):
    for kind, pipeline in (("latent", StableDiffusionPipeline), ("flow", StableDiffusion3Pipeline)):
        model, item = models[kind], pictures(models[kind])[0]
        options = {"safety_checker": None, "requires_safety_checker": False} if kind == "latent" else {}
        parts = {} if kind == "latent" else {"text_encoder_3": None, "tokenizer_3": None}
        theirs = pipeline.from_pretrained(folder / kind, **options, **parts)
        theirs.set_progress_bar_config(disable=True)
        for guidance in (1.0, 3.0):
            own = generate(model, [item], n_samples=1, batch_size=1, n_steps=4, guidance=guidance)
            start, _ = start_noise(0, drawn_item(item, 0).key, 0, model.shape)
            size = {"height": 2 * made.SIZE, "width": 2 * made.SIZE, "num_inference_steps": 4}
            image = theirs(
                item.prompt, latents=torch.from_numpy(start)[None], guidance_scale=guidance, output_type="np", **size
            ).images
            np.testing.assert_allclose(own["image"] / 255, image, atol=0.6 / 255)


def test_samples_are_the_same_for_any_batch_size_and_start_alike_for_every_model(models):
    model = models["pixel"]
    items = pictures(model)[:3]
    options = {"n_samples": 2, "n_steps": 3, "seed": 5}
    one, many = (generate(model, items, batch_size=size, **options) for size in (1, 6))
    np.testing.assert_allclose(one["state"], many["state"], atol=1e-5)
    assert not np.allclose(generate(model, items, batch_size=6, **{**options, "seed": 6})["state"], many["state"])
    other = generate(models["pixel again"], items, batch_size=6, **options)
    # Untrained networks leave the shared noise nearly as it was.
    assert np.corrcoef(other["state"].ravel(), many["state"].ravel())[0, 1] > 0.8
    assert many["image"].dtype == np.uint8 and many["image"].shape == (6, 8, 8, 3)


def test_images_of_any_size_are_cropped_resized_and_scaled(models, tmp_path):
    picture = np.zeros((20, 40, 3), np.uint8)
    picture[:, 10:30] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    item = prepare(models["pixel"], tmp_path / "a.png", name="a")
    assert item.state.shape == (3, 8, 8) and item.state.dtype == np.float32
    assert item.state.max() == 1 and item.state[:, :, 2:6].min() == 1
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    latent = prepare(models["latent"], picture)
    with torch.no_grad():
        pixels = torch.from_numpy(picture / 127.5 - 1).float()
        vae = models["latent"].pipeline.vae
        expected = vae.encode(pixels.permute(2, 0, 1)[None]).latent_dist.mean * vae.config.scaling_factor
    np.testing.assert_allclose(latent.state, expected[0], atol=1e-4)


def test_an_example_is_its_image_with_what_the_model_is_told(models, tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    example = Example("7", "a cat", "", "x", image=str(tmp_path / "a.png"), label="3")
    item = encode(models["latent"], example)
    same = prepare(models["latent"], tmp_path / "a.png", prompt="a cat", name="7")
    assert (item.prompt, item.key) == ("a cat", same.key)
    np.testing.assert_array_equal(item.state, same.state)
    assert encode(models["class"], example).label == 3
    with pytest.raises(ScoringError, match="the label of example '7' is 'cat'"):
        encode(models["class"], replace(example, label="cat"))
    with pytest.raises(ScoringError, match="draws images, but example '7' has none"):
        encode(models["pixel"], replace(example, image=""))


def test_a_bare_text_denoiser_takes_its_other_parts_from_a_base(folder, models, tmp_path):
    made.text_unet(3).save_pretrained(tmp_path / "unlearned")
    with pytest.raises(CheckpointError, match=r"needs its scheduler_config.json beside it .* or a base pipeline"):
        load(tmp_path / "unlearned")
    model = load(tmp_path / "unlearned", base=folder / "latent", device="cpu")
    assert model.space == models["latent"].space
    items = pictures(model)
    both = compare(model, models["latent"], items, batch_size=9, grid=GRID)
    assert both["gap"].min() > 0
    DDIMScheduler().save_pretrained(tmp_path / "unlearned")
    with pytest.raises(CheckpointError, match="cannot read prompts; say which pipeline is its `base`"):
        load(tmp_path / "unlearned")


def test_models_that_see_images_otherwise_are_not_compared(models):
    items = pictures(models["pixel"])
    with pytest.raises(ScoringError, match="see images otherwise"):
        compare(models["pixel"], models["latent"], items, batch_size=4)
    with pytest.raises(ScoringError, match="different schedules"):
        compare(models["pixel"], models["flow unet"], items, batch_size=4)
    with pytest.raises(ScoringError, match=r"takes images of shape \(4, 8, 8\)"):
        score(models["latent"], items, batch_size=4)


def test_mistakes_are_named(models, folder, tmp_path):
    items = pictures(models["pixel"])
    with pytest.raises(ScoringError, match="there is no layer 9; it has 3 blocks"):
        score(models["pixel"], items, batch_size=4, layer=9)
    with pytest.raises(ScoringError, match="use guidance 1"):
        generate(models["pixel"], items, n_samples=1, batch_size=1, guidance=2.0)
    with pytest.raises(CheckpointError, match="has no denoiser"):
        load(tmp_path)
    with pytest.raises(CheckpointError, match="EDMEuler"):
        law_of(EDMEulerScheduler(), "edm")
    assert law_of(EulerDiscreteScheduler(), "euler").prediction == "epsilon"


def test_missing_or_broken_weights_are_refused(folder, tmp_path):
    made.bare(tmp_path / "hole", made.unet(0), DDPMScheduler(**TABLE))
    path = tmp_path / "hole" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    save_file({k: v for k, v in weights.items() if not k.startswith("conv_out")}, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="2 weights are missing"):
        load(tmp_path / "hole")
    weights["conv_out.bias"][0] = float("nan")
    save_file(weights, path, metadata={"format": "pt"})
    broken = load(tmp_path / "hole", name="broken", device="cpu")
    with pytest.raises(ScoringError, match="broken: NaN or infinite predictions for 4 of 4 images"):
        score(broken, pictures(broken), batch_size=8, grid=GRID)
    config = tmp_path / "hole" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"_class_name": "Mine"}))
    with pytest.raises(CheckpointError, match="Mine is not of diffusers"):
        load(tmp_path / "hole")


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_restored_step_by_step_along_the_way_back(models, kind):
    """Copy by copy with the network's own output; the copies do not depend on the batch."""
    model, items = models[kind], pictures(models[kind], n=2)
    found = restored(model, items, batch_size=3, seed=1)
    np.testing.assert_array_equal(found["own_features"], [item.state.ravel() for item in items])
    steps = way_back(model.law)
    for i, draw in ((0, 0), (1, restoring.N_COPIES - 1)):
        level = dict(zip(steps, zip(*model.law.levels(steps), strict=True), strict=True))
        noise = torch.tensor(noise_at(1, items[i].key, steps[0], draw, model.shape))[None]
        signal, spread = map(float, level[steps[0]])
        state = signal * torch.tensor(items[i].state)[None] + spread * noise
        for timestep, after in zip(steps, [*steps[1:], None], strict=True):
            signal, spread = map(float, level[timestep])
            output = plain_prediction(model, items[i], timestep, state)
            seen = model.law.noise_of(output, state, signal, spread)
            clean = (state - spread * seen) / signal
            state = clean if after is None else float(level[after][0]) * clean + float(level[after][1]) * seen
        np.testing.assert_allclose(found["restored_features"][i, draw], clean.ravel(), rtol=1e-3, atol=1e-3)


def test_who_sees_the_very_noise_restores_the_very_image(models, monkeypatch):
    model, items = models["pixel"], pictures(models["pixel"], n=2)
    steps = way_back(model.law)

    def knowing(_, noised, timesteps, __):
        signal, spread = (float(level[0]) for level in model.law.levels(timesteps[:1].double().numpy()))
        images = torch.stack([torch.tensor(item.state) for item in items]).repeat_interleave(restoring.N_COPIES, 0)
        return (noised - signal * images) / spread

    monkeypatch.setattr(restoring, "denoise", knowing)
    found = restored(model, items, batch_size=99)
    for copy in range(restoring.N_COPIES):
        np.testing.assert_allclose(found["restored_features"][:, copy], found["own_features"], atol=1e-4)
    assert len(steps) == restoring.N_STEPS and steps[0] == restoring.FROM * model.law.n_timesteps
