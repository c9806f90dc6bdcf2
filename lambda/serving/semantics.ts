import type { ChatCompletionRequest, ChatMessage } from '../contract/openai.ts';
import { type ApiError, invalidRequest } from './errors.ts';

/**
 * Parameters that steer an engine, or a proxy before it, past its operator. They are the deployment's to set, never a
 * client's. By what they would do:
 */
const RESERVED = [
  // Be fair to others: vLLM, SGLang, llama.cpp.
  ...['priority', 'id_slot', 'data_parallel_rank'],
  // Keep tenants apart, and caches where they are: vLLM, SGLang.
  ...['cache_salt', 'extra_key', 'session_params', 'kv_transfer_params', 'request_id', 'rid'],
  ...['bootstrap_host', 'bootstrap_port', 'bootstrap_room'],
  // Run the client's code, templates or weights in the engine: vLLM, SGLang, TGI, llama.cpp.
  ...['vllm_xargs', 'chat_template', 'logits_processors', 'custom_logit_processor', 'custom_params'],
  ...['mm_processor_kwargs', 'media_io_kwargs', 'lora_request', 'lora_path', 'lora', 'adapter_id'],
  // Show what the engine has in memory: SGLang.
  'return_hidden_states',
  // Send the request, and its key, somewhere else, or to another model at another price: LiteLLM, OpenRouter.
  ...['api_base', 'base_url', 'api_key', 'api_version', 'organization', 'custom_llm_provider', 'extra_headers'],
  ...['extra_body', 'extra_query', 'fallbacks', 'models', 'provider', 'route', 'plugins'],
  '__proto__',
];

/**
 * Arguments of the operator's own template, `enable_thinking` of Qwen's the best known, are the client's to give. Not
 * these two: they are arguments of the function around it, the template itself one of them.
 */
const RESERVED_TEMPLATE_ARGUMENTS = ['chat_template', 'tokenize'];

/** Deeper than any tool's schema; far below where serializing a request would exhaust the stack. */
const MAX_DEPTH = 200;

/**
 * What the schema can't say, or can't say well.
 *
 * @param own parameters that the route takes for itself: a job's `priority` is not the engine's
 * @throws ApiError for the first problem
 */
export function checkSemantics(request: ChatCompletionRequest, own: readonly string[] = []): void {
  for (const name of RESERVED) {
    if (Object.hasOwn(request, name) && !own.includes(name)) throw reserved(name);
  }
  const { chat_template_kwargs: templateArguments } = request;
  for (const name of RESERVED_TEMPLATE_ARGUMENTS) {
    if (typeof templateArguments !== 'object' || templateArguments === null) break;
    if (Object.hasOwn(templateArguments, name)) throw reserved(`chat_template_kwargs.${name}`);
  }
  request.messages.forEach(checkMessage);
  checkTools(request);
  if (request.stream_options != null && request.stream !== true) {
    throw invalidRequest("The 'stream_options' parameter is only allowed when 'stream' is enabled.", 'stream_options');
  }
  const format = request.response_format;
  if (format != null && format.type === 'json_schema' && format.json_schema === undefined) {
    throw missing('response_format.json_schema');
  }
}

function checkMessage(message: ChatMessage, index: number): void {
  const at = `messages[${index}]`;
  if (message.role === 'tool' && !message.tool_call_id) throw missing(`${at}.tool_call_id`);
  message.tool_calls?.forEach((call: { type: string; function?: unknown }, callIndex) => {
    if (call.type === 'function' && call.function === undefined) {
      throw missing(`${at}.tool_calls[${callIndex}].function`);
    }
  });
  const needsContent = message.role !== 'assistant' && message.role !== 'function';
  if (needsContent && message.content == null) throw missing(`${at}.content`);
  if (!Array.isArray(message.content)) return;
  message.content.forEach((part: { type: string; text?: unknown; image_url?: unknown }, partIndex) => {
    if (part.type === 'text' && part.text === undefined) throw missing(`${at}.content[${partIndex}].text`);
    if (part.type === 'image_url' && part.image_url === undefined)
      throw missing(`${at}.content[${partIndex}].image_url`);
  });
}

function checkTools(request: ChatCompletionRequest): void {
  const tools = request.tools ?? [];
  tools.forEach((tool, index) => {
    if (tool.type === 'function' && tool.function === undefined) throw missing(`tools[${index}].function`);
  });
  const choice = request.tool_choice;
  if (choice == null || choice === 'none') return;
  if (tools.length === 0) {
    throw invalidRequest(
      "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
      'tool_choice',
    );
  }
  if (typeof choice === 'string' || choice.type !== 'function') return;
  if (choice.function === undefined) throw missing('tool_choice.function');
  if (!tools.some((tool) => tool.function?.name === choice.function.name)) {
    throw invalidRequest(
      `Tool choice '${choice.function.name.slice(0, 128)}' not found in 'tools' parameter.`,
      'tool_choice',
    );
  }
}

/**
 * Refuses what would break on its way to a backend: a lone surrogate (half of an emoji that was cut in two) has no
 * UTF-8, and nesting without end no serialization. @throws ApiError naming the place
 */
export function checkSendable(body: unknown): void {
  if (typeof body !== 'object' || body === null) return;
  const stack: Place[] = [{ value: body, key: '', parent: undefined, depth: 0 }];
  for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
    const { value, depth } = place;
    if (depth > MAX_DEPTH) {
      throw invalidRequest(`The request is nested more than ${MAX_DEPTH} levels deep.`, null, 'invalid_value');
    }
    if (Array.isArray(value)) {
      for (let index = 0; index < value.length; index += 1) check(value[index], index, place, stack);
    } else {
      for (const key of Object.keys(value)) check((value as Record<string, unknown>)[key], key, place, stack);
    }
  }
}

interface Place {
  readonly value: object;
  readonly key: string | number;
  readonly parent: Place | undefined;
  readonly depth: number;
}

function check(value: unknown, key: string | number, parent: Place, stack: Place[]): void {
  if (typeof value === 'object' && value !== null) {
    stack.push({ value, key, parent, depth: parent.depth + 1 });
  } else if (typeof value === 'string' && !value.isWellFormed()) {
    const path = pathOf(parent, key);
    throw invalidRequest(
      `Invalid '${path}': it holds half of a surrogate pair (text cut inside a character), which can't be encoded.`,
      path,
      'invalid_value',
    );
  }
}

/** `messages[0].content`; built only when something is wrong with it. */
function pathOf(parent: Place, key: string | number): string {
  const step = typeof key === 'number' ? `[${key}]` : parent.parent === undefined ? key : `.${key}`;
  return parent.parent === undefined ? step : pathOf(parent.parent, parent.key) + step;
}

const reserved = (param: string): ApiError =>
  invalidRequest(`Unsupported parameter: '${param}' is not accepted from clients.`, param, 'unsupported_parameter');

const missing = (param: string): ApiError =>
  invalidRequest(`Missing required parameter: '${param}'.`, param, 'missing_required_parameter');
