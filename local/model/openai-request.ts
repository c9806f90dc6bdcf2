import {
  type GenerateRequest,
  type JsonSchema,
  type ModelImage,
  type ModelMessage,
  type ModelTool,
  type ModelToolCall,
  type ModelToolChoice,
  TextModelError,
} from './text-model.ts';

/** A chat completion request, read as the neutral shape. @throws TextModelError with status 400 */
export function fromChatCompletion(body: unknown): GenerateRequest & { stream: boolean; includeUsage: boolean } {
  const request = record(body, 'the body');
  if (typeof request.model !== 'string') throw bad('model is missing');
  if (!Array.isArray(request.messages) || request.messages.length === 0) throw bad('messages is empty');
  const format = optionalRecord(request.response_format);
  const schema = optionalRecord(optionalRecord(format?.json_schema)?.schema);
  return {
    model: request.model,
    messages: request.messages.map((message) => readMessage(record(message, 'a message'))),
    tools: list(request.tools).map(readTool),
    toolChoice: readToolChoice(request.tool_choice, list(request.tools).length > 0),
    jsonSchema: schema ?? (format?.type === 'json_object' ? { type: 'object' } : undefined),
    maxTokens: optionalNumber(request.max_completion_tokens) ?? optionalNumber(request.max_tokens),
    temperature: optionalNumber(request.temperature),
    topP: optionalNumber(request.top_p),
    stop: typeof request.stop === 'string' ? [request.stop] : list(request.stop).map(String),
    seed: optionalNumber(request.seed),
    reasoning: typeof request.reasoning_effort === 'string' && request.reasoning_effort !== 'none',
    stream: request.stream === true,
    includeUsage: optionalRecord(request.stream_options)?.include_usage === true,
  };
}

function readMessage(message: Record<string, unknown>): ModelMessage {
  const role = message.role === 'developer' ? 'system' : message.role === 'function' ? 'tool' : message.role;
  if (role !== 'system' && role !== 'user' && role !== 'assistant' && role !== 'tool') {
    throw bad(`unknown role ${JSON.stringify(message.role)}`);
  }
  const parts =
    typeof message.content === 'string'
      ? [{ type: 'text', text: message.content }]
      : list(message.content).map((part) => record(part, 'a content part'));
  const images = parts.filter((part) => part.type === 'image_url').map(readImage);
  return {
    role,
    text: parts.map((part) => (typeof part.text === 'string' ? part.text : '')).join(''),
    images,
    toolCalls: list(message.tool_calls).map(readToolCall),
    toolCallId: typeof message.tool_call_id === 'string' ? message.tool_call_id : undefined,
  };
}

function readImage(part: Record<string, unknown>): ModelImage {
  const url = String(optionalRecord(part.image_url)?.url ?? '');
  const match = /^data:(image\/[\w.+-]+);base64,(.*)$/s.exec(url);
  // An address is not fetched: the simulated model only says that there is a picture.
  if (!match) return { mediaType: 'image/url', bytes: Buffer.from(url) };
  return { mediaType: match[1] ?? '', bytes: Buffer.from(match[2] ?? '', 'base64') };
}

function readToolCall(given: unknown): ModelToolCall {
  const call = record(given, 'a tool call');
  const fn = record(call.function, 'a tool call’s function');
  return { id: String(call.id ?? ''), name: String(fn.name ?? ''), arguments: String(fn.arguments ?? '{}') };
}

function readTool(given: unknown): ModelTool {
  const fn = record(record(given, 'a tool').function, 'a tool’s function');
  if (typeof fn.name !== 'string') throw bad('a tool has no name');
  return {
    name: fn.name,
    description: typeof fn.description === 'string' ? fn.description : undefined,
    schema: (optionalRecord(fn.parameters) ?? { type: 'object', properties: {} }) as JsonSchema,
  };
}

function readToolChoice(choice: unknown, hasTools: boolean): ModelToolChoice {
  if (choice === 'none' || choice === 'required' || choice === 'auto') return choice;
  const name = optionalRecord(optionalRecord(choice)?.function)?.name;
  if (typeof name === 'string') return { name };
  return hasTools ? 'auto' : 'none';
}

const bad = (message: string): TextModelError => new TextModelError(400, message);
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const optionalNumber = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);
const optionalRecord = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;

function record(value: unknown, what: string): Record<string, unknown> {
  const result = optionalRecord(value);
  if (!result) throw bad(`${what} is not an object`);
  return result;
}
