"""The recipe, field by field. Validated once, frozen, imports no torch.

A recipe is TOML: a name, a seed, and stages in the order in which they run. Numbers of the paper are cited in the
recipes themselves; the defaults here are R1-Zero's where the paper gives them (R1: arXiv 2501.12948v2, section 2).
What one field alone decides is checked here; what fields decide together, in ``dunwu.config.checks``.
"""

from dunwu.config.schema.answering_stages import (
    AnswerFilterSpec,
    AnsweringStage,
    ColdStartStage,
    EvalStage,
    RejectStage,
    SamplingStage,
)
from dunwu.config.schema.base import Language, Name, Positive, Share, Strict, Temperature, TopP
from dunwu.config.schema.evaluation import EvaluationSet, EvaluationSpec, TextSet
from dunwu.config.schema.helpers import (
    EndpointSpec,
    HelperSpec,
    PairJudgeSpec,
    RewriteSpec,
    ServedModel,
    ServerSpec,
    TruthJudgeSpec,
)
from dunwu.config.schema.inputs import FunctionInput, ModelInput, StageInputs
from dunwu.config.schema.learning import (
    AdapterSpec,
    AlgorithmSpec,
    CheckpointSpec,
    CorrectionSpec,
    ModelSpec,
    OptimizerSpec,
    PassSpec,
    ReplaySpec,
    TransformerSpec,
    UpdateSpec,
    ValueSpec,
    WorkersSpec,
)
from dunwu.config.schema.recipe import DataSpec, DecontaminationSpec, ExecutorName, HardwareSpec, Recipe
from dunwu.config.schema.rewards import (
    NOTHING,
    REWARD_PARTS,
    WHOLE,
    AnswerIn,
    CodeSpec,
    CustomFunction,
    CustomReward,
    GradingSpec,
    JudgeSpec,
    ModelReward,
    RewardSpec,
    Weight,
    Weighted,
)
from dunwu.config.schema.rl_stage import RLStage
from dunwu.config.schema.sources import display_names, is_server, parse_server
from dunwu.config.schema.stage import StageSpec, find_kind
from dunwu.config.schema.tasks import COLUMNS, NEEDED_COLUMNS, PromptSpec, RolloutSpec, TaskSpec
from dunwu.config.schema.training_stages import DataStage, PretrainStage, RewardModelStage, SFTStage

__all__ = [
    "COLUMNS",
    "NEEDED_COLUMNS",
    "NOTHING",
    "REWARD_PARTS",
    "WHOLE",
    "AdapterSpec",
    "AlgorithmSpec",
    "AnswerFilterSpec",
    "AnswerIn",
    "AnsweringStage",
    "CheckpointSpec",
    "CodeSpec",
    "ColdStartStage",
    "CorrectionSpec",
    "CustomFunction",
    "CustomReward",
    "DataSpec",
    "DataStage",
    "DecontaminationSpec",
    "EndpointSpec",
    "EvalStage",
    "EvaluationSet",
    "EvaluationSpec",
    "ExecutorName",
    "FunctionInput",
    "GradingSpec",
    "HardwareSpec",
    "HelperSpec",
    "JudgeSpec",
    "Language",
    "ModelInput",
    "ModelReward",
    "ModelSpec",
    "Name",
    "OptimizerSpec",
    "PairJudgeSpec",
    "PassSpec",
    "Positive",
    "PretrainStage",
    "PromptSpec",
    "RLStage",
    "Recipe",
    "RejectStage",
    "ReplaySpec",
    "RewardModelStage",
    "RewardSpec",
    "RewriteSpec",
    "RolloutSpec",
    "SFTStage",
    "SamplingStage",
    "ServedModel",
    "ServerSpec",
    "Share",
    "StageInputs",
    "StageSpec",
    "Strict",
    "TaskSpec",
    "Temperature",
    "TextSet",
    "TopP",
    "TransformerSpec",
    "TruthJudgeSpec",
    "UpdateSpec",
    "ValueSpec",
    "Weight",
    "Weighted",
    "WorkersSpec",
    "display_names",
    "find_kind",
    "is_server",
    "parse_server",
]
