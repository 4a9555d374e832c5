"""A local Qwen cloud over real HTTP/2 and TLS, with faults on order: for demos, for tests, and as their oracle.

It speaks the OpenAI-compatible dialect of the provider closely enough that a client cannot tell the difference by its
behaviour, and keeps a ledger of what reached it and what it billed. It imports nothing of the daemon.
"""

from .batch.batch import Batch
from .batch.rules import BatchPace, BatchRules
from .batch.states import Status
from .certificates import CertificateMode
from .config import SimulatorConfig
from .errors import ERRORS, Shape
from .fault_syntax import fault_of_flag, faults_of_file, faults_of_json
from .faults import EFFECTS, Fault, FaultBook
from .host import Stats
from .ledger import Entry, Ledger, Outcome, Totals
from .origin import Kind
from .pace import ModelPace
from .rates.model_limits import ModelLimits
from .rates.provider_table import PROVIDER_LIMITS
from .rule_syntax import RuleSyntaxError, row_of_flag
from .simulator import Simulator

__all__ = [
    "EFFECTS",
    "ERRORS",
    "PROVIDER_LIMITS",
    "Batch",
    "BatchPace",
    "BatchRules",
    "CertificateMode",
    "Entry",
    "Fault",
    "FaultBook",
    "Kind",
    "Ledger",
    "ModelLimits",
    "ModelPace",
    "Outcome",
    "RuleSyntaxError",
    "Shape",
    "Simulator",
    "SimulatorConfig",
    "Stats",
    "Status",
    "Totals",
    "fault_of_flag",
    "faults_of_file",
    "faults_of_json",
    "row_of_flag",
]
