"""What every part of a configuration has in common."""

from pydantic import BaseModel, ConfigDict


class ConfigError(ValueError):
    """A configuration that cannot be run, with every mistake in it."""


class Strict(BaseModel):
    """A part of a configuration: unknown fields are mistakes, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
