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
  const stack: Array<{ value: unknown; depth: number; path: string }> = [{ value: body, depth: 0, path: '' }];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    const { value, depth, path } = at;
    if (typeof value === 'string') {
      if (!value.isWellFormed()) {
        throw invalidRequest(
          `Invalid '${path}': it holds half of a surrogate pair (text cut inside a character), which can't be encoded.`,
          path,
          'invalid_value',
        );
      }
    } else if (typeof value === 'object' && value !== null) {
      if (depth >= MAX_DEPTH) {
        throw invalidRequest(`The request is nested more than ${MAX_DEPTH} levels deep.`, null, 'invalid_value');
      }
      const isArray = Array.isArray(value);
      for (const [key, item] of Object.entries(value)) {
        if (typeof item !== 'string' && (typeof item !== 'object' || item === null)) continue;
        stack.push({
          value: item,
          depth: depth + 1,
          path: isArray ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`,
        });
      }
    }
  }
}

const missing = (param: string): ApiError =>
  invalidRequest(`Missing required parameter: '${param}'.`, param, 'missing_required_parameter');
