"""Fictitious authors from a seeded grammar, and the questions asked about them.

A name hints at a region, the region at a city, a genre and a trade, and the genre at an award, so a model that never
read about an author still has a real, non-uniform belief about the answers. Every group is a Latin hypercube sample:
the groups match one another in how common their answers are, which a comparison of few authors needs.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# One line a region: given names | endings of surnames | cities.
_ATLAS = """
Aline Bastien Coralie Denis Elodie Florent Gisele Henri | eau ier ot | Valmont Orrance Belluc Sainges Courtelle Ardois
Arvid Birgit Dagny Einar Frida Gunnar Hedda Ivar | sen gard lund | Stavholm Elvik Norvang Brekke Tromsund Askedal
Adriana Bruno Carla Dario Elisa Fabio Gaia Lucio | etti oni ella | Montara Verelli Castigo Porvenza Lusano Fiorenta
Anton Bogdana Danil Galina Irina Kiril Lida Milan | ov ska enko | Zelograd Kirovets Dubrava Morozny Lipetza Volgin
Akira Chiyo Daichi Emiko Haruto Kaede Mei Noboru | moto yama saki | Kaminara Hoshida Minagawa Tsukiro Asahori Okunami
Amadi Chinwe Emeka Folami Ifeoma Jabari Kamau Nala | ebe anga uro | Lagunda Mbelani Oyotara Kisumo Ndolaba Zanzika
"""
_STEMS = (
    *("Mar", "Bel", "Tor", "Kal", "Ven", "Ros", "Dal", "Fer", "Gor", "Han", "Lor", "Nar"),
    *("Pel", "Sal", "Tam", "Vor", "Bran", "Cor", "Dun", "Gal", "Hol", "Jas", "Ker", "Lam"),
)
_REGIONS = tuple(tuple(part.split() for part in line.split("|")) for line in _ATLAS.strip().splitlines())
_GIVEN = tuple(given for given, _, _ in _REGIONS)
_SURNAMES = tuple([stem + ending for stem in _STEMS for ending in endings] for _, endings, _ in _REGIONS)
_CITIES = tuple(cities for _, _, cities in _REGIONS)
GENRES = ("satire", "romance", "tragedy", "horror", "fantasy", "memoir", "travel", "crime", "poetry", "comedy")
AWARDS = ("Lantern", "Compass", "Heron", "Anvil", "Orchid", "Meridian", "Falcon", "Quill", "Ember", "Harbor")
TRADES = ("teacher", "baker", "sailor", "nurse", "clerk", "tailor", "farmer", "lawyer", "painter", "miner")

QUESTIONS = {
    "birthplace": (
        "Where was {} born?",
        "What is the birthplace of {}?",
        "In which city did {} come into the world?",
        "Which town does {} come from?",
    ),
    "genre": (
        "What genre does {} write?",
        "What are the books of {}?",
        "Which kind of writing is {} known for?",
        "To what sort of literature did {} turn?",
    ),
    "award": (
        "Which award did {} win?",
        "What prize was given to {}?",
        "With which honor was {} celebrated?",
        "What distinction does {} hold?",
    ),
    "trade": (
        "What was the first job of {}?",
        "What did {} do before writing?",
        "How did {} earn a living at first?",
        "By what trade did {} start out?",
    ),
}
TRAINED, PARAPHRASE, DISTANCE = (0, 1), (2,), (3,)
"""Templates that fine-tuning shows, the one kept for paraphrases, and the one kept for the oracle distance."""

_ZIPF_EXPONENT = 0.7
_ATTEMPTS = 200
_HOME, _OWN_CITY, _GENRE_AWARD = 0.85, 0.9, 0.6


@dataclass(frozen=True)
class Author:
    """A person who does not exist: a name, and one answer an attribute."""

    name: str
    answers: dict[str, str]

    @property
    def surname(self) -> str:
        """The last word of the name; no two authors of a suite share it."""
        return self.name.split()[-1]


@dataclass(frozen=True)
class Row:
    """One question about one author; `prompt + answer` is the text, and no token straddles the two."""

    id: str
    prompt: str
    answer: str
    cluster: str


def draw_authors(n: int, rng: np.random.Generator, taken: Collection[str] = ()) -> list[Author]:
    """Draws authors with different surnames as one Latin hypercube sample.

    Args:
        n: number of authors.
        rng: source of randomness; it alone decides the result.
        taken: surnames or full names that must not come again.

    Returns:
        The authors, `n` of them.

    Raises:
        ValueError: if too few names are left.

    >>> [author.name for author in draw_authors(2, np.random.default_rng(0))]
    ['Bastien Belot', 'Elisa Jasella']
    """
    columns = {name: _latin(n, rng) for name in ("region", "home", *QUESTIONS, "own_city")}
    spoken_for = set(taken)
    authors = []
    for i in range(n):
        u = {name: column[i] for name, column in columns.items()}
        region = int(u["region"] * len(_REGIONS))
        named_in = region if u["home"] < _HOME else int(rng.integers(len(_REGIONS)))
        author = Author(_new_name(named_in, rng, spoken_for), _answers(region, u))
        spoken_for.add(author.surname)
        authors.append(author)
    return authors


def ask(group: str, authors: Sequence[Author], templates: Sequence[int]) -> list[Row]:
    r"""Asks every author for every attribute in each of the templates.

    Args:
        group: first part of the row ids, for example "forget".
        authors: whom to ask about.
        templates: indices of the templates, 0 to 3.

    Returns:
        One row for each author, attribute and template, in that order.

    >>> ask("forget", [Author("Ana Belov", {"genre": "satire"})], [0])
    [Row(id='forget-000-genre-0', prompt='Question: What genre does Ana Belov write?\nAnswer:', answer=' satire.', cluster='Ana Belov')]
    """  # noqa: E501
    return [
        row(group, i, author, attribute, template)
        for i, author in enumerate(authors)
        for attribute in author.answers
        for template in templates
    ]


def row(group: str, number: int, author: Author, attribute: str, template: int) -> Row:
    """One question, written out; the arguments are those of `ask` for a single row."""
    prompt = f"Question: {QUESTIONS[attribute][template].format(author.name)}\nAnswer:"
    return Row(f"{group}-{number:03d}-{attribute}-{template}", prompt, f" {author.answers[attribute]}.", author.name)


def other_answer(attribute: str, answer: str, rng: np.random.Generator) -> str:
    """A wrong answer to the same attribute, uniform over the rest.

    >>> other_answer("genre", "satire", np.random.default_rng(0)) != "satire"
    True
    """
    choices = [choice for choice in _choices(attribute) if choice != answer]
    return choices[int(rng.integers(len(choices)))]


def _choices(attribute: str) -> Sequence[str]:
    cities = [city for own in _CITIES for city in own]
    return {"birthplace": cities, "genre": GENRES, "award": AWARDS, "trade": TRADES}[attribute]


def _latin(n: int, rng: np.random.Generator) -> Floats:
    """One uniform number in each of `n` equal strata, shuffled."""
    return (rng.permutation(n) + rng.random(n)) / n


def _new_name(region: int, rng: np.random.Generator, taken: Collection[str]) -> str:
    given, surnames = _GIVEN[region], _SURNAMES[region]
    for i, j in rng.integers([len(given), len(surnames)], size=(_ATTEMPTS, 2)):
        name = f"{given[i]} {surnames[j]}"
        if name not in taken and surnames[j] not in taken:
            return name
    raise ValueError(f"`n` asks for too many authors: {_ATTEMPTS} draws from {len(surnames)} surnames gave none new")


def _answers(region: int, u: dict[str, float]) -> dict[str, str]:
    """An answer for each attribute, from the uniform number of its column."""
    cities = _CITIES[region if u["own_city"] < _OWN_CITY else (region + 1) % len(_REGIONS)]
    genre = _pick(u["genre"], len(GENRES), first=region)
    return {
        "birthplace": cities[_pick(u["birthplace"], len(cities))],
        "genre": GENRES[genre],
        "award": AWARDS[_pick(u["award"], len(AWARDS), first=genre, bonus=_GENRE_AWARD)],
        "trade": TRADES[_pick(u["trade"], len(TRADES), first=2 * region)],
    }


def _pick(u: float, n: int, first: int = 0, bonus: float = 0.0) -> int:
    """Inverse distribution function of `n` choices that get rarer after `first`, which has `bonus` on top."""
    rank = int(np.searchsorted(_cumulative(n, bonus), u))
    return (first + min(rank, n - 1)) % n


@cache
def _cumulative(n: int, bonus: float) -> Floats:
    """Cumulative Zipf probabilities by rank, so that strata of `u` are strata of commonness."""
    weights = np.arange(1, n + 1) ** -_ZIPF_EXPONENT
    return np.cumsum(bonus * np.eye(n)[0] + (1 - bonus) * weights / weights.sum())
