"""A local Qwen cloud over real HTTP/2 and TLS, with faults on order: for demos, for tests, and as their oracle.

It speaks the OpenAI-compatible dialect of the provider closely enough that a client cannot tell the difference by its
behaviour, and keeps a ledger of what reached it and what it billed. It imports nothing of the daemon.
"""

from .certificates import CertificateMode
from .config import SimulatorConfig
from .errors import ERRORS, Shape
from .fault_syntax import FaultSyntaxError, fault_of_flag, faults_of_file, faults_of_json
from .faults import EFFECTS, Fault, FaultBook
from .host import Stats
from .ledger import Entry, Ledger, Outcome, Totals
from .simulator import Simulator

__all__ = [
    "EFFECTS",
    "ERRORS",
    "CertificateMode",
    "Entry",
    "Fault",
    "FaultBook",
    "FaultSyntaxError",
    "Ledger",
    "Outcome",
    "Shape",
    "Simulator",
    "SimulatorConfig",
    "Stats",
    "Totals",
    "fault_of_flag",
    "faults_of_file",
    "faults_of_json",
]
