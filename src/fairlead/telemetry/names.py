"""The names of OpenTelemetry's semantic conventions that we use, each here and nowhere else.

GenAI conventions: https://github.com/open-telemetry/semantic-conventions-genai, all of status "development"; a test
holds the names to a table that was copied from there. What has no name there is ours, under `fairlead.`.
"""

CONVENTIONS = "semantic-conventions-genai 002c8a6 (spans), 004902b (metrics), 2026-06; no release yet"

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
STREAM = "gen_ai.request.stream"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOKEN_TYPE = "gen_ai.token.type"
USAGE = {
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "cache_read": "gen_ai.usage.cache_read.input_tokens",
    "cache_write": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
    "audio_input": "gen_ai.usage.audio.input_tokens",
    "audio_output": "gen_ai.usage.audio.output_tokens",
}
"""By the field of `Usage`."""

ERROR_TYPE = "error.type"
STATUS = "http.response.status_code"

TOKEN_USAGE = "gen_ai.client.token.usage"
OPERATION_DURATION = "gen_ai.client.operation.duration"
FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
OUTPUT_CHUNK = "gen_ai.client.operation.time_per_output_chunk"
TOKEN_BUCKETS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
SECOND_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)

PROVIDERS = {
    "anthropic": "anthropic",
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "gemini": "gcp.gemini",
    "groq": "groq",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "openai": "openai",
    "perplexity": "perplexity",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}
"""The well-known name of a provider by ours; any other has its own."""

TENANT = "fairlead.tenant"
KEY = "fairlead.key"
ROUTE = "fairlead.route"
DEPLOYMENT = "fairlead.deployment"
REQUEST = "fairlead.request"
CODE = "fairlead.code"
ENDED = "fairlead.ended"
COST = "fairlead.cost_dollars"
PRICE = "fairlead.price"
ESTIMATED = "fairlead.usage_estimated"
OUTCOME = "fairlead.outcome"
RETRY_AFTER = "fairlead.retry_after"
CONNECT = "fairlead.connect_seconds"
OVERHEAD = "fairlead.overhead_seconds"
QUEUE = "fairlead.queue_seconds"
LIMIT = "fairlead.limit"
GUARDRAIL = "fairlead.guardrail"
STAGE = "fairlead.guardrail.stage"
ACTION = "fairlead.guardrail.action"
SKIPPED = "fairlead.skipped"
REASON = "fairlead.reason"
"""Ours."""
