"""Learning a dialect from evidence: an OpenAPI document, a recording, or the API's own answers.

Everything that is learned has a reason and a certainty. What could be two things stays open: a
wrong match is worse than none.
"""

from barrack_tasks.api.learning.document import LearnError
from barrack_tasks.api.learning.learn import learn_openapi
from barrack_tasks.api.learning.result import Candidate, Learned, Match, Question

__all__ = ["Candidate", "LearnError", "Learned", "Match", "Question", "learn_openapi"]
