import { type ApiError, invalidRequest } from './errors.ts';
import type { ChatCompletionRequest, ChatMessage } from './openai.ts';

/**
 * Parameters that steer an engine past its operator: fairness (`priority`), isolation between tenants (`cache_salt`),
 * or code and templates run by the engine. They are the deployment's to set, never a client's.
 */
const RESERVED = ['priority', 'cache_salt', 'kv_transfer_params', 'vllm_xargs', 'chat_template', '__proto__'];

/** Deeper than any tool's schema; far below where serializing a request would exhaust the stack. */
const MAX_DEPTH = 200;

/** What the schema can't say, or can't say well. @throws ApiError for the first problem */
export function checkSemantics(request: ChatCompletionRequest): void {
  for (const name of RESERVED) {
    if (Object.hasOwn(request, name)) {
      throw invalidRequest(
        `Unsupported parameter: '${name}' is not accepted from clients.`,
        name,
        'unsupported_parameter',
      );
    }
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

const missing = (param: string): ApiError =>
  invalidRequest(`Missing required parameter: '${param}'.`, param, 'missing_required_parameter');
