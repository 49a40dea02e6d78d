import json

import numpy as np
import pytest

from vestige.store import ScoreStore, StoreError

ARRAYS = {"log_prob": np.array([-1.0, -2.5], np.float32), "hit": np.array([True, False])}
SETTINGS = {"model": "abc", "seed": 0, "layers": (1, 2)}


@pytest.fixture
def store(tmp_path):
    store = ScoreStore(tmp_path / "store")
    store.write("model-1", "forget", ARRAYS, SETTINGS)
    return store


def test_what_was_written_is_read(store):
    shard = store.read("model-1", "forget")
    for name, values in ARRAYS.items():
        np.testing.assert_array_equal(shard[name], values)
        assert shard[name].dtype == values.dtype


def test_a_shard_is_there_only_for_the_settings_it_was_made_with(store):
    assert store.has("model-1", "forget", SETTINGS)
    assert not store.has("model-1", "forget", SETTINGS | {"seed": 1})
    assert not store.has("model-1", "retain", SETTINGS)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b""])
def test_a_damaged_shard_is_named_and_not_believed(store, damage):
    path = store.root / "model-1" / "forget.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    assert not store.has("model-1", "forget", SETTINGS)
    with pytest.raises(StoreError, match=r"forget\.safetensors does not match its checksum"):
        store.read("model-1", "forget")


@pytest.mark.parametrize("record", ["", "[]", "{}", json.dumps({"schema": "vestige.store/0"})])
def test_a_damaged_record_is_named(store, record):
    (store.root / "model-1" / "forget.json").write_text(record)
    assert not store.has("model-1", "forget", SETTINGS)
    with pytest.raises(StoreError, match=r"forget\.json"):
        store.read("model-1", "forget")


def test_tensors_without_their_record_do_not_exist(store):
    (store.root / "model-1" / "forget.json").unlink()
    with pytest.raises(StoreError, match="has no 'forget' of 'model-1'"):
        store.read("model-1", "forget")


def test_rewriting_replaces_and_leaves_no_parts(store):
    store.write("model-1", "forget", {"x": np.arange(3)}, {"seed": 1})
    assert store.has("model-1", "forget", {"seed": 1})
    assert sorted(p.name for p in (store.root / "model-1").iterdir()) == ["forget.json", "forget.safetensors"]


@pytest.mark.parametrize("name", ["../outside", "a/b", ".hidden", "", "a b"])
def test_no_name_escapes_the_store(store, name):
    with pytest.raises(ValueError, match="a name in the store"):
        store.write(name, "forget", ARRAYS, {})


def test_a_disk_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .* what was stored before is untouched"):
        ScoreStore(tmp_path / "file").write("m", "s", ARRAYS, {})


def test_a_full_disk_is_one_clear_error_and_leaves_what_was_there(store, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for split in ("forget", "retain"):
        with pytest.raises(StoreError, match="No space left on device; what was stored before is untouched"):
            store.write("model-1", split, {"other": np.arange(3)}, {"seed": 7})
    monkeypatch.undo()
    assert store.has("model-1", "forget", SETTINGS)
    assert not (store.root / "model-1" / "retain.safetensors").exists()
    assert not any(p.name.startswith(".part") for p in (store.root / "model-1").iterdir())


def test_an_absent_column_is_named_with_those_that_are_there(store):
    with pytest.raises(StoreError, match="has no 'entropy'; it has hit, log_prob"):
        store.read("model-1", "forget")["entropy"]
