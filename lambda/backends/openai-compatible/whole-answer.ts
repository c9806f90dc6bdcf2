import type { ChatCompletion } from '../../serving/openai.ts';
import { BackendError, type Frame, type WholeAnswer } from '../backend.ts';
import { frameOf } from './classify.ts';
import { asEvent } from './sse.ts';
import { errorFields, errorFromPayload, tryParse } from './upstream-error.ts';
import { toUsage } from './usage.ts';

/** @throws BackendError for an error object under status 200, JSON that was cut, anything that is no chat completion */
export function parseWholeAnswer(backend: string, body: Buffer): WholeAnswer {
  const parsed = tryParse(body.toString()) as Partial<ChatCompletion> | null | undefined;
  const error = errorFields(parsed);
  if (error !== undefined) throw errorFromPayload(backend, error);
  if (typeof parsed !== 'object' || parsed === null || !Array.isArray(parsed.choices) || parsed.choices.length === 0) {
    throw new BackendError(backend, 'protocol', 'the response is not a chat completion');
  }
  const usage = toUsage(parsed.usage);
  return { completion: parsed as ChatCompletion, ...(usage === undefined ? {} : { usage }) };
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
