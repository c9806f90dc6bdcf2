import { isDeepStrictEqual } from 'node:util';
import { BackendError, type Frame, type Usage } from '../backend.ts';
import { asEvent, type SseEvent } from './sse.ts';
import { errorFields, errorFromPayload, tryParse } from './upstream-error.ts';
import { tellable, toUsage } from './usage.ts';

const DONE = Buffer.from('[DONE]');
// Whole JSON strings: in an answer's own text their quotes are escaped, so that it never looks like one of these.
const USAGE = Buffer.from('"usage"');
const FINISH_REASON = Buffer.from('"finish_reason"');
const ERROR = Buffer.from('"error"');
const BRACE_OPEN = 0x7b;
const BRACE_CLOSE = 0x7d;
const LETTER_N = 0x6e;

export const isDone = (data: Buffer): boolean => data.length < 12 && data.toString('latin1').trim() === DONE.toString();

/**
 * What metering needs to know of an event. The first ones are parsed, until one carries output; from then on only those
 * that name a usage, a finish reason or an error, and those that are shorter than any with output so far: an empty one,
 * by which some servers only say that they are there, is. Others are looked at no further than that they are whole.
 *
 * @param usualLength bytes of data that is taken for output: of the shortest with output so far, `Infinity` for none
 * @returns `undefined` for what has no choices and tells no usage (`{"type":"ping"}`): clients read the choices of each event
 * @throws BackendError for an error object, or what isn't an event of a chat completion
 */
export function classify(backend: string, event: SseEvent, usualLength: number): Frame | undefined {
  const { data, bytes } = event;
  if (
    data.length >= usualLength &&
    !hasValue(data, FINISH_REASON) &&
    !hasValue(data, USAGE) &&
    !hasValue(data, ERROR)
  ) {
    if (!isObject(data)) throw malformed(backend);
    return { bytes, output: true, usageOnly: false };
  }
  const parsed = tryParse(data.toString());
  const error = errorFields(parsed);
  if (error !== undefined) throw errorFromPayload(backend, error);
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw malformed(backend);
  const frame = frameOf(parsed as Record<string, unknown>, bytes);
  return Array.isArray((parsed as Record<string, unknown>).choices) || frame.usage !== undefined ? frame : undefined;
}

export function frameOf(chunk: Record<string, unknown>, bytes: Buffer): Frame {
  const choices = Array.isArray(chunk.choices) ? (chunk.choices as Array<Record<string, unknown>>) : [];
  const finishReason = choices.map((choice) => choice.finish_reason).findLast((reason) => typeof reason === 'string');
  const usage = toUsage(chunk.usage);
  return {
    bytes: usage === undefined ? bytes : withTellable(chunk, usage, bytes),
    output: finishReason !== undefined || choices.some((choice) => hasOutput(choice.delta)),
    usageOnly: usage !== undefined && choices.length === 0,
    ...(typeof finishReason === 'string' ? { finishReason } : {}),
    ...(usage === undefined ? {} : { usage }),
  };
}

/** Written anew only when its counts can't be. */
function withTellable(chunk: Record<string, unknown>, usage: Usage, bytes: Buffer): Buffer {
  const told = tellable(chunk.usage, usage);
  if (isDeepStrictEqual(told, chunk.usage)) return bytes;
  return asEvent(Buffer.from(JSON.stringify({ ...chunk, usage: told })));
}

/** Text, reasoning under whatever name, a refusal, a tool call: anything but the role and empty values. */
function hasOutput(delta: unknown): boolean {
  if (typeof delta !== 'object' || delta === null) return false;
  return Object.entries(delta).some(([key, value]) => {
    if (key === 'role' || value === null || value === undefined || value === '') return false;
    return !(Array.isArray(value) && value.length === 0);
  });
}

/** Whether the key stands there with a value other than `null`. Each place counts: with `n` there are several. */
function hasValue(data: Buffer, key: Buffer): boolean {
  for (let at = data.indexOf(key); at !== -1; at = data.indexOf(key, at)) {
    at += key.length;
    // Past the colon and spaces around it.
    while (data[at] === 0x3a || data[at] === 0x20) at += 1;
    if (data[at] !== LETTER_N) return true;
  }
  return false;
}

function isObject(data: Buffer): boolean {
  let from = 0;
  let to = data.length - 1;
  while (data[from] === 0x20) from += 1;
  while (data[to] === 0x20) to -= 1;
  return data[from] === BRACE_OPEN && data[to] === BRACE_CLOSE;
}

const malformed = (backend: string) =>
  new BackendError(backend, 'protocol', 'an event of the stream is not a JSON object');
