import type { ChatCompletion } from '../contract/openai.ts';

type Fields = Record<string, unknown>;

/** Fields that are said once, or again and again alike; every other text comes in pieces. */
const SAID_ONCE: ReadonlySet<string> = new Set(['role', 'id', 'type', 'object', 'model', 'signature', 'index']);

/** The whole answer that a stream's events add up to. */
export function assemble(events: readonly Uint8Array[]): ChatCompletion {
  let head: Fields = {};
  const choices = new Map<number, { message: Fields; finish_reason: unknown; rest: Fields }>();
  for (const event of events) {
    const { choices: parts, ...rest } = parseEvent(event) as Fields & { choices?: Fields[] };
    head = { ...rest, ...head };
    for (const { index, delta, finish_reason: finishReason, ...more } of parts ?? []) {
      const at = Number(index ?? 0);
      const choice = choices.get(at) ?? {
        message: { role: 'assistant', content: null },
        finish_reason: null,
        rest: {},
      };
      choices.set(at, choice);
      choice.message = merged(choice.message, (delta ?? {}) as Fields);
      choice.finish_reason = finishReason ?? choice.finish_reason;
      choice.rest = merged(choice.rest, more);
    }
  }
  const { usage: _, ...answer } = head;
  return {
    ...answer,
    object: 'chat.completion',
    choices: [...choices]
      .sort(([a], [b]) => a - b)
      .map(([index, { message, finish_reason, rest }]) => ({
        index,
        message: withoutIndexes(message),
        logprobs: null,
        ...rest,
        finish_reason: finish_reason ?? 'stop',
      })),
  } as unknown as ChatCompletion;
}

/** `data: {…}` with its blank line. */
export const parseEvent = (event: Uint8Array): Fields =>
  JSON.parse(Buffer.from(event).toString().slice('data: '.length)) as Fields;

function merged(before: Fields, delta: Fields): Fields {
  const result = { ...before };
  for (const [name, value] of Object.entries(delta)) {
    if (value === null || value === undefined) result[name] ??= value;
    else result[name] = mergedValue(name, result[name], value);
  }
  return result;
}

function mergedValue(name: string, before: unknown, value: unknown): unknown {
  if (before === undefined || before === null) {
    return Array.isArray(value) && name === 'tool_calls' ? mergedList([], value) : value;
  }
  if (typeof before === 'string' && typeof value === 'string') return SAID_ONCE.has(name) ? value : before + value;
  if (Array.isArray(before) && Array.isArray(value)) {
    return name === 'tool_calls' ? mergedList(before, value) : [...before, ...value];
  }
  if (isFields(before) && isFields(value)) return merged(before, value);
  return value;
}

/** Parts of a tool call say by their index which one they belong to. */
function mergedList(before: readonly unknown[], parts: readonly unknown[]): unknown[] {
  const result = [...before];
  for (const part of parts) {
    if (!isFields(part)) continue;
    const at = result.findIndex((item) => isFields(item) && item.index === part.index);
    if (at === -1) result.push(part);
    else result[at] = merged(result[at] as Fields, part);
  }
  return result;
}

/** In a whole answer, tool calls have a place and no index. */
function withoutIndexes(message: Fields): Fields {
  if (!Array.isArray(message.tool_calls)) return message;
  const calls = (message.tool_calls as Fields[]).toSorted((a, b) => Number(a.index ?? 0) - Number(b.index ?? 0));
  return { ...message, tool_calls: calls.map(({ index: _, ...call }) => call) };
}

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
