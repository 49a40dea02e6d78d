"""From a subject of a plan, whatever it is made of, to a model that its kind can score."""

from typing import Any

import torch

from vestige.scoring.callables import CallableModel, from_callable
from vestige.scoring.checkpoints import CheckpointError, tokenizer_folder
from vestige.scoring.facts import facts
from vestige.scoring.kinds import KINDS
from vestige.scoring.loading import as_checkpoint_error, quiet_transformers
from vestige.scoring.modules import load_module
from vestige.scoring.units import Checkpoint


def open_subject(kind: str, dtype: str, trust_remote_code: bool, checkpoint: Checkpoint) -> Any:
    """The model, ready to be scored.

    Args:
        kind: a name in `KINDS`.
        dtype: precision of the weights; a function decides that itself.
        trust_remote_code: whether code that lies in a checkpoint may run.
        checkpoint: the subject; not recorded outputs, which no model makes.

    Raises:
        CheckpointError: if it cannot be loaded, imported or called.
    """
    if checkpoint.form == "function":
        return _open_function(checkpoint)
    if checkpoint.form == "module" and checkpoint.code is not None:
        return load_module(checkpoint.code.imported(), checkpoint.folder, name=checkpoint.name, dtype=dtype)
    trusted = {"trust_remote_code": True} if trust_remote_code else {}
    return KINDS[kind].load(checkpoint.folder, name=checkpoint.name, dtype=dtype, **trusted)


def facts_of(checkpoint: Checkpoint, model: Any) -> dict[str, Any]:
    """`facts` of a loaded subject, and the code of the user's that made it."""
    if checkpoint.code is None:
        return facts(model)
    code = {"name": checkpoint.code.name, "settings": checkpoint.code.settings}
    return {**facts(model, weights=checkpoint.fingerprint), checkpoint.form: code}


def _open_function(checkpoint: Checkpoint) -> CallableModel:
    from transformers import AutoTokenizer

    if checkpoint.code is None:
        raise CheckpointError(f"{checkpoint.name}: no function is named")
    with quiet_transformers(), as_checkpoint_error(checkpoint.name, checkpoint.folder):
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder(checkpoint.folder), local_files_only=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    function, folder = checkpoint.code.imported(), checkpoint.folder
    return from_callable(function, tokenizer, name=checkpoint.name, device=device, folder=folder)
