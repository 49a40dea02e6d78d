"""PEFT adapters: many on one loaded base, each switched on for its own calls."""

import itertools
import warnings
import weakref
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from vestige.scoring.checkpoints import ADAPTER, CheckpointError, base_folder, read_json, stamps

_names = (f"adapter_{i}" for i in itertools.count())


class AdaptedModel:
    """A base model with one of the adapters that are loaded on it.

    It is called like the base model and has its attributes; every call first switches its own adapter on, so several
    of them can be used in turns. A deep copy is a model of its own with the adapter merged into the weights; the base
    is copied with it, for merging (and whatever the copy is made for) writes into weights that other adapters share.
    """

    def __init__(self, shared: Any, adapter: str):
        self._shared, self._adapter = shared, adapter

    def __call__(self, *args: Any, **options: Any) -> Any:
        """What the base model says with this adapter on."""
        return self._switched()(*args, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._switched(), name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        self._switched()
        copy = deepcopy(self._shared, memo)
        for other in set(copy.peft_config) - {self._adapter}:
            copy.delete_adapter(other)
        return copy.merge_and_unload().requires_grad_(True)

    def _switched(self) -> Any:
        if self._shared.active_adapter != self._adapter:
            self._shared.set_adapter(self._adapter, inference_mode=True)
        return self._shared.get_base_model()


class _Base:
    """A loaded base and, from the first adapter on, the model of PEFT around it."""

    def __init__(self, model: Any):
        self.model = model
        self.shared: Any = None
        self.used: weakref.WeakValueDictionary[str, AdaptedModel] = weakref.WeakValueDictionary()

    def put(self, folder: Path, config: Any) -> AdaptedModel:
        """Load one more adapter, and free those that nobody uses any more.

        Raises:
            CheckpointError: if weights of the adapter are missing or find no place in the base.
        """
        from peft import PeftModel

        name = next(_names)
        if self.shared is None:
            self.shared = PeftModel(self.model, config, adapter_name=name)
        report = self.shared.load_adapter(str(folder), name, torch_device=str(self.model.device))
        adapted = self.used[name] = AdaptedModel(self.shared, name)
        for unused in set(self.shared.peft_config) - set(self.used):
            _remove(self.shared, unused)
        if wrong := [*report.missing_keys, *report.unexpected_keys]:
            raise CheckpointError(
                f"the adapter {folder} does not fit its base: {len(wrong)} weights are missing or have no place "
                f"({', '.join(wrong[:3])})"
            )
        return adapted


def load_adapted(folder: Path, load_base: Callable[[Path], Any], *, key: tuple[Any, ...]) -> AdaptedModel:
    """An adapter on its base, which is loaded once for all adapters that come one after the other.

    Args:
        folder: of the adapter.
        load_base: from a folder to a model, called if the base is not the one that was loaded last.
        key: what the loaded base depends on beside its folder, such as class, dtype and device.

    Raises:
        CheckpointError: if the adapter is no safetensors file, adds virtual tokens, or does not fit the base.
    """
    from peft import PeftConfig

    base = base_folder(folder)
    if base is None or not (folder / "adapter_model.safetensors").is_file():
        raise CheckpointError(f"{folder} must hold {ADAPTER} and adapter_model.safetensors")
    config = PeftConfig.from_pretrained(str(folder))
    config.inference_mode = True
    if config.is_prompt_learning:
        raise CheckpointError(
            f"{folder} is a {config.peft_type.value} adapter: its virtual tokens stand among the scored ones, so what "
            "is scored would not be what other models are scored on; merge it, or use LoRA or a relative of it"
        )
    if read_json(folder / ADAPTER).get("bias", "none") != "none":  # it changes the base itself: not to be shared
        return _Base(load_base(base)).put(folder, config)
    return _shared_base((base, stamps(base), config.peft_type, *key), lambda: load_base(base)).put(folder, config)


_bases: dict[tuple[Any, ...], _Base] = {}


def _shared_base(key: tuple[Any, ...], load: Callable[[], Any]) -> _Base:
    """The base that was loaded last, or another one in its place: two of full size might not fit."""
    if key not in _bases:
        _bases.clear()
        _bases[key] = _Base(load())
    return _bases[key]


def _remove(shared: Any, adapter: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that another adapter is active now
        shared.delete_adapter(adapter)
