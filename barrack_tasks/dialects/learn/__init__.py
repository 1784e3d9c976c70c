"""Learning a dialect from evidence: an OpenAPI document, a recording, or the API's own answers.

Everything that is learned has a reason and a certainty. What could be two things stays open: a
wrong match is worse than none.
"""

from barrack_tasks.dialects.learn.document import LearnError
from barrack_tasks.dialects.learn.evidence import (
    ApiEvidence,
    evidence_text,
    learn_evidence,
    learn_openapi,
    read_evidence,
)
from barrack_tasks.dialects.learn.har import learn_har
from barrack_tasks.dialects.learn.meanings import meaning_of
from barrack_tasks.dialects.learn.probe import probe
from barrack_tasks.dialects.learn.report import FlowReport, LearnReport
from barrack_tasks.dialects.learn.result import AnswerOption, Learned, Match, Question
from barrack_tasks.dialects.learn.samples import RecordedCall, learn_samples
from barrack_tasks.dialects.learn.writing import (
    answers_text,
    dialect_text,
    read_answers,
    write_dialect,
    write_text,
)

__all__ = [
    "AnswerOption",
    "ApiEvidence",
    "FlowReport",
    "LearnError",
    "LearnReport",
    "Learned",
    "Match",
    "Question",
    "RecordedCall",
    "answers_text",
    "dialect_text",
    "evidence_text",
    "learn_evidence",
    "learn_har",
    "learn_openapi",
    "learn_samples",
    "meaning_of",
    "probe",
    "read_answers",
    "read_evidence",
    "write_dialect",
    "write_text",
]
