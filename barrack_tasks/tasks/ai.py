"""Tasks of the group AI Chat."""

from barrack_tasks.api.resources import Ai
from barrack_tasks.tasks.base import task_of

list_ai_models = task_of(Ai.models)
chat = task_of(Ai.chat, "chat with {model}")
get_ai_usage = task_of(Ai.usage)
list_ai_usage_history = task_of(Ai.usage_history)
