import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import { framesOfWhole } from '../backends/openai-compatible/whole-answer.ts';
import type { ChatCompletion } from '../contract/openai.ts';
import { assemble } from './assemble.ts';
import type { AnswerFacts, StoredAnswer } from './contract.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** Unix milliseconds, until the year 2286. The script that looks an entry up reads them. */
const TIME_DIGITS = 13;
const PLAIN = 'p'.charCodeAt(0);
const COMPRESSED = 'z'.charCodeAt(0);
const NEWLINE = 0x0a;
/** An entry is ours, but memory is finite. */
const MAX_DECOMPRESSED = 64 * 1024 * 1024;

/** An answer as it came: the events of a stream, or a whole one. */
export type Content = { readonly events: readonly Uint8Array[] } | { readonly completion: ChatCompletion };

export interface EntryLimits {
  /** Larger ones aren't kept; before compression. */
  readonly maxBytes: number;
  readonly compressAboveBytes: number;
}

/**
 * `<time><flag><facts as JSON>\n<content>`; everything behind the flag may be compressed.
 *
 * @returns `undefined` for an answer that is too large
 */
export async function encodeEntry(
  storedAt: number,
  facts: AnswerFacts,
  content: Content,
  limits: EntryLimits,
): Promise<Buffer | undefined> {
  const isStream = 'events' in content;
  const body = isStream ? Buffer.concat(content.events) : Buffer.from(JSON.stringify(content.completion));
  if (body.length > limits.maxBytes) return undefined;
  const head = Buffer.from(`${JSON.stringify({ ...facts, isStream })}\n`);
  const plain = Buffer.concat([head, body]);
  const isLarge = plain.length > limits.compressAboveBytes;
  const rest = isLarge ? await compress(plain) : plain;
  const time = String(storedAt).padStart(TIME_DIGITS, '0');
  return Buffer.concat([Buffer.from(time), Buffer.of(isLarge ? COMPRESSED : PLAIN), rest]);
}

/** @returns `undefined` for what isn't an entry: another version's, or a damaged one */
export async function decodeEntry(entry: Buffer, paceMs: number): Promise<StoredAnswer | undefined> {
  try {
    const storedAt = Number(entry.toString('latin1', 0, TIME_DIGITS));
    const flag = entry[TIME_DIGITS];
    const rest = entry.subarray(TIME_DIGITS + 1);
    if (!Number.isSafeInteger(storedAt) || (flag !== PLAIN && flag !== COMPRESSED)) return undefined;
    const plain = flag === COMPRESSED ? await decompress(rest, { maxOutputLength: MAX_DECOMPRESSED }) : rest;
    const at = plain.indexOf(NEWLINE);
    if (at === -1) return undefined;
    const { isStream, ...facts } = JSON.parse(plain.toString('utf8', 0, at)) as AnswerFacts & { isStream: boolean };
    const body = plain.subarray(at + 1);
    const content: Content = isStream
      ? { events: eventsOf(body) }
      : { completion: JSON.parse(body.toString()) as ChatCompletion };
    return { facts, storedAt, paceMs, ...formsOf(content) };
  } catch {
    return undefined;
  }
}

/** An answer in both forms, each made when it is asked for. */
export function formsOf(content: Content): Pick<StoredAnswer, 'events' | 'completion'> {
  if ('events' in content) {
    return { events: () => content.events, completion: () => assemble(content.events) };
  }
  const { completion } = content;
  return {
    events: () => [...framesOfWhole({ completion })].filter(({ usageOnly }) => !usageOnly).map(({ bytes }) => bytes),
    completion: () => structuredClone(completion),
  };
}

/** Events end in a blank line, and JSON has none. */
export function eventsOf(bytes: Uint8Array): Uint8Array[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const events: Uint8Array[] = [];
  let from = 0;
  for (let at = buffer.indexOf('\n\n'); at !== -1; at = buffer.indexOf('\n\n', from)) {
    events.push(buffer.subarray(from, at + 2));
    from = at + 2;
  }
  return events;
}
