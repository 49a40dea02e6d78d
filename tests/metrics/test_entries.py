"""Metrics that are not judged, each against its definition in plain Python or against the function it is made of."""

import itertools
import math

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from vestige.metrics import FUNCTIONS, METRICS, estimate
from vestige.metrics.attacks import label_features, neighbour_attack, svc_efficacy, uqs_released
from vestige.metrics.calibration import worst_group
from vestige.metrics.gaps import gap_closed
from vestige.metrics.lira import forgetting_quality, likelihood_ratios, u_lira
from vestige.metrics.muse import RWKU_PROBES
from vestige.metrics.probing import concept_traces
from vestige.metrics.text import decoded
from vestige.report.catalogue import first_line

BY_NAME = {metric.name: metric for metric in METRICS}


def value(name, arrays, variant=""):
    return estimate(BY_NAME[name], arrays, variant=variant).value


def per_example(arrays, name):
    model, split, _ = name.split(".")
    return [list(arrays[name][a:b]) for a, b in itertools.pairwise(arrays[f"{model}.{split}.offsets"])]


def said(arrays, split):
    raw, ends = arrays[f"unlearned.{split}.text"].tobytes(), arrays[f"unlearned.{split}.text_offsets"]
    return [raw[a:b].decode() for a, b in itertools.pairwise(ends)]


def area(member, other):
    return roc_auc_score([1] * len(member) + [0] * len(other), [*member, *other])


def test_texts_come_back_from_bytes_whole(arrays):
    words = ["", "zwölf", "雨"]
    raw = [word.encode() for word in words]
    arrays["unlearned.forget.text"] = np.frombuffer(b"".join(raw), np.uint8)
    arrays["unlearned.forget.text_offsets"] = np.cumsum([0, *map(len, raw)])
    assert decoded(arrays, "unlearned.forget") == words


@pytest.mark.parametrize(
    "name, variant, splits, kind, measure, stem",
    [
        ("ROUGE-L", "", ["forget"], "rougeL", "recall", True),
        ("ROUGE-L", "rouge1", ["forget"], "rouge1", "recall", True),
        ("ROUGE-L-retain", "", ["retain"], "rougeL", "recall", True),
        ("VerbMem", "", ["passages"], "rougeL", "fmeasure", False),
        ("KnowMem", "", ["forget"], "rougeL", "fmeasure", False),
        ("KnowMem-retain", "", ["retain"], "rougeL", "fmeasure", False),
        ("RWKU", "", [f"forget_{probe}" for probe in RWKU_PROBES], "rougeL", "recall", True),
        ("RWKU", "adversarial", ["forget_adversarial"], "rougeL", "recall", True),
        ("RWKU-N", "", ["neighbour_fill_in_blank", "neighbour_question_answer"], "rougeL", "recall", True),
    ],
)
def test_text_metrics_are_rouge_scores_means(arrays, name, variant, splits, kind, measure, stem):
    scorer = RougeScorer([kind], use_stemmer=stem)
    means = []
    for split in splits:
        pairs = zip(said(arrays, split), arrays[f"data.{split}.answer"], strict=True)
        means.append(np.mean([getattr(scorer.score(right, text)[kind], measure) for text, right in pairs]))
    assert value(name, arrays, variant) == pytest.approx(np.mean(means))


def test_extraction_likelihood_reads_the_continuations_of_its_own_text(arrays):
    texts, written = (per_example(arrays, f"unlearned.{split}.token_id") for split in ("forget", "prefixes"))
    scores, left = [], list(written)
    for text in texts:
        overlaps = []
        for t in range(1, len(text) - 10 + 1):
            line, rest = left.pop(0), text[t:]
            grams = [line[i : i + 10] for i in range(len(line) - 9)]
            came = [rest[i : i + 10] for i in range(len(rest) - 9)]
            overlaps.append(np.mean([g in came for g in grams]) if grams else 0.0)
        scores += [np.mean(overlaps)] if overlaps else []
    assert value("EL", arrays) == pytest.approx(np.mean(scores))
    assert 0 < np.mean(scores) < 1 and 0 < len(scores) < len(texts)
    arrays["unlearned.prefixes.offsets"] = arrays["unlearned.prefixes.offsets"][:-1]
    with pytest.raises(ValueError, match=r"`unlearned\.prefixes` must hold"):
        value("EL", arrays)


def test_shares_of_examples(arrays):
    hits = per_example(arrays, "unlearned.forget.argmax_hit")
    assert value("MA", arrays) == pytest.approx(np.mean([np.mean(row) for row in hits]))
    options, right = arrays["unlearned.forget.option_log_prob"], arrays["data.forget.label"]
    assert value("MC", arrays) == pytest.approx(np.mean(options.argmax(axis=1) == right))
    context = per_example(arrays, "unlearned.reintroduced.argmax_hit")
    assert value("FA-context", arrays) == pytest.approx(np.mean([all(row) for row in context]))
    probes = arrays["unlearned.forget.probe_correct"]
    failed = [not all(row) for row in hits]
    assert value("KR", arrays) == pytest.approx(np.mean(probes[failed]))
    for name in ("lens", "change"):
        assert value(f"{name}@20", arrays) == pytest.approx(np.mean(arrays[f"unlearned.forget.{name}_budget"] <= 20))


def test_a_model_that_forgot_nothing_has_no_recoverability(arrays):
    arrays["unlearned.forget.argmax_hit"][:] = True
    found = estimate(BY_NAME["KR"], arrays)
    assert math.isnan(found.value) and found.reason == "value undefined"


def test_classifiers_calibration_and_worst_group(arrays):
    probs = np.exp(arrays["unlearned.retain.class_log_prob"])
    labels = [row[0] for row in per_example(arrays, "unlearned.retain.token_id")]
    by_hand = [sum((p - (c == y)) ** 2 for c, p in enumerate(row)) for row, y in zip(probs, labels, strict=True)]
    assert value("Brier", arrays) == pytest.approx(np.mean(by_hand))
    correct = [float(all(row)) for row in per_example(arrays, "unlearned.retain.argmax_hit")]
    groups = arrays["data.retain.cluster"]
    assert value("worst-group", arrays) == worst_group(correct, groups).accuracy
    assert value("worst-group", arrays) == min(np.mean(np.array(correct)[groups == g]) for g in set(groups))


def test_gaps_closed_show_what_went_too_far(arrays):
    means = {
        model: np.mean([all(row) for row in per_example(arrays, f"{model}.forget.argmax_hit")])
        for model in ("original", "unlearned", "retrained")
    }
    expected = (means["original"] - means["unlearned"]) / (means["original"] - means["retrained"])
    assert value("closed-FA", arrays) == pytest.approx(expected)
    arrays["unlearned.forget.argmax_hit"][:] = False
    assert value("closed-FA", arrays) > 1
    arrays["unlearned.forget.argmax_hit"] = arrays["original.forget.argmax_hit"]
    assert value("closed-FA", arrays) == 0
    assert np.isnan(gap_closed(0.5, 0.2, 0.5))


def test_nomus_is_accuracy_against_the_best_threshold(arrays):
    member, other = (per_example(arrays, f"unlearned.{split}.token_log_prob") for split in ("forget", "holdout"))
    truth, scores = [1] * 20 + [0] * 20, np.array([np.mean(row) for row in member + other])
    accuracies = [balanced_accuracy_score(truth, scores >= t) for t in scores]
    furthest = max(accuracies, key=lambda a: abs(a - 0.5))
    correct = np.mean([all(row) for row in per_example(arrays, "unlearned.holdout.argmax_hit")])
    assert value("NoMUS", arrays) == pytest.approx(correct / 2 + (1 - 2 * abs(furthest - 0.5)) / 2)


def test_membership_by_gradients_and_by_restored_copies(arrays):
    member, other = (-arrays[f"unlearned.{split}.gradient_norm"].mean(axis=1) for split in ("forget", "holdout"))
    assert value("GradNorm", arrays) == pytest.approx(area(member, other))

    def restored(split):
        rows = zip(arrays[f"data.{split}.own_features"], arrays[f"unlearned.{split}.restored_features"], strict=True)
        return [-cdist([image], copies).mean() for image, copies in rows]

    assert value("TMI", arrays) == pytest.approx(area(restored("forget"), restored("holdout")))


def test_attacks_with_many_models_are_their_functions(arrays):
    u, r = (arrays[f"{model}.forget.ensemble_margin"].T for model in ("unlearned", "retrained"))
    found = estimate(BY_NAME["U-LiRA"], arrays)
    assert found.value == pytest.approx(u_lira(u, r).auc.value)
    assert (found.over, found.fixed) == ("models", ("examples",))
    rates = [
        tuple(arrays[f"{model}.{split}.ensemble_hit"].mean() for model in ("unlearned", "retrained"))
        for split in ("retain", "holdout")
    ]
    assert value("NeurIPS23", arrays) == pytest.approx(forgetting_quality(u, r, *rates).score)
    ratios = [
        likelihood_ratios(
            arrays[f"unlearned.{split}.margin"],
            arrays[f"data.{split}.seen_margin"].T,
            arrays[f"data.{split}.unseen_margin"].T,
        )
        for split in ("forget", "holdout")
    ]
    assert value("LiRA", arrays) == pytest.approx(area(*ratios))


def test_trained_attacks_are_their_functions(arrays):
    u, r = (np.exp(arrays[f"{model}.forget.class_log_prob"]) for model in ("unlearned", "retrained"))
    clusters = arrays["data.forget.cluster"]
    assert value("MIA-NN", arrays) == pytest.approx(neighbour_attack(u, r, clusters=clusters).auc.value)
    sets = []
    for split in ("retain", "holdout", "forget"):
        labels = [row[0] for row in per_example(arrays, f"unlearned.{split}.token_id")]
        sets.append(label_features(np.exp(arrays[f"unlearned.{split}.class_log_prob"]), labels))
    for variant, feature in (("", "confidence"), ("modified_entropy", "modified_entropy")):
        assert value("MIA-SVC", arrays, variant) == svc_efficacy(*(part[feature] for part in sets)).value
    assert value("MIA-SVC", arrays, "bad-teaching") == 1 - svc_efficacy(*(part["entropy"] for part in sets)).value


def test_the_trained_attack_finds_what_is_planted_and_nothing_in_equal_sets(arrays):
    assert 0.2 < value("MIA-LR", arrays) < 0.8
    first = arrays["unlearned.forget.offsets"][:-1]
    arrays["unlearned.forget.topk_log_prob"][first] = np.log([0.9, 0.05, 0.01])
    assert value("MIA-LR", arrays) > 0.95 and value("MIA-LR", arrays, "accuracy") > 0.9

    def features(split):
        first = arrays[f"unlearned.{split}.offsets"][:-1]
        p = np.sort(np.exp(arrays[f"unlearned.{split}.topk_log_prob"][first]), axis=1)
        return np.column_stack([p[:, -1], -arrays[f"unlearned.{split}.entropy"][first], p[:, -1] - p[:, -2]])

    assert value("MIA-LR", arrays, "released") == uqs_released(features("forget"), features("retain"))


def test_too_few_entities_to_train_an_attack_are_no_crash(arrays):
    arrays["data.forget.cluster"] = np.zeros(20, np.int64)
    for name in ("MIA-LR", "MIA-NN"):
        assert math.isnan(value(name, arrays))


@pytest.mark.parametrize(("name", "split"), [("UDS", "entities"), ("UDS-answer", "forget")])
def test_the_depth_score_is_its_definition(arrays, name, split):
    """End tokens, which are NaN, are left out."""
    ends = arrays[f"original.{split}.offsets"]
    for model in ("unlearned", "retrained"):
        last = ends[1:][np.diff(ends) > 1] - 1
        arrays[f"{model}.{split}.patched_log_probs"][last] = np.nan
    full, scores = arrays[f"original.{split}.token_log_prob"], []
    for a, b in itertools.pairwise(ends):
        drops = [
            [np.nanmean(full[a:b] - layer[a:b]) for layer in arrays[f"{model}.{split}.patched_log_probs"].T]
            for model in ("unlearned", "retrained")
        ]
        pairs = [(u, r) for u, r in zip(*drops, strict=True) if r > 0.05]
        if pairs:
            scores.append(sum(r * min(max(u / r, 0), 1) for u, r in pairs) / sum(r for _, r in pairs))
    assert value(name, arrays) == pytest.approx(np.mean(scores))


def test_concept_traces_are_means_of_the_function(arrays):
    names = ("original.concepts.vectors", "unlearned.concepts.vectors", "original.words.unembedding")
    traces = concept_traces(*(arrays[name] for name in names), top=9)
    for variant, part in (("", "cosine"), ("jaccard", "jaccard"), ("distance", "distance")):
        assert value("concept-trace", arrays, variant) == pytest.approx(traces[part].mean())


def test_regression_metrics(arrays):
    u, r = (arrays[f"{model}.forget.prediction"] for model in ("unlearned", "retrained"))
    y = arrays["unlearned.forget.target"]
    assert value("R-gap", arrays) == pytest.approx(np.mean(abs(u - y)) - np.mean(abs(r - y)))
    assert value("R-W1", arrays) == pytest.approx(wasserstein_distance(u, r))
    other = arrays["unlearned.holdout.prediction"] - arrays["unlearned.holdout.target"]
    assert value("R-MIA", arrays) == pytest.approx(area(-abs(u - y), -abs(other)))


def test_distances_of_outputs_and_of_weights(arrays):
    u, r = (np.exp(arrays[f"{model}.forget.class_log_prob"]) for model in ("unlearned", "retrained"))
    assert value("AD-prob", arrays) == pytest.approx(np.mean([math.dist(*pair) for pair in zip(u, r, strict=True)]))
    assert value("d_layers", arrays) == 3 and value("d_update", arrays) == 0.625


def test_a_library_that_is_not_there_is_a_reason_and_no_crash(arrays, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    found = estimate(BY_NAME["ROUGE-L"], arrays)
    assert math.isnan(found.value) and "vestige[metrics]" in found.reason


def test_every_function_without_a_card_says_what_it_is():
    assert len(set(FUNCTIONS)) == len(FUNCTIONS)
    for function in FUNCTIONS:
        assert first_line(function).endswith((".", "?")) and "Source:" in function.__doc__, function
