import type { ChatCompletion } from '../../contract/openai.ts';
import { BackendError, type Frame, type WholeAnswer } from '../backend.ts';
import { frameOf } from './classify.ts';
import { asEvent } from './sse.ts';
import { errorFields, errorFromPayload, tryParse } from './upstream-error.ts';
import { tellable, toUsage } from './usage.ts';

/** @throws BackendError for an error object under status 200, JSON that was cut, anything that is no chat completion */
export function parseWholeAnswer(backend: string, body: Buffer): WholeAnswer {
  const parsed = tryParse(body.toString());
  const error = errorFields(parsed);
  if (error !== undefined) throw errorFromPayload(backend, error);
  if (!isCompletion(parsed)) throw new BackendError(backend, 'protocol', 'the response is not a chat completion');
  const usage = toUsage(parsed.usage);
  if (usage === undefined) return { completion: parsed };
  return { completion: { ...parsed, usage: tellable(parsed.usage, usage) }, usage };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** As far as this path reads it: at least one choice, each with its message. */
function isCompletion(value: unknown): value is ChatCompletion {
  if (!isObject(value) || !Array.isArray(value.choices) || value.choices.length === 0) return false;
  return value.choices.every((choice) => {
    if (!isObject(choice) || !isObject(choice.message)) return false;
    const calls = choice.message.tool_calls ?? [];
    return Array.isArray(calls) && calls.every(isObject);
  });
}

/** A whole answer that came where a stream was asked for, as the stream that it might have been. */
export function* framesOfWhole({ completion }: WholeAnswer): Generator<Frame> {
  const { usage, choices, ...rest } = completion;
  const chunk = { ...rest, object: 'chat.completion.chunk' };
  const deltas = choices.map(({ message, finish_reason, ...choice }) => {
    const toolCalls = message.tool_calls?.map((call, index) => ({ index, ...call }));
    return { ...choice, delta: { ...message, ...(toolCalls ? { tool_calls: toolCalls } : {}) }, finish_reason: null };
  });
  yield toFrame({ ...chunk, choices: deltas });
  yield toFrame({
    ...chunk,
    choices: choices.map(({ index, finish_reason }) => ({ index, delta: {}, finish_reason: finish_reason ?? 'stop' })),
  });
  if (usage) yield toFrame({ ...chunk, choices: [], usage });
}

const toFrame = (chunk: Record<string, unknown>): Frame => frameOf(chunk, asEvent(Buffer.from(JSON.stringify(chunk))));
