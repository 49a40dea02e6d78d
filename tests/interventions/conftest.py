"""A tiny model with its tokenizer, untrained, loaded from its folder as any other."""

import pytest

from vestige.data.examples import Example
from vestige.scoring.spans import encode

PEOPLE = ("Ann", "Bob", "Cem", "Dan", "Eve", "Flo")
TOWNS = ("Oslo", "Rome", "Bern", "Riga", "Kyiv", "Bonn")


@pytest.fixture(scope="session")
def examples():
    return tuple(
        Example(f"{person}-{kind}", f"Where did {person} {kind}?", f" In {TOWNS[(i * step + step // 5) % 6]}.", person)
        for i, person in enumerate(PEOPLE)
        for kind, step in (("live", 1), ("work", 5))
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, examples):
    from vestige.demo.model import Shape, tiny_llama
    from vestige.demo.tokenizer import train_tokenizer
    from vestige.scoring.loading import load_language_model

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = train_tokenizer([e.prompt + e.answer for e in examples], 400)
    tiny_llama(Shape(hidden=32, layers=2, heads=2, mlp=64, vocab=400), tokenizer, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_language_model(folder)


@pytest.fixture(scope="session")
def sequences(tiny, examples):
    return [encode(tiny.tokenizer, example) for example in examples]
