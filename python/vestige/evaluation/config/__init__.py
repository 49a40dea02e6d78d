"""The configuration of a run: which checkpoints, which data, which settings. Checked before anything is loaded."""

from vestige.evaluation.config.base import ConfigError
from vestige.evaluation.config.data import Data, further_splits
from vestige.evaluation.config.files import read_config, relative_to, resolved, write_config
from vestige.evaluation.config.interventions import Change, Interventions, Merge, Noise, Prune, Quantise, Relearn
from vestige.evaluation.config.models import Control, Models, Shadow, Spent, Unlearned
from vestige.evaluation.config.run import Config
from vestige.evaluation.config.scoring import Scoring

__all__ = [
    "Change",
    "Config",
    "ConfigError",
    "Control",
    "Data",
    "Interventions",
    "Merge",
    "Models",
    "Noise",
    "Prune",
    "Quantise",
    "Relearn",
    "Scoring",
    "Shadow",
    "Spent",
    "Unlearned",
    "further_splits",
    "read_config",
    "relative_to",
    "resolved",
    "write_config",
]
