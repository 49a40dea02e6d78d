"""From what a configuration names to subjects that are known by what they are made of."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vestige.data.examples import Example
from vestige.evaluation.config import Models, Unlearned
from vestige.scoring.checkpoints import CheckpointError, checkpoint_folder, tokenizer_folder
from vestige.scoring.recorded import read_texts, recorded_file
from vestige.scoring.sources import Code, Form, digest_of
from vestige.scoring.units import Checkpoint

PROBES = 4
"""Forget examples on which a function that is given in Python is asked, to know it again."""


@dataclass
class Finder:
    """Checkpoints by name and path; the same weights under another name, now or in an earlier run, are scored once.

    Attributes:
        models: of the configuration.
        examples: split to its examples.
        store: the run's.
        fingerprints: name to digest, where it is known.
    """

    models: Models
    examples: Mapping[str, Sequence[Example]]
    store: Path
    fingerprints: Mapping[str, str]
    known: dict[str, Checkpoint] = field(default_factory=dict)

    def __call__(self, name: str, path: str) -> Checkpoint:
        """The checkpoint at a path, or weights of the configuration's module.

        Raises:
            CheckpointError: if it is not there or cannot be read.
        """
        if self.models.module:
            return self._weights(name, path, _code(self.models.module, self.models.settings))
        return self._known(name, "checkpoint", path)

    def unlearned(self, model: Unlearned, original: Checkpoint) -> Checkpoint:
        """An unlearned model, whatever it is.

        Raises:
            CheckpointError: as above, or if its code cannot be found.
            DataError: if recorded outputs are not those of the examples.
        """
        if model.recorded:
            self._refuse_unreadable(model)
            return self._known(model.name, "recorded", model.recorded)
        if model.function:
            code = _code(model.function, model.settings, model.files)
            return self._known(model.name, "function", str(original.folder), code)
        if model.module:
            return self._weights(model.name, model.path, _code(model.module, model.settings, model.files))
        return self(model.name, model.path)

    def _weights(self, name: str, path: str, code: Code) -> Checkpoint:
        return self._known(name, "module", path, code)

    def _known(self, name: str, form: Form, path: str, code: Code | None = None) -> Checkpoint:
        try:
            folder = Path(path) if form == "recorded" or Path(path).is_file() else self._folder(path)
            digest = self.fingerprints.get(name) or digest_of(form, folder, code, self._probes(folder, code))
        except CheckpointError as error:
            raise CheckpointError(f"{name}: {error}") from None
        scored = [entry.name for entry in self.store.glob(f"*-{digest[:16]}")]
        key = f"{re.sub(r'[^A-Za-z0-9@+.-]+', '_', name).strip('.') or 'model'}-{digest[:16]}"
        return self.known.setdefault(digest, Checkpoint(scored[0] if scored else key, name, folder, digest, form, code))

    def _folder(self, path: str) -> Path:
        return checkpoint_folder(path, code=self.models.trust_remote_code)

    def _probes(self, folder: Path, code: Code | None) -> list[list[int]]:
        if code is None or not code.name.startswith(":"):
            return []
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(tokenizer_folder(folder) / "tokenizer.json"))
        return [tokenizer.encode(e.prompt + e.answer).ids for e in self.examples["forget"][:PROBES]]

    def _refuse_unreadable(self, model: Unlearned) -> None:
        files = {split: recorded_file(Path(model.recorded), split) for split in self.examples}
        if not any(files.values()):
            raise CheckpointError(
                f"{model.name}: {model.recorded} has none of {', '.join(f'{s}.jsonl' for s in files)}; give one "
                'file a split, a line {"id": ..., "samples": [...]} for each of its examples'
            )
        for split, path in files.items():
            if path is not None:
                read_texts(path, self.examples[split])


def _code(name: str, settings: Mapping[str, Any], files: Mapping[str, str] | None = None) -> Code:
    paths = tuple((key, Path(path)) for key, path in sorted((files or {}).items()))
    return Code(name, json.dumps(settings, sort_keys=True), paths)
