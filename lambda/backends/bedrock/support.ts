import type { ChatCompletionRequest, ChatMessage, ContentPart } from '../../contract/openai.ts';
import { forcesTool } from './answer-tool.ts';
import { isDataUrl, isRemoteImage } from './images.ts';
import { describesObject } from './object-schema.ts';
import { isEffort, lacksRoom, thinks } from './reasoning.ts';
import type { BedrockConfig } from './settings.ts';

/** Converse's names of tools (API reference, ToolSpecification). */
const TOOL_NAME = /^[a-zA-Z0-9_-]{1,64}$/;
/** Converse's InferenceConfiguration; OpenAI allows 2. */
const MAX_TEMPERATURE = 1;

type Check = (value: unknown, request: ChatCompletionRequest, config: BedrockConfig) => boolean;

const always: Check = () => true;
const never: Check = () => false;
const oneOf =
  (...values: unknown[]): Check =>
  (value) =>
    values.includes(value);
const isEmpty: Check = (value) => typeof value === 'object' && value !== null && Object.keys(value).length === 0;

/**
 * Every parameter that this backend honours, or that asks for nothing else than what it does anyway. One that isn't
 * here is refused by its name: silence would be a lie.
 */
const HONOURED: Readonly<Record<string, Check>> = {
  model: always,
  messages: always,
  stream: always,
  stream_options: always,
  max_tokens: always,
  max_completion_tokens: always,
  temperature: (value, request, config) =>
    Number(value) <= MAX_TEMPERATURE && (Number(value) === 1 || !thinks(request, config)),
  top_p: (_value, request, config) => !thinks(request, config),
  stop: always,
  tools: (value, _request, config) => config.tools || isEmpty(value, _request, config),
  tool_choice: (value, request, config) =>
    value === 'none' ||
    value === 'auto' ||
    (config.tools && (request.tools?.length ?? 0) > 0 && (value === 'required' || namesFunction(value))),
  parallel_tool_calls: always,
  response_format: (value, _request, config) => canFormat(value, config),
  reasoning_effort: (value, request, config) =>
    value === 'none' ||
    (config.reasoning !== undefined &&
      isEffort(value) &&
      !lacksRoom(request, config) &&
      !(thinks(request, config) && forcesTool(request, config))),
  // For the request's path, not for the model.
  metadata: always,
  user: always,
  safety_identifier: always,
  // Hints about OpenAI's own cache.
  prompt_cache_key: always,
  prompt_cache_retention: always,
  // Their defaults.
  n: oneOf(1),
  logprobs: oneOf(false),
  top_logprobs: oneOf(0),
  logit_bias: isEmpty,
  presence_penalty: oneOf(0),
  frequency_penalty: oneOf(0),
  // A wish to OpenAI's own storage; the request goes elsewhere.
  store: always,
  service_tier: (value, _request, config) => value === 'auto' || value === (config.serviceTier ?? 'default'),
  modalities: (value) => Array.isArray(value) && value.every((one) => one === 'text'),
  verbosity: oneOf('medium'),
  functions: isEmpty,
  function_call: never,
};

const namesFunction = (choice: unknown): boolean =>
  typeof (choice as { function?: { name?: unknown } }).function?.name === 'string';

function canFormat(value: unknown, config: BedrockConfig): boolean {
  const type = (value as { type?: unknown }).type;
  if (type === 'text') return true;
  if (type === 'json_schema' && config.jsonSchema === 'output-config') return true;
  return (type === 'json_object' || type === 'json_schema') && config.tools;
}

/** The first parameter that can't be honoured, as a path where it is deep in the request. */
export function unsupportedParameter(request: ChatCompletionRequest, config: BedrockConfig): string | undefined {
  for (const [name, value] of Object.entries(request)) {
    if (value === null || value === undefined) continue;
    const check = Object.hasOwn(HONOURED, name) ? HONOURED[name] : undefined;
    if (!check?.(value, request, config)) return name;
  }
  return unsupportedSchema(request, config) ?? unsupportedTool(request) ?? unsupportedContent(request.messages, config);
}

/** OpenAI takes only objects as well; a tool's input, and so an answer that comes as one, is nothing else. */
function unsupportedSchema(request: ChatCompletionRequest, config: BedrockConfig): string | undefined {
  const format = request.response_format;
  if (format?.type !== 'json_schema' || config.jsonSchema !== 'tool') return undefined;
  return describesObject(format.json_schema.schema) ? undefined : 'response_format.json_schema.schema';
}

function unsupportedTool(request: ChatCompletionRequest): string | undefined {
  for (const [i, tool] of (request.tools ?? []).entries()) {
    if (tool.type !== 'function') return `tools[${i}].type`;
    if (!TOOL_NAME.test(tool.function.name)) return `tools[${i}].function.name`;
    if (!describesObject(tool.function.parameters)) return `tools[${i}].function.parameters`;
  }
  return undefined;
}

function unsupportedContent(messages: readonly ChatMessage[], config: BedrockConfig): string | undefined {
  for (const [i, message] of messages.entries()) {
    if (message.role === 'function') return `messages[${i}].role`;
    if (message.audio !== null && message.audio !== undefined) return `messages[${i}].audio`;
    const call = (message.tool_calls ?? []).findIndex(({ type }) => type !== 'function');
    if (call >= 0) return `messages[${i}].tool_calls[${call}].type`;
    if (typeof message.content === 'string') continue;
    for (const [j, part] of (message.content ?? []).entries()) {
      if (!canSend(part, message, config)) return `messages[${i}].content[${j}].${part.type}`;
    }
  }
  return undefined;
}

function canSend(part: ContentPart, message: ChatMessage, config: BedrockConfig): boolean {
  if (part.type === 'text') return true;
  if (part.type === 'refusal') return message.role === 'assistant';
  if (part.type !== 'image_url' || !config.images) return false;
  // Of addresses, only https is fetched.
  return (message.role === 'user' || message.role === 'tool') && (isDataUrl(part) || isRemoteImage(part));
}
