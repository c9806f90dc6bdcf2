import { readFileSync } from 'node:fs';
import type { SimulatedRequest } from './engine.ts';
import { Random } from './random.ts';

/** A request whose prompt is known by the hashes of its blocks. */
export interface TracedRequest extends SimulatedRequest {
  /** Each stands for a block of `BLOCK_TOKENS` and everything before it. */
  readonly hashIds: readonly number[];
  /** Which conversation it belongs to, where the trace knows. */
  readonly session: string | undefined;
}

/** Of Mooncake's traces. */
export const BLOCK_TOKENS = 512;

/**
 * A trace in Mooncake's format, one JSON object a line: `{"timestamp": 27482, "input_length": 6955, "output_length": 52,
 * "hash_ids": [46, 47, 2353]}`, times in milliseconds. `session_id` is read where there is one.
 * @see https://github.com/kvcache-ai/Mooncake (FAST25-release/traces)
 */
export function readTrace(file: string): TracedRequest[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line, index) => {
      const { timestamp, input_length, output_length, hash_ids, session_id } = JSON.parse(line);
      if (![timestamp, input_length, output_length].every(Number.isFinite) || !Array.isArray(hash_ids)) {
        throw new Error(
          `line ${index + 1} of ${file} must have timestamp, input_length, output_length and hash_ids, as Mooncake's traces do`,
        );
      }
      return {
        arrival: timestamp / 1000,
        inputTokens: input_length,
        outputTokens: Math.max(1, output_length),
        hashIds: hash_ids,
        session: session_id === undefined ? undefined : String(session_id),
      };
    });
}

/** The same trace in Mooncake's words. */
export function traceLines(requests: readonly TracedRequest[]): string {
  const lines = requests.map(({ arrival, inputTokens, outputTokens, hashIds, session }) =>
    JSON.stringify({
      timestamp: Math.round(arrival * 1000),
      input_length: inputTokens,
      output_length: outputTokens,
      hash_ids: hashIds,
      ...(session !== undefined && { session_id: session }),
    }),
  );
  return `${lines.join('\n')}\n`;
}

export interface TraceOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly sessionsPerSecond: number;
  /** Different system prompts. */
  readonly applications: number;
}

/** Turns of a conversation on average, and seconds between an answer and the next turn. */
const TURNS = 4;
const THINK_SECONDS = 20;
/** Blocks of a system prompt with its tools: 1,000 to 6,000 tokens. */
const SYSTEM_BLOCKS: readonly [number, number] = [2, 12];
/** Tokens that a turn adds to the prompt, beside the answer before it. */
const TURN = { median: 500, spread: 1, most: 6_000 };
const OUTPUT = { median: 129, spread: 0.8, most: 800 };
/** How unequally applications are used. */
const ZIPF = 1;

/** Conversations of several turns, in applications with system prompts of their own of which a few are used most. */
export function makeTrace({ seed, seconds, sessionsPerSecond, applications }: TraceOptions): TracedRequest[] {
  const random = new Random(seed);
  let lastId = 0;
  const fresh = (count: number): number[] =>
    Array.from({ length: count }, () => {
      lastId += 1;
      return lastId;
    });
  const [least, most] = SYSTEM_BLOCKS;
  const systems = Array.from({ length: applications }, () => fresh(least + random.below(most - least + 1)));
  const pick = random.zipf(applications, ZIPF);
  const tokens = ({ median, spread, most: cap }: typeof TURN): number =>
    Math.max(1, Math.min(cap, Math.round(random.logNormal(median, spread))));
  const requests: TracedRequest[] = [];
  let session = 0;
  for (let start = random.exponential(1 / sessionsPerSecond); start < seconds; session += 1) {
    const ids = [...(systems[pick()] ?? [])];
    let inputTokens = ids.length * BLOCK_TOKENS;
    let arrival = start;
    do {
      inputTokens += tokens(TURN);
      // The last block isn't full: the next turn's is another one.
      const full = Math.floor(inputTokens / BLOCK_TOKENS);
      ids.push(...fresh(full - ids.length));
      const outputTokens = tokens(OUTPUT);
      const rest = inputTokens % BLOCK_TOKENS === 0 ? [] : fresh(1);
      requests.push({ arrival, inputTokens, outputTokens, hashIds: [...ids, ...rest], session: `s${session}` });
      inputTokens += outputTokens;
      arrival += outputTokens * 0.03 + random.exponential(THINK_SECONDS);
    } while (random.uniform() > 1 / TURNS && arrival < seconds);
    start += random.exponential(1 / sessionsPerSecond);
  }
  return requests.sort((a, b) => a.arrival - b.arrival);
}
