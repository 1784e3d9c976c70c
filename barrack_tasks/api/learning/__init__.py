"""Learning a dialect from evidence: an OpenAPI document, a recording, or the API's own answers.

Everything that is learned has a reason and a certainty. What could be two things stays open: a
wrong match is worse than none.
"""

from barrack_tasks.api.learning.document import LearnError
from barrack_tasks.api.learning.har import learn_har
from barrack_tasks.api.learning.learn import learn_openapi
from barrack_tasks.api.learning.probe import probe
from barrack_tasks.api.learning.report import FlowReport, Report
from barrack_tasks.api.learning.result import Candidate, Learned, Match, Question
from barrack_tasks.api.learning.samples import Sample, learn_samples
from barrack_tasks.api.learning.writing import dialect_text, write_dialect

__all__ = [
    "Candidate",
    "FlowReport",
    "LearnError",
    "Learned",
    "Match",
    "Question",
    "Report",
    "Sample",
    "dialect_text",
    "learn_har",
    "learn_openapi",
    "learn_samples",
    "probe",
    "write_dialect",
]
