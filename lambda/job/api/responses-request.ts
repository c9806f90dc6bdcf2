import type { ChatCompletionRequest, ChatMessage } from '../../contract/openai.ts';
import { invalidRequest } from '../../serving/errors.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Of a Responses request, what a chat completion says under another name or not at all; the rest is refused by name. */
const KNOWN = new Set([
  'model',
  'input',
  'instructions',
  'background',
  'store',
  'stream',
  'metadata',
  'max_output_tokens',
  'temperature',
  'top_p',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'text',
  'reasoning',
  'user',
  'safety_identifier',
  'service_tier',
  'top_logprobs',
  'truncation',
  'include',
  'prompt_cache_key',
]);

/** @throws ApiError 400 that names what has no counterpart */
export function toChatRequest(body: Fields): ChatCompletionRequest {
  for (const [name, value] of Object.entries(body)) {
    if (value != null && !KNOWN.has(name)) throw unsupported(name);
  }
  if (body.background !== true) {
    throw invalidRequest("Only responses with 'background: true' are supported.", 'background', 'unsupported_value');
  }
  if (body.store === false) throw invalidRequest("A background response needs 'store'.", 'store', 'unsupported_value');
  if (body.stream === true) throw invalidRequest("'stream' is not supported here.", 'stream', 'unsupported_value');
  if (body.truncation != null && body.truncation !== 'disabled') throw unsupported('truncation');
  if (Array.isArray(body.include) && body.include.length > 0) throw unsupported('include');
  const reasoning = body.reasoning as { effort?: string | null } | null | undefined;
  const format = (body.text as { format?: Fields } | null | undefined)?.format;
  return dropped({
    model: body.model as string,
    messages: [...instructions(body.instructions), ...messagesOf(body.input)],
    max_completion_tokens: body.max_output_tokens,
    temperature: body.temperature,
    top_p: body.top_p,
    tools: Array.isArray(body.tools) && body.tools.length > 0 ? body.tools.map(toolOf) : undefined,
    tool_choice: toolChoiceOf(body.tool_choice),
    parallel_tool_calls: body.parallel_tool_calls,
    response_format: format && formatOf(format),
    reasoning_effort: reasoning?.effort,
    metadata: body.metadata,
    user: body.user,
    safety_identifier: body.safety_identifier,
    service_tier: body.service_tier,
  }) as unknown as ChatCompletionRequest;
}

const unsupported = (name: string) =>
  invalidRequest(`Unsupported parameter: '${name}'.`, name, 'unsupported_parameter');

const dropped = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value != null));

const instructions = (text: unknown): ChatMessage[] =>
  typeof text === 'string' && text !== '' ? [{ role: 'system', content: text }] : [];

function messagesOf(input: unknown): ChatMessage[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  if (!Array.isArray(input))
    throw invalidRequest("Missing required parameter: 'input'.", 'input', 'missing_required_parameter');
  const messages: ChatMessage[] = [];
  for (const [index, item] of (input as Fields[]).entries())
    messages.push(...itemOf(item, `input[${index}]`, messages));
  return messages;
}

function itemOf(item: Fields, path: string, before: ChatMessage[]): ChatMessage[] {
  switch (item.type ?? 'message') {
    case 'message':
      return [{ role: item.role as ChatMessage['role'], content: contentOf(item.content, path) ?? null }];
    case 'function_call': {
      const { call_id: id, name, arguments: args } = item as Record<string, string>;
      const call = { id: id ?? '', type: 'function' as const, function: { name: name ?? '', arguments: args ?? '' } };
      const last = before.at(-1);
      // Calls that were made at once are one message there.
      if (last?.role === 'assistant' && last.tool_calls !== undefined) {
        before[before.length - 1] = { ...last, tool_calls: [...last.tool_calls, call] };
        return [];
      }
      return [{ role: 'assistant', content: null, tool_calls: [call] }];
    }
    case 'function_call_output':
      return [{ role: 'tool', tool_call_id: String(item.call_id), content: textOf(item.output) }];
    // A model's thoughts are its own: chat completions don't take them back.
    case 'reasoning':
      return [];
    default:
      throw unsupported(`${path}.type`);
  }
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

function contentOf(content: unknown, path: string): ChatMessage['content'] {
  if (!Array.isArray(content)) return content as string;
  return (content as Fields[]).map((part, index) => {
    switch (part.type) {
      case 'input_text':
      case 'output_text':
        return { type: 'text', text: String(part.text) };
      case 'input_image':
        if (typeof part.image_url !== 'string') throw unsupported(`${path}.content[${index}]`);
        return {
          type: 'image_url',
          image_url: { url: part.image_url, ...(typeof part.detail === 'string' ? { detail: part.detail } : {}) },
        };
      default:
        throw unsupported(`${path}.content[${index}].type`);
    }
  });
}

function toolOf(tool: Fields, index: number): Fields {
  if (tool.type !== 'function') throw unsupported(`tools[${index}].type`);
  const { type, ...fields } = tool;
  return { type, function: fields };
}

function toolChoiceOf(choice: unknown): unknown {
  if (typeof choice !== 'object' || choice === null) return choice;
  const { type, name } = choice as Record<string, unknown>;
  if (type !== 'function') throw unsupported('tool_choice.type');
  return { type, function: { name } };
}

function formatOf(format: Fields): Fields {
  if (format.type !== 'json_schema') return format;
  const { type, ...schema } = format;
  return { type, json_schema: schema };
}
